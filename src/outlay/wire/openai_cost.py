"""The cost that some OpenAI-shaped vendors state in `usage`, read exactly to the last digit.

It owns where each vendor states it and in which unit; which vendor states one stands in its row.
An amount that cannot be a cost is a finding, never an error.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

from outlay.core.money import MAX_NANOS, nanos_from_usd
from outlay.wire.base import MAX_BODY_BYTES, Reading, as_dict
from outlay.wire.vendors import Vendor

_TICKS_EXPONENT: Final = -10
"""1e10 ticks are one dollar (xAI)."""


def load_exact(raw: bytes) -> Any:
    """Parse JSON with every fraction as an exact decimal, or return `None`."""
    if not raw or len(raw) > MAX_BODY_BYTES:
        return None
    try:
        return json.loads(raw, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def without_decimals(value: Any, depth: int = 0) -> Any:
    """Copy a usage object with floats for decimals, as the rest of the codec knows numbers."""
    if isinstance(value, Decimal):
        return float(value)
    if depth < 6 and isinstance(value, dict):
        return {key: without_decimals(item, depth + 1) for key, item in value.items()}
    if depth < 6 and isinstance(value, list):
        return [without_decimals(item, depth + 1) for item in value]
    return value


def stated_cost(reading: Reading, usage: dict[str, Any], vendor: Vendor) -> int | None:
    """Return the cost that the vendor states in its usage object, in nano-dollars.

    `usage` is as parsed by `load_exact`. With the caller's own upstream key (`is_byok`) the stated
    cost is the vendor's fee, and the upstream's cost is added; without one the upstream's cost
    only repeats the stated cost. Dollars are the only currency that is taken.
    """
    if vendor.cost == "ticks":
        ticks = usage.get("cost_in_usd_ticks")
        if not isinstance(ticks, int) or isinstance(ticks, bool) or abs(ticks) > MAX_NANOS * 10:
            return None
        return _nanos(reading, Decimal(ticks).scaleb(_TICKS_EXPONENT))
    if vendor.cost == "estimated_usd":
        return _nanos(reading, usage.get("estimated_cost"))
    if vendor.cost != "usd":
        return None
    cost = usage.get("cost")
    if isinstance(cost, dict):
        if cost.get("currency") not in (None, "USD"):
            reading.find("bad_cost")
            return None
        cost = cost.get("total_cost")
    nanos = _nanos(reading, cost)
    if nanos is not None and usage.get("is_byok") is True:
        upstream = as_dict(usage.get("cost_details")).get("upstream_inference_cost")
        nanos += _nanos(reading, upstream) or 0
    return nanos


def _nanos(reading: Reading, amount: Any) -> int | None:
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return None
    value = Decimal(amount)
    if value.is_signed() or not value.is_finite() or value.adjusted() > 9:
        reading.find("bad_cost")
        return None
    nanos = nanos_from_usd(value)
    return nanos if nanos <= MAX_NANOS else None
