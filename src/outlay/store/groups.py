"""What an OLAP store tells of many events at once: those without a price, and how estimates do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EstimateGroup:
    """How the calls of one model and agent that were held compare with what they were held at.

    Amounts are sums in nano-dollars: what was held, what it cost as priced at first, and the
    absolute difference of each call. `under` calls cost more than was held for them; `worst` is
    the largest difference, of the event `worst_event`.
    """

    model: str
    agent: str
    holds: int
    estimated: int
    actual: int
    off: int
    under: int
    worst: int
    worst_event: str


@dataclass(frozen=True, slots=True)
class UnpricedGroup:
    """Events that have no price, of one provider and model and for one reason.

    `reason` is `unknown_model` (no row of the book knows the name), `no_rate` (a unit of the model
    has no rate) or `usage_unknown` (it may have been billed, and nobody told for what). Times are
    microseconds UTC; `event_id` is one of them to look at.
    """

    provider: str
    model: str
    reason: str
    events: int
    tenants: int
    first_at: int
    last_at: int
    event_id: str
    tokens: Mapping[str, int]
