"""Limits and credits in the books of a site."""

from __future__ import annotations

import json
from typing import Any

from outlay.core.limits.limit import Entitlement, Limit, Match
from outlay.store.limits import LimitChange
from tests.unit.api.site import Site

EACH = (Match("tenant", each=True),)
ACME = '[["tenant","acme"]]'
RIVAL = '[["tenant","rival"]]'


def limit(limit_id: str = "budget", amount: int = 1_000, **values: Any) -> Limit:
    """Make a limit, by default on the cost of each tenant in a month."""
    values = {"metric": "cost", "window": "month", "scope": EACH, **values}
    return Limit(limit_id, amount=amount, **values)


def put(site: Site, *limits: Limit, entitlements: tuple[Entitlement, ...] = ()) -> None:
    """Write limits and entitlements, and let the server see them."""
    change = LimitChange(limits, entitlements=entitlements)
    site.books.change_limits(change, reason="r", actor="test", at=1)
    site.services.policy.expire()


def grant(site: Site, tenant: str, amount: int, **values: Any) -> None:
    """Give a tenant micro-credits."""
    said: dict[str, Any] = {"key": f"g-{tenant}-{amount}", "reason": "r", "actor": "test", **values}
    site.books.grant(tenant, amount, at=site.now, **said)
    site.services.policy.expire()


def hold(site: Site, hold_id: str, cost: int, key: str | None = None, **values: Any) -> Any:
    """Reserve a cost for acme."""
    body = {
        "hold_id": hold_id,
        "subject": {"tenant": "acme", **values.pop("subject", {})},
        "estimate": {"cost_nanos": cost, **values.pop("estimate", {})},
        **values,
    }
    return site.call("POST", "/v1/holds", key, json=body)


def sync(
    site: Site, owner: str, *lines: dict[str, Any], key: str | None = None, **said: Any
) -> Any:
    """Sync a lease; a line is about acme's budget unless it says otherwise."""
    whole = [{"limit": "budget", "scope": ACME, **line} for line in lines]
    return site.call("POST", "/v1/leases", key, json={"owner": owner, "lines": whole, **said})


def policy(site: Site, key: str | None = None, **headers: str) -> Any:
    """Ask for the policy."""
    return site.call("GET", "/v1/limits/policy", key, headers=headers)


def compact(*pairs: tuple[str, str]) -> str:
    """Write a scope key."""
    return json.dumps(pairs, ensure_ascii=False, separators=(",", ":"))
