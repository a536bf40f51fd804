"""What every sink keeps: events and offset commit together, and a replay changes nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from outlay.errors import StorageBusyError, StorageFullError, UnavailableError
from outlay.store.base import Sink
from outlay.store.compare import compare
from outlay.store.olap.chunks import ChunkFiles
from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.olap.duckdb_rollup import Rollups
from outlay.store.warehouse.manifest import Manifest
from outlay.store.warehouse.parquet import ParquetWarehouse
from tests.conformance.backends import BATCH_EVENTS, SINKS, batch
from tests.factory import events_table, one_event

REPO = Path(__file__).resolve().parents[2]
Make = Callable[[], Any]


@pytest.fixture(params=SINKS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.store.olap.duckdb_rollup.FOLD_EVENTS", 900)
    monkeypatch.setattr("outlay.store.olap.duckdb_rollup.MERGE_ROWS", 300)
    monkeypatch.setattr("outlay.store.olap.duckdb_rollup.MERGE_CLOSED_ROWS", 100)
    monkeypatch.setattr("outlay.store.olap.duckdb_rollup.SLICE_ROWS", 200)
    monkeypatch.setattr("outlay.store.warehouse.parquet.FILE_EVENTS", 1_000)


@pytest.fixture
def make(kind: str, tmp_path: Path) -> Iterator[Make]:
    made: list[Sink] = []

    def new() -> Sink:
        made.append(SINKS[kind](tmp_path))
        return made[-1]

    yield new
    for sink in made:
        sink.close()


def totals(sink: Any) -> dict[tuple[str, str], tuple[int, int]]:
    if isinstance(sink, ParquetWarehouse):
        sink.publish()
    if isinstance(sink, DuckDbStore):
        assert sink.verify() == []
    result: dict[tuple[str, str], tuple[int, int]] = sink.daily_totals(up_to=2**62)
    return result


def expected(*offsets: int) -> dict[tuple[str, str], tuple[int, int]]:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for offset in offsets:
        for row in batch(offset).select(["started_at", "tenant_id", "cost_nanos"]).to_pylist():
            key = (f"{row['started_at']:%Y-%m-%d}", row["tenant_id"])
            before = sums.get(key, (0, 0))
            sums[key] = (before[0] + 1, before[1] + row["cost_nanos"])
    return sums


# -- offsets and replays -------------------------------------------------------------------------


def test_a_new_sink_is_at_offset_zero(make: Make) -> None:
    assert make().offset() == 0


def test_events_and_offset_commit_together_and_survive_a_restart(make: Make) -> None:
    sink = make()
    sink.write(batch(1), offset=1)
    sink.write(batch(2), offset=7)
    assert sink.offset() == 7
    sink.close()
    again = make()
    assert again.offset() == 7
    assert totals(again) == expected(1, 2)


def test_a_replay_of_any_range_changes_nothing(make: Make) -> None:
    sink, order = make(), random.Random(5)
    for offset in range(1, 9):
        sink.write(batch(offset), offset=offset)
        for _ in range(2):
            old = order.randint(1, offset)
            sink.write(batch(old), offset=old)
        assert sink.offset() == offset
    assert totals(sink) == expected(*range(1, 9))


def test_a_replay_after_a_restart_changes_nothing(make: Make) -> None:
    sink = make()
    for offset in range(1, 6):
        sink.write(batch(offset), offset=offset)
    sink.close()
    sink = make()
    for offset in range(1, 8):
        sink.write(batch(offset), offset=offset)
    assert totals(sink) == expected(*range(1, 8))


def test_a_batch_without_events_moves_the_offset(make: Make) -> None:
    sink = make()
    sink.write(batch(1).slice(0, 0), offset=4)
    sink.close()
    assert make().offset() == 4


def test_a_batch_with_other_columns_is_refused_and_nothing_is_written(make: Make) -> None:
    sink = make()
    with pytest.raises(ValueError, match="ENRICHED_SCHEMA"):
        sink.write(pa.table({"tenant_id": ["acme"]}), offset=1)
    assert sink.offset() == 0
    sink.write(batch(1), offset=1)
    assert totals(sink) == expected(1)


def test_a_batch_in_several_pieces_is_one_batch(make: Make) -> None:
    sink = make()
    sink.write(pa.concat_tables([batch(1).slice(0, 7), batch(1).slice(7)]), offset=1)
    assert totals(sink) == expected(1)


def test_values_at_the_edge_of_their_types_are_kept(make: Make) -> None:
    sink = make()
    event = one_event(
        cost_nanos=2**63 - 1,
        provider_cost_nanos=-(2**63),
        tenant_id="O'Brien \u2028 \U0001f600",
        labels={"": "", "k'": '"'},
        latency_ms=float("inf"),
        input=10**15,
    )
    sink.write(events_table(event, event), offset=1)
    ((_, tenant), (count, cost)) = next(iter(totals(sink).items()))
    assert (tenant, count, cost) == ("O'Brien \u2028 \U0001f600", 2, 2 * (2**63 - 1))


# -- life ----------------------------------------------------------------------------------------


def test_closing_twice_is_closing_once_and_a_closed_sink_refuses(make: Make) -> None:
    sink = make()
    sink.close()
    sink.close()
    with pytest.raises(UnavailableError, match="closed"):
        sink.write(batch(1), offset=1)


def test_a_second_holder_is_refused_and_the_first_is_named(make: Make) -> None:
    sink = make()
    with pytest.raises(StorageBusyError, match=f"Process {os.getpid()} holds"):
        make()
    sink.close()
    make()


# -- failures between the phases of a write ------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


PHASES: dict[str, list[tuple[Any, str]]] = {
    "duckdb": [
        (ChunkFiles, "append"),
        (DuckDbStore, "_insert"),
        (Rollups, "fold"),
        (Rollups, "merge_step"),
    ],
    "parquet": [
        (os, "fsync"),
        (Path, "rename"),
        (Manifest, "publish"),
        (Manifest, "add_journal"),
    ],
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("phase", range(4))
def test_a_crash_between_two_phases_loses_and_doubles_nothing(
    make: Make, kind: str, monkeypatch: pytest.MonkeyPatch, phase: int, when: str
) -> None:
    owner, name = PHASES[kind][phase]
    original, armed = getattr(owner, name), [False]

    def crashing(*args: Any, **kwargs: Any) -> Any:
        if not armed[0]:
            return original(*args, **kwargs)
        if when == "after":
            original(*args, **kwargs)
        raise Crash

    monkeypatch.setattr(owner, name, crashing)
    sink, crashes = make(), 0
    for offset in range(1, 13):
        armed[0] = offset % 2 == 0
        try:
            sink.write(batch(offset), offset=offset)
        except Crash:
            crashes += 1
            armed[0] = False
            _forget(sink)
            sink = make()
            for again in range(sink.offset() + 1, offset + 1):
                sink.write(batch(again), offset=again)
        armed[0] = False
    assert crashes
    assert totals(sink) == expected(*range(1, 13))


def _forget(sink: Any) -> None:
    """Give the files up without any of the tidying that closing does."""
    sink._closed = True
    if isinstance(sink, DuckDbStore):
        sink._disconnect()
    else:
        sink._manifest.close()
    sink._holder.release()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from outlay.errors import StorageFullError
from tests.conformance.backends import SINKS, batch, small_steps
small_steps()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = SINKS[sys.argv[1]](Path(sys.argv[2]))
sink.write(batch(1), offset=1)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, hard))
failed, offset = 0, 2
for _ in range(40):
    try:
        sink.write(batch(offset), offset=offset)
        offset += 1
    except StorageFullError as error:
        assert error.status == 507, error
        failed += 1
        assert sink.offset() == offset - 1, (sink.offset(), offset)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert failed, "the disk never was full"
for offset in range(sink.offset() + 1, 43):
    sink.write(batch(offset), offset=offset)
sink.close()
"""


