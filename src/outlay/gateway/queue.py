"""The way into an upstream: how many calls at once and per minute, and whose turn is next.

A call that finds room, and nobody waiting, goes at once. All others wait, each for its tenant's
turn (`core.fairness`), so that no tenant's crowd stands before another tenant's call: a call of a
tenant that keeps to its share goes after `n` others at most, where `n` is the sum of the weights of
the other tenants that wait: so it waits for `(n + 1) / max_concurrency`, rounded up, times what a
call takes. While background calls wait, one turn in ten is theirs besides.

It owns the bounds of one upstream in this process: calls on their way, calls that wait, calls per
minute, and a pause that the upstream asked for. It must not send anything, and knows no request.
Everything in here belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from outlay.core.fairness import Full, Priority, Turns
from outlay.core.rounds import Charge, Ticket
from outlay.gateway.config import Upstream
from outlay.gateway.rate import Rate

MAX_PAUSE_S: Final = 60.0
"""An upstream that asks for longer is tried again after this."""
MIN_RETRY_AFTER_S: Final = 1.0
MAX_RETRY_AFTER_S: Final = 60.0
_MEAN_OF: Final = 16
"""About so many of the latest calls make the mean time that a call takes."""
_MIN_TIMER_S: Final = 0.001
"""Timers are no finer; an earlier one would only find that it is too early."""

Clock = Callable[[], float]


class NoTurn(Exception):  # noqa: N818 - a state of the queue, not a mistake
    """A call cannot go to an upstream now; `retry_after_s` (whole seconds): when it may."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(NoTurn):
    """As many calls wait as may: of this tenant (`of_tenant`), or in all."""

    def __init__(self, upstream: str, retry_after_s: float, *, of_tenant: bool) -> None:
        whose = "of this tenant " if of_tenant else ""
        super().__init__(f"too many calls {whose}wait for the upstream {upstream}", retry_after_s)
        self.of_tenant = of_tenant


class WaitedTooLong(NoTurn):
    """The call's turn did not come in the time it may wait, or cannot come in it."""

    def __init__(self, upstream: str, most_s: float, retry_after_s: float) -> None:
        super().__init__(
            f"the upstream {upstream} has no room for this call in {most_s:g} s", retry_after_s
        )


@dataclass(frozen=True, slots=True)
class Stats:
    """How a turnstile stands; the totals count from its start."""

    running: int
    waiting: int
    paused_s: float
    """How much longer nothing goes because the upstream asked for it."""
    mean_s: float
    """How long a call keeps its place, lately; 0: none has ended."""
    entered: int
    queued: int
    """Those that had to wait, whatever became of them."""
    full: int
    too_long: int


class Slot:
    """One call's place at an upstream; `waited_s` is how long it waited for it."""

    __slots__ = ("_charge", "_since", "_turnstile", "waited_s")

    def __init__(
        self, turnstile: Turnstile, charge: Charge[_Waiter], since: float, waited_s: float
    ) -> None:
        self._turnstile: Turnstile | None = turnstile
        self._charge = charge
        self._since = since
        self.waited_s = waited_s

    def leave(self, actual_cost_nanos: int | None = None) -> None:
        """Free the place, and say what the call cost if that is known; only once counts."""
        turnstile, self._turnstile = self._turnstile, None
        if turnstile is not None:
            turnstile.free(self._charge, self._since, actual_cost_nanos)

    def unused(self) -> None:
        """Free the place instead, of a call that was never sent: as if it had not been there."""
        turnstile, self._turnstile = self._turnstile, None
        if turnstile is not None:
            turnstile.take_back(self._charge)


class _Waiter:
    """Who waits: `entered` becomes its slot, or why it gets none."""

    __slots__ = ("entered", "since")

    def __init__(self, entered: asyncio.Future[Slot | NoTurn], since: float) -> None:
        self.entered = entered
        self.since = since


