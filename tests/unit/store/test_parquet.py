"""The Parquet warehouse: its files, its waiting batches, its merging and its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from outlay.errors import UnavailableError
from outlay.store.warehouse import parquet
from outlay.store.warehouse.files import SCHEMA
from outlay.store.warehouse.manifest import Manifest
from outlay.store.warehouse.parquet import JOURNAL_SECONDS, ParquetWarehouse
from tests.factory import DEFAULT_START_US, events_table, make_events, one_event

DAY_US = 86_400_000_000
DAY0 = DEFAULT_START_US // DAY_US * DAY_US


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def warehouse(tmp_path: Path, clock: Clock) -> Iterator[ParquetWarehouse]:
    made = ParquetWarehouse(tmp_path / "w", clock=clock)
    yield made
    made.close()


def small(offset: int) -> pa.Table:
    return make_events(50, seed=offset, start_us=DAY0 + offset * 1_000_000, span_us=1_000_000)


def test_small_batches_wait_and_become_parquet_together(
    warehouse: ParquetWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "FILE_EVENTS", 150)
    warehouse.write(small(1), offset=1)
    warehouse.write(small(2), offset=2)
    assert (warehouse.offset(), warehouse.published(), warehouse.files()) == (2, 0, [])
    warehouse.write(small(3), offset=3)
    assert (warehouse.offset(), warehouse.published(), len(warehouse.files())) == (3, 3, 1)


def test_no_batch_waits_longer_than_its_time(warehouse: ParquetWarehouse, clock: Clock) -> None:
    warehouse.write(small(1), offset=1)
    assert not warehouse.compact()
    clock.now += JOURNAL_SECONDS
    assert warehouse.compact()
    assert warehouse.published() == 1
    warehouse.write(small(2), offset=2)
    clock.now += JOURNAL_SECONDS
    warehouse.write(small(3), offset=3)
    assert warehouse.published() == 3


def test_closing_makes_parquet_of_what_waits(tmp_path: Path) -> None:
    warehouse = ParquetWarehouse(tmp_path)
    warehouse.write(small(1), offset=1)
    warehouse.close()
    again = ParquetWarehouse(tmp_path)
    assert (again.published(), again.read_table().num_rows) == (1, 50)
    again.close()


def test_events_lie_in_the_folder_of_the_utc_day_they_started_on(
    warehouse: ParquetWarehouse,
) -> None:
    warehouse.write(
        events_table(*[one_event(started_at=DAY0 + d * DAY_US - 1) for d in range(3)]), offset=1
    )
    warehouse.publish()
    assert [Path(f).parent.name for f in warehouse.files()] == [
        "day=2026-09-20",
        "day=2026-09-21",
        "day=2026-09-22",
    ]
    assert len(warehouse.files("2026-09-21", "2026-09-21")) == 1
    assert warehouse.read_table("2026-09-21").num_rows == 2
    assert warehouse.totals() == {
        "2026-09-20": (1, 1000),
        "2026-09-21": (1, 1000),
        "2026-09-22": (1, 1000),
    }


def test_every_column_comes_back_as_it_was_and_sql_reads_it(warehouse: ParquetWarehouse) -> None:
    events = make_events(300, seed=3, start_us=DAY0 + 1, span_us=1_000_000)
    warehouse.write(events, offset=9)
    warehouse.publish()
    back = warehouse.read_table()
    assert back.schema.names == SCHEMA.names
    for name in events.schema.names:
        column = back[name]
        if column.type == pa.uuid():
            column = pa.chunked_array([piece.storage for piece in column.chunks])
        assert column.to_pylist() == events[name].to_pylist(), name
    rows = duckdb.execute(
        f"SELECT count(*), sum(list_sum(list_transform(lines, lambda l: l.nanos))), "
        f"max(log_offset), typeof(any_value(event_id)) "
        f"FROM read_parquet('{warehouse.glob()}', hive_partitioning = false)"
    ).fetchall()
    assert rows == [(300, sum(events["cost_nanos"].to_pylist()), 9, "UUID")]


def test_merging_replaces_many_small_files_by_one_with_the_same_events(
    warehouse: ParquetWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "FILE_EVENTS", 1)
    for offset in range(1, 11):
        warehouse.write(small(offset), offset=offset)
    before, files = warehouse.daily_totals(up_to=2**62), warehouse.files()
    assert warehouse.compact()
    assert len(warehouse.files()) == 1
    assert warehouse.daily_totals(up_to=2**62) == before
    assert warehouse.daily_totals(up_to=3) != before
    assert not any(Path(file).exists() for file in files)
    assert not warehouse.compact()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_merging_leaves_either_the_old_files_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(parquet, "FILE_EVENTS", 1)
    warehouse = ParquetWarehouse(tmp_path)
    for offset in range(1, 11):
        warehouse.write(small(offset), offset=offset)
    before = warehouse.daily_totals(up_to=2**62)
    original = Manifest.replace

    def crash(self: Manifest, *args: Any) -> None:
        if when == "after":
            original(self, *args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Manifest, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        warehouse.compact()
    warehouse._manifest.close()
    warehouse._holder.release()
    again = ParquetWarehouse(tmp_path)
    assert len(again.files()) == (10 if when == "before" else 1)
    assert again.daily_totals(up_to=2**62) == before
    assert len(list(tmp_path.glob("day=*/*"))) == len(again.files())
    again.close()


def test_what_the_manifest_does_not_name_is_removed_at_open(tmp_path: Path) -> None:
    warehouse = ParquetWarehouse(tmp_path)
    warehouse.write(small(1), offset=1)
    warehouse.close()
    stray = tmp_path / "day=2026-09-21" / "000000000099.parquet"
    stray.write_bytes(b"half a file")
    (tmp_path / "journal" / "x.arrow.tmp").write_bytes(b"half")
    again = ParquetWarehouse(tmp_path)
    assert not stray.exists()
    assert list((tmp_path / "journal").iterdir()) == []
    assert again.read_table().num_rows == 50
    again.close()


def test_a_missing_file_is_refused_because_finance_relies_on_it(tmp_path: Path) -> None:
    warehouse = ParquetWarehouse(tmp_path)
    warehouse.write(small(1), offset=1)
    warehouse.publish()
    (file,) = warehouse.files()
    warehouse.close()
    Path(file).unlink()
    with pytest.raises(UnavailableError, match="are missing") as caught:
        ParquetWarehouse(tmp_path)
    assert "backup" in caught.value.hint
    with pytest.raises(UnavailableError, match="are missing"):
        ParquetWarehouse(tmp_path)


def test_a_manifest_of_another_version_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    warehouse = ParquetWarehouse(tmp_path)
    warehouse._manifest._db.execute("UPDATE state SET version = 9")
    warehouse.close()
    with pytest.raises(UnavailableError, match="version 9"):
        ParquetWarehouse(tmp_path)
    for name in ("manifest.sqlite-wal", "manifest.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "manifest.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(UnavailableError, match="manifest"):
        ParquetWarehouse(tmp_path)
