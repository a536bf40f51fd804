"""How the prices of a table of events differ from what is booked, and the adjustments of that.

Owns what an adjustment takes over of its event. It reads tables and returns tables: no storage, no
prices of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.adjustment import Adjustment, adjustment_id, difference, net_lines
from outlay.core.event import CAPTURED
from outlay.core.rating import UNPRICED
from outlay.stream.columns import CAPTURED_SCHEMA

_AMOUNTS: Final = ("cost_nanos", "list_cost_nanos", "sell_nanos", "credits_micros")
_PRICED: Final = (
    *_AMOUNTS, "lines", "price_basis", "price_confidence", "price_model", "price_rule",
    "price_book_hash",
)  # fmt: skip
_READ: Final = (
    "event_id", "tenant_id", "provider", "model_served", "price_model", "price_basis", "lines",
    *_AMOUNTS,
)  # fmt: skip
"""What is looked at of an event whose price may differ."""
_NOT_TAKEN_OVER: Final = frozenset(
    (
        "event_id", "provider_request_id", "response_id", "fallback_from", "latency_ms", "ttft_ms",
        "input", "input_cache_read", "input_cache_write_5m", "input_cache_write_1h", "output",
        "output_reasoning", "other_units", "usage_raw", "segments", "findings", "tool_calls",
        "provider_cost_nanos", "hold_id", "estimate_nanos", "limit_action", "max_tokens", "kind",
        "adjusts_event_id", "reason",
    )
)  # fmt: skip
"""What an adjustment does not repeat of its event: it used nothing itself."""


@dataclass(frozen=True, slots=True)
class Found:
    """An event whose price differs: its row in its table, its adjustments so far, the change."""

    row: int
    event: Mapping[str, Any]
    number: int
    change: Adjustment


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs in a table of events, and how many of them have no price still."""

    found: list[Found]
    still_unpriced: int


def find_changes(events: pa.Table, adjustments: pa.Table, priced: Mapping[str, Any]) -> Changes:
    """Return the events whose price differs from what is booked.

    Args:
        events: usage events, enriched.
        adjustments: the adjustments of them so far, the oldest first.
        priced: what the book makes of the events; `enrich.price.price_table`.
    """
    at = pa.array(_suspects(events, adjustments, priced))
    if not len(at):
        return Changes([], 0)
    adjusted = _by_event(adjustments)
    told = {name: priced[name].take(at).to_pylist() for name in _PRICED}
    found, still_unpriced = [], 0
    rows = zip(at.to_pylist(), events.select(_READ).take(at).to_pylist(), strict=True)
    for place, (row, event) in enumerate(rows):
        now = {name: values[place] for name, values in told.items()}
        before = adjusted.get(event["event_id"], [])
        basis = before[-1]["price_basis"] if before else event["price_basis"]
        if now["price_basis"] == UNPRICED:
            still_unpriced += basis == UNPRICED
            continue
        change = _change(event, before, now, was_unpriced=basis == UNPRICED)
        if change.changes:
            found.append(Found(row, event, len(before), change))
    return Changes(found, still_unpriced)


def adjustments_of(events: pa.Table, changes: Sequence[Found], reason: str) -> pa.Table:
    """Return the adjustments of a step as captured events."""
    picked = events.take(pa.array([one.row for one in changes]))
    documents = [one.change.to_json() for one in changes]
    ids = [one.event["event_id"] for one in changes]
    made = [
        UUID(adjustment_id(str(UUID(bytes=event_id)), one.number, document)).bytes
        for event_id, one, document in zip(ids, changes, documents, strict=True)
    ]
    size = len(changes)
    own: dict[str, list[Any]] = {
        "event_id": made,
        "kind": ["adjustment"] * size,
        "adjusts_event_id": ids,
        "reason": [reason] * size,
        "usage_raw": documents,
    }
    arrays = [
        picked.column(field.name)
        if field.name not in _NOT_TAKEN_OVER
        else pa.array(own.get(field.name) or [field.default] * size, type_.type)
        for field, type_ in zip(CAPTURED, CAPTURED_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=CAPTURED_SCHEMA)


def _suspects(
    events: pa.Table, adjustments: pa.Table, priced: Mapping[str, Any]
) -> npt.NDArray[np.int64]:
    """Return the rows that may differ: other amounts, adjusted before, or without a price."""
    ids = adjustments.column("adjusts_event_id").combine_chunks()
    told = pc.is_in(events.column("event_id"), value_set=ids)
    for name in _AMOUNTS:
        old, new = (pc.fill_null(column, 0) for column in (events.column(name), priced[name]))
        told = pc.or_(told, pc.not_equal(old, new))
    for basis in (events.column("price_basis"), priced["price_basis"]):
        told = pc.or_(told, pc.equal(basis, UNPRICED))
    return np.flatnonzero(told.to_numpy())


def _change(
    event: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
    now: Mapping[str, Any],
    *,
    was_unpriced: bool,
) -> Adjustment:
    sums = {n: sum(int(e[n] or 0) for e in (event, *before)) for n in _AMOUNTS}
    booked = net_lines(e["lines"] or () for e in (event, *before))
    listed = now["list_cost_nanos"]
    return Adjustment(
        was_nanos=sums["cost_nanos"],
        now_nanos=now["cost_nanos"],
        lines=difference(booked, now["lines"] or ()),
        # A list price that nobody knows any more is not $0: what was said of it stays.
        list_change=0 if listed is None else listed - sums["list_cost_nanos"],
        sell_change=int(now["sell_nanos"] or 0) - sums["sell_nanos"],
        credits_change=int(now["credits_micros"] or 0) - sums["credits_micros"],
        price_basis=now["price_basis"],
        price_confidence=now["price_confidence"] or "",
        price_model=event["price_model"],
        now_model=now["price_model"],
        price_rule=now["price_rule"],
        price_book_hash=now["price_book_hash"] or "",
        priced_late=was_unpriced,
    )


def _by_event(adjustments: pa.Table) -> dict[bytes, list[dict[str, Any]]]:
    found: dict[bytes, list[dict[str, Any]]] = {}
    names = ["adjusts_event_id", *_AMOUNTS, "lines", "price_basis"]
    for row in adjustments.select(names).to_pylist():
        found.setdefault(row["adjusts_event_id"], []).append(row)
    return found
