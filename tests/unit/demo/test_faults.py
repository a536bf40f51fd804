from __future__ import annotations

import pytest

from outlay.demo import faults
from outlay.demo.faults import NONE, Attempts, Fault, applies, parse


def test_a_fault_is_written_and_read_back() -> None:
    fault = Fault("cut", times=2, after=7, ms=40)
    assert parse(fault.header()) == fault
    assert parse("") is NONE
    assert parse("stall;after=3") == Fault("stall", after=3)


@pytest.mark.parametrize(
    "text", ["burn", "cut;whem=3", "cut;after=0", "slow;ms=60000", "cut;after"]
)
def test_a_wrong_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_refusals_stop_after_their_times_and_interruptions_do_not() -> None:
    refused = Fault("rate_limit", times=2)
    assert [applies(refused, n) for n in range(4)] == [refused, refused, NONE, NONE]
    cut = Fault("cut")
    assert applies(cut, 5) is cut


def test_attempts_are_counted_by_call() -> None:
    attempts = Attempts()
    assert [attempts.next({"x-demo-call": c}) for c in "aaba"] == [0, 1, 0, 2]


def test_without_a_call_the_sdks_own_count_is_believed() -> None:
    attempts = Attempts()
    assert attempts.next({"x-stainless-retry-count": "2"}) == 2
    assert attempts.next({"x-stainless-retry-count": "many"}) == 0
    assert attempts.next({}) == 0


def test_the_oldest_calls_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "MAX_CALLS", 2)
    attempts = Attempts()
    assert [attempts.next({"x-demo-call": c}) for c in "abcab"] == [0, 0, 0, 0, 0]
