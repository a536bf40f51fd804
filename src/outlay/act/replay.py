"""What limits would have done: history, run through them event by event, in the order of time.

Every call of the range is asked for what it really cost. One that would not have fitted counts as
refused, by each limit that had no room for it, and counts no further: not on those limits, nor on
any other. Counters begin empty at the start of the range. A rung that slows calls down or changes
their model is only counted: what would have come of it cannot be known. It writes nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from outlay.act.ceilings import Ceilings
from outlay.act.policy import Policy
from outlay.act.replay_rows import Rows, read_rows
from outlay.core.limits.counting import forget, into_buckets
from outlay.core.limits.holds import Counter
from outlay.core.limits.ladder import cap_of, crossed, room_of
from outlay.core.limits.limit import PPM, Limit, Override
from outlay.core.limits.period import counter_key, meter_of
from outlay.core.limits.subject import needs_field, read_scope_key, scope_key
from outlay.errors import BadRequestError
from outlay.store.base import EventFilter, OlapStore

MAX_EVENTS: Final = 2_000_000
"""Events that one run goes through."""
MAX_TOP: Final = 100
"""Scopes of a limit that the answer lists."""


@dataclass(slots=True)
class _Scope:
    """What became of one scope of a limit, over all of its periods."""

    key: str
    matched: int = 0
    refused: int = 0
    refused_cost: int = 0
    first_refused_at: int | None = None
    peak: int = 0
    peak_ppm: int = 0


@dataclass(slots=True)
class _Rung:
    """A rung that was passed: how often, and when first."""

    times: int = 0
    first_at: int = 0


@dataclass(slots=True)
class _Outcome:
    """What one limit would have done."""

    limit: Limit
    scopes: dict[str, _Scope] = field(default_factory=dict)
    rungs: dict[tuple[int, str], _Rung] = field(default_factory=dict)


@dataclass(slots=True)
class _Place:
    """One counter while history goes by; `ends` are the ends of calls that are under way."""

    outcome: _Outcome
    scope: _Scope
    counter: Counter
    ends: list[int] = field(default_factory=list)


def replay(
    olap: OlapStore,
    ceilings: Ceilings,
    limits: Sequence[Limit],
    *,
    start: int,
    end: int,
    overrides: Sequence[Override] = (),
    top: int = 10,
    max_events: int = MAX_EVENTS,
) -> dict[str, Any]:
    """Return what limits would have done from a time to another, microseconds UTC, as JSON.

    Raises:
        BadRequestError: the range is empty, or holds more than `max_events` events.
        UnavailableError: the live store or the books cannot answer.
    """
    which = EventFilter(start, end, tenant=_only_tenant(limits))
    if start >= end:
        raise BadRequestError("The range ends before it begins.", where="to")
    found = olap.matching(which)
    if found > max_events:
        raise BadRequestError(
            f"The range holds {found:,} events; one run goes through {max_events:,}.",
            where="from",
            hint="Choose a shorter range, or limits of one tenant.",
        )
    fields = frozenset(name for one in limits for name in needs_field(one))
    metrics = frozenset(one.metric for one in limits)
    rows = read_rows(olap, ceilings, which, fields, metrics)
    run = _Run(limits, overrides, rows)
    run.run()
    return {
        "from": start,
        "to": end,
        "events": len(rows.at),
        "refused": run.refused,
        "refused_cost_nanos": run.refused_cost,
        "limits": [_shown(one, top) for one in run.outcomes.values()],
    }


class _Run:
    """History on its way through some limits."""

    def __init__(self, limits: Sequence[Limit], overrides: Sequence[Override], rows: Rows) -> None:
        # Whatever their mode: the question is what they would do if they were enforced.
        self._policy = Policy(limits=[_enforced(one) for one in limits], overrides=overrides)
        self._rows = rows
        self.outcomes = {one.limit_id: _Outcome(one) for one in limits}
        self.refused = 0
        self.refused_cost = 0
        self._places: dict[str, _Place] = {}

    def run(self) -> None:
        rows = self._rows
        order = np.argsort(rows.at, kind="stable")
        at, ended = rows.at[order].tolist(), rows.ended[order].tolist()
        cost, subjects = rows.cost[order].tolist(), rows.subject[order].tolist()
        amounts = {name: values[order].tolist() for name, values in rows.amounts.items()}
        for place, moment in enumerate(at):
            subject = rows.subjects[subjects[place]]
            touched = []
            fits = True
            for limit in self._policy.limits_for(subject):
                one = self._place(limit, scope_key(limit, subject), moment)
                amount = 1 if _gauge(limit) else amounts[limit.metric][place]
                room = self._has_room(one, amount, moment)
                fits = fits and room
                touched.append((one, amount, room))
            if fits:
                for one, amount, _ in touched:
                    self._count(one, amount, moment, ended[place])
                continue
            self.refused += 1
            self.refused_cost += cost[place]
            for one, _, room in touched:
                one.scope.matched += 1
                if not room:
                    _refuse(one.scope, cost[place], moment)

    def _place(self, limit: Limit, scope: str, at: int) -> _Place:
        key = counter_key(limit, scope, at)
        found = self._places.get(key.counter_id)
        if found is None:
            outcome = self.outcomes[limit.limit_id]
            meter = meter_of(limit, self._policy.amount(limit, scope, at))
            own = outcome.scopes.setdefault(scope, _Scope(scope))
            found = _Place(outcome, own, Counter(key, meter, as_of=at))
            self._places[key.counter_id] = found
        return found

    def _amount(self, one: _Place, at: int) -> int:
        return self._policy.amount(one.outcome.limit, one.scope.key, at)

    def _has_room(self, one: _Place, amount: int, at: int) -> bool:
        if _gauge(one.outcome.limit):
            while one.ends and one.ends[0] <= at:
                heapq.heappop(one.ends)
            one.counter.used = len(one.ends)
        else:
            forget(one.counter, at)
        cap = cap_of(one.outcome.limit, self._amount(one, at))
        return cap is None or one.counter.used + amount <= cap

    def _count(self, one: _Place, amount: int, at: int, ended: int) -> None:
        counter, limit, scope = one.counter, one.outcome.limit, one.scope
        before = counter.used
        if _gauge(limit):
            heapq.heappush(one.ends, max(ended, at))
            counter.used = len(one.ends)
        elif counter.meter.kind == "rolling":
            into_buckets(counter, amount, at)
        else:
            counter.used += amount
        scope.matched += 1
        if counter.used > scope.peak:
            whole = self._amount(one, at)
            scope.peak = counter.used
            scope.peak_ppm = counter.used * PPM // max(room_of(limit, whole), 1)
        for rung in crossed(limit, before, counter.used, self._amount(one, at)):
            met = one.outcome.rungs.setdefault((rung.at_ppm, rung.action), _Rung(0, at))
            met.times += 1


def _refuse(scope: _Scope, cost: int, at: int) -> None:
    scope.refused += 1
    scope.refused_cost += cost
    if scope.first_refused_at is None:
        scope.first_refused_at = at


def _gauge(limit: Limit) -> bool:
    return limit.metric == "concurrent_calls"


def _enforced(limit: Limit) -> Limit:
    return replace(limit, mode="enforce")


def _only_tenant(limits: Sequence[Limit]) -> str:
    """Return the one tenant that all limits are about, or ""."""
    named = {next((p.values for p in one.scope if p.field == "tenant"), ()) for one in limits}
    values = named.pop() if len(named) == 1 else ()
    return values[0] if len(values) == 1 and not values[0].endswith("*") else ""


def _shown(outcome: _Outcome, top: int) -> dict[str, Any]:
    limit, scopes = outcome.limit, list(outcome.scopes.values())
    first = [s.first_refused_at for s in scopes if s.first_refused_at is not None]
    ranked = sorted(scopes, key=lambda s: (-s.refused_cost, -s.refused, -s.peak_ppm, s.key))
    return {
        "limit": limit.limit_id,
        "name": limit.name,
        "metric": limit.metric,
        "window": limit.window,
        "amount": limit.amount,
        "mode": limit.mode,
        "matched": sum(s.matched for s in scopes),
        "refused": sum(s.refused for s in scopes),
        "refused_cost_nanos": sum(s.refused_cost for s in scopes),
        "first_refused_at": min(first, default=None),
        "scopes": len(scopes),
        "scopes_refused": len(first),
        "peak_used": max((s.peak for s in scopes), default=0),
        "peak_ppm": max((s.peak_ppm for s in scopes), default=0),
        "rungs": list(_rungs(outcome)),
        "top": [_scope(one) for one in ranked[:top]],
    }


def _rungs(outcome: _Outcome) -> Iterator[dict[str, Any]]:
    for rung in outcome.limit.thresholds:
        met = outcome.rungs.get((rung.at_ppm, rung.action), _Rung())
        yield {
            "at_ppm": rung.at_ppm,
            "action": rung.action,
            "times": met.times,
            "first_at": met.first_at or None,
        }


def _scope(one: _Scope) -> dict[str, Any]:
    return {
        "scope": read_scope_key(one.key),
        "matched": one.matched,
        "refused": one.refused,
        "refused_cost_nanos": one.refused_cost,
        "first_refused_at": one.first_refused_at,
        "peak_used": one.peak,
        "peak_ppm": one.peak_ppm,
    }