class Turnstile:
    """The way into one upstream."""

    def __init__(self, upstream: Upstream, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._upstream = upstream
        self._turns: Turns[_Waiter] = Turns(
            most=upstream.max_waiting, most_per_tenant=upstream.max_waiting_per_tenant
        )
        self._rate = Rate(upstream.requests_per_minute, clock())
        self._mean_s = 0.0
        self._running = 0
        self._paused_until = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._entered = self._queued = self._full = self._too_long = 0

    def try_enter(
        self,
        tenant: str,
        cost_nanos: int | None,
        *,
        weight: int = 1,
        priority: Priority = "interactive",
    ) -> Slot | None:
        """Enter if nobody waits and there is room, else return `None`; see `enter`."""
        if self._turns.waiting or not self._has_room(now := self._clock()):
            return None
        self._rate.take(now)
        self._running += 1
        self._entered += 1
        return Slot(self, self._turns.go(tenant, weight, priority, cost_nanos), now, 0.0)

    async def enter(
        self,
        tenant: str,
        weight: int,
        priority: Priority,
        cost_nanos: int | None,
        *,
        timeout_s: float | None = None,
    ) -> Slot:
        """Enter, waiting for a turn for `timeout_s` at most, and never past `max_wait_s`.

        `cost_nanos` is what the call is estimated to cost; `None`: as much as a typical one. A
        caller that is cancelled leaves the queue, and its place goes to the next.

        Raises:
            QueueFull: no place is left to wait.
            WaitedTooLong: the turn did not come in time, or cannot, as the upstream is paused.
        """
        slot = self.try_enter(tenant, cost_nanos, weight=weight, priority=priority)
        if slot is not None:
            return slot
        longest_s = self._upstream.max_wait_s
        most_s = longest_s if timeout_s is None else min(timeout_s, longest_s)
        if most_s <= self._paused_s(now := self._clock()):
            self._too_long += 1
            raise WaitedTooLong(self._upstream.name, max(0.0, most_s), self._retry_after_s(now))
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), now)
        ticket = self._join(tenant, weight, priority, cost_nanos, waiter)
        self._queued += 1
        timer = loop.call_later(most_s, self._give_up, ticket, most_s)
        try:
            self._serve()
            result = await waiter.entered
        except BaseException:
            self._withdraw(ticket)
            raise
        finally:
            timer.cancel()
        if isinstance(result, NoTurn):
            raise result
        return result

    def pause(self, seconds: float) -> None:
        """Let nothing go for so long, `MAX_PAUSE_S` at most; a longer pause that runs stays."""
        if seconds > 0:
            until = self._clock() + min(seconds, MAX_PAUSE_S)
            self._paused_until = max(self._paused_until, until)

    def resize(self, upstream: Upstream) -> None:
        """Follow other bounds; who is in stays in, who waits keeps its place."""
        self._upstream = upstream
        self._turns.most = upstream.max_waiting
        self._turns.most_per_tenant = upstream.max_waiting_per_tenant
        self._rate.change(upstream.requests_per_minute, self._clock())
        self._serve()

    def free(self, charge: Charge[_Waiter], since: float, actual_cost_nanos: int | None) -> None:
        """End a call that entered at `since`, for `Slot.leave`."""
        took_s = self._clock() - since
        self._mean_s += (took_s - self._mean_s) / _MEAN_OF if self._mean_s else took_s
        self._running -= 1
        self._turns.settle(charge, actual_cost_nanos)
        if self._turns.waiting:
            self._serve()

    def take_back(self, charge: Charge[_Waiter]) -> None:
        """Forget a call that entered, for `Slot.unused`."""
        self._running -= 1
        self._rate.give_back()
        self._turns.undo(charge)
        if self._turns.waiting:
            self._serve()

    def stats(self) -> Stats:
        """Return how it stands now."""
        now = self._clock()
        return Stats(
            running=self._running,
            waiting=self._turns.waiting,
            paused_s=self._paused_s(now),
            mean_s=self._mean_s,
            entered=self._entered,
            queued=self._queued,
            full=self._full,
            too_long=self._too_long,
        )

    def _has_room(self, now: float) -> bool:
        return (
            self._running < self._upstream.max_concurrency
            and now >= self._paused_until
            and self._rate.wait_s(now) <= 0
        )

    def _paused_s(self, now: float) -> float:
        return max(0.0, self._paused_until - now)

    def _serve(self) -> None:
        """Give turns as long as there is room; come again when time alone makes room."""
        now = self._clock()
        while self._turns.waiting and self._has_room(now):
            turn = self._turns.next()
            assert turn is not None
            waiter, charge = turn
            if waiter.entered.done():  # cancelled, and not awake yet
                self._turns.undo(charge)
                continue
            self._rate.take(now)
            self._running += 1
            self._entered += 1
            waiter.entered.set_result(Slot(self, charge, now, now - waiter.since))
        if self._turns.waiting and self._running < self._upstream.max_concurrency:
            self._wake_at(max(self._paused_until, now + self._rate.wait_s(now)), now)

    def _wake_at(self, when: float, now: float) -> None:
        if self._timer is not None:
            if self._timer_at <= when:
                return
            self._timer.cancel()
        self._timer_at = when
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(_MIN_TIMER_S, when - now), self._woken)

    def _woken(self) -> None:
        self._timer = None
        self._serve()

    def _join(
        self, tenant: str, weight: int, priority: Priority, cost_nanos: int | None, waiter: _Waiter
    ) -> Ticket[_Waiter]:
        """Take a place to wait, another's if none is left and that one has more than its share."""
        try:
            return self._turns.join(tenant, weight, priority, cost_nanos, waiter)
        except Full as full:
            pushed = None if full.of_tenant else self._turns.make_room(tenant, weight, priority)
            if pushed is None:
                raise self._refused(of_tenant=full.of_tenant) from None
        if not pushed.entered.done():
            pushed.entered.set_result(self._refused(of_tenant=False))
        return self._turns.join(tenant, weight, priority, cost_nanos, waiter)

    def _refused(self, *, of_tenant: bool) -> QueueFull:
        self._full += 1
        retry_after_s = self._retry_after_s(self._clock())
        return QueueFull(self._upstream.name, retry_after_s, of_tenant=of_tenant)

    def _give_up(self, ticket: Ticket[_Waiter], most_s: float) -> None:
        """End a wait that took too long."""
        entered = ticket.item.entered
        if self._turns.leave(ticket) and not entered.done():
            self._too_long += 1
            retry_after_s = self._retry_after_s(self._clock())
            entered.set_result(WaitedTooLong(self._upstream.name, most_s, retry_after_s))

    def _withdraw(self, ticket: Ticket[_Waiter]) -> None:
        """Take a caller out that was cancelled, from the queue or from the place it just got."""
        self._turns.leave(ticket)
        entered = ticket.item.entered
        if entered.done() and not entered.cancelled():
            result = entered.result()
            if isinstance(result, Slot):
                result.unused()

    def _retry_after_s(self, now: float) -> float:
        """Return in how many whole seconds all who wait now will have had their turn, or so."""
        each_s = self._mean_s / max(1, self._upstream.max_concurrency)
        if self._upstream.requests_per_minute:
            each_s = max(each_s, 60 / self._upstream.requests_per_minute)
        wait_s = (self._turns.waiting + 1) * each_s if each_s else self._upstream.max_wait_s
        wait_s += self._paused_s(now)
        return math.ceil(min(max(wait_s, MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S))
