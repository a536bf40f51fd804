"""One event's price, taken apart: buckets, rules, rates, and arithmetic anyone can redo. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from outlay.core.event import FIELDS
from outlay.core.money import RATE_SCALE, line_nanos
from outlay.core.prices import RateRow, Resolution
from outlay.core.rates import UNIT_FALLBACKS
from outlay.core.rating import any_guess, line_confidence
from outlay.wire.conventions import convention

_USAGE: Final = tuple(f.name for f in FIELDS if f.group == "usage" and f.type == "int64")


def rate_ids(event: Mapping[str, Any]) -> set[str]:
    """Return the ids of the rates that an event's lines, and its adjustments', used."""
    return {
        line["rate_id"]
        for one in (event, *(event.get("adjustments") or ()))
        for line in one.get("lines") or ()
        if line.get("rate_id")
    }


def explain(event: Mapping[str, Any], rates: Mapping[str, RateRow]) -> dict[str, Any]:
    """Return an event with its priced lines and how each came about.

    Args:
        event: the stored event.
        rates: the rate rows that its lines name, superseded ones included.
    """
    lines = _lines(event, rates)
    cost = event.get("cost_nanos") or 0
    total = sum(line["nanos"] for line in lines)
    usage = {unit: event[unit] for unit in _USAGE if event.get(unit)}
    usage.update(dict(event.get("other_units") or {}))
    names = {
        "requested": event.get("model_requested"),
        "served": event.get("model_served"),
        "priced_as": event.get("price_model"),
        "rule": event.get("price_rule"),
    }
    price = {
        "basis": event.get("price_basis"),
        "confidence": event.get("price_confidence"),
        "book": event.get("price_book_hash"),
        "stated_by_provider_nanos": event.get("provider_cost_nanos"),
    }
    derivation = {
        "tenant": {"id": event.get("tenant_id"), "vouched_by": event.get("tenant_source")},
        "usage": usage,
        "usage_source": event.get("usage_source"),
        "usage_raw": event.get("usage_raw"),
        "convention": convention(event.get("surface") or "", event.get("vendor") or ""),
        "model": {key: value for key, value in names.items() if value is not None},
        "price": {key: value for key, value in price.items() if value is not None},
        "arithmetic": [line["text"] for line in lines],
        "total": f"the lines add up to {total} nano-dollars; the event says {cost}",
        "adds_up": total == cost,
        "findings": list(event.get("findings") or ()),
    }
    changes = [_adjusted(one, rates) for one in event.get("adjustments") or ()]
    if changes:
        derivation["adjustments"] = changes
        derivation["cost_now_nanos"] = cost + sum(change["nanos"] for change in changes)
    return {"event": dict(event), "lines": lines, "derivation": derivation}


def _adjusted(event: Mapping[str, Any], rates: Mapping[str, RateRow]) -> dict[str, Any]:
    """Return what one adjustment changed, why, and by which rates."""
    lines = _lines(event, rates)
    return {
        "event_id": event.get("event_id"),
        "at": event.get("received_at"),
        "reason": event.get("reason"),
        "nanos": event.get("cost_nanos") or 0,
        "basis": event.get("price_basis"),
        "rule": event.get("price_rule"),
        "book": event.get("price_book_hash"),
        "lines": lines,
        "arithmetic": [line["text"] for line in lines],
    }


def _lines(event: Mapping[str, Any], rates: Mapping[str, RateRow]) -> list[dict[str, Any]]:
    guessed = any_guess(event.get("usage_source") or "", event.get("flags") or ())
    guessed = guessed or Resolution("", event.get("price_rule") or "", "").estimated
    return [
        _line(line, rates.get(line.get("rate_id") or ""), guessed=guessed)
        for line in event.get("lines") or ()
    ]


def _line(line: Mapping[str, Any], rate: RateRow | None, *, guessed: bool) -> dict[str, Any]:
    fallbacks = dict(UNIT_FALLBACKS.get(line.get("unit") or "", ()))
    note = "" if rate is None else fallbacks.get(rate.unit, "")
    basis = line.get("basis") or ""
    quantity, nanos = line.get("quantity") or 0, line.get("nanos") or 0
    per_million = None if rate is None else rate.nanos_per_million
    shown: dict[str, Any] = {
        "unit": line.get("unit"),
        "quantity": quantity,
        "rate_id": line.get("rate_id"),
        "nanos_per_million": per_million,
        "nanos": nanos,
        "basis": line.get("basis"),
        "confidence": line_confidence(basis, (note,), guessed=guessed),
        "source": None if rate is None else rate.source,
        "rate": None if rate is None else asdict(rate),
    }
    shown["text"] = _text(shown)
    return shown


def _text(line: Mapping[str, Any]) -> str:
    unit, quantity, nanos = line["unit"], line["quantity"], line["nanos"]
    rate = line["nanos_per_million"]
    if rate is None:
        return f"{unit}: {quantity} units, {nanos} nano-dollars ({line['basis']}, no rate row)"
    exact = line_nanos(quantity, rate) == nanos
    note = "" if exact else f", and the line says {nanos}"
    return (
        f"{unit}: {quantity} x {rate} nano-dollars / {RATE_SCALE} = "
        f"{line_nanos(quantity, rate)} nano-dollars{note}"
    )
