"""What holds now: limits, overrides, entitlements, tenants' plans and credit accounts, as a value.

A `Policy` is made once after each change (`policy_cache`) and answers, for every call, which
counters it needs and how much of each. It owns no amounts that were used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from outlay.core.event import UNATTRIBUTED
from outlay.core.limits.entitled import denied
from outlay.core.limits.holds import Meter, Need
from outlay.core.limits.limit import (
    CREDITS,
    MAX_AMOUNT,
    Entitlement,
    Limit,
    Override,
    amount_now,
)
from outlay.core.limits.period import cap_of, counter_key, credit_key, meter_of
from outlay.core.limits.subject import ANY, Subject, matches, scope_key
from outlay.core.match import canonical_provider
from outlay.core.money import line_nanos
from outlay.core.sell import SellConditions, SellRates, SellRow

MAX_SUBJECTS: Final = 20_000
"""Subjects whose limits are kept; then all are found anew."""
_EXACT: Final = ("tenant", "user", "billing_unit", "feature", "workflow", "plan", "initiator")
"""Fields whose values are compared as written, so that limits on them can be looked up."""


class Policy:
    """Everything that decides about calls, but what was used. Nothing of it changes.

    Args:
        limits: by priority and id; those that are off are only shown.
        overrides: those that hold now or later.
        entitlements: what plans may use.
        plans: the plan of each tenant that is in force.
        floors: the floor of each tenant whose credits are enforced, in micro-credits.
        sells: what usage is sold for.
    """

    def __init__(
        self,
        *,
        limits: Sequence[Limit] = (),
        overrides: Sequence[Override] = (),
        entitlements: Sequence[Entitlement] = (),
        plans: Mapping[str, str] | None = None,
        floors: Mapping[str, int] | None = None,
        sells: SellRates | None = None,
    ) -> None:
        self.limits = tuple(limits)
        self.overrides = tuple(overrides)
        self.entitlements = tuple(entitlements)
        self.plans = dict(plans or {})
        self.floors = dict(floors or {})
        self.sells = sells or SellRates(())
        self.credit_rows = _credit_rows(self)
        """The rows that turn usage into the credits of those who have an account, by id."""
        active = [limit for limit in limits if limit.mode != "off"]
        self._limits = {limit.limit_id: limit for limit in active}
        self._rank = {limit.limit_id: place for place, limit in enumerate(active)}
        self._places = _indexed(active)
        self._overrides = _by_limit(overrides)
        self._plans = {one.plan: one for one in entitlements}
        self._found: dict[Subject, tuple[Limit, ...]] = {}
        self.revision = _digest(self)
        """Changes with everything that processes are told of the policy."""

    def limit(self, limit_id: str) -> Limit | None:
        """Return a limit that counts; `None` if there is none, or it is off."""
        return self._limits.get(limit_id)

    def rank(self, limit_id: str) -> int:
        """Return the place of a limit in the order of refusals; credits come last."""
        return self._rank.get(limit_id, len(self._rank))

    def amount(self, limit: Limit, scope: str, at: int) -> int:
        """Return the amount that holds for a scope at a time, overrides included."""
        raised = self._overrides.get(limit.limit_id, ())
        return amount_now(limit, raised, scope, at) if raised else limit.amount

    def known(self, subject: Subject) -> Subject:
        """Return a subject with the plan of its tenant; what is said counts for unknown ones."""
        plan = self.plans.get(subject.tenant)
        return subject if plan in (None, subject.plan) else replace(subject, plan=plan)

    def denied(self, subject: Subject, name: str = "") -> str:
        """Return why the plan does not allow a call or a named right; "" if it does."""
        return denied(
            self._plans.get(subject.plan), agent=subject.agent, feature=subject.feature,
            model=subject.model, name=name,
        )  # fmt: skip

    def entitlement(self, plan: str) -> Entitlement | None:
        """Return what a plan may use; `None`: anything."""
        return self._plans.get(plan)

    def limits_for(self, subject: Subject) -> tuple[Limit, ...]:
        """Return the limits that a call counts for, by priority and id."""
        kind = replace(subject, request="*" * bool(subject.request), run="*" * bool(subject.run))
        found = self._found.get(kind)
        if found is None:
            near = list(self._places.get(("", ""), ()))
            for name in _EXACT:
                value = getattr(kind, name)
                near += self._places.get((name, value), ())
            if not kind.tenant:
                near += self._places.get(("tenant", UNATTRIBUTED), ())
            met = [limit for limit in near if matches(limit, kind)]
            found = tuple(sorted(met, key=lambda limit: self._rank[limit.limit_id]))
            if len(self._found) >= MAX_SUBJECTS:
                self._found.clear()
            self._found[kind] = found
        return found

    def needs(self, subject: Subject, amounts: Mapping[str, int], at: int) -> list[Need]:
        """Return what a call of some amounts, by metric, needs of each counter it touches.

        What has no amount needs nothing, but a counter above its cap refuses it all the same. The
        credits of a tenant whose balance is enforced are one of the needs; where no amount of
        credits is given it is what the cost sells for, or 0.
        """
        needs = [
            self.need(limit, scope_key(limit, subject), _wanted(limit, amounts), at)
            for limit in self.limits_for(subject)
        ]
        if subject.tenant in self.floors:
            credit = amounts.get(CREDITS)
            if credit is None:
                credit = self.credits_of(subject, amounts, at)
            needs.append(self.credit_need(subject.tenant, credit))
        return needs

    def need(self, limit: Limit, scope: str, wanted: int, at: int) -> Need:
        """Return the need of an amount in one scope of a limit; a shadow limit has no cap."""
        amount = self.amount(limit, scope, at)
        cap = None if limit.mode == "shadow" else cap_of(limit, amount)
        key = counter_key(limit, scope, at)
        return Need(key, limit.metric, wanted, cap, meter_of(limit, amount))

    def credit_need(self, tenant: str, wanted: int) -> Need:
        """Return the need of a tenant's credits; the balance itself knows what may be held."""
        return Need(credit_key(tenant), CREDITS, wanted, -self.floors.get(tenant, 0), Meter())

    def credits_of(self, subject: Subject, amounts: Mapping[str, int], at: int) -> int:
        """Return the micro-credits that amounts sell for by the rules in force; 0 without one.

        An estimate for a hold: what the event says is exact, as it knows the lines of the cost.
        """
        rows = self.sells.choose(
            SellConditions(
                tenant=subject.tenant,
                plan=subject.plan,
                feature=subject.feature,
                provider=canonical_provider(subject.provider),
                model=subject.model.lower(),
            ),
            at=at,
        )
        if not rows.sells(CREDITS):
            return 0
        produced = amounts.get("output_tokens", 0)
        read = amounts.get("input_tokens", amounts.get("tokens", 0) - produced)
        sold = [(read, rows.unit("input", CREDITS)), (produced, rows.unit("output", CREDITS))]
        cost = rows.cost(CREDITS)
        if cost is not None and any(row is None for _, row in sold):
            sold.append((amounts.get("cost", 0), cost))
        sold.append((amounts.get("calls", 1), rows.calls(CREDITS)))
        total = sum(line_nanos(max(0, size), row.per_million) for size, row in sold if row)
        return max(0, min(total, MAX_AMOUNT))


