"""Roll-ups: which sums they keep, by which keys, and which whole buckets cover a window.

Every sum is an integer and additive, so a roll-up answer equals the event answer exactly.
`event_sums` is the definition that every engine's SQL is tested against. Pure: no storage, no
clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from outlay.core import units
from outlay.core.event import MAX_COUNT

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

MINUTE_KEYS: Final = ("tenant", "feature")
"""Dimensions the minute roll-up keeps: live views."""

DAY_KEYS: Final = (
    "tenant", "feature", "workflow", "agent", "operation", "provider", "model", "initiator",
    "plan", "tier", "contract_type", "environment", "service", "status", "price_basis", "kind",
)  # fmt: skip
"""Dimensions the day roll-up keeps: reports. Plan, tier and contract follow from the tenant, so
they add no rows; users, labels and ids would add one a call, so they are left to events."""

CALL_OPERATIONS: Final = (
    "chat", "text_completion", "embeddings", "rerank", "image", "speech", "transcription",
    "realtime", "tool", "retrieval",
)  # fmt: skip
"""Operations counted as calls: model calls, tools and retrieval, not metered resources."""

ERROR_STATUSES: Final = ("error", "timeout")
"""Statuses counted as errors; `refused`, `blocked` and `aborted` are outcomes of their own."""

PRICED_LATE: Final = "priced_late"
"""The flag of an adjustment that gives a price to an event which had none."""

SUMS: Final = (
    "events", "calls", "attempts", "errors", "unpriced",
    "cost_nanos", "list_cost_nanos", "cost_input_nanos", "cost_cache_read_nanos",
    "cost_cache_write_nanos", "cost_output_nanos", "cost_other_nanos", "provider_cost_nanos",
    "sell_nanos", "credits_micros", "estimated_cost_nanos",
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens",
    "latency_us", "latency_count", "ttft_us", "ttft_count",
)  # fmt: skip
"""The additive sums every roll-up row keeps, in column order."""


_MONEY: Final = ("_nanos", "_micros")

MAX_MICROS: Final = MAX_COUNT
"""Bound of one event's latency in a sum, so that a nonsense value cannot overflow a total."""


def micros(milliseconds: float | None) -> int | None:
    """Return whole microseconds of a time in an event; `None` if it has none or a nonsense one."""
    if milliseconds is None or not math.isfinite(milliseconds):
        return None
    return min(max(round(milliseconds * 1000), 0), MAX_MICROS)


def token_sums(event: Mapping[str, Any]) -> dict[str, int]:
    """Return the token totals of one event; units of other modalities count where they belong."""
    usage = {unit: int(event.get(unit) or 0) for unit in units.EVENT_UNITS}
    usage.update(event.get("other_units") or {})
    return {
        "input_tokens": units.input_total(usage),
        "output_tokens": units.output_total(usage),
        "cache_read_tokens": sum(n for u, n in usage.items() if units.is_cache_read(u)),
        "cache_write_tokens": sum(n for u, n in usage.items() if units.is_cache_write(u)),
        "reasoning_tokens": usage[units.REASONING],
    }


def event_sums(event: Mapping[str, Any]) -> dict[str, int]:
    """Return what one event adds to each of `SUMS`.

    Money sums over all kinds, so an adjustment corrects the total. Counts and times take only
    `kind = usage`: an adjustment is no call. One that gives an unpriced event its price takes it
    from the unpriced ones.
    """
    usage = event["kind"] == "usage"
    attempt = usage and event["operation"] in CALL_OPERATIONS
    estimated = event["price_basis"] == "estimate" or event.get("price_confidence") == "estimated"
    priced_late = event["kind"] == "adjustment" and PRICED_LATE in (event.get("flags") or ())
    money = {name: int(event.get(name) or 0) for name in SUMS if name.endswith(_MONEY)}
    latency = micros(event.get("latency_ms")) if usage else None
    ttft = micros(event.get("ttft_ms")) if usage else None
    return {
        "events": 1,
        "calls": int(attempt and event["attempt"] == 0),
        "attempts": int(attempt),
        "errors": int(usage and event["status"] in ERROR_STATUSES),
        "unpriced": int(usage and event["price_basis"] == "unpriced") - int(priced_late),
        **money,
        "estimated_cost_nanos": money["cost_nanos"] if estimated else 0,
        **token_sums(event),
        "latency_us": latency or 0,
        "latency_count": int(latency is not None),
        "ttft_us": ttft or 0,
        "ttft_count": int(ttft is not None),
    }


def whole(start: int, end: int, size: int) -> tuple[int, int]:
    """Return the whole buckets of `size` inside a window as `[first, last)`.

    An empty result has `first == last`. Times are microseconds UTC.
    """
    first = -(-start // size) * size
    last = end // size * size
    return (first, last) if first < last else (first, first)
