"""Local prices for the live totals: a snapshot of the server's price book.

What it says is a preview: the server prices every event itself. Without a book nothing has a
price, and that is said, never counted as free. The caller's thread only looks up; fetching and
the file beside the spool belong to the shipper's thread.
"""

from __future__ import annotations

import gzip
import math
import os
import time
from bisect import bisect_right
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from outlay.capture.guard import caught
from outlay.capture.transport import Transport
from outlay.core.calls import call_of, duration_ms
from outlay.core.prices import NO_RATES, PriceBook
from outlay.core.rates import RateSet, price_speed, price_tier
from outlay.core.rating import UNPRICED, price_call, rate, total_nanos
from outlay.core.units import input_total
from outlay.wire.base import Reading

REFRESH_S: Final = 300.0
"""How old prices may be before the server is asked again."""
RETRY_S: Final = (0.25, 15.0)
"""First and longest wait after the server did not give them; it doubles."""
MAX_KEPT: Final = 1024
"""Kinds of calls whose rates are kept; all are dropped when it is full."""
MAX_SNAPSHOT_BYTES: Final = 64 * 1024 * 1024


class Rates:
    """The price book this process knows, if any."""

    def __init__(self, cache: Path | None) -> None:
        self.book: PriceBook | None = None
        self._cache = cache
        self._cache_read = False
        self._next_at = 0.0
        self._retry_s = RETRY_S[0]
        self._kept: dict[tuple[Any, ...], tuple[float, float, float, float, RateSet]] = {}
        self._kept_of: PriceBook | None = None
        """The book that the kept rates are of."""

    def cost(self, reading: Reading, at: int, tenant: str = "", took_us: int = 0) -> int | None:
        """Return what an attempt costs in nano-dollars; `None` when no price is known.

        Agrees with `core.rating.price_call`; calls without parts take a shorter way.

        Args:
            reading: what the attempt's codec read.
            at: when it started, microseconds UTC.
            tenant: whose call it is.
            took_us: how long it took, in microseconds.
        """
        if reading.provider_cost_nanos is not None:
            return reading.provider_cost_nanos
        usage = reading.usage
        if reading.billed == "no":
            return 0
        book = self.book
        if book is None:
            return 0 if not usage and reading.billed != "possible" else None
        if reading.segments:
            parts = [{"model": s.model, "usage": s.usage} for s in reading.segments]
            fields = {name: getattr(reading, name) for name in _CALL_FIELDS}
            fields |= {"segments": parts, "usage": usage, "tenant_id": tenant}
            return _total(book, {**fields, "started_at": at, "ended_at": at + took_us}, at)
        rates = self._rates_of(book, reading, tenant, at, input_total(usage))
        took_ms = duration_ms(took_us, None)
        maybe = not usage and reading.billed == "possible"
        # Nobody told what it used: only what is charged by its time has a price all the same.
        if maybe and not rate(usage, rates, duration_ms=took_ms):
            return None
        return total_nanos(usage, rates, duration_ms=took_ms)

    def _rates_of(
        self, book: PriceBook, reading: Reading, tenant: str, at: int, read: int
    ) -> RateSet:
        """Return the rates of a call; those of the last calls of its kind are kept."""
        whose = tenant if tenant in book.tenants else ""
        key = (whose, *_conditions_of(reading))
        kept = self._kept.get(key)
        if kept is not None:
            since, until, least, most, rates = kept
            if self._kept_of is book and since <= at < until and least <= read < most:
                return rates
        if self._kept_of is not book or len(self._kept) >= MAX_KEPT:
            self._kept, self._kept_of = {}, book
        names = [
            name
            for name in (reading.model_served, reading.model_requested, reading.deployment)
            if name
        ]
        found = book.resolve(reading.provider, names, tenant)
        if found is None:
            return NO_RATES
        tier, batch_tier = price_tier(reading.tier_served, reading.tier_requested)
        rates = book.rate_set(
            found.provider, found.model, host_class=reading.host_class,
            region_class=reading.region_class or found.region_class, tier=tier,
            batch=reading.batch or batch_tier, speed=price_speed(reading.speed),
            tenant=tenant, at=at, input_total=read, list_price=found.borrowed,
        )  # fmt: skip
        steps = book.steps(found.provider, found.model)
        if not steps.week_times:
            self._kept[key] = (*_around(steps.times, at), *_around(steps.contexts, read), rates)
        return rates

    def cost_of_fields(self, fields: Mapping[str, Any], at: int, tenant: str = "") -> int | None:
        """Return what an event made by `record` costs; `None` when no price is known."""
        stated = fields.get("provider_cost_nanos")
        if stated is not None:
            return int(stated)
        if self.book is None:
            return None
        return _total(self.book, {**fields, "tenant_id": tenant}, at)

    def refresh(self, transport: Transport | None) -> None:
        """Read the kept snapshot, and ask the server for a newer one when it is time."""
        if transport is None:
            return
        if not self._cache_read:
            self._cache_read = True
            self._read_cache()
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + self._retry_s
        self._retry_s = min(2 * self._retry_s, RETRY_S[1])
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if self.book is not None:
            headers["If-None-Match"] = f'"{self.book.hash}"'
        try:
            reply = transport.request("GET", "/v1/prices/snapshot", headers=headers)
        except OSError:
            return  # the shipper says that the server is away
        if reply.status == 304:
            self._next_at, self._retry_s = now + REFRESH_S, RETRY_S[0]
        elif reply.status == 200:
            body = reply.body
            if reply.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if len(body) <= MAX_SNAPSHOT_BYTES:
                self.book = PriceBook.from_snapshot(body)
                self._next_at, self._retry_s = now + REFRESH_S, RETRY_S[0]
                self._write_cache(body)

    def _read_cache(self) -> None:
        if self._cache is None or not self._cache.exists():
            return
        try:
            self.book = PriceBook.from_snapshot(self._cache.read_bytes())
        except (OSError, ValueError) as error:
            caught("rates.cache", error)

    def _write_cache(self, body: bytes) -> None:
        if self._cache is None:
            return
        part = self._cache.with_name(f"{self._cache.name}.{os.getpid()}")
        try:
            part.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # the spool may come later
            part.write_bytes(body)
            part.replace(self._cache)
        except OSError as error:
            caught("rates.cache", error)


_conditions_of: Final = attrgetter(
    "provider", "model_served", "model_requested", "deployment", "host_class", "region_class",
    "tier_served", "tier_requested", "batch", "speed",
)  # fmt: skip
"""All of a reading that its rates depend on, beside what it used and when."""
_CALL_FIELDS: Final = (
    "provider", "operation", "model_served", "model_requested", "deployment", "tier_served",
    "tier_requested", "host_class", "region_class", "batch", "speed", "billed", "usage_source",
)  # fmt: skip


def _around(steps: tuple[int, ...], value: int) -> tuple[float, float]:
    """Return the span between two steps that a value lies in, its end excluded."""
    place = bisect_right(steps, value)
    low = steps[place - 1] if place else -math.inf
    return low, (steps[place] if place < len(steps) else math.inf)


def _total(book: PriceBook, fields: Mapping[str, Any], at: int) -> int | None:
    priced = price_call(book, call_of(fields, at=at))
    return None if priced.price_basis == UNPRICED else priced.cost_nanos
