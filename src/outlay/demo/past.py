"""Writes the demo's past through the server's own ingest, and waits until it is stored."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from outlay.demo.client import Client
from outlay.demo.history_rhythm import DAY_US
from outlay.errors import UnavailableError
from outlay.stream.decode import encode

MAX_BATCH: Final = 5_000
"""Events in one body; well below what the server takes."""
STORED_S: Final = 60.0
"""How long the last events may take to be stored."""
BUSY_S: Final = 30.0
"""How long the server may be too busy for a batch."""
PAUSE_S: Final = 0.05
LOOK_BACK_US: Final = 36 * DAY_US
BUSY: Final = (429, 503)


def write_past(sender: Client, days: Iterable[list[Any]]) -> int:
    """Send all events, and return how many were accepted.

    Raises:
        UnavailableError: the server refuses an event, or takes none for `BUSY_S`.
    """
    accepted = 0
    with ThreadPoolExecutor(1) as pool:
        ahead: Future[int] | None = None
        for batch in _batches(days):
            # The next batch is made while the server takes this one.
            if ahead is not None:
                accepted += ahead.result()
            ahead = pool.submit(_send, sender, batch)
        return accepted + (ahead.result() if ahead is not None else 0)


def wait_stored(reader: Client, events: int, *, now: int, timeout_s: float = STORED_S) -> None:
    """Wait until so many events are stored and can be asked for.

    Raises:
        UnavailableError: they are not there in time.
    """
    until = time.monotonic() + timeout_s
    while (found := stored(reader, now=now)) < events:
        if time.monotonic() >= until:
            raise UnavailableError(f"Only {found:,} of {events:,} past events are stored.")
        time.sleep(PAUSE_S)


def stored(reader: Client, *, now: int) -> int:
    """Return how many events started before `now`, as far back as the server takes any."""
    return reader.totals(["attempts"], since=now - LOOK_BACK_US, until=now)[0]


def _batches(days: Iterable[list[Any]]) -> Iterator[list[Any]]:
    for events in days:
        for begin in range(0, len(events), MAX_BATCH):
            yield events[begin : begin + MAX_BATCH]


def _send(sender: Client, events: list[Any]) -> int:
    body, until = encode(events), time.monotonic() + BUSY_S
    while True:
        status, answer = sender.post_events(body)
        if status == 200:
            break
        if status not in BUSY or time.monotonic() >= until:
            raise UnavailableError(f"The past was refused with {status}: {answer}")
        time.sleep(PAUSE_S)
    if answer["rejected"]:
        raise UnavailableError(f"An event of the past was refused: {answer['rejected'][0]}")
    return int(answer["accepted"])
