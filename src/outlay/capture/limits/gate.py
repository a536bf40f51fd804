"""The gate: whether one call may go out, from what this process knows and holds.

`enter` decides and never waits; while the leases last it does no I/O and takes microseconds. All
lines of a call are taken at once or none. What does not fit is asked of the authority by the lease
thread meanwhile, and the call is told to come back. The gate never raises: if it fails itself, the
call goes out, and the failure is counted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from outlay.capture import forks
from outlay.capture.guard import caught, warn_once
from outlay.capture.limits import callbacks, ending, rungs, streams
from outlay.capture.limits.leases import LeaseClient
from outlay.capture.limits.lines import Line
from outlay.capture.limits.plans import Plan, Table
from outlay.capture.limits.policy import PolicyKeeper
from outlay.capture.limits.quotes import Quote, Quotes
from outlay.capture.limits.refusals import refusal_for
from outlay.capture.limits.steps import Admitted, Asked, Refused, Step, Wait
from outlay.capture.limits.tickets import Free, Held
from outlay.capture.rates import Rates
from outlay.capture.transport import Transport
from outlay.config import Settings
from outlay.core.limits.refusal import entitlement_refusal, unreachable_refusal

ROLL_US: Final = 250_000
"""How far the server's clock may be from what we think it is when a period ends."""
PRICES_S: Final = 0.01
"""How often a call looks whether the first prices are here."""
FRESH_S: Final = 0.2
"""What the authority said so recently is not asked again before a call is refused."""


