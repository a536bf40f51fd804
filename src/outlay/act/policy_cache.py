"""The policy in force, made anew when limits, tenants, credit accounts or prices change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from outlay.act.policy import Policy
from outlay.core.sell import SellRates
from outlay.store.base import Books, Tenant

POLL_S: Final = 0.2
"""How long a change that another process made may go unseen."""
_TOPICS: Final = ("limits", "tenants", "credits", "prices")


class PolicyCache:
    """The policy in force, read again when the books' revisions move. Thread-safe.

    Args:
        books: where it is kept.
        clock: microseconds UTC; tenants and overrides begin and end by it.
        ticks: seconds that only grow, for how long nothing is asked of the books.
    """

    def __init__(
        self,
        books: Books,
        clock: Callable[[], int],
        *,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._books = books
        self._clock = clock
        self._ticks = ticks
        self._lock = threading.Lock()
        self._mark = threading.Lock()
        """Guards `_asked_at` and `_expired`, and is never held for long."""
        self._policy: Policy | None = None
        self._asked_at = float("-inf")
        self._expired = 0
        self._revisions: dict[str, int] = {}
        self._parts: dict[str, Any] = {}
        self._versions: list[Tenant] = []
        self._turns_at = 0
        """When the next tenant version begins or ends."""

    def ready(self) -> Policy | None:
        """Return the policy if nothing has to be asked of the books for it."""
        fresh = self._ticks() - self._asked_at < POLL_S and self._clock() < self._turns_at
        return self._policy if fresh else None

    def current(self) -> Policy:
        """Return the policy, blocking on the books when it is time to ask them.

        Raises:
            UnavailableError: the books cannot answer.
        """
        policy = self.ready()
        if policy is not None:
            return policy
        with self._lock:
            return self.ready() or self._read()

    def expire(self) -> None:
        """Ask the books at the next call: this process has changed something."""
        with self._mark:
            self._expired += 1
            self._asked_at = float("-inf")

    def _read(self) -> Policy:
        asked, expired, now = self._ticks(), self._expired, self._clock()
        revisions = {topic: self._books.revision(topic) for topic in _TOPICS}
        moved = {t for t in _TOPICS if self._revisions.get(t) != revisions[t]}
        turned = now >= self._turns_at
        if self._policy is None or moved or turned:
            self._policy = self._made(moved, now)
        self._revisions = revisions
        with self._mark:
            if expired == self._expired:
                self._asked_at = asked
        return self._policy

    def _made(self, moved: set[str], now: int) -> Policy:
        books, parts = self._books, self._parts
        if "limits" in moved:
            parts["limits"] = books.limits()
            parts["overrides"] = [
                one for one in books.overrides() if one.revoked_at is None and one.ends_at > now
            ]
            parts["entitlements"] = books.entitlements()
        if "tenants" in moved:
            self._versions = books.tenants()
        parts["plans"], self._turns_at = _plans(self._versions, now)
        if "credits" in moved:
            parts["floors"] = {one.tenant: one.floor for one in books.balances() if one.enforce}
        if "prices" in moved:
            parts["sells"] = SellRates(books.sells())
        return Policy(**parts)


def _plans(versions: Sequence[Tenant], now: int) -> tuple[dict[str, str], int]:
    """Return the plans in force, and when that changes next."""
    plans, turns_at = {}, 2**63 - 1
    for one in versions:
        begun = one.valid_from <= now
        if begun and (one.valid_to is None or now < one.valid_to):
            plans[one.tenant_id] = one.plan
        for turn in (one.valid_from, one.valid_to):
            if turn is not None and turn > now:
                turns_at = min(turns_at, turn)
    return plans, turns_at
