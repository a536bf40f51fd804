"""What every log backend keeps. A new backend joins by a line in `LOGS`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from outlay.enrich.hop import HopLog
from outlay.errors import UnavailableError
from outlay.stream.base import Chunk, Log
from outlay.stream.sqlite import SqliteLog

LOGS: dict[str, Callable[[Path], Log]] = {
    "sqlite": lambda folder: SqliteLog(folder / "log.db"),
    "hop": lambda folder: HopLog(folder / "hop.db"),
}


@pytest.fixture(params=list(LOGS))
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Log]]:
    """Open the same log again and again; all are closed at the end."""
    opened: list[Log] = []

    def again() -> Log:
        opened.append(LOGS[request.param](tmp_path))
        return opened[-1]

    yield again
    for log in opened:
        log.close()


def chunks(*counts: int) -> list[Chunk]:
    return [Chunk(b"payload %d" % count, count) for count in counts]


def test_an_empty_log_has_head_zero_and_no_records(open_log: Callable[[], Log]) -> None:
    log = open_log()
    assert log.head() == 0
    assert log.read(0, max_events=10) == []
    assert log.append([], appended_at=5) == 0


def test_offsets_start_at_one_and_records_come_back_in_order(open_log: Callable[[], Log]) -> None:
    log = open_log()
    assert log.append(chunks(3, 4), appended_at=111) == 2
    assert log.append(chunks(5), appended_at=112) == 3
    records = log.read(0, max_events=100)
    assert [(r.offset, r.appended_at, r.count, r.payload) for r in records] == [
        (1, 111, 3, b"payload 3"),
        (2, 111, 4, b"payload 4"),
        (3, 112, 5, b"payload 5"),
    ]
    assert [r.offset for r in log.read(2, max_events=100)] == [3]


def test_a_read_gives_at_least_one_record_and_then_stays_in_its_bound(
    open_log: Callable[[], Log],
) -> None:
    log = open_log()
    log.append(chunks(50, 3, 3, 3), appended_at=1)
    assert [r.count for r in log.read(0, max_events=10)] == [50]
    assert [r.count for r in log.read(1, max_events=6)] == [3, 3]


def test_a_log_survives_being_closed(open_log: Callable[[], Log]) -> None:
    log = open_log()
    log.append(chunks(1, 2), appended_at=1)
    log.close()
    log.close()
    with pytest.raises(UnavailableError):
        log.append(chunks(1), appended_at=1)
    with pytest.raises(UnavailableError):
        log.read(0, max_events=1)
    again = open_log()
    assert again.head() == 2
    assert again.append(chunks(3), appended_at=2) == 3


def test_trimming_forgets_only_old_records_up_to_the_offset(open_log: Callable[[], Log]) -> None:
    log = open_log()
    for at in (10, 20, 30, 40):
        log.append(chunks(1), appended_at=at)
    assert log.trim(3, appended_before=30) == 2
    assert [r.offset for r in log.read(0, max_events=10)] == [3, 4]
    assert log.trim(1, appended_before=100) == 0


def test_offsets_are_never_used_again_after_a_trim(open_log: Callable[[], Log]) -> None:
    log = open_log()
    log.append(chunks(1, 1), appended_at=1)
    assert log.trim(2, appended_before=2) == 2
    assert log.head() == 2
    log.close()
    again = open_log()
    assert again.head() == 2
    assert again.append(chunks(1), appended_at=3) == 3


def test_many_records_are_trimmed_in_one_call(open_log: Callable[[], Log]) -> None:
    log = open_log()
    log.append(chunks(*([1] * 500)), appended_at=1)
    assert log.trim(450, appended_before=2) == 450


def test_waiting_ends_at_once_when_there_is_something(open_log: Callable[[], Log]) -> None:
    log = open_log()
    log.append(chunks(1), appended_at=1)
    assert log.wait(0, 10.0)
    assert not log.wait(1, 0.01)


def test_waiting_is_woken_by_another_opening_of_the_log(open_log: Callable[[], Log]) -> None:
    reader, writer = open_log(), open_log()
    timer = threading.Timer(0.1, lambda: writer.append(chunks(1), appended_at=1))
    timer.start()
    begun = time.monotonic()
    assert reader.wait(0, 10.0)
    assert time.monotonic() - begun < 5.0
    timer.join()


def test_appends_of_many_threads_and_openings_all_arrive_whole(
    open_log: Callable[[], Log],
) -> None:
    logs = [open_log(), open_log()]
    offsets: list[int] = []

    def work(number: int) -> None:
        for turn in range(20):
            batch = [Chunk(b"%d/%d/%d" % (number, turn, part), 1) for part in range(3)]
            offsets.append(logs[number % 2].append(batch, appended_at=number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = logs[0].read(0, max_events=10_000)
    assert [r.offset for r in records] == list(range(1, 481))
    assert len(set(offsets)) == 160
    by_offset = {r.offset: r.payload for r in records}
    for last in offsets:  # the chunks of one call stand side by side, in order
        heads = [by_offset[last - back].rsplit(b"/", 1) for back in (2, 1, 0)]
        assert [part for _, part in heads] == [b"0", b"1", b"2"]
        assert len({head for head, _ in heads}) == 1


def test_the_size_on_disk_grows_with_what_is_appended(open_log: Callable[[], Log]) -> None:
    log = open_log()
    before = log.size_bytes()
    log.append([Chunk(b"x" * 500_000, 1)], appended_at=1)
    assert log.size_bytes() > before + 400_000