def _wanted(limit: Limit, amounts: Mapping[str, int]) -> int:
    if limit.metric in ("calls", "concurrent_calls"):
        return amounts.get(limit.metric, amounts.get("calls", 1))
    return amounts.get(limit.metric, 0)


def _indexed(limits: Iterable[Limit]) -> dict[tuple[str, str], list[Limit]]:
    """Place each limit under the values of one field that it lists, else under ("", "")."""
    places: dict[tuple[str, str], list[Limit]] = {}
    for limit in limits:
        listed = {part.field: part.values for part in limit.scope if part.values}
        exact = (f for f in _EXACT if f in listed and not any(ANY in v for v in listed[f]))
        name = next(exact, "")
        for value in dict.fromkeys(listed[name]) if name else ("",):
            places.setdefault((name, value), []).append(limit)
    return places


def _by_limit(overrides: Iterable[Override]) -> dict[str, tuple[Override, ...]]:
    found: dict[str, tuple[Override, ...]] = {}
    for one in overrides:
        found[one.limit_id] = (*found.get(one.limit_id, ()), one)
    return found


def _credit_rows(policy: Policy) -> tuple[SellRow, ...]:
    if not policy.floors:
        return ()
    tenants = {"", *policy.floors}
    plans = {"", *(policy.plans.get(tenant, "") for tenant in policy.floors)}
    told = (
        row
        for row in policy.sells.rows
        if row.out == CREDITS and row.tenant in tenants and row.plan in plans
    )
    return tuple(sorted(told, key=lambda row: row.sell_id))


def _digest(policy: Policy) -> str:
    """Return a short text that changes with what processes are told of the policy."""
    digest = hashlib.blake2b(digest_size=12)
    for part in (policy.limits, policy.overrides, policy.entitlements):
        digest.update(repr(part).encode())
    digest.update(repr(sorted(policy.plans.items())).encode())
    digest.update(repr(sorted(policy.floors)).encode())
    for row in policy.credit_rows:
        digest.update(repr((row.sell_id, *row.content())).encode())
    return digest.hexdigest()
