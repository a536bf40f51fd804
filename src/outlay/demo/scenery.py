"""What surrounds the demo's past: contracts, selling, credits, a budget, findings, currencies.

`stage` is set up before the past is written, since prices and plans are looked up by the time of an
event; `furnish` afterwards, so that limits begin with today and credits pay for no past month.
"""

from __future__ import annotations

import time
from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from outlay.core.money import NANOS_PER_USD
from outlay.demo.client import Client
from outlay.demo.history_rhythm import DAY_US, GROWING
from outlay.demo.limits import CREDITS_PER_DOLLAR, GRANTS, PAST_LIMITS
from outlay.demo.tenants import TENANTS
from outlay.errors import UnavailableError

TENANTS_SINCE_DAYS: Final = 60
UPGRADED_DAYS_AGO: Final = 15
"""When the tenant that grows went from the free plan to its own."""
CONTRACT_DAYS_AGO: Final = 20
BUDGET_OVER_DAYS: Final = 28
BUDGET_ROOM: Final = (106, 100)
"""The budget is so much of what a month costs at the rate of the last days."""
COUNTED_S: Final = 20.0
POLL_S: Final = 0.05
OVERRIDE_DAYS: Final = 3
KEY_DAYS: Final = 90

CONTRACT: Final = {"input": "3.20", "input_cache_read": "0.16", "input_cache_write_1h": "6.40",
                   "output": "16.00"}  # fmt: skip
"""What acme pays for a million tokens of `claude-opus-5-5`, a fifth below the list."""

CEILING: Final = {"input": "1.00", "input_cache_read": "0.10", "output": "4.00"}
"""What limits count a million tokens of a model at that has no price: it runs on own machines."""

SELL: Final = (
    {"unit": "cost", "markup": "1.45", "plan": "enterprise"},
    {"unit": "cost", "markup": "1.60", "plan": "business"},
    {"unit": "cost", "markup": "1.90", "plan": "team"},
    {"unit": "cost", "markup": "1.10", "plan": "free"},
    {"unit": "input", "price": "1.00", "tenant": "initech"},
    {"unit": "input_cache_read", "price": "0.15", "tenant": "initech"},
    {"unit": "output", "price": "4.00", "tenant": "initech"},
    {"unit": "calls", "price": "0.004", "per": 1, "tenant": "hooli"},
    *(
        {"unit": "cost", "credits": CREDITS_PER_DOLLAR, "tenant": tenant}
        for tenant in ("soylent", "cyberdyne", "oscorp")
    ),
)
"""A markup for each plan; one tenant buys tokens, one pays by call, three have credits too."""

RATES: Final = {"EUR": "0.8562", "GBP": "0.7481", "JPY": "156.40"}
"""Units for a dollar."""
EARLIER_RATES: Final = {"EUR": "0.8611", "GBP": "0.7520", "JPY": "154.85"}

OTHER_CATALOGUE: Final = {
    "gpt-5.6-sol": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 5e-06,
        "output_cost_per_token": 3e-05,
    },
    "claude-sonnet-5-5": {
        "litellm_provider": "anthropic",
        "mode": "chat",
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 1e-05,
    },
}
"""Another catalogue, in LiteLLM's form, that has missed a change of price."""

VIEWS: Final = (
    ("demo-support", "Support chat, 30 days", "/", "?last=30d&feature=support-chat"),
    ("demo-failed", "Failed calls, 7 days", "/requests", "?last=7d&status=error"),
)
"""Shared views: id, name, path and search of the dashboard."""


def stage(client: Client, *, now: int) -> None:
    """Register tenants and prices, as they were before the past began; microseconds UTC."""
    since = now - TENANTS_SINCE_DAYS * DAY_US
    for tenant in TENANTS:
        version = {**tenant.as_request(), "valid_from": since}
        if tenant.tenant_id == GROWING:
            version["plan"] = "free"
        client.call("PUT", f"/v1/tenants/{tenant.tenant_id}", version)
        if tenant.tenant_id == GROWING:
            upgrade = {"plan": tenant.plan, "valid_from": now - UPGRADED_DAYS_AGO * DAY_US}
            client.call("PUT", f"/v1/tenants/{tenant.tenant_id}", upgrade)
    rates = [*_contract(now), *_ceilings()]
    client.call("POST", "/v1/prices", {"reason": "demo", "rates": rates, "sell": list(SELL)})


