"""The embedded log under full disks, locks, kills and files that are something else."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlay.enrich.hop import HopLog
from outlay.errors import ConfigError, StorageBusyError, StorageFullError
from outlay.stream.base import Chunk
from outlay.stream.sqlite import SqliteLog


def chunk(size: int = 10) -> Chunk:
    return Chunk(os.urandom(size), 1)


# -- files -------------------------------------------------------------------------------------


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    SqliteLog(tmp_path / "a" / "b" / "log.db").close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes " * 100)
    with pytest.raises(ConfigError, match="not a log"):
        SqliteLog(path)
    assert path.read_text().startswith("these are my notes")


def test_another_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="not this kind of log"):
        SqliteLog(path)
    assert path.read_bytes() == before


def test_the_two_kinds_of_log_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    SqliteLog(tmp_path / "captured.db").close()
    with pytest.raises(ConfigError, match="not this kind of log"):
        HopLog(tmp_path / "captured.db")


def test_another_schema_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    SqliteLog(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(ConfigError, match="schema version 7"):
        SqliteLog(path)


def test_processes_that_open_a_new_log_together_make_one(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from outlay.stream.base import Chunk\n"
        "from outlay.stream.sqlite import SqliteLog\n"
        "log = SqliteLog(sys.argv[1])\n"
        "for i in range(30): log.append([Chunk(b'x', 1)], appended_at=i)\n"
        "log.close()\n"
    )
    path = tmp_path / "log.db"
    workers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    log = SqliteLog(path)
    assert [r.offset for r in log.read(0, max_events=1000)] == list(range(1, 121))
    log.close()


# -- full --------------------------------------------------------------------------------------


def test_a_full_log_refuses_all_of_a_call_and_takes_more_after_a_trim(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db", max_bytes=1_000_000)
    for number in range(8):
        log.append([chunk(100_000)], appended_at=number)
    head = log.head()
    with pytest.raises(StorageFullError) as raised:
        log.append([chunk(10), chunk(300_000)], appended_at=9)
    assert raised.value.status == 507
    assert log.head() == head
    assert len(log.read(0, max_events=100)) == head
    assert log.append([chunk(10)], appended_at=9) == head + 1
    assert log.trim(4, appended_before=100) == 4
    assert log.append([chunk(300_000)], appended_at=10) == head + 2
    log.close()


def test_one_append_that_does_not_fit_fails_alone_in_its_group(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db", max_bytes=1_000_000)
    errors: list[Exception] = []

    def append(size: int) -> None:
        try:
            log.append([chunk(size)], appended_at=1)
        except StorageFullError as error:
            errors.append(error)

    threads = [threading.Thread(target=append, args=(n,)) for n in (10, 5_000_000, 20, 30)]
    with log._write_lock:
        for thread in threads:
            thread.start()
        while len(log._queue) < 4:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert len(errors) == 1
    assert sorted(len(r.payload) for r in log.read(0, max_events=100)) == [10, 20, 30]
    log.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_loses_nothing_that_was_acknowledged(tiny_disk: Path) -> None:
    log = SqliteLog(tiny_disk / "log.db")
    acknowledged: list[int] = []

    def fill() -> None:
        for number in range(100):
            last = log.append([chunk(40_000)], appended_at=number)
            acknowledged.append(last)

    with pytest.raises(StorageFullError):
        fill()
    assert acknowledged
    with pytest.raises(StorageFullError):
        log.append([chunk(40_000)], appended_at=1)
    assert [r.offset for r in log.read(0, max_events=1000)] == acknowledged
    log.close()
    again = SqliteLog(tiny_disk / "log.db")
    assert [r.offset for r in again.read(0, max_events=1000)] == acknowledged
    again.close()


# -- locked ------------------------------------------------------------------------------------


def test_a_lock_held_by_another_process_is_named_after_a_bounded_wait(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteLog(path, busy_timeout_s=0.2)
    log.append([chunk()], appended_at=1)
    code = (
        "import sqlite3, sys, time\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"locked\n"
    begun = time.monotonic()
    with pytest.raises(StorageBusyError):
        log.append([chunk()], appended_at=2)
    assert time.monotonic() - begun < 5
    assert log.head() == 1  # reading goes on
    holder.stdin.close()
    holder.wait(10)
    holder.stdout.close()
    assert log.append([chunk()], appended_at=3) == 2
    log.close()


# -- killed ------------------------------------------------------------------------------------

APPENDER = """
import sys
from outlay.stream.base import Chunk
from outlay.stream.sqlite import SqliteLog
log = SqliteLog(sys.argv[1])
number = log.head()
while True:
    batch = [Chunk(b"%d" % (number + i) * 2000, 1) for i in (1, 2, 3)]
    number = log.append(batch, appended_at=1)
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_and_no_call_is_half_there(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    acknowledged = 0
    for turn in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(20 + turn):
            acknowledged = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().split()
        acknowledged = int(rest[-1]) if rest and rest[-1].isdigit() else acknowledged
        process.wait()
        process.stdout.close()
    log = SqliteLog(path)
    records = log.read(0, max_events=10**6)
    assert log.head() == len(records) >= acknowledged
    assert len(records) % 3 == 0
    for record in records:
        assert record.payload == b"%d" % record.offset * 2000
    log.close()
