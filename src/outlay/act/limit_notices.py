"""What limits did: rungs crossed, calls refused, late settlements, kept and told to webhooks.

It watches the answers of the authority and the counters that events moved, on a thread of its own:
nothing waits for it. The books say which notices are new, so that a restart tells nothing twice.
It decides about no call.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from outlay.act.policy import Policy
from outlay.act.policy_cache import PolicyCache
from outlay.act.rung_calls import Rung, RungCalls
from outlay.act.standing import only_tenant, tenant_of, use_of
from outlay.act.webhooks import Webhooks
from outlay.core.limits.counting import forget
from outlay.core.limits.holds import Op, Outcome, Reserve, Settle, Stand, Sync
from outlay.core.limits.ladder import at_amount
from outlay.core.limits.limit import CREDITS, PPM, Limit, Threshold
from outlay.core.limits.period import cap_of, series_of
from outlay.core.limits.subject import Subject, key_text
from outlay.errors import OutlayError
from outlay.store.limits import LimitBooks, Notice

MAX_BATCHES: Final = 1_000
"""Batches of answers that wait to be looked at; more are passed over and counted."""
MAX_PENDING: Final = 10_000
"""Notices that wait to be written while the books cannot take them."""
MAX_LEVELS: Final = 100_000
"""Counters whose rung is remembered; the oldest go first, and are looked up in the books again."""
MAX_LOOKED_UP: Final = 500
"""Series that one round looks up after events."""
PAUSE_S: Final = 0.1
RETRY_S: Final = 1.0
JOIN_S: Final = 10.0
ENTITLEMENT: Final = "entitlement"
"""Stands for a limit in notices of what a plan does not include."""


@dataclass(slots=True)
class _Level:
    """Which rungs of a counter are reached, and between which uses that stays so."""

    limit: Limit
    amount: int
    count: int
    low: int
    high: int


class LimitNotices:
    """Turns outcomes into notices and calls. Thread-safe.

    Args:
        books: keeps notices.
        policy: what limits say.
        webhooks: tells the URLs of rungs; without it nobody is called.
        clock: microseconds UTC.
    """

    def __init__(
        self,
        books: LimitBooks,
        policy: PolicyCache,
        *,
        webhooks: Webhooks | None,
        clock: Callable[[], int],
    ) -> None:
        self._books = books
        self._policy = policy
        self._calls = RungCalls(webhooks)
        self._clock = clock
        self._work: deque[tuple[Sequence[Op], Sequence[Outcome]]] = deque()
        self._touched: dict[str, None] = {}
        self._pending: dict[tuple[str, str, int, str], Notice] = {}
        self._passed: set[Rung] = set()
        """Rungs of counters that were passed while they were watched."""
        self._levels: dict[str, _Level] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outlay-limit-notices")
        self.actions: dict[tuple[str, str], int] = {}
        """How often limits acted, by action and mode."""
        self.counts = {"notices": 0, "passed_over": 0}
        self.error: str | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is known and end; a second call does nothing."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(JOIN_S)

    @property
    def running(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    def watch(self, ops: Sequence[Op], outcomes: Sequence[Outcome]) -> None:
        """Take a batch of answers to look at; never blocks."""
        if len(self._work) >= MAX_BATCHES:
            self.counts["passed_over"] += len(ops)
            return
        self._work.append((ops, outcomes))
        self._wake.set()

    def look(self, series: Iterable[str]) -> None:
        """Look at counters that events have moved, by their series; never blocks."""
        with self._lock:
            for one in series:
                if len(self._touched) >= MAX_PENDING:
                    self.counts["passed_over"] += 1
                    return
                self._touched[one] = None
        self._wake.set()

    def denied(self, subject: Subject, why: str) -> None:
        """Note that a plan did not allow a call."""
        scope = key_text((("tenant", subject.tenant), ("plan", subject.plan)))
        told = {"why": why, "agent": subject.agent, "model": subject.model}
        self._add(
            Notice(
                limit_id=ENTITLEMENT,
                counter_id=f"{series_of(ENTITLEMENT, scope)}|0",
                scope_key=scope,
                tenant=subject.tenant,
                kind="denied",
                at_ppm=0,
                action="block",
                mode="enforce",
                at=self._clock(),
                used=0,
                amount=0,
                details=told,
            )
        )
        self._wake.set()

    def flush(self) -> None:
        """Look at everything that waits and write what there is to note."""
        policy = self._policy.current()
        at = self._clock()
        while self._work:
            for op, outcome in zip(*self._work.popleft(), strict=True):
                self._see(policy, op, outcome, at)
        self._look_up(policy, at)
        self._write(policy, at)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            self._try()
            # What comes meanwhile is written together.
            self._stopping.wait(PAUSE_S)
        self._try()

    def _try(self) -> None:
        try:
            self.flush()
            self.error = None
        except Exception as error:
            self.error = error.message if isinstance(error, OutlayError) else type(error).__name__
            self._stopping.wait(RETRY_S)
            self._wake.set()

    # what happened

    def _see(self, policy: Policy, op: Op, outcome: Outcome, at: int) -> None:
        for place, stand in enumerate(outcome.stands):
            limit = policy.limit(stand.key.limit_id)
            if limit is not None:
                self._level(policy, limit, stand, at)
            if stand.verdict == "over":
                self._note(policy, limit, stand, "refused", at)
            elif limit is not None and limit.mode == "shadow":
                asked = _asked(op, outcome, place, stand)
                cap = cap_of(limit, policy.amount(limit, stand.key.scope_key, at))
                if cap is not None and asked > cap:
                    self._note(policy, limit, stand, "refused", at)
            if outcome.late:
                self._note(policy, limit, stand, "late", at)
            if isinstance(op, Settle) and outcome.short and stand.key.limit_id == CREDITS:
                self._note(policy, None, stand, "short", at, short=outcome.short)

    def _note(
        self, policy: Policy, limit: Limit | None, stand: Stand, kind: str, at: int, **details: Any
    ) -> None:
        """Note what happened at a counter; what was refused belongs to the rung that blocks."""
        blocks = kind == "refused"
        rung = (limit.block_ppm or PPM) if limit and blocks else 0
        action = "block" if blocks else ""
        self._add(self._notice(policy, limit, stand, kind, at, rung, action, details))

    def _notice(
        self, policy: Policy, limit: Limit | None, stand: Stand, kind: str, at: int,
        at_ppm: int, action: str, details: dict[str, Any],
    ) -> Notice:  # fmt: skip
        key = stand.key
        amount = 0 if limit is None else policy.amount(limit, key.scope_key, at)
        used = stand.used if limit is None else use_of(limit, stand.used, stand.held)
        tenant = tenant_of(key.scope_key) or only_tenant(limit)
        details = details if limit is None else {"metric": limit.metric, **details}
        return Notice(
            key.limit_id, key.counter_id, key.scope_key, tenant, kind, at_ppm, action,
            "enforce" if limit is None else limit.mode, at, used, amount, details=details,
        )  # fmt: skip

    def _add(self, notice: Notice) -> None:
        if notice.action:
            acted = (notice.action, notice.mode)
            self.actions[acted] = self.actions.get(acted, 0) + notice.times
        key = (notice.counter_id, notice.kind, notice.at_ppm, notice.action)
        with self._lock:
            known = self._pending.get(key)
            if known is None and len(self._pending) >= MAX_PENDING:
                self.counts["passed_over"] += 1
                return
            times = notice.times + (known.times if known else 0)
            self._pending[key] = replace(notice, times=times)

    def _level(self, policy: Policy, limit: Limit, stand: Stand, at: int) -> None:
        """Note the rungs that a counter's use has passed since it was last seen."""
        counter_id, scope = stand.key.counter_id, stand.key.scope_key
        use = use_of(limit, stand.used, stand.held)
        amount = policy.amount(limit, scope, at)
        level = self._levels.get(counter_id)
        same = level is not None and level.limit is limit
        if level is not None and same and level.amount == amount and level.low <= use < level.high:
            return
        rungs = sorted((at_amount(limit, t, amount), n) for n, t in enumerate(limit.thresholds))
        count = sum(1 for least, _ in rungs if least <= use)
        before = level.count if level is not None and same else 0
        for _, number in rungs[before:count]:
            rung = limit.thresholds[number]
            if not _is_kept(limit, rung):
                continue
            notice = self._notice(policy, limit, stand, "crossed", at, rung.at_ppm, rung.action, {})
            if level is not None:
                self._passed.add((counter_id, rung.at_ppm, rung.action))
            self._add(notice)
        if level is None and len(self._levels) >= MAX_LEVELS:
            del self._levels[next(iter(self._levels))]
        low = rungs[count - 1][0] if count else -(2**63)
        high = rungs[count][0] if count < len(rungs) else 2**63
        self._levels[counter_id] = _Level(limit, amount, count, low, high)

    def _look_up(self, policy: Policy, at: int) -> None:
        with self._lock:
            series = list(self._touched)[:MAX_LOOKED_UP]
        for one in series:
            limit = policy.limit(one.rpartition("|")[0])
            found = self._books.counters(series=one) if limit is not None else []
            newest = max(found, key=lambda counter: counter.key.starts_at, default=None)
            if limit is not None and newest is not None:
                forget(newest, at)
                self._level(policy, limit, Stand(newest.key, newest.used, newest.held), at)
            with self._lock:
                self._touched.pop(one, None)
        if self._touched:
            self._wake.set()

    # keeping and telling

    def _write(self, policy: Policy, at: int) -> None:
        with self._lock:
            taken, self._pending = self._pending, {}
        if not taken:
            return
        try:
            new = self._books.notice(list(taken.values()))
        except BaseException:
            for notice in taken.values():
                self._give_back(notice)
            raise
        self.counts["notices"] += len(taken)
        fresh = {(n.counter_id, n.kind, n.at_ppm, n.action) for n in new}
        for key, notice in taken.items():
            again = (notice.counter_id, notice.at_ppm, notice.action) in self._passed
            if key in fresh or again:
                self._calls.tell(policy, notice, at, new=key in fresh)
        self._passed.clear()

    def _give_back(self, notice: Notice) -> None:
        key = (notice.counter_id, notice.kind, notice.at_ppm, notice.action)
        with self._lock:
            later = self._pending.get(key)
            times = notice.times + (later.times if later else 0)
            self._pending[key] = replace(later or notice, times=times)


def _asked(op: Op, outcome: Outcome, place: int, stand: Stand) -> int:
    """Return what use an operation would lead to in a counter that refuses nothing."""
    if isinstance(op, Reserve) and outcome.status == "ok":
        return stand.used + stand.held
    if isinstance(op, Sync) and op.wants[place].need.amount:
        want = op.wants[place]
        return stand.used + want.flying + want.need.amount
    return 0


def _is_kept(limit: Limit, rung: Threshold) -> bool:
    """Tell whether a rung is noted: of the many counters of requests and runs only urgent ones."""
    return limit.window not in ("request", "run") or bool(rung.url)
