"""Sending the demo's past: in batches, again when the server is busy, and never half."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from outlay.demo import past
from outlay.demo.client import Client
from outlay.errors import UnavailableError
from tests.unit.demo.test_history import past as made


class FakeServer(Client):
    """Answers as told, one answer a batch; afterwards it takes everything."""

    def __init__(self, *answers: tuple[int, Any], stored: int = 0) -> None:
        self.answers = list(answers)
        self.sizes: list[int] = []
        self.stored = stored

    def post_events(self, body: bytes) -> tuple[int, Any]:
        if self.answers:
            return self.answers.pop(0)
        size = len(msgspec.json.decode(body))
        self.sizes.append(size)
        return 200, {"accepted": size, "rejected": []}

    def totals(self, metrics: list[str], *, since: int, until: int) -> list[int]:
        assert until - since == past.LOOK_BACK_US
        return [self.stored]


DAY = made(events=4_000)[10]


def test_a_day_is_sent_in_batches_of_a_bounded_size() -> None:
    server = FakeServer()
    many = [DAY[0]] * (2 * past.MAX_BATCH + 1)
    assert past.write_past(server, [many, [], DAY]) == len(many) + len(DAY)
    assert server.sizes == [past.MAX_BATCH, past.MAX_BATCH, 1, len(DAY)]


def test_a_busy_server_is_asked_again() -> None:
    server = FakeServer((429, {}), (503, {}))
    assert past.write_past(server, [DAY]) == len(DAY)
    assert server.sizes == [len(DAY)]


def test_a_server_that_stays_busy_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "BUSY_S", 0.0)
    with pytest.raises(UnavailableError, match="refused with 429"):
        past.write_past(FakeServer((429, {"why": "busy"})), [DAY])


def test_a_refused_event_ends_it() -> None:
    refused = (200, {"accepted": 1, "rejected": [{"code": "too_old"}]})
    with pytest.raises(UnavailableError, match="too_old"):
        past.write_past(FakeServer(refused), [DAY])


def test_what_is_not_stored_in_time_is_told() -> None:
    past.wait_stored(FakeServer(stored=5), 5, now=10**15)
    with pytest.raises(UnavailableError, match="Only 4 of 5"):
        past.wait_stored(FakeServer(stored=4), 5, now=10**15, timeout_s=0.0)
