"""The sweeper: gives back what is held by those who are gone, and lets time pass for credits.

Each round ends due holds and leases through the authority, makes grants effective or expire, asks
for top-ups that are due, and once an hour drops what can no longer be told about.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Final

from outlay.act.authority import MAX_BATCH_OPS, Authority
from outlay.act.webhooks import Webhooks
from outlay.core.limits.holds import Expire
from outlay.errors import OutlayError, UnavailableError
from outlay.store.base import Books
from outlay.store.credits import Balance

SWEEP_S: Final = 1.0
MAX_DUE: Final = 2_000
"""Holds that one round ends; the next round is a second later."""
MAX_GRANTS: Final = 1_000
MAX_FORGOTTEN: Final = 10_000
"""Rows that one round drops."""
FORGET_EVERY_US: Final = 3600 * 1_000_000
ANSWER_S: Final = 30.0
TOP_UP_PAUSE_US: Final = 60 * 1_000_000
"""How long after a call for a top-up that did not arrive the next one is made."""
JOIN_S: Final = 35.0


@dataclass(slots=True)
class SweeperState:
    """How the sweeper is, with counts since the start."""

    running: bool
    expired: int
    grants: int
    forgotten: int
    top_ups: int
    error: str | None


class Sweeper:
    """Sweeps once a second on a thread of its own; `run_once` does one round.

    Args:
        books: what is swept.
        authority: ends holds.
        webhooks: asks for top-ups; without it nobody is asked.
        clock: microseconds UTC.
        keep_us: how long ended holds are kept, as events of them may still come.
    """

    def __init__(
        self,
        books: Books,
        authority: Authority,
        *,
        webhooks: Webhooks | None,
        clock: Callable[[], int],
        keep_us: int,
    ) -> None:
        self._books = books
        self._authority = authority
        self._webhooks = webhooks
        self._clock = clock
        self._keep_us = keep_us
        self._forget_at = 0
        self._asked: dict[str, int] = {}
        """When each tenant's top-up may be asked for again."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outlay-sweeper")
        self._state = SweeperState(
            running=False, expired=0, grants=0, forgotten=0, top_ups=0, error=None
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round in hand; a second call does nothing."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)

    def state(self) -> SweeperState:
        """Return how it is."""
        self._state.running = self._thread.is_alive()
        return self._state

    def run_once(self) -> None:
        """Do one round.

        Raises:
            UnavailableError: the books cannot be read or written now.
        """
        at = self._clock()
        self._expire(at)
        self._state.grants += self._books.mature(at=at, limit=MAX_GRANTS)
        if self._webhooks is not None:
            self._top_up(self._webhooks, at)
        if at >= self._forget_at:
            gone = self._books.forget_holds(before=at - self._keep_us, limit=MAX_FORGOTTEN)
            self._state.forgotten += gone
            if gone < MAX_FORGOTTEN:  # else there is more, for the next round
                self._forget_at = at + FORGET_EVERY_US

    def _run(self) -> None:
        while not self._stopping.wait(SWEEP_S):
            try:
                self.run_once()
                self._state.error = None
            except OutlayError as error:
                self._state.error = error.message
            except Exception as error:
                self._state.error = type(error).__name__

    def _expire(self, at: int) -> None:
        due = self._books.due(at=at, limit=MAX_DUE)
        for start in range(0, len(due), MAX_BATCH_OPS):
            ops = [Expire(hold_id, at) for hold_id in due[start : start + MAX_BATCH_OPS]]
            try:
                outcomes = self._authority.submit(ops).result(ANSWER_S)
            except FutureTimeoutError as error:
                raise UnavailableError("The books take too long to end holds.") from error
            self._state.expired += sum(outcome.status == "ok" for outcome in outcomes)

    def _top_up(self, webhooks: Webhooks, at: int) -> None:
        for balance in self._books.top_ups_due():
            tenant = balance.tenant
            if not balance.top_up_url or at < self._asked.get(tenant, 0):
                continue
            # Until it is known whether it arrived, nothing more is sent.
            self._asked[tenant] = 2**63 - 1

            def done(arrived: bool, tenant: str = tenant) -> None:
                self._top_up_done(tenant, arrived=arrived)

            if not webhooks.send(balance.top_up_url, _payload(balance, at), done=done):
                self._asked[tenant] = at + TOP_UP_PAUSE_US

    def _top_up_done(self, tenant: str, *, arrived: bool) -> None:
        """Remember that a top-up was asked for, or when to try again. On a webhook's thread."""
        now = self._clock()
        self._asked[tenant] = now + TOP_UP_PAUSE_US
        if arrived:
            self._state.top_ups += 1
            # If it cannot be written, it is asked for once more after the pause.
            with contextlib.suppress(OutlayError):
                self._books.top_up_asked(tenant, at=now)


def _payload(balance: Balance, at: int) -> dict[str, object]:
    return {
        "event": "credits.top_up",
        "tenant": balance.tenant,
        "available": balance.available,
        "below": balance.top_up_below,
        "amount": balance.top_up_amount,
        "at": at,
    }
