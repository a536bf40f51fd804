"""The simulator's own bill: list prices as data, and its own arithmetic in decimal dollars.

It shares no code with outlay's pricing, so that agreement proves something. The prices are the
list prices in dollars of November 2026; `drift` tells when the installed catalogue says otherwise.
Billing rule: an attempt that failed before generation costs nothing; a cut stream costs its input
as announced and the output that was really sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

MAX_TENANTS: Final = 1000
"""Tenants billed by name; more are billed together as `OTHERS`."""
OTHERS: Final = "(others)"

LIST_PRICES: Final[dict[str, dict[str, dict[str, str]]]] = {
    "openai": {
        "gpt-5.6-sol": {"input": "4", "cache_read": "0.4", "cache_write": "5", "output": "20"},
        "gpt-5.6-luna": {
            "input": "0.2", "cache_read": "0.02", "cache_write": "0.25", "output": "1.2",
        },
        "gpt-5-mini": {"input": "0.25", "cache_read": "0.025", "output": "2"},
        "text-embedding-3-small": {"input": "0.02"},
    },
    "anthropic": {
        "claude-sonnet-5-5": {
            "input": "2", "cache_read": "0.1", "cache_write_5m": "2.5", "cache_write_1h": "4",
            "output": "10",
        },
        "claude-haiku-4-5": {
            "input": "1", "cache_read": "0.1", "cache_write_5m": "1.25", "cache_write_1h": "2",
            "output": "5",
        },
    },
    "google": {"gemini-2.5-flash": {"input": "0.3", "cache_read": "0.03", "output": "2.5"}},
    "serp": {"serp.search": {"calls": "5000"}},
}  # fmt: skip
"""Dollars for a million tokens or calls, by provider, model and what is counted."""

SEARCH_TOOL: Final = "serp.search"

SERVED_AS: Final = {
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
}
"""The dated name that the wire states for a model asked by its short name."""

_NANOS = Decimal(1_000_000_000)
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Counts:
    """Billed quantities of one attempt, disjoint."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    calls: int = 0

    def items(self) -> list[tuple[str, int]]:
        """Return the names and quantities that are not 0."""
        named = [(name, getattr(self, name)) for name in self.__slots__]
        return [(name, count) for name, count in named if count]


def price(provider: str, model: str, counts: Counts) -> int:
    """Return nano-dollars, each quantity rounded once, half to even.

    Raises:
        KeyError: the model, or something that was counted, has no list price.
    """
    rates = LIST_PRICES[provider][model]
    return sum(
        int((Decimal(rates[name]) * count / _MILLION * _NANOS).to_integral_value(ROUND_HALF_EVEN))
        for name, count in counts.items()
    )


@dataclass(slots=True)
class _Account:
    nanos: int = 0
    attempts: int = 0
    failed: int = 0
    cut: int = 0
    models: dict[str, dict[str, int]] = field(default_factory=dict)


class Bill:
    """What every tenant owes; one event loop writes to it. Memory is bounded by `MAX_TENANTS`."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self.in_flight = 0
        """Attempts that were accepted and are not billed yet."""

    def charge(self, tenant: str, model: str, nanos: int, *, cut: bool = False) -> None:
        """Bill an attempt that generated."""
        account = self._account(tenant)
        account.cut += cut
        self._add(account, model, nanos)

    def fail(self, tenant: str, model: str) -> None:
        """Count an attempt that failed before generation: it costs nothing."""
        account = self._account(tenant)
        account.failed += 1
        self._add(account, model, 0)

    def as_dict(self) -> dict[str, Any]:
        """Return the bill as `GET /bill` gives it, money in nano-dollars."""
        accounts = {
            tenant: {
                "nanos": account.nanos,
                "attempts": account.attempts,
                "failed": account.failed,
                "cut": account.cut,
                "models": account.models,
            }
            for tenant, account in sorted(self._accounts.items())
        }
        return {
            "tenants": accounts,
            "nanos": sum(a.nanos for a in self._accounts.values()),
            "attempts": sum(a.attempts for a in self._accounts.values()),
            "in_flight": self.in_flight,
        }

    def _account(self, tenant: str) -> _Account:
        if tenant not in self._accounts and len(self._accounts) >= MAX_TENANTS:
            tenant = OTHERS
        return self._accounts.setdefault(tenant, _Account())

    @staticmethod
    def _add(account: _Account, model: str, nanos: int) -> None:
        account.nanos += nanos
        account.attempts += 1
        line = account.models.setdefault(model, {"nanos": 0, "attempts": 0})
        line["nanos"] += nanos
        line["attempts"] += 1
