"""What the demo limits: small amounts, so that each rung of the ladder is reached within minutes.

The largest tenant is only watched, one is sent to a cheaper model, free plans are refused at the
end of their day, and a prepaid tenant runs out of credits.
"""

from __future__ import annotations

from typing import Any, Final

LIMITS: Final[dict[str, Any]] = {
    "limits": [
        {
            "id": "tenant-day",
            "name": "A tenant's day",
            "scope": {"tenant": "each"},
            "window": "day",
            "amount": "25.00",
            "thresholds": [{"at": "10%", "action": "warn"}, {"at": "100%", "action": "block"}],
        },
        {
            "id": "free-day",
            "name": "A free plan's day",
            "scope": {"plan": "free", "tenant": "each"},
            "window": "day",
            "amount": "0.10",
            "thresholds": [{"at": "50%", "action": "warn"}, {"at": "100%", "action": "block"}],
        },
        {
            "id": "business-models",
            "name": "Cheaper models for business plans after the first half",
            "scope": {"plan": "business", "tenant": "each"},
            "window": "day",
            "amount": "0.50",
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
            "amount": "2.00",
            "mode": "shadow",
        },
    ],
}
"""As `outlay limits apply` takes it."""

CREDITS_PER_DOLLAR: Final = 100
SELL: Final = {
    "reason": "demo",
    "sell": [{"unit": "cost", "credits": CREDITS_PER_DOLLAR, "tenant": "soylent"}],
}
"""Prepaid tenants buy at 100 credits a dollar."""
GRANTS: Final = {"soylent": "20"}
"""Credits that a tenant starts with."""
