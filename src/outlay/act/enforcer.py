"""The parts that enforce limits, made for each other: policy, authority, notices, sweeper, calls.

It only puts them together, starts them and ends them in order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from outlay.act.authority import Authority
from outlay.act.limit_notices import LimitNotices
from outlay.act.policy_cache import PolicyCache
from outlay.act.sweeper import Sweeper
from outlay.act.webhooks import Webhooks
from outlay.store.base import Books


@dataclass(frozen=True, slots=True)
class EnforcerState:
    """One part: whether it works, its last failure in words, and its counts."""

    name: str
    ok: bool
    error: str | None
    counts: dict[str, int]


class Enforcer:
    """Everything on the server that enforces.

    Args:
        books: limits, holds, credits.
        clock: microseconds UTC.
        queue: operations that may wait for the authority.
        keep_us: how long ended holds are kept.
        webhook_secret: signs calls of webhooks; empty leaves them unsigned.
        webhook_private_hosts: lets webhooks call private addresses.
    """

    def __init__(
        self,
        books: Books,
        *,
        clock: Callable[[], int],
        queue: int,
        keep_us: int,
        webhook_secret: str = "",
        webhook_private_hosts: bool = False,
    ) -> None:
        self.policy = PolicyCache(books, clock)
        self.webhooks = Webhooks(
            secret=webhook_secret, private_hosts=webhook_private_hosts, clock=clock
        )
        self.notices = LimitNotices(books, self.policy, webhooks=self.webhooks, clock=clock)
        self.authority = Authority(books, queue=queue, watch=self.notices.watch)
        self.sweeper = Sweeper(
            books, self.authority, webhooks=self.webhooks, clock=clock, keep_us=keep_us
        )
        self._started = contextlib.ExitStack()

    def start(self) -> None:
        """Start every part."""
        for part in (self.webhooks, self.notices, self.authority, self.sweeper):
            part.start()
            self._started.callback(part.stop)

    def stop(self) -> None:
        """End the parts, those that others need last; a second call does nothing."""
        self._started.close()

    def states(self) -> list[EnforcerState]:
        """Return how the parts are. A webhook that is not answered is not our failure."""
        authority, sweeper, notices = self.authority.state(), self.sweeper.state(), self.notices
        calls = self.webhooks
        return [
            EnforcerState(
                "authority",
                authority.running and not authority.failing,
                authority.last_error if authority.failing else None,
                {
                    "batches": authority.batches,
                    "operations": authority.ops,
                    "failures": authority.failures,
                },
            ),
            EnforcerState(
                "sweeper",
                sweeper.running and sweeper.error is None,
                sweeper.error,
                {
                    "expired": sweeper.expired,
                    "grants": sweeper.grants,
                    "forgotten": sweeper.forgotten,
                    "top_ups": sweeper.top_ups,
                },
            ),
            EnforcerState(
                "limit_notices",
                notices.running and notices.error is None,
                notices.error,
                dict(notices.counts),
            ),
            EnforcerState("webhooks", calls.running, calls.error, dict(calls.counts)),
        ]
