"""What has no price yet, and pricing again: unpriced events, re-rating, spreading a cluster's cost.

All of it is the operator's: a key of one tenant sees none of it. It holds no logic of its own.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from outlay.act.rerate import Outcome, check_order
from outlay.act.spread import MAX_WEIGHT, WEIGHT_SCALE, Cluster, spread
from outlay.api.admin import moment
from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.services import Services
from outlay.core.calls import Call, call_of
from outlay.core.ceiling import ceiling_nanos
from outlay.core.prices import PriceBook
from outlay.core.rollup import DAY_US
from outlay.errors import BadRequestError, ForbiddenError
from outlay.store.base import EventFilter, OlapStore, PriceChange
from outlay.store.books.checks import check_time
from outlay.store.groups import UnpricedGroup

DEFAULT_DAYS: Final = 30
MAX_GROUPS: Final = 1000
WAIT_S: Final = 5.0
"""How long a re-rating waits for another one, such as the server's own after a change of prices."""

router = APIRouter()
Admin = Annotated[Caller, Depends(needs("admin"))]
Reader = Annotated[Caller, Depends(needs("read", "admin"))]
Time = Annotated[str | None, Query(max_length=64)]
Name = Annotated[str, Query(max_length=256)]

_TOKEN_UNITS: Final = (
    ("cache_read_tokens", "input_cache_read"),
    ("cache_write_tokens", "input_cache_write"),
    ("reasoning_tokens", "output_reasoning"),
)


class WindowBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which events: `from` and `to` are microseconds or RFC 3339, names as in the events."""

    start: int | str = msgspec.field(name="from")
    end: int | str = msgspec.field(name="to")
    reason: str
    provider: str = ""
    model: str = ""
    tenant: str = ""
    unpriced: bool = False
    apply: bool = False


class SpreadBody(msgspec.Struct, forbid_unknown_fields=True):
    """A cluster's hourly cost; weights are relative to an uncached input token."""

    start: int | str = msgspec.field(name="from")
    end: int | str = msgspec.field(name="to")
    reason: str
    provider: str
    model: str
    hourly_nanos: int
    cache_read_weight: float = 0.1
    output_weight: float = 3.0
    apply: bool = False


@router.get("/v1/prices/unpriced")
async def unpriced(
    request: Request,
    caller: Reader,
    *,
    start: Annotated[str | None, Query(alias="from", max_length=64)] = None,
    end: Annotated[str | None, Query(alias="to", max_length=64)] = None,
    provider: Name = "",
    model: Name = "",
    limit: Annotated[int, Query(ge=1, le=MAX_GROUPS)] = 100,
) -> dict[str, Any]:
    """List what has no price, by provider, model and reason, by default of the last 30 days."""
    _operator(caller)
    services: Services = request.app.state.services
    now = services.clock()
    last = moment(end, "to")
    first = moment(start, "from")
    until = now if last is None else last
    which = EventFilter(
        until - DEFAULT_DAYS * DAY_US if first is None else first,
        until,
        provider=provider,
        model=model,
        unpriced=True,
    )

    def work() -> list[dict[str, Any]]:
        groups = services.olap.unpriced(which, limit=limit)
        book = request.app.state.book_cache.book(services)
        return [_group(group, book, services.olap) for group in groups]

    groups = await services.query_workers.run(work)
    return {
        "unpriced": groups,
        "events": sum(group["events"] for group in groups),
        "from": which.start,
        "to": which.end,
    }


@router.post("/v1/prices/rerate")
async def rerate(request: Request, caller: Admin) -> dict[str, Any]:
    """Compare events with today's prices; with `apply`, write the adjustments."""
    services: Services = request.app.state.services
    body = await read_document(request, WindowBody)
    which = EventFilter(
        *_window(body.start, body.end),
        provider=body.provider,
        model=body.model,
        tenant=body.tenant,
        unpriced=body.unpriced,
    )
    outcome = await services.query_workers.run(
        services.rerater.run,
        which,
        reason=body.reason,
        actor=caller.key_id,
        apply=body.apply,
        wait_s=WAIT_S,
    )
    return _shown(outcome, applied=body.apply)


@router.post("/v1/prices/spread")
async def spread_cost(request: Request, caller: Admin) -> dict[str, Any]:
    """Spread a cluster's hourly cost over its tokens; with `apply`, set the rates and re-rate."""
    services: Services = request.app.state.services
    body = await read_document(request, SpreadBody)
    start, end = _window(body.start, body.end)
    cluster = Cluster(
        body.provider,
        body.model,
        body.hourly_nanos,
        cache_read_weight=_millionths(body.cache_read_weight, "cache_read_weight"),
        output_weight=_millionths(body.output_weight, "output_weight"),
    )
    which = EventFilter(start, end, provider=cluster.provider, model=cluster.model)
    check_order(which, body.reason)

    def run() -> dict[str, Any]:
        now = services.clock()
        found = spread(services.olap, cluster, start=start, end=end, now=now)
        answer: dict[str, Any] = {
            "hours": found.hours, "idle_hours": found.idle_hours,
            "spread_nanos": found.spread_nanos, "idle_nanos": found.idle_nanos,
            "rates": [asdict(row) for row in found.rates], "applied": body.apply,
        }  # fmt: skip
        if body.apply and found.rates:
            change = PriceChange(rates=tuple(found.rates))
            actor = caller.key_id
            services.books.change_prices(change, reason=body.reason, actor=actor, at=now)
            outcome = services.rerater.run(
                which, reason=body.reason, actor=actor, apply=True, wait_s=WAIT_S
            )
            answer["rerated"] = _shown(outcome, applied=True)
        return answer

    return await services.query_workers.run(run)


def _operator(caller: Caller) -> None:
    if caller.tenant is not None:
        raise ForbiddenError("This is for keys that are not bound to one tenant.")


def _window(start: int | str, end: int | str) -> tuple[int, int]:
    first, last = moment(start, "from"), moment(end, "to")
    return check_time(first, "from"), check_time(last, "to")


def _millionths(weight: float, where: str) -> int:
    if not 0 <= weight <= MAX_WEIGHT:
        raise BadRequestError(f"`{where}` must be from 0 to {MAX_WEIGHT}.", where=where)
    return round(weight * WEIGHT_SCALE)


def _group(group: UnpricedGroup, book: PriceBook, olap: OlapStore) -> dict[str, Any]:
    """Describe a group, with what its tokens are held at for limits.

    A group without tokens used something else, or nobody knows what: it is held at what its
    example is, as many times as there are events.
    """
    tokens = dict(group.tokens)
    usage = {unit: tokens[name] for name, unit in _TOKEN_UNITS}
    usage["input"] = tokens["input_tokens"] - usage["input_cache_read"] - usage["input_cache_write"]
    usage["output"] = tokens["output_tokens"] - usage["output_reasoning"]
    call = Call(
        provider=group.provider,
        names=(group.model,) if group.model else (),
        at=group.last_at,
        usage={unit: count for unit, count in usage.items() if count > 0},
    )
    held = ceiling_nanos(book, call)
    if not call.usage and (event := olap.event(group.event_id)) is not None:
        held = group.events * ceiling_nanos(book, call_of(event, at=event["started_at"]))
    return {**asdict(group), "ceiling_nanos": held}


def _shown(outcome: Outcome, *, applied: bool) -> dict[str, Any]:
    return {**asdict(outcome), "applied": applied}
