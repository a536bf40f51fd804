"""The hop: records, offset, ids and statistics move together or not at all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from outlay.core.ids import uuid7
from outlay.enrich.hop import Hop, HopCounts, HopLog, TenantStat, id_days
from outlay.errors import ConflictError, UnavailableError
from outlay.stream.base import Chunk
from tests.unit.stream.events import DAY, NOW


def ids(number: int, *, at: int = NOW, seed: int = 0) -> list[bytes]:
    dice = random.Random(seed)
    texts = [uuid7(at // 1000, dice.randbytes(10)) for _ in range(number)]
    return [bytes.fromhex(text.replace("-", "")) for text in texts]


def hop(after: int, *, at: int = NOW, new: list[bytes], size: int = 10) -> Hop:
    chunks = [Chunk(b"x" * size, len(new))]
    return Hop(
        after=after, consumed=after + 1, received_at=at, appended_at=at, chunks=chunks, ids=new
    )


def days(log: HopLog) -> set[int]:
    rows = log._reader.execute("SELECT name FROM sqlite_master WHERE name GLOB 'seen_*'")
    return {int(name[5:]) for (name,) in rows}


def test_a_hop_survives_closing(tmp_path: Path) -> None:
    log = HopLog(tmp_path / "hop.db")
    new = ids(1_200)
    stats = {"acme": TenantStat(1.5, 3), "b": TenantStat(2.5, 4)}
    step = Hop(0, 7, NOW, NOW, [Chunk(b"x", 1200)], new, stats, duplicates=2, dead=1)
    assert log.commit(step) == 1
    log.close()
    again = HopLog(tmp_path / "hop.db")
    assert again.consumed() == 7
    assert again.counts() == HopCounts(1200, 2, 1)
    assert again.stats() == stats
    other = ids(5, seed=1)
    assert again.seen([*new, *other], received_at=NOW) == set(new)
    again.close()


def test_a_forgotten_tenant_is_gone(tmp_path: Path) -> None:
    log = HopLog(tmp_path / "hop.db")
    log.commit(Hop(0, 1, NOW, NOW, stats={"a": TenantStat(1, 1), "b": TenantStat(1, 1)}))
    log.commit(Hop(1, 2, NOW, NOW, stats={"a": None, "b": TenantStat(2, 2)}))
    assert log.stats() == {"b": TenantStat(2, 2)}
    log.close()


def test_only_one_of_two_workers_can_move_the_offset(tmp_path: Path) -> None:
    log, other = HopLog(tmp_path / "hop.db"), HopLog(tmp_path / "hop.db")
    log.commit(hop(0, new=ids(3)))
    with pytest.raises(ConflictError):
        other.commit(hop(0, new=ids(3, seed=1)))
    assert log.head() == 1
    assert log.counts().events == 3
    log.close()
    other.close()


def test_a_hop_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    log = HopLog(tmp_path / "hop.db", max_bytes=1_000_000)
    new = ids(10)
    with pytest.raises(UnavailableError):
        log.commit(hop(0, new=new, size=5_000_000))
    assert (log.consumed(), log.head(), log.counts()) == (0, 0, HopCounts())
    assert log.seen(new, received_at=NOW) == set()
    with pytest.raises(UnavailableError):
        log.commit(hop(0, new=[*new, new[0]]))
    assert log.consumed() == 0
    log.commit(hop(0, new=new))
    log.close()


def test_ids_are_kept_by_day_and_dropped_when_none_can_come_again(tmp_path: Path) -> None:
    log = HopLog(tmp_path / "hop.db", max_past_days=3)
    today = NOW // DAY
    old = ids(5, at=NOW - 3 * DAY)
    log.commit(hop(0, new=[*old, *ids(5, seed=2)]))
    assert days(log) == {today - 3, today}
    assert log.seen(old, received_at=NOW) == set(old)
    log.commit(hop(1, at=NOW + 2 * DAY, new=ids(1, at=NOW + 2 * DAY)))
    assert days(log) == {today - 3, today, today + 2}
    log.commit(hop(2, at=NOW + 3 * DAY, new=ids(1, at=NOW + 3 * DAY)))
    assert days(log) == {today, today + 2, today + 3}
    log.close()


def test_ids_outside_the_window_share_one_table(tmp_path: Path) -> None:
    log = HopLog(tmp_path / "hop.db", max_past_days=3)
    strange = [*ids(2, at=NOW - 400 * DAY), *ids(2, at=NOW + 400 * DAY), b"\xff" * 16]
    log.commit(hop(0, new=strange))
    assert days(log) == {0}
    assert log.seen(strange, received_at=NOW) == set(strange)
    log.close()


def test_the_day_of_an_id_is_that_of_its_time() -> None:
    assert id_days(ids(1, at=NOW) + ids(1, at=NOW - 5 * DAY)).tolist() == [
        NOW // DAY,
        NOW // DAY - 5,
    ]
