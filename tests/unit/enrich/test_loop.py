"""The loop repeats a step, waits longer after each failure, and ends when asked."""

from __future__ import annotations

import threading

import pytest

from outlay.enrich import loop
from outlay.enrich.loop import Loop


def test_a_failing_step_is_told_and_tried_again() -> None:
    done = threading.Event()
    told: list[Exception] = []
    turns = iter([RuntimeError("first"), RuntimeError("second")])

    def step() -> None:
        error = next(turns, None)
        if error is not None:
            raise error
        done.set()
        repeated.pause(0.01)

    repeated = Loop("test-loop", step, told.append)
    repeated.start()
    assert done.wait(10)
    states = [repeated.running]
    assert repeated.stop()
    states.append(repeated.running)
    assert states == [True, False]
    assert [str(error) for error in told] == ["first", "second"]


def test_the_wait_after_failures_doubles_up_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def step() -> None:
        raise RuntimeError

    repeated = Loop("test-loop", step, lambda _error: None)

    def wait(seconds: float | None = None) -> bool:
        waits.append(seconds or 0.0)
        if len(waits) == 12:
            repeated._stopping.set()
        return False

    monkeypatch.setattr(repeated._stopping, "wait", wait)
    repeated._run()
    assert waits[:3] == [loop.BACKOFF_S, 2 * loop.BACKOFF_S, 4 * loop.BACKOFF_S]
    assert waits[-1] == max(waits) == loop.MAX_BACKOFF_S


def test_stopping_what_never_ran_is_fine_and_a_stuck_step_is_said() -> None:
    release = threading.Event()

    def step() -> None:
        release.wait()

    stuck = Loop("test-loop", step, lambda _error: None)
    assert stuck.stop()
    stuck.start()
    assert not stuck.stop(0.05)
    release.set()
