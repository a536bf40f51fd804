"""What pricing needs to know about one attempt, read from an event's fields or a reading's.

Owns `Call` and the words that conditions are normalised to. It knows no prices.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from outlay.core import units
from outlay.core.event import MAX_COUNT
from outlay.core.rates import price_speed, price_tier


@dataclass(frozen=True, slots=True)
class Call:
    """What pricing needs to know about one attempt; `at` is its start, microseconds UTC.

    `names` are the model as served, then as requested, then other names it may be known by.
    `segments` are `(model, usage)` of parts that were model calls of their own, each priced with
    its own model and context band; what `usage` holds beyond them is priced as the call itself.
    """

    provider: str
    names: tuple[str, ...]
    at: int
    usage: Mapping[str, int]
    host_class: str = ""
    region_class: str = ""
    tier: str = ""
    batch: bool = False
    speed: str = ""
    billed: str = "yes"
    usage_source: str = "provider"
    provider_cost_nanos: int | None = None
    segments: tuple[tuple[str, Mapping[str, int]], ...] = ()
    flags: tuple[str, ...] = ()
    modelled: bool = True
    """The call names a model; a tool known by its `name` alone has none that could be unknown."""
    tenant: str = ""
    plan: str = ""
    feature: str = ""
    duration_ms: int = 0
    """How long the attempt took, in milliseconds begun; 0 where that is not known."""
    max_tokens: int | None = None
    succeeded: bool = True
    """It counts where calls are sold: usage, not an adjustment, that ended well."""


def call_of(fields: Mapping[str, Any], *, at: int) -> Call:
    """Make a call from an event's captured fields, by their names in `core.event`.

    `other_units` and `usage` (a reading's) may both be given; `segments` is a list or JSON text.
    """
    usage = {unit: int(fields.get(unit) or 0) for unit in units.EVENT_UNITS}
    usage.update(fields.get("other_units") or {})
    usage.update(fields.get("usage") or {})
    tier, batch_tier = price_tier(fields.get("tier_served"), fields.get("tier_requested"))
    segments, readable = _segments(fields.get("segments"))
    return Call(
        provider=fields.get("provider") or fields.get("operation") or "",
        names=model_names(fields),
        at=at,
        usage={unit: count for unit, count in usage.items() if count > 0},
        host_class=fields.get("host_class") or "",
        region_class=fields.get("region_class") or "",
        tier=tier,
        batch=bool(fields.get("batch")) or batch_tier,
        speed=price_speed(fields.get("speed")),
        billed=fields.get("billed") or "yes",
        usage_source=fields.get("usage_source") or "provider",
        provider_cost_nanos=fields.get("provider_cost_nanos"),
        segments=segments,
        flags=() if readable else ("bad_segments",),
        modelled=any(fields.get(name) for name in NAME_FIELDS),
        tenant=fields.get("tenant_id") or "",
        plan=fields.get("plan") or "",
        feature=fields.get("feature") or "",
        duration_ms=_duration_ms(fields),
        max_tokens=fields.get("max_tokens"),
        succeeded=(fields.get("status") or "ok") == "ok"
        and (fields.get("kind") or "usage") == "usage",
    )


NAME_FIELDS: Final = ("model_served", "model_requested", "deployment")
"""Where a call's model names are looked for, in order; with none of them, its `name` counts."""


def model_names(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names that a call's model may be priced under, best first."""
    names = tuple(fields[name] for name in NAME_FIELDS if fields.get(name))
    return names or ((fields["name"],) if fields.get("name") else ())


def duration_ms(took_us: int, latency_ms: float | None) -> int:
    """Return how many milliseconds an attempt began; what its times say comes before its latency.

    Args:
        took_us: microseconds from its start to its end; not positive where that is not known.
        latency_ms: as in the event.
    """
    took = 0
    if took_us > 0:
        took = -(-took_us // 1000)
    elif latency_ms is not None and math.isfinite(latency_ms) and latency_ms > 0:
        took = math.ceil(latency_ms)
    return min(took, MAX_COUNT)


def _duration_ms(fields: Mapping[str, Any]) -> int:
    start, end = _micros(fields.get("started_at")), _micros(fields.get("ended_at"))
    took = 0 if start is None or end is None else end - start
    return duration_ms(took, fields.get("latency_ms"))


def _micros(value: Any) -> int | None:
    """Return a time as microseconds UTC; a datetime without a zone is UTC, as columns give it."""
    if type(value) is int:
        return value
    if isinstance(value, datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (zoned - _EPOCH) // _MICROSECOND
    return None


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _segments(value: Any) -> tuple[tuple[tuple[str, Mapping[str, int]], ...], bool]:
    """Read segments; the flag is false when they cannot be read whole, and none are returned."""
    if not value:
        return (), True
    try:
        items = json.loads(value) if isinstance(value, str) else value
        made = []
        for item in items:
            usage = {str(u): c for u, c in item["usage"].items() if type(c) is int and c > 0}
            if any(count > MAX_COUNT for count in usage.values()):
                return (), False
            made.append((str(item["model"] or ""), usage))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return (), False
    return tuple(made), True
