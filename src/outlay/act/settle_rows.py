"""What a table of events counts for, by limit and scope: columns in, lines to post out.

Each limit selects its rows by the distinct texts of a column, never event by event; rows of the
same scope, hold and step of time are added up in columns, and only sums are looked at one by one.
Pure: it reads no clock and no store, and knows no prices but what is given to be added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.act.settle_columns import HOLD, Columns, Ints, integers, tokens
from outlay.core.limits.counting import ROLLING_BUCKETS
from outlay.core.limits.holds import CounterKey, Meter, Post, PostLine
from outlay.core.limits.limit import CREDITS, SCOPES, Limit, Match, Override, amount_now
from outlay.core.limits.period import counter_key, credit_key, meter_of, period
from outlay.core.limits.subject import Subject, matches, needs_id, scope_key

STEPS_US: Final = tuple(
    micros * 1_000 for micros in (900_000, 300_000, 60_000, 30_000, 10_000, 5_000, 1_000, 100, 10)
)
"""Steps of time that events are grouped by. The offsets of all time zones are whole quarters of an
hour, so calendar windows never begin inside the longest; a rolling window has shorter ones."""
TOKEN_METRICS: Final = ("tokens", "input_tokens", "output_tokens")
KINDS: Final = ("usage", "adjustment")
MAX_KEYS: Final = 100_000
"""Counters whose names are kept."""
FEW: Final = 8
"""With less than one row in so many left, only those are looked at."""


class _Part:
    """One selector's test of a field's texts, each of them tested once."""

    __slots__ = ("_known", "_probe", "field")

    def __init__(self, field: str, values: tuple[str, ...]) -> None:
        self.field = field
        self._probe = Limit("probe", "cost", "month", 1, scope=(Match(field, values),))
        self._known: dict[str, bool] = {}

    def passes(self, text: str) -> bool:
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= MAX_KEYS:
                self._known.clear()
            found = matches(self._probe, Subject(**{self.field: text}))
            self._known[text] = found
        return found


class _Accounts:
    """The same for the tenants whose credits are charged."""

    __slots__ = ("field", "passes")

    def __init__(self, tenants: frozenset[str]) -> None:
        self.field = "tenant"
        self.passes = tenants.__contains__


@dataclass(frozen=True, slots=True)
class _Rule:
    """What counts on one sort of counter; without a limit it is credits."""

    limit: Limit | None
    metric: str
    parts: tuple[_Part | _Accounts, ...]
    fields: tuple[str, ...]
    """What tells its scopes apart."""
    meter: Meter
    """Without overrides."""
    kind: tuple[str, ...] = ()
    """What its periods begin by; rules of the same kind share them."""
    own: bool = False
    """Its window is one request or run, so that only a hold begins its counters."""
    keys: dict[tuple[int, tuple[str, ...]], CounterKey] = field(default_factory=dict)


class Counting:
    """What events count for under some limits; made anew when limits change.

    `concurrent_calls` counts no events. Limits that are off count all the same, so that they know
    what was used when they are switched on.

    Args:
        limits: what to count for.
        overrides: temporary amounts, which a rate's counters leak by.
        accounts: tenants whose credits are charged.
    """

    def __init__(
        self,
        limits: Iterable[Limit],
        *,
        overrides: Sequence[Override] = (),
        accounts: frozenset[str] = frozenset(),
    ) -> None:
        counted = [one for one in limits if one.metric != "concurrent_calls"]
        parts: dict[tuple[str, tuple[str, ...]], _Part] = {}
        self._rules = [_rule(one, parts) for one in counted]
        if accounts:
            self._rules.append(_Rule(None, CREDITS, (_Accounts(accounts),), ("tenant",), Meter()))
        self._metrics = {rule.metric for rule in self._rules}
        self._overrides: dict[str, tuple[Override, ...]] = {}
        for one in overrides:
            self._overrides[one.limit_id] = (*self._overrides.get(one.limit_id, ()), one)
        self.step_us = _step(counted)

    @property
    def empty(self) -> bool:
        """Whether nothing counts at all."""
        return not self._rules

    @property
    def needs_ceilings(self) -> bool:
        """Whether events without a price count for something."""
        return "cost" in self._metrics

    def posts(self, table: pa.Table, extra: Ints | None, *, now: int) -> list[Post]:
        """Return what to post for events (ENRICHED_SCHEMA), by hold.

        Args:
            table: the events.
            extra: what to add to each one's cost; `Ceilings.lacking`.
            now: microseconds UTC; a period that is over is not begun by an adjustment.
        """
        kept = pc.is_in(table.column("kind"), value_set=pa.array(KINDS)).to_numpy()
        if not kept.all():
            table = table.filter(pa.array(kept))
            extra = None if extra is None else extra[kept]
        if not table.num_rows or self.empty:
            return []
        columns = Columns(table, step_us=self.step_us)
        amounts = self._amounts(table, columns, extra)
        masks: dict[int, list[int] | None] = {}
        lines: dict[str, list[PostLine]] = {}
        for rule in self._rules:
            rows = _chosen(rule, columns, masks)
            if rows is None or len(rows):
                for hold_id, line in self._counted(rule, rows, columns, amounts[rule.metric], now):
                    lines.setdefault(hold_id, []).append(line)
        return [Post(hold_id, tuple(own)) for hold_id, own in lines.items()]

    def _amounts(self, table: pa.Table, columns: Columns, extra: Ints | None) -> dict[str, Ints]:
        metrics, made = self._metrics, {}
        if "cost" in metrics:
            cost = integers(table, "cost_nanos")
            made["cost"] = cost if extra is None else cost + extra
        if CREDITS in metrics:
            made[CREDITS] = integers(table, "credits_micros")
        if metrics.intersection(TOKEN_METRICS):
            read, produced = tokens(table)
            made |= {"tokens": read + produced, "input_tokens": read, "output_tokens": produced}
        if "calls" in metrics:
            passed = pc.not_equal(pc.fill_null(table.column("status"), ""), "blocked").to_numpy()
            made["calls"] = np.where(passed, columns.usage, 0)
        return made

    def _counted(
        self, rule: _Rule, rows: Ints | None, columns: Columns, amounts: Ints, now: int
    ) -> Iterator[tuple[str, PostLine]]:
        """Yield what chosen rows (`None`: all) count for by one rule, with their hold."""
        groups = columns.groups(rule.fields, rule.kind, self._begin(rule))
        of, first, begin = groups.of, groups.first, groups.begin
        pick: Ints | slice = slice(None) if rows is None else rows
        if rows is not None:
            places, of = np.unique(of[rows], return_inverse=True)
            first, begin = first[places], begin[places]
        amount, events, latest = (np.zeros(len(first), np.int64) for _ in range(3))
        np.add.at(amount, of, amounts[pick])
        np.add.at(events, of, columns.usage[pick])
        np.maximum.at(latest, of, columns.started[pick])
        # Of a hold even nothing is news: as many calls have come as were reported.
        told = np.flatnonzero((amount != 0) | (events != 0))
        first = first[told]
        totals = (one[told].tolist() for one in (amount, events, latest, begin))
        holds, *scopes = (_named(columns, name, first) for name in (HOLD, *rule.fields))
        named = zip(*scopes, strict=True) if scopes else repeat((), len(holds))
        metric, limit = rule.metric, rule.limit
        ever = limit is not None and not rule.own
        for count, calls, at, start, hold_id, scope in zip(*totals, holds, named, strict=True):
            if count or hold_id:
                key = rule.keys.get((start, scope)) or self._key(rule, start, scope)
                # What was reckoned anew of a period that is over must not make its counter again.
                create = ever and (calls > 0 or not 0 < key.ends_at <= now)
                meter = self._meter(rule, key, now)
                # A caller's clock that is ahead must not make a window forget.
                yield hold_id, PostLine(key, metric, count, calls, min(at, now), meter, create)

    def _begin(self, rule: _Rule) -> Callable[[int], int]:
        limit = rule.limit
        if limit is None or rule.meter.kind == "rate":
            return lambda _: 0
        if rule.meter.kind == "rolling":
            return lambda at: at
        return lambda at: period(limit, at)[0]

    def _meter(self, rule: _Rule, key: CounterKey, now: int) -> Meter:
        limit = rule.limit
        raised = self._overrides.get(key.limit_id) if rule.meter.kind == "rate" else None
        if raised is None or limit is None:
            return rule.meter
        return meter_of(limit, amount_now(limit, raised, key.scope_key, now))

    def _key(self, rule: _Rule, at: int, scope: tuple[str, ...]) -> CounterKey:
        if len(rule.keys) >= MAX_KEYS:
            rule.keys.clear()
        if rule.limit is None:
            key = credit_key(scope[0])
        else:
            subject = Subject(**dict(zip(rule.fields, scope, strict=True)))
            key = counter_key(rule.limit, scope_key(rule.limit, subject), at)
        rule.keys[at, scope] = key
        return key


def _rule(limit: Limit, parts: dict[tuple[str, tuple[str, ...]], _Part]) -> _Rule:
    named: list[tuple[str, tuple[str, ...]]] = [(one.field, one.values) for one in limit.scope]
    tests = [parts.setdefault(name, _Part(*name)) for name in named]
    each = sorted((one.field for one in limit.scope if one.each), key=SCOPES.index)
    own = needs_id(limit)
    return _Rule(
        limit,
        limit.metric,
        tuple(tests),
        (*each, own) if own else tuple(each),
        meter_of(limit, limit.amount),
        (limit.window, limit.zone, str(limit.anchor_day)),
        own=bool(own),
    )


def _chosen(rule: _Rule, columns: Columns, masks: dict[int, list[int] | None]) -> Ints | None:
    """Return the rows that a rule selects; `None` means all."""
    rows: Ints | None = None
    if rule.own and rule.fields[-1] == "run":
        of, words = columns.texts("run")
        rows = np.flatnonzero(np.array([bool(word) for word in words], np.bool_)[of])
    tests = []
    for part in rule.parts:
        codes = masks.get(id(part), ())
        if codes == ():
            _, words = columns.texts(part.field)
            passing = [code for code, word in enumerate(words) if part.passes(word)]
            codes = masks[id(part)] = None if len(passing) == len(words) else passing
        if codes is not None:
            tests.append((len(codes) / len(columns.texts(part.field)[1]), part.field, codes))
    # The narrowest first: limits of one tenant each look at that tenant's rows only.
    for share, name, codes in sorted(tests, key=lambda test: test[0]):
        if not codes:
            return np.zeros(0, np.int64)
        if rows is None and share * FEW < 1:
            rows = columns.rows(name, codes)
            continue
        of, words = columns.texts(name)
        mask = np.zeros(len(words), np.bool_)
        mask[codes] = True
        rows = np.flatnonzero(mask[of]) if rows is None else rows[mask[of[rows]]]
    return rows


def _named(columns: Columns, field: str, rows: Ints) -> list[str]:
    of, words = columns.texts(field)
    return [words[code] for code in of[rows].tolist()]


def _step(limits: Iterable[Limit]) -> int:
    widths = [one.span_us // ROLLING_BUCKETS for one in limits if one.window == "rolling"]
    least = min(widths, default=STEPS_US[0])
    return next((step for step in STEPS_US if step <= least), STEPS_US[-1])
