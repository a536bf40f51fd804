"""Waiting for the gate: threads by a lock, tasks by their loop, and nobody for ever."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from outlay.capture.limits.bell import Bell
from outlay.capture.limits.steps import Admitted, Asked, Step, Wait
from outlay.capture.limits.tickets import Free
from outlay.capture.limits.waiting import POLL_S, admit, admit_async
from tests.unit.capture.limits.authority import ask


class Slow:
    """A gate that says to wait so often."""

    def __init__(self, times: int, wait: Wait) -> None:
        self.times = times
        self.wait = wait

    def enter(self, asked: Asked) -> Step:
        self.times -= 1
        return Admitted(Free()) if self.times < 0 else self.wait


def test_a_thread_waits_as_often_as_it_is_told() -> None:
    began = time.monotonic()
    assert isinstance(admit(Slow(3, Wait(0.02)), ask()), Admitted)
    assert time.monotonic() - began >= 0.06


def test_a_bell_wakes_every_thread() -> None:
    bell = Bell()
    woken: list[float] = []

    def wait() -> None:
        bell.wait(5.0)
        woken.append(time.monotonic())

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    bell.ring()
    for thread in threads:
        thread.join(1.0)
    assert len(woken) == 5
    began = time.monotonic()
    bell.wait(5.0)
    assert time.monotonic() - began < 0.1


def test_a_bell_wakes_tasks_of_a_loop_that_goes_on_meanwhile() -> None:
    bell = Bell()
    ticks = 0

    async def run() -> None:
        nonlocal ticks
        waiting = asyncio.create_task(admit_async(Slow(1, Wait(5.0, bell)), ask()))
        for _ in range(5):
            await asyncio.sleep(0.005)
            ticks += 1
        threading.Thread(target=bell.ring).start()
        await asyncio.wait_for(waiting, 1.0)

    asyncio.run(run())
    assert ticks == 5


def test_a_task_wakes_when_its_time_is_over() -> None:
    assert isinstance(asyncio.run(admit_async(Slow(1, Wait(0.02, Bell())), ask())), Admitted)


def test_a_bell_that_a_dead_loop_listened_to_still_rings() -> None:
    bell = Bell()

    async def give_up() -> None:
        task = asyncio.create_task(admit_async(Slow(1, Wait(5.0, bell)), ask()))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(give_up())
    bell.ring()


def test_a_loop_of_a_kind_that_nobody_knows_is_asked_no_oftener_than_others() -> None:
    slow = Slow(10, Wait(1.0, Bell()))
    waiting = admit_async(slow, ask())
    began = time.monotonic()
    with pytest.raises(StopIteration) as ended:
        waiting.send(None)
    assert isinstance(ended.value.value, Admitted)
    assert 10 * POLL_S <= time.monotonic() - began < 1.0
