"""Questions about limits: what they would have done, and how good the estimates are.

It holds no logic of its own.
"""

from __future__ import annotations

import threading
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from outlay.act.ceilings import Ceilings
from outlay.act.estimates import report
from outlay.act.replay import MAX_TOP, replay
from outlay.api.admin import moment
from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.services import Services
from outlay.core.limits.document import read_limits
from outlay.core.limits.limit import Limit, Override
from outlay.core.rollup import DAY_US
from outlay.errors import BadRequestError, ForbiddenError, NotFoundError, UnavailableError
from outlay.store.base import EventFilter
from outlay.store.books.checks import check_time

DEFAULT_DAYS: Final = 30
MAX_GROUPS: Final = 1000
MAX_CHECKED: Final = 1000
"""Limits that one dry run takes."""

router = APIRouter()
Reader = Annotated[Caller, Depends(needs("read", "admin"))]
Time = Annotated[str | None, Query(max_length=64)]

_running = threading.Lock()
"""A dry run keeps a processor busy for seconds: one goes at a time."""


class CheckBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which limits (as a document has them, by id, or all there are), over which time."""

    start: int | str | None = msgspec.field(name="from", default=None)
    end: int | str | None = msgspec.field(name="to", default=None)
    limits: list[dict[str, Any]] | None = None
    ids: list[str] | None = None
    top: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOP)] = 10


@router.post("/v1/limits/check")
async def check(request: Request, caller: Reader) -> dict[str, Any]:
    """Tell what limits would have done to the calls of a range, by default of the last 30 days."""
    if caller.tenant is not None:
        raise ForbiddenError("This is for keys that are not bound to one tenant.")
    services: Services = request.app.state.services
    body = await read_document(request, CheckBody)
    start, end = _window(body.start, body.end, services.clock())
    proposed = None if body.limits is None else read_limits({"limits": body.limits}).limits
    if proposed is not None and body.ids is not None:
        raise BadRequestError("Give `limits` or `ids`, not both.", where="ids")

    def run() -> dict[str, Any]:
        limits, overrides = _kept(services, body.ids) if proposed is None else (list(proposed), [])
        if not limits:
            raise BadRequestError("There is no limit to check.", where="limits")
        if len(limits) > MAX_CHECKED:
            raise BadRequestError(f"One run takes {MAX_CHECKED} limits.", where="limits")
        if not _running.acquire(blocking=False):
            raise UnavailableError("Another dry run is going on.", hint="Try again soon.")
        try:
            ceilings = Ceilings(services.books, services.olap)
            return replay(
                services.olap, ceilings, limits,
                start=start, end=end, overrides=overrides, top=body.top,
            )  # fmt: skip
        finally:
            _running.release()

    return await services.query_workers.run(run)


@router.get("/v1/limits/estimates")
async def estimates(
    request: Request,
    caller: Reader,
    *,
    start: Annotated[str | None, Query(alias="from", max_length=64)] = None,
    end: Annotated[str | None, Query(alias="to", max_length=64)] = None,
    tenant: Annotated[str, Query(max_length=256)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_GROUPS)] = 100,
) -> dict[str, Any]:
    """Compare what calls were held at with what they cost, by model and agent.

    A key of one tenant sees its own calls, whatever it asks for.
    """
    services: Services = request.app.state.services
    first, last = _window(start, end, services.clock())
    which = EventFilter(first, last, tenant=tenant if caller.tenant is None else caller.tenant)
    return await services.query_workers.run(report, services.olap, which, limit=limit)


def _kept(services: Services, ids: list[str] | None) -> tuple[list[Limit], list[Override]]:
    """Return limits of the books, those of some ids or all, with the overrides there ever were."""
    known = {one.limit_id: one for one in services.books.limits()}
    for place, limit_id in enumerate(ids or ()):
        if limit_id not in known:
            raise NotFoundError("There is no such limit.", where=f"ids[{place}]")
    chosen = list(known.values()) if ids is None else [known[one] for one in dict.fromkeys(ids)]
    overrides = [one for one in services.books.overrides() if one.revoked_at is None]
    return chosen, overrides


def _window(start: int | str | None, end: int | str | None, now: int) -> tuple[int, int]:
    last = moment(end, "to")
    until = now if last is None else check_time(last, "to")
    first = moment(start, "from")
    since = until - DEFAULT_DAYS * DAY_US if first is None else check_time(first, "from")
    if since >= until:
        raise BadRequestError("The range ends before it begins.", where="to")
    return since, until
