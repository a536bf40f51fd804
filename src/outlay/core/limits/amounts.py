"""What a call or an event counts for, by metric.

Owns the meaning of the metrics: `tokens` are all that the model read and produced, cached and
reasoning ones included; `calls` are attempts that were made, those that failed too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.core import units


def amounts_of(
    cost_nanos: int,
    usage: Mapping[str, int],
    credits_micros: int | None = None,
    *,
    calls: int = 1,
) -> dict[str, int]:
    """Return what usage counts for, by metric; without credits, there is no such metric.

    `calls` is 0 for what is no call of its own: a correction, or more of a stream.
    """
    read, produced = units.input_total(usage), units.output_total(usage)
    amounts = {
        "cost": cost_nanos,
        "tokens": read + produced,
        "input_tokens": read,
        "output_tokens": produced,
        "calls": calls,
        "concurrent_calls": calls,
    }
    if credits_micros is not None:
        amounts["credits"] = credits_micros
    return amounts


def amounts_of_event(fields: Mapping[str, Any]) -> dict[str, int]:
    """Return what an enriched event counts for, by its fields' names in `core.event`."""
    usage = {unit: int(fields.get(unit) or 0) for unit in units.EVENT_UNITS}
    usage.update(fields.get("other_units") or {})
    return amounts_of(
        int(fields.get("cost_nanos") or 0),
        usage,
        fields.get("credits_micros"),
        calls=int(is_call(fields)),
    )


def is_call(fields: Mapping[str, Any]) -> bool:
    """Tell whether an event is a call that was made: no correction, and not refused by a limit."""
    return (fields.get("kind") or "usage") == "usage" and fields.get("status") != "blocked"