def test_a_full_disk_is_said_and_the_sink_goes_on_when_there_is_space(
    make: Make, kind: str, tmp_path: Path
) -> None:
    _python("-c", FULL_DISK, kind, str(tmp_path))
    assert totals(make()) == expected(*range(1, 43))


def _python(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=REPO, env=_env(), capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO / "src"), str(REPO)])}


@pytest.mark.heavy
def test_a_writer_killed_again_and_again_loses_and_doubles_nothing(
    make: Make, kind: str, tmp_path: Path
) -> None:
    last, acknowledged, chance, kills = 60, 0, random.Random(11), 0
    while acknowledged < last:
        command = [sys.executable, "-m", "tests.conformance.writer", kind, str(tmp_path), str(last)]
        with subprocess.Popen(command, cwd=REPO, env=_env(), stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                acknowledged = int(line)
                if chance.random() < 0.12:
                    time.sleep(chance.random() * 0.02)
                    writer.kill()
                    kills += 1
                    break
        sink = make()
        assert sink.offset() >= acknowledged, "an acknowledged batch is lost"
        acknowledged = sink.offset()
        sink.close()
    assert kills >= 3
    sink = make()
    assert totals(sink) == expected(*range(1, last + 1))
    assert sum(count for count, _ in totals(sink).values()) == last * BATCH_EVENTS


def test_olap_and_warehouse_agree_up_to_the_offset_both_have(tmp_path: Path) -> None:
    olap, warehouse = DuckDbStore(tmp_path / "o"), ParquetWarehouse(tmp_path / "w")
    for offset in range(1, 7):
        olap.write(batch(offset), offset=offset)
        if offset < 6:
            warehouse.write(batch(offset), offset=offset)
    assert warehouse.published() < warehouse.offset() < olap.offset()
    assert compare(olap, warehouse) == []
    warehouse.write(batch(8), offset=6)
    warehouse.publish()
    assert "olap has" in compare(olap, warehouse)[0]
    olap.close()
    warehouse.close()


def test_a_full_disk_error_says_what_to_do() -> None:
    assert "Free space" in StorageFullError("full").hint
