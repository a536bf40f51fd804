"""Asks the gate until it has decided, blocking or awaiting in between."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from outlay.capture.limits.bell import Bell
from outlay.capture.limits.steps import Admitted, Asked, Downgrade, Refused, Step, Wait

POLL_S = 0.005
"""How often a task looks that no event loop of asyncio runs."""


class Entrance(Protocol):
    """The gate as seen from here."""

    def enter(self, asked: Asked) -> Step:
        """Decide without waiting."""


def admit(gate: Entrance, asked: Asked) -> Admitted | Refused | Downgrade:
    """Decide, blocking while the gate says to wait; bounded by `limits_patience_s`."""
    while True:
        step = gate.enter(asked)
        if not isinstance(step, Wait):
            return step
        (step.bell or Bell()).wait(step.seconds)


async def admit_async(gate: Entrance, asked: Asked) -> Admitted | Refused | Downgrade:
    """Decide, awaiting while the gate says to wait; bounded by `limits_patience_s`."""
    while True:
        step = gate.enter(asked)
        if not isinstance(step, Wait):
            return step
        await _rest(step.bell, step.seconds)


async def _rest(bell: Bell | None, seconds: float) -> None:
    asyncio = sys.modules.get("asyncio")  # imported by whoever runs its loop, not by us
    try:
        loop = None if asyncio is None else asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if asyncio is None or loop is None:
        # A bell cannot wake tasks of another kind of loop: they look again and again.
        await _rest_elsewhere(seconds if bell is None else min(seconds, POLL_S))
        return
    if bell is None:
        await asyncio.sleep(seconds)
        return
    woken = loop.create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    bell.listen(lambda: loop.call_soon_threadsafe(wake))
    timer = loop.call_later(seconds, wake)
    try:
        await woken
    finally:
        timer.cancel()


async def _rest_elsewhere(seconds: float) -> None:
    """Rest in a loop of trio; one of a kind that nobody knows is held up a moment."""
    trio = sys.modules.get("trio")
    if trio is not None:
        await trio.sleep(seconds)
    else:
        time.sleep(min(seconds, POLL_S))  # noqa: ASYNC251 - better than to spin