class Gate:
    """`runtime.gate`; `None` there when limits are off."""

    def __init__(
        self,
        settings: Settings,
        rates: Rates,
        transport: Transport,
        *,
        kept: Path | None,
        tenant: str = "",
        prices_come: bool = False,
    ) -> None:
        """Prepare; the lease thread starts with the first call.

        Args:
            settings: those of the guest.
            rates: this process's prices.
            transport: to the server; the lease thread's alone.
            kept: file that keeps the policy for the next process.
            tenant: whose work is done outside any context.
            prices_come: somebody is fetching the prices; the first calls wait for them, since
                what stands in for them would refuse calls that fit.
        """
        self._rates = rates
        self._prices_come = prices_come
        self.table = Table(tenant)
        self.quotes = Quotes(rates)
        # Re-entrant: a garbage collection on top of the gate may end tickets.
        self._lock = threading.RLock()
        self.client = LeaseClient(
            transport,
            PolicyKeeper(kept),
            self.table,
            self._lock,
            sync_s=settings.limits_sync_s,
            timeout_s=settings.limits_timeout_s,
        )
        self._patience_s = settings.limits_patience_s
        self._timeout_s = settings.limits_timeout_s
        self._ended: ending.Queue = deque()
        self._open = True
        self._admitted = self._refused = self._waited = self._unknown = self._open_failed = 0
        forks.register(self)

    def enter(self, asked: Asked) -> Step:
        """Decide without waiting: microseconds while the leases last. Raises nothing."""
        if not self._open:
            return Admitted(Free())
        try:
            step = self._enter(asked, time.monotonic())
        except Exception as error:
            caught("limits.enter", error)
            step = Admitted(Free())
        kind = type(step)
        if kind is Admitted:
            self._admitted += 1
        elif kind is Refused:
            self._refused += 1
            self.client.drop(asked.want)
        elif kind is Wait and not asked.waited:
            asked.waited = True
            self._waited += 1
        return step

    def grow(self, ticket: Held, tokens: int) -> bool:
        """Take more for a stream; see `steps.Ticket.grow`."""
        if not self._open:
            return True
        now = time.monotonic()
        with self._lock:
            if self._ended:
                self._work_off()
            was = ticket.unchecked
            fits, line = streams.grow(self.client, ticket, tokens, now)
            self._open_failed += ticket.unchecked and not was
        if line is not None:
            action = "partial" if ticket.cuts else "block"
            if callbacks.listening(action):
                callbacks.tell(rungs.notice(action, line, now, tenant=ticket.quote.key[0]))
        return fits

    def end(self, ticket: Held, amounts: Mapping[str, int] | None) -> None:
        """Take a ticket's end, from anywhere: amounts by metric, or `None` if it was void."""
        self._ended.append((ticket, amounts))
        # Who holds the lock works off the queue when he lets go; so nobody ever waits here.
        while self._ended and self._lock.acquire(blocking=False):
            try:
                self._work_off()
            finally:
                self._lock.release()

    def stats(self) -> dict[str, int]:
        """Return counts of what was decided, and of the lease's syncs."""
        client = self.client
        return {
            "admitted": self._admitted,
            "refused": self._refused,
            "waited": self._waited,
            "unknown": self._unknown,
            "open_failed": self._open_failed,
            "syncs": client.syncs,
            "sync_failures": client.sync_failures,
        }

    def close(self, timeout_s: float) -> None:
        """Give everything back, if that can be done in time; calls then pass."""
        with self._lock:
            self._work_off()
        self._open = False
        if self.client.running:
            self.client.stop(timeout_s)
        self.client.wake_all()

    # forks

    def hold(self, timeout_s: float) -> bool:
        """Come to rest for a fork."""
        return self._lock.acquire(timeout=timeout_s)

    def go_on(self) -> None:
        """Go on after a fork."""
        self._lock.release()

    def forget(self) -> None:
        """In the child: the lease and all tickets are the parent's."""
        self._open = False
        self._lock = threading.RLock()
        self._ended = deque()

    def _enter(self, asked: Asked, now: float) -> Step:
        client, table = self.client, self.table
        if not client.running:
            client.start()
        if table.policy is None:
            step = self._without_policy(asked, now)
            if step is not None:
                return step
        told: list[callbacks.Notice] = []
        with self._lock:
            if self._ended:
                self._work_off()
            plan = table.plan(asked)
            if self._prices_come and (plan.lines or plan.by_id):
                self._prices_come = self._rates.book is None
                if self._prices_come and now < asked.began + self._timeout_s:
                    return Wait(PRICES_S)
                self._prices_come = False  # they do not come: nobody else waits
            quote = self.quotes.of(asked, plan.tenant, plan.subject.agent, now, plan.buyer)
            step = self._step(asked, plan, quote, now, told)
        for notice in told:
            callbacks.tell(notice)
        return step

    def _step(
        self, asked: Asked, plan: Plan, quote: Quote, now: float, told: list[callbacks.Notice]
    ) -> Step:
        if plan.denied:
            return Refused(entitlement_refusal(plan.denied))
        client, table = self.client, self.table
        now_us = client.now_us()
        lines = plan.lines
        if plan.by_id:
            lines = (*lines, *table.own(plan, asked.scope, now_us))
        if not lines:
            return Admitted(_marked(Free(quote.amounts[0]), asked))
        amounts, valid_until = quote.amounts, client.valid_until
        short: list[tuple[Line, int]] = []
        reached = cuts = False
        for line in lines:
            period = line.now
            if period.ends_at and now_us >= period.ends_at + ROLL_US:
                period = table.roll(line)
            amount = amounts[line.place]
            taken = period.used + period.flying + period.reported - period.base
            if taken + amount >= period.first:
                reached = True
            if line.asks and line.lacks(amount, now, valid_until):
                short.append((line, amount))
            if line.cuts:
                cuts = True
        if reached:
            step = rungs.climb(asked, plan.tenant, lines, amounts, now, told)
            if step is not None:
                return step
        if short:
            # Of the other lines, too: what is left of one must not go while another is asked for.
            needs = [(one, amounts[one.place]) for one in lines if one.asks and not one.local]
            step = self._short(asked, plan, short, needs, now, told)
            if step is not None:
                return step
        holds = []
        for line in lines:
            amount = amounts[line.place]
            period = line.now
            period.flying += amount
            line.taken += amount
            line.used_at = now
            if amount > line.largest:  # noqa: PLR1730 - half as long as `max`
                line.largest = amount
            if not line.active:
                table.touch(line)
            holds.append((period, amount))
        if asked.want is not None:
            client.drop(asked.want)
            asked.want = None
        if client.idle and table.active:
            client.ring()
        ticket = Held(self, client.owner, quote, holds, quote.output)
        ticket.cuts = cuts
        return Admitted(_marked(ticket, asked))

    def _without_policy(self, asked: Asked, now: float) -> Step | None:
        client = self.client
        bell = client.bell
        client.ring()
        if self.table.policy is not None:
            return None
        if not client.away(asked.began, now):
            return Wait(max(0.001, asked.began + self._timeout_s - now), bell)
        if client.fall_back():
            return None
        self._unknown += 1
        warn_once("limits:unknown", "outlay: no limits are known yet; calls pass unchecked")
        ticket = Free()
        ticket.unchecked = True
        return Admitted(ticket)

    def _short(
        self, asked: Asked, plan: Plan, short: list[tuple[Line, int]],
        needs: list[tuple[Line, int]], now: float, told: list[callbacks.Notice],
    ) -> Step | None:  # fmt: skip
        """Say what happens to a call that does not fit what is held; `None`: it goes out."""
        client = self.client
        want: Any = asked.want
        for line, amount in short:
            period = line.now
            fresh = line.local or (period.seen_at and now - period.seen_at < FRESH_S)
            if fresh and period.over(amount, now):
                wait = rungs.until_it_fits(asked, line, amount, now)
                if wait is not None:
                    return wait
                return self._refuse(asked, plan, line, amount, now, "over", told)
        remote = [need for need in short if not need[0].local]
        if remote:
            if want is None or want not in client.wants:
                want = asked.want = client.want(needs, now)
            else:
                want.needs = needs
            away = client.away(want.answered_at or want.since, now)
            if away and len(remote) == len(short):
                return self._unreachable(asked, plan, remote, now, told)
        elif want is not None:
            client.drop(want)
            want = asked.want = None
        left = asked.began + self._patience_s - now
        if want is not None and not want.answers:
            left = max(left, want.since + self._timeout_s - now)
        if left <= 0:
            line, amount = short[0]
            return self._refuse(asked, plan, line, amount, now, "busy", told)
        left = max(0.001, min(left, self._timeout_s))
        if want is not None:
            want.due_at = now + left
        return Wait(left, client.bell)

    def _unreachable(
        self, asked: Asked, plan: Plan, short: list[tuple[Line, int]], now: float,
        told: list[callbacks.Notice],
    ) -> Step | None:  # fmt: skip
        for line, _ in short:
            if line.limit.on_unreachable == "closed":
                self._tell("block", line, plan, asked, now, told)
                return Refused(unreachable_refusal(line.limit, line.scope_key))
        self._open_failed += 1
        asked.unchecked = True
        return None

    def _refuse(
        self, asked: Asked, plan: Plan, line: Line, amount: int, now: float, verdict: Any,
        told: list[callbacks.Notice],
    ) -> Refused:  # fmt: skip
        self._tell("block", line, plan, asked, now, told)
        now_us = self.client.now_us()
        return Refused(refusal_for(line, amount, verdict, now, now_us, plan.tenant))

    def _tell(
        self, action: str, line: Line, plan: Plan, asked: Asked, now: float,
        told: list[callbacks.Notice],
    ) -> None:  # fmt: skip
        if callbacks.listening(action):
            told.append(rungs.notice(action, line, now, tenant=plan.tenant, model=asked.model))

    def _work_off(self) -> None:
        """Count what ended tickets used, and let others have what they held."""
        client = self.client
        gives_back = client.give_back
        if ending.work_off(self._ended, client, self.table, self.quotes):
            client.wake_all()
            if client.idle or client.give_back != gives_back:
                client.ring()


def _marked(ticket: Any, asked: Asked) -> Any:
    ticket.limit_action = asked.mark
    ticket.downgraded_from = asked.downgraded_from
    ticket.unchecked = asked.unchecked
    return ticket
