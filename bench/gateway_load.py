"""Load for the gateway bench: an open loop and a closed loop.

The open loop sends at times that were drawn before, whether or not earlier answers are there, and
counts a call from the moment it was due: a gateway that stalls pays for all that had to wait.
"""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from bench.gateway_client import Connection, Pool, Taken, Way

WARM_CONNECTIONS: Final = 16
MAX_CONNECTIONS: Final = 512
"""Of an open loop; more calls at once wait their turn, and their clock runs."""
DRAIN_S: Final = 10.0
"""How long answers may come after the last call of an open loop was due."""
NS: Final = 1_000_000_000


def schedule(rate: float, seconds: float, seed: int) -> list[int]:
    """Draw when calls are due, at random as independent callers make them."""
    chance = random.Random(seed)
    due, at = [], chance.expovariate(rate)
    while at < seconds:
        due.append(int(at * NS))
        at += chance.expovariate(rate)
    return due


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the collector from stopping the generator."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class OpenLoop:
    """Sends each call when it is due."""

    def __init__(self, way: Way, due: Sequence[int]) -> None:
        self._pool = Pool(way)
        self._request = way.request()
        self._due = due
        self._waiting: deque[int] = deque()
        self._left = len(due)
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._opening: set[asyncio.Task[None]] = set()
        self._begin = 0
        self.taken = Taken()

    async def run(self) -> Taken:
        """Send all; return what came back."""
        for _ in range(WARM_CONNECTIONS):
            self._pool.give(await self._pool.open())
        self._begin = time.monotonic_ns() + NS // 20
        pacer = threading.Thread(target=self._pace, name="pacer")
        with quiet():
            pacer.start()
            try:
                async with asyncio.timeout(self._due[-1] / NS + DRAIN_S):
                    await self._done.wait()
            except TimeoutError:
                for _ in range(self._left):
                    self.taken.fail("unanswered")
                    self.taken.spans.append(int(DRAIN_S * NS))  # at least so long
                self._left = 0
        pacer.join()
        self.taken.seconds = (time.monotonic_ns() - self._begin) / NS
        for task in self._opening:
            task.cancel()
        self._pool.close()
        await asyncio.sleep(0)
        return self.taken

    def _pace(self) -> None:
        """Wake the loop when calls are due: its own timers are a millisecond coarse."""
        for due in self._due:
            at = self._begin + due
            wait = at - time.monotonic_ns()
            if wait > 0:
                time.sleep(wait / NS)
            self._loop.call_soon_threadsafe(self._fire, at)

    def _fire(self, at: int) -> None:
        connection = self._pool.take()
        if connection is not None:
            self._send(connection, at)
            return
        self._waiting.append(at)
        if self._pool.size < MAX_CONNECTIONS:
            task = self._loop.create_task(self._more())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _more(self) -> None:
        try:
            connection = await self._pool.open()
        except OSError:
            if self._waiting:
                self._waiting.popleft()
                self._over("refused")
            return
        self._free(connection)

    def _free(self, connection: Connection) -> None:
        if self._waiting and connection.open:
            self._send(connection, self._waiting.popleft())
        else:
            self._pool.give(connection)

    def _send(self, connection: Connection, at: int) -> None:
        self.taken.late.append(time.monotonic_ns() - at)

        def ended(used: Connection, why: str) -> None:
            if not why and self._left:
                self.taken.spans.append(time.monotonic_ns() - at)
            self._over(why)
            if used.open:
                self._free(used)

        connection.call(self._request, self.taken, ended)

    def _over(self, why: str) -> None:
        if not self._left:
            return
        self._left -= 1
        if why:
            self.taken.fail(why)
        if not self._left:
            self._done.set()


async def closed_loop(way: Way, request: bytes, clients: int, seconds: float) -> Taken:
    """Have so many clients call, each again as soon as it has its answer."""
    taken, pool = Taken(), Pool(way)
    begin = time.monotonic_ns()
    until = begin + int(seconds * NS)
    over = asyncio.Event()
    left = clients

    def rest() -> None:
        nonlocal left
        left -= 1
        if not left:
            over.set()

    def go(connection: Connection) -> None:
        sent = time.monotonic_ns()

        def ended(used: Connection, why: str) -> None:
            now = time.monotonic_ns()
            if why:
                taken.fail(why)
            elif now < until:
                taken.spans.append(now - sent)
            if now >= until:
                rest()
            elif used.open:
                go(used)
            else:
                taken.fail("closed")
                rest()

        connection.call(request, taken, ended)

    def note() -> None:
        taken.tokens = len(taken.delays)

    connections = [await pool.open() for _ in range(clients)]
    with quiet():
        asyncio.get_running_loop().call_later(seconds, note)
        begin = time.monotonic_ns()
        until = begin + int(seconds * NS)
        for connection in connections:
            go(connection)
        try:
            async with asyncio.timeout(seconds + DRAIN_S):
                await over.wait()
        except TimeoutError:
            for _ in range(left):
                taken.fail("unanswered")
    taken.seconds = seconds
    pool.close()
    await asyncio.sleep(0)
    return taken
