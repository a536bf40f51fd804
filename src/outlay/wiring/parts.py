"""How the running parts are, in the words of the API; and pricing that counts what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from outlay.act.enforcer import Enforcer
from outlay.act.seeding import Seeder
from outlay.act.settle import Settler
from outlay.api.services import PartState
from outlay.core.event import UNATTRIBUTED
from outlay.core.prices import PriceBook
from outlay.enrich.price import price_table
from outlay.enrich.pump import SinkPump
from outlay.enrich.worker import Enricher
from outlay.errors import OutlayError
from outlay.gateway.gateway import Gateway


class CountingPrice:
    """Prices events, and counts those without a price and those without a tenant.

    A step that is tried again counts again.
    """

    def __init__(self) -> None:
        self.counts = {"unpriced": 0, "unattributed": 0}

    def __call__(self, events: pa.Table, book: PriceBook) -> Mapping[str, Any]:
        """Return the cost columns of events."""
        priced: Mapping[str, Any] = price_table(events, book)
        self.counts["unpriced"] += _equal(priced["price_basis"], "unpriced")
        self.counts["unattributed"] += _equal(events.column("tenant_id"), UNATTRIBUTED)
        return priced


def _equal(column: Any, value: str) -> int:
    return int(pc.sum(pc.equal(column, value)).as_py() or 0)


def of_enricher(worker: Enricher, price: CountingPrice) -> PartState:
    """Return the state of the enrichment worker."""
    try:
        state = worker.state()
    except OutlayError as error:
        return PartState("enrich", ok=False, error=error.message)
    return PartState(
        "enrich",
        ok=state.running and not state.failures,
        offset=state.offset,
        lag_events=state.lag_records,
        error=state.last_error if state.failures else None,
        counts={
            "enriched": state.events,
            "duplicate": state.duplicates,
            "dead": state.dead,
            **price.counts,
        },
    )


def of_pump(name: str, pump: SinkPump) -> PartState:
    """Return the state of a store's pump."""
    try:
        state = pump.state()
    except OutlayError as error:
        return PartState(name, ok=False, error=error.message)
    return PartState(
        name,
        ok=state.running and not state.failures,
        offset=state.offset,
        lag_events=state.lag_events,
        error=state.last_error if state.failures else None,
        counts={"stored": state.events, "skipped": state.skipped},
    )


def of_enforcer(enforcer: Enforcer) -> list[PartState]:
    """Return the states of what enforces limits."""
    return [
        PartState(part.name, ok=part.ok, error=part.error, counts=part.counts)
        for part in enforcer.states()
    ]


def of_gateway(gateway: Gateway) -> list[PartState]:
    """Return the states of the gateway in this process, which has asked nobody yet at first."""
    began = gateway.feed.tried.is_set()
    return [
        PartState(f"gateway_{name}", ok=False, error=part["detail"])
        if began and not part["ok"]
        else PartState(f"gateway_{name}", ok=True)
        for name, part in gateway.parts().items()
    ]


def of_settler(settler: Settler, seeder: Seeder) -> PartState:
    """Return the state of what counts events for limits; what waits for its past shows too."""
    try:
        state, seeds = settler.state(), seeder.state()
    except OutlayError as error:
        return PartState("settle", ok=False, error=error.message)
    failed = state.last_error if state.failures else seeds.last_error
    return PartState(
        "settle",
        ok=state.running and seeds.running and not state.failures,
        offset=state.offset,
        lag_events=state.lag_records,
        error=failed or None,
        counts={
            "counted": state.events,
            "skipped": state.skipped,
            "unsure": state.unsure + seeds.inexact,
            "seeded": seeds.seeded,
            "waiting": seeds.waiting,
        },
    )
