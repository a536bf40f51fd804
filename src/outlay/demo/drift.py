"""Does the installed catalogue still say what the bill's table says? Pure.

A newer `genai-prices` may know of a price change that the table does not: then the demo's totals
cannot agree, and this says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from outlay.demo.bill import LIST_PRICES

UNITS: Final[dict[str, tuple[str, ...]]] = {
    "input": ("input",),
    "cache_read": ("input_cache_read",),
    "cache_write": ("input_cache_write",),
    "cache_write_5m": ("input_cache_write_5m", "input_cache_write"),
    "cache_write_1h": ("input_cache_write_1h",),
    "output": ("output",),
}
"""Where the catalogue keeps what the bill counts: the first unit that has a rate holds."""

_NANOS = Decimal(1_000_000_000)
_CONDITIONS: Final = ("host_class", "region_class", "tier", "batch", "speed", "window")


def rate_differences(rates: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each price that the catalogue states otherwise, or not at all.

    Args:
        rates: the rates that hold now, as `GET /v1/prices` lists them.
    """
    known = {
        (rate["provider"], rate["model"], rate["unit"]): rate["nanos_per_million"]
        for rate in rates
        if not any(rate[name] for name in _CONDITIONS) and rate["min_context"] == 0
    }
    found = []
    for provider, models in LIST_PRICES.items():
        for model, prices in models.items():
            for counted, dollars in prices.items():
                if counted not in UNITS:
                    continue  # a tool: its price is recorded with the call, not looked up
                units = UNITS[counted]
                rate = next(
                    (known[key] for u in units if (key := (provider, model, u)) in known), None
                )
                if rate != Decimal(dollars) * _NANOS:
                    catalogue = "no price" if rate is None else f"${Decimal(rate) / _NANOS:f}"
                    found.append(
                        f"{provider} {model} {counted}: the demo's table says ${dollars} a"
                        f" million, the catalogue {catalogue}. Update LIST_PRICES."
                    )
    return found