def furnish(client: Client, *, now: int, days: int) -> None:
    """Set what looks at a past of so many days: limits, a budget, credits, keys, currencies."""
    limits = {**PAST_LIMITS, "limits": [*PAST_LIMITS["limits"], _budget(client, now, days)]}
    client.call("POST", "/v1/limits", {**limits, "reason": "demo"})
    client.call("POST", "/v1/limits/tenant-day/overrides", {
        "amount": "60.00", "ends_at": now + OVERRIDE_DAYS * DAY_US,
        "scope": {"tenant": "globex"}, "reason": "court deadline, agreed with Globex",
    })  # fmt: skip
    for number, grant in enumerate(GRANTS):
        body: dict[str, Any] = {
            "key": f"demo-{number}", "amount": grant.amount, "category": grant.category,
            "reason": grant.reason,
        }  # fmt: skip
        if grant.days:
            body["expires_at"] = now + grant.days * DAY_US
        client.call("POST", f"/v1/credits/{grant.tenant}/grants", body)
    client.call("POST", "/v1/virtual-keys", {
        "name": "globex notebooks", "tenant_id": "globex", "models": ["gpt-5*"],
        "expires_at": now + KEY_DAYS * DAY_US,
    })  # fmt: skip
    client.call("POST", "/v1/prices/diff?against=litellm", OTHER_CATALOGUE)
    for since, rates in ((now - 30 * DAY_US, EARLIER_RATES), (now, RATES)):
        for currency, per_usd in rates.items():
            rate = {"per_usd": per_usd, "valid_from": since, "reason": "demo", "source": "demo"}
            client.call("PUT", f"/v1/currencies/{currency}", rate)
    for view_id, name, path, search in VIEWS:
        view = {"view_id": view_id, "name": name, "path": path, "search": search, "shared": True}
        client.call("POST", "/v1/views", view)
    _wait_counted(client)


def _wait_counted(client: Client) -> None:
    """Wait until the budget knows what the month has cost; limits look that up by themselves."""
    until = time.monotonic() + COUNTED_S
    while not client.call("GET", "/v1/limits/state?limit=budget")["counters"]:
        if time.monotonic() >= until:
            raise UnavailableError("The budget did not count the past in time.")
        time.sleep(POLL_S)


def _contract(now: int) -> Iterable[dict[str, Any]]:
    for unit, price in CONTRACT.items():
        yield {
            "provider": "anthropic", "model": "claude-opus-5-5", "unit": unit, "price": price,
            "layer": "contract", "tenant": "acme", "valid_from": now - CONTRACT_DAYS_AGO * DAY_US,
            "source": "order form 12",
        }  # fmt: skip


def _ceilings() -> Iterable[dict[str, Any]]:
    for unit, price in CEILING.items():
        yield {"provider": "*", "model": "*", "unit": unit, "price": price}


def _budget(client: Client, now: int, days: int) -> dict[str, Any]:
    """Return the company's budget: a little above what the month comes to as things go."""
    over = min(days, BUDGET_OVER_DAYS)
    cost = client.totals(["cost"], since=now - over * DAY_US, until=now)[0]
    today = datetime.fromtimestamp(now / 1_000_000, UTC)
    month = cost * monthrange(today.year, today.month)[1] // over
    room, whole = BUDGET_ROOM
    dollars = max(10, -(-month * room // (whole * NANOS_PER_USD * 10)) * 10)
    return {
        "id": "budget",
        "name": "The company's month",
        "window": "month",
        "amount": f"{dollars}.00",
        "thresholds": [
            {"at": "50%", "action": "warn"},
            {"at": "80%", "action": "warn"},
            {"at": "100%", "action": "warn"},
        ],
    }
