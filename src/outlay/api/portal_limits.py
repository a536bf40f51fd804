"""How a tenant's limits stand, as its own people may see it.

Amounts of money are our cost and are not shown, only which share of them is used, to a hundredth of
a percent. Limits that are off or only watched are nobody's business but ours, and those of single
requests and runs are over before anybody looks. Blocks on the books.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from outlay.api.limits import standing, standings, visible
from outlay.api.services import Services
from outlay.core.limits.holds import Counter
from outlay.core.limits.limit import Limit, Override, amount_now
from outlay.core.limits.period import counter_key, meter_of
from outlay.core.limits.subject import TOTAL, key_text, needs_id, text_matches

MAX_SHOWN: Final = 1_000
SHARE_PLACES: Final = 4
COUNTED: Final = frozenset(
    ("tokens", "input_tokens", "output_tokens", "calls", "concurrent_calls", "credits")
)
"""Metrics whose amounts are the tenant's to know."""


def shown_limits(
    services: Services, tenant: str, dimensions: Sequence[str]
) -> list[dict[str, Any]]:
    """Return how a tenant's limits stand, those with most used first.

    Args:
        services: the server's.
        tenant: whose.
        dimensions: fields of a scope that are told beside the limit's name.
    """
    now = services.clock()
    known = {
        one.limit_id: one
        for one in services.books.limits()
        if one.mode == "enforce" and not needs_id(one) and visible(one, tenant)
    }
    rows = [row for row in standings(services, now=now, tenant=tenant) if row["limit"] in known]
    seen = {(row["limit"], row["scope_key"]) for row in rows}
    plan = services.policy.current().plans.get(tenant, "")
    overrides = services.books.overrides(at=now)
    for limit in known.values():
        rows += _unused(limit, tenant, plan, overrides, seen=seen, now=now)
    rows.sort(key=lambda row: (-row["share"], row["limit"], row["scope_key"]))
    return [_shown(row, dimensions) for row in rows[:MAX_SHOWN]]


def _unused(
    limit: Limit, tenant: str, plan: str, overrides: Sequence[Override], *,
    seen: set[tuple[str, str]], now: int,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Give how a limit stands that nothing has counted in, where it has one scope for a tenant."""
    each = [part.field for part in limit.scope if part.each]
    if each not in ([], ["tenant"]) or not _has_plan(limit, plan):
        return
    scope_key = key_text((("tenant", tenant),)) if each else TOTAL
    if (limit.limit_id, scope_key) in seen:
        return
    amount = amount_now(limit, tuple(overrides), scope_key, now)
    counter = Counter(counter_key(limit, scope_key, now), meter_of(limit, amount))
    yield standing(counter, limit, overrides, now=now)


def _has_plan(limit: Limit, plan: str) -> bool:
    wanted = [part.values for part in limit.scope if part.field == "plan" and part.values]
    return all(text_matches(values, plan) for values in wanted)


def _shown(row: Mapping[str, Any], dimensions: Sequence[str]) -> dict[str, Any]:
    counted = row["metric"] in COUNTED
    used = row["held"] if row["metric"] == "concurrent_calls" else row["used"]
    return {
        "name": row["name"] or row["limit"],
        "metric": row["metric"],
        "window": row["window"],
        "scope": {name: value for name, value in row["scope"].items() if name in dimensions},
        "share": round(row["share"], SHARE_PLACES),
        "used": used if counted else None,
        "amount": row["amount"] if counted else None,
        "resets_at": row["resets_at"],
        "reached": row["reached"],
        "mode": row["mode"],
    }
