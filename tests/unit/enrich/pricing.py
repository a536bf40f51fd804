"""Events, and both ways to price them, for the tests that columns and scalar agree exactly."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from outlay.core.calls import Call, call_of
from outlay.core.event import FIELDS
from outlay.core.prices import PriceBook
from outlay.core.rating import FLAGS, price_call
from outlay.core.selling import sell_call
from outlay.enrich.price import price_table
from outlay.stream.columns import CAPTURED_SCHEMA

DEFAULTS = {field.name: field.default for field in FIELDS if not field.enriched}
AT = 1_785_000_000_000_000
USD = 1_000_000_000
PLANNED_SCHEMA = CAPTURED_SCHEMA.append(pa.field("plan", pa.string()))


def event(**fields: Any) -> dict[str, Any]:
    """Return an event's captured fields, and its tenant's plan."""
    made = {**DEFAULTS, "event_id": bytes(16), "started_at": AT, "ended_at": AT, "status": "ok"}
    made |= {"operation": "chat", "provider": "openai", "model_served": "gpt-5.6-sol"}
    made |= {"plan": None}
    made |= fields
    made["other_units"] = list((made["other_units"] or {}).items()) or None
    return made


def table(events: list[dict[str, Any]]) -> pa.Table:
    """Return events as the worker gives them to pricing."""
    return pa.Table.from_pylist(events, schema=PLANNED_SCHEMA)


def by_columns(events: pa.Table, book: PriceBook) -> list[dict[str, Any]]:
    """Return the enriched columns by row, priced in bulk."""
    rows: list[dict[str, Any]] = pa.table(price_table(events, book)).to_pylist()
    return rows


def call(fields: dict[str, Any]) -> Call:
    """Return an event as a call."""
    said = {**fields, "other_units": dict(fields["other_units"] or ())}
    return call_of(said, at=fields["started_at"])


def by_scalar(fields: dict[str, Any], book: PriceBook) -> dict[str, Any]:
    """Return the enriched columns of one event, priced and sold on its own."""
    cost = price_call(book, call(fields))
    sold = sell_call(book, call(fields), cost)
    flags = {*cost.flags, *sold.flags}
    return {
        "cost_nanos": cost.cost_nanos,
        **cost.columns,
        "lines": [
            {
                "unit": line.unit,
                "quantity": line.quantity,
                "rate_id": line.rate_id,
                "nanos": line.nanos,
                "basis": line.basis,
            }
            for line in cost.lines
        ],
        "price_basis": cost.price_basis,
        "price_confidence": cost.price_confidence,
        "price_book_hash": book.hash,
        "price_model": cost.price_model,
        "price_rule": cost.price_rule,
        "list_cost_nanos": cost.list_cost_nanos,
        "sell_nanos": sold.sell_nanos,
        "credits_micros": sold.credits_micros,
        "price_flags": [flag for flag in FLAGS if flag in flags],
    }
