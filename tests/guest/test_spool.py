"""The spool: durable, bounded, and never an error for the caller."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from outlay.capture import spool as spools
from outlay.capture.spool import (
    FULL,
    MAX_EVENT_BYTES,
    MAX_MEMORY_EVENTS,
    MEMORY_FULL,
    ROW_BYTES,
    STORED,
    TOO_LARGE,
    Spool,
    adopt,
)

MIB = 1024 * 1024


def made(folder: Path, max_bytes: int = MIB) -> Spool:
    return Spool(folder, max_bytes)


def bodies(spool: Spool) -> list[str]:
    return [row.body for row in spool.batch(10_000, 10 * MIB)]


def test_events_come_out_in_order_and_leave_when_done(tmp_path: Path) -> None:
    spool = made(tmp_path)
    for number in range(5):
        assert spool.put(f"e{number}") == STORED
    rows = spool.batch(3, MIB)
    assert [row.body for row in rows] == ["e0", "e1", "e2"]
    assert spool.pending == 5
    assert spool.done(rows)
    assert bodies(spool) == ["e3", "e4"]
    spool.close()


def test_a_batch_is_bounded_in_bytes_but_never_empty(tmp_path: Path) -> None:
    spool = made(tmp_path)
    for _ in range(4):
        spool.put("x" * 100)
    assert len(spool.batch(10, 250)) == 2
    assert len(spool.batch(10, 10)) == 1
    spool.close()


def test_at_the_bound_new_events_are_refused_and_old_ones_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10 * (100 + ROW_BYTES))
    results = [spool.put("x" * 100) for _ in range(11)]
    assert results == [STORED] * 10 + [FULL]
    assert spool.done(spool.batch(1, MIB))
    assert spool.put("x" * 100) == STORED
    spool.close()


def test_an_oversize_event_is_refused(tmp_path: Path) -> None:
    spool = made(tmp_path)
    assert spool.put("x" * MAX_EVENT_BYTES) == STORED
    assert spool.put("x" * (MAX_EVENT_BYTES + 1)) == TOO_LARGE
    spool.close()


def test_the_folder_and_the_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "spool"
    spool = made(folder)
    spool.put("e")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o600}
    spool.close()


def test_an_empty_spool_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = made(tmp_path)
    spool.put("e")
    spool.done(spool.batch(1, MIB))
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_the_next_spool_goes_on_with(tmp_path: Path) -> None:
    first = made(tmp_path)
    first.put("old")
    first.close()
    second = made(tmp_path)
    second.put("new")
    assert bodies(second) == ["old", "new"]
    assert len(list(tmp_path.glob("*.db"))) == 1
    second.close()


def test_a_living_spool_is_nobody_elses(tmp_path: Path) -> None:
    first, second = made(tmp_path), made(tmp_path)
    first.put("1")
    second.put("2")
    assert adopt(tmp_path, MIB) == []
    assert (bodies(first), bodies(second)) == (["1"], ["2"])
    first.close()
    (orphan,) = adopt(tmp_path, MIB)
    assert bodies(orphan) == ["1"]
    orphan.close()
    second.close()


def test_an_unusable_folder_falls_back_to_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "spool", 64 * MIB)
    results = [spool.put("e") for _ in range(MAX_MEMORY_EVENTS + 1)]
    assert results[:-1] == [STORED] * MAX_MEMORY_EVENTS
    assert results[-1] == MEMORY_FULL
    rows = spool.batch(10, MIB)
    assert len(rows) == 10
    assert spool.done(rows)
    assert spool.pending == MAX_MEMORY_EVENTS - 10
    spool.close()


def test_memory_moves_to_the_file_when_it_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "RETRY_S", 0.0)
    blocked = tmp_path / "spool"
    blocked.write_text("")
    spool = made(blocked)
    spool.put("first")
    assert spool.in_memory == 1
    blocked.unlink()
    spool.tend()
    assert spool.in_memory == 0
    spool.put("second")
    assert bodies(spool) == ["first", "second"]
    spool.close()


def test_a_locked_file_costs_the_caller_milliseconds_and_loses_nothing(tmp_path: Path) -> None:
    spool = made(tmp_path)
    spool.put("first")
    assert spool.claim is not None
    other = sqlite3.connect(spool.claim.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert spool.put("second") == STORED
    assert spool.in_memory == 1
    other.execute("ROLLBACK")
    other.close()
    spool._retry_at = 0.0
    spool.tend()
    assert bodies(spool) == ["first", "second"]
    spool.close()


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    first = made(tmp_path)
    first.put("old")
    first.close()
    (path,) = tmp_path.glob("*.db")
    path.write_bytes(b"this is no database at all, not even nearly" * 100)
    spool = made(tmp_path)
    assert spool.put("new") == STORED
    spool._retry_at = 0.0
    spool.tend()
    assert bodies(spool) == ["new"]
    assert len(list(tmp_path.glob("*.damaged"))) == 1
    spool.close()


def test_the_write_ahead_log_is_kept_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "CHECKPOINT_BYTES", 64 * 1024)
    spool = Spool(tmp_path, 64 * MIB)
    for _ in range(20):
        for _ in range(50):
            spool.put("x" * 500)
        spool.tend()
    assert spool.claim is not None
    assert spool.claim.log_bytes() < 512 * 1024
    assert spool.pending == 1000
    spool.close()


def test_threads_share_one_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 16 * MIB)
    threads = [
        threading.Thread(target=lambda n=n: [spool.put(f"{n}-{i}") for i in range(200)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(bodies(spool))) == 800
    assert spool.stored == 800
    spool.close()


def test_after_closing_nothing_is_taken(tmp_path: Path) -> None:
    spool = made(tmp_path)
    spool.close()
    spool.close()
    assert spool.put("e") == spools.CLOSED


@pytest.mark.heavy
def test_a_killed_process_loses_no_committed_event(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from outlay.capture.spool import Spool
        spool = Spool(Path(sys.argv[1]), 1 << 26)
        for number in range(300):
            assert spool.put(f"e{number}") == ""
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), os.fspath(tmp_path)], check=False
    )
    assert done.returncode == -9
    (orphan,) = adopt(tmp_path, MIB)
    assert bodies(orphan) == [f"e{n}" for n in range(300)]
    orphan.close()
