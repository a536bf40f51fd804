"""Prices readings by the real catalogue, as the server prices the events made of them."""

from __future__ import annotations

from functools import cache
from typing import Any

from outlay.core.calls import Call, call_of
from outlay.core.prices import PriceBook
from outlay.core.rating import Priced, price_call
from outlay.store.books.catalogue import load_catalogue
from outlay.wire.base import Reading

NAMES = (
    "provider", "operation", "host_class", "region_class", "model_requested", "model_served",
    "deployment", "tier_requested", "tier_served", "batch", "speed", "status", "billed", "usage",
    "usage_source", "provider_cost_nanos", "max_tokens",
)  # fmt: skip
"""What pricing looks at of a reading, beside its segments."""


@cache
def catalogue() -> PriceBook:
    """Return the installed catalogue with its corrections; read once a process."""
    return load_catalogue()


def call(reading: Reading, at: int) -> Call:
    """Return the call that a reading stands for; `at` is in seconds."""
    fields: dict[str, Any] = {name: getattr(reading, name) for name in NAMES}
    fields["segments"] = [{"model": s.model, "usage": s.usage} for s in reading.segments]
    return call_of(fields, at=at * 1_000_000)


def priced(reading: Reading, at: int, book: PriceBook | None = None) -> Priced:
    """Price a reading, by the catalogue unless a book is given; `at` is in seconds."""
    return price_call(book or catalogue(), call(reading, at))
