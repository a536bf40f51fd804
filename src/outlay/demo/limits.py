"""What the demo limits: small amounts, so that each rung of the ladder is reached within minutes.

The largest tenant is only watched, one is sent to a cheaper model, free plans are refused at the
end of their day, and a prepaid tenant runs out of credits. With a past, a day has already cost
something before the live traffic begins, and amounts are larger by what a day costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


def _limits(*, tenant_day: str, warn: str, free_day: str, business: str, hour: str) -> Any:
    return {
        "limits": [
            {
                "id": "tenant-day",
                "name": "A tenant's day",
                "scope": {"tenant": "each"},
                "window": "day",
                "amount": tenant_day,
                "thresholds": [{"at": warn, "action": "warn"}, {"at": "100%", "action": "block"}],
            },
            {
                "id": "free-day",
                "name": "A free plan's day",
                "scope": {"plan": "free", "tenant": "each"},
                "window": "day",
                "amount": free_day,
                "thresholds": [{"at": "50%", "action": "warn"}, {"at": "100%", "action": "block"}],
            },
            {
                "id": "business-models",
                "name": "Cheaper models for business plans after the first half",
                "scope": {"plan": "business", "tenant": "each"},
                "window": "day",
                "amount": business,
                "thresholds": [
                    {
                        "at": "50%",
                        "action": "downgrade",
                        "models": {"gpt-5.6-sol": "gpt-5.6-luna"},
                    }
                ],
            },
            {
                "id": "everything-hour",
                "name": "What would a cap on everything do?",
                "window": "hour",
                "amount": hour,
                "mode": "shadow",
            },
        ],
    }


LIMITS: Final[dict[str, Any]] = _limits(
    tenant_day="25.00", warn="10%", free_day="0.10", business="0.50", hour="2.00"
)
"""As `outlay limits apply` takes it."""
PAST_LIMITS: Final[dict[str, Any]] = _limits(
    tenant_day="20.00", warn="40%", free_day="0.40", business="2.40", hour="6.00"
)
"""The same where there is a past."""

CREDITS_PER_DOLLAR: Final = 100
SELL: Final = {
    "reason": "demo",
    "sell": [{"unit": "cost", "credits": CREDITS_PER_DOLLAR, "tenant": "soylent"}],
}
"""Prepaid tenants buy at 100 credits a dollar."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Credits that a tenant starts with; `days` until they expire, 0 is never."""

    tenant: str
    amount: str
    reason: str
    category: str = "paid"
    days: int = 0


PAID: Final = Grant("soylent", "20", "invoice 2044")
GRANTS: Final = (
    PAID,
    Grant("soylent", "5", "welcome", "promotional", 10),
    Grant("cyberdyne", "30", "trial", "promotional", 14),
    Grant("oscorp", "15", "pilot", "promotional", 3),
)
"""All of them; without a past only `PAID`."""
