"""A cluster's hourly cost, spread over the tokens that were measured on it.

What a self-hosted model costs is known by the hour, not by the token. For each hour the cost is
divided by that hour's weighted tokens; the result are ordinary rate rows that hold for that hour,
so the events of it are priced, re-rated and explained like any others. An hour without tokens has
nobody to charge and is reported as idle. It owns no storage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from outlay.core import units
from outlay.core.rates import RateRow
from outlay.core.rollup import HOUR_US
from outlay.errors import BadRequestError
from outlay.store.base import OlapStore
from outlay.store.books.price_checks import MAX_RATE
from outlay.store.query.model import parse_query

MAX_HOURS: Final = 24 * 31
MAX_WEIGHT: Final = 1000
WEIGHT_SCALE: Final = 1_000_000
MAX_HOURLY_NANOS: Final = 10**15
"""A million dollars an hour."""
_TOKENS: Final = ("input_tokens", "cache_read_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that serves one model, and what an hour of it costs in nano-dollars.

    The weights say what a cached input token and an output token count as, in millionths of an
    uncached input token.
    """

    provider: str
    model: str
    hourly_nanos: int
    cache_read_weight: int = 100_000
    output_weight: int = 3_000_000


@dataclass(slots=True)
class Spread:
    """The rates of each hour, and what could not be spread."""

    rates: list[RateRow] = field(default_factory=list)
    hours: int = 0
    idle_hours: int = 0
    spread_nanos: int = 0
    idle_nanos: int = 0


def spread(olap: OlapStore, cluster: Cluster, *, start: int, end: int, now: int) -> Spread:
    """Return the rates that spread a cluster's cost over whole hours, microseconds UTC.

    Raises:
        BadRequestError: the window is not of whole past hours, or an amount makes no sense.
    """
    _check(cluster, start, end, now)
    found = Spread()
    tokens = _hourly(olap, cluster, start, end, now)
    for hour in range(start, end, HOUR_US):
        found.hours += 1
        rows = _rates(cluster, hour, tokens.get(hour, {}))
        if rows:
            found.rates += rows
            found.spread_nanos += cluster.hourly_nanos
        else:
            found.idle_hours += 1
            found.idle_nanos += cluster.hourly_nanos
    return found


def _check(cluster: Cluster, start: int, end: int, now: int) -> None:
    if start % HOUR_US or end % HOUR_US or start >= end:
        raise BadRequestError(
            "The window must be whole hours, its end after its start.",
            where="from",
            hint="For example from 2026-11-20T00:00:00Z to 2026-11-21T00:00:00Z.",
        )
    if end > now:
        raise BadRequestError("Only hours that are over can be spread.", where="to")
    if (end - start) // HOUR_US > MAX_HOURS:
        raise BadRequestError(f"One run spreads at most {MAX_HOURS} hours.", where="to")
    if not cluster.provider or not cluster.model:
        raise BadRequestError("Name the provider and the model that it serves.", where="model")
    if not 0 < cluster.hourly_nanos <= MAX_HOURLY_NANOS:
        raise BadRequestError("The hourly cost must be above $0 and at most $1M.", where="hourly")
    for name in ("cache_read_weight", "output_weight"):
        if not 0 <= getattr(cluster, name) <= MAX_WEIGHT * WEIGHT_SCALE:
            raise BadRequestError(f"`{name}` must be from 0 to {MAX_WEIGHT}.", where=name)


def _hourly(
    olap: OlapStore, cluster: Cluster, start: int, end: int, now: int
) -> dict[int, Mapping[str, int]]:
    body: dict[str, Any] = {
        "metrics": list(_TOKENS), "grain": "hour", "from": start, "to": end, "limit": MAX_HOURS,
        "filters": [
            {"field": "provider", "op": "eq", "value": cluster.provider},
            {"field": "model", "op": "eq", "value": cluster.model},
        ],
    }  # fmt: skip
    answer = olap.query(parse_query(body, now=now, tenant=None), now=now)
    return {row[0]: dict(zip(_TOKENS, map(int, row[1:]), strict=True)) for row in answer.rows}


def _rates(cluster: Cluster, hour: int, tokens: Mapping[str, int]) -> list[RateRow]:
    weights = {
        units.INPUT: WEIGHT_SCALE,
        units.CACHE_READ: cluster.cache_read_weight,
        units.OUTPUT: cluster.output_weight,
    }
    read = tokens.get("cache_read_tokens", 0)
    counts = {
        units.INPUT: tokens.get("input_tokens", 0) - read,
        units.CACHE_READ: read,
        units.OUTPUT: tokens.get("output_tokens", 0),
    }
    weighted = sum(counts[unit] * weight for unit, weight in weights.items())
    if weighted <= 0:
        return []
    # Half up, in integers: nanos x weight x 1e6 / weighted tokens.
    prices = {
        unit: (2 * cluster.hourly_nanos * weight * 1_000_000 + weighted) // (2 * weighted)
        for unit, weight in weights.items()
    }
    if max(prices.values()) > MAX_RATE:
        raise BadRequestError(
            f"The hour from {hour} (microseconds UTC) has too few tokens to bear its cost.",
            where="from",
            hint="Leave that hour out: its cost is idle time rather than a price.",
        )
    source = f"cluster at {cluster.hourly_nanos} nano-dollars an hour"
    return [
        RateRow.make(
            cluster.provider,
            cluster.model,
            unit,
            nanos,
            layer="override",
            valid_from=hour,
            valid_to=hour + HOUR_US,
            source=source,
        )
        for unit, nanos in prices.items()
    ]
