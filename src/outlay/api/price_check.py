"""Comparing our prices: with a second catalogue, and with what providers themselves stated.

What differs becomes a finding, kept until a person resolves it with a reason. Findings are the
operator's: a key of one tenant sees none.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from outlay.api.admin import moment
from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.price_edit import read_bytes
from outlay.api.prices import BookCache, Limit, Name
from outlay.api.services import Services
from outlay.errors import BadRequestError, ForbiddenError
from outlay.store.base import Answer, Finding
from outlay.store.books.litellm import MAX_FILE_BYTES, compare, read_litellm
from outlay.store.query.model import MAX_LIMIT, Filter
from outlay.store.query.model import Query as Question
from outlay.store.query.parse import duration

STATED: Final = "stated_drift"
DEFAULT_TOLERANCE: Final = 1.0
"""Percent that two prices may differ by."""
DEFAULT_LAST: Final = "7d"
MAX_LISTED: Final = 1000
"""Names of each kind that a comparison spells out; the counts are of all."""

router = APIRouter()
Admin = Annotated[Caller, Depends(needs("admin"))]
Operator = Annotated[Caller, Depends(needs("admin", "operate"))]
Reader = Annotated[Caller, Depends(needs("read", "admin"))]
Tolerance = Annotated[float, Query(ge=0, le=1000)]

_STATED_BY_PROVIDER: Final = Filter("price_basis", "eq", "provider_stated")
_DRIFTED: Final = Filter("flag", "eq", "price_drift")


class ResolveBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which finding is settled, and why."""

    kind: str
    subject: str
    reason: str


@router.post("/v1/prices/diff")
async def diff(
    request: Request,
    caller: Admin,
    against: Literal["litellm", "stated"] = "litellm",
    tolerance: Tolerance = DEFAULT_TOLERANCE,
    at: Name = None,
    last: Annotated[str, Query(max_length=16)] = DEFAULT_LAST,
) -> dict[str, Any]:
    """Compare the book with LiteLLM's file in the body, or with what providers stated lately."""
    del caller
    services: Services = request.app.state.services
    now = services.clock()
    if against == "stated":
        return await services.query_workers.run(_stated, services, tolerance, last, now)
    _, body = await read_bytes(request, known=("application/json",), most=MAX_FILE_BYTES)
    asked = moment(at, "at")
    when = now if asked is None else asked

    def work() -> dict[str, Any]:
        cache: BookCache = request.app.state.book_cache
        entries = read_litellm(body)
        found = compare(cache.book(services), entries, at=when, tolerance_percent=tolerance)
        services.books.find(found.findings(at=now)[:MAX_LISTED], at=now)
        lists = {
            name: sorted(getattr(found, name))
            for name in ("models_only_theirs", "models_only_ours", "prices_only_theirs")
        }
        return {
            "against": against,
            "at": when,
            "tolerance_percent": tolerance,
            "compared": found.compared,
            "differences": [d.as_dict() for d in found.differences[:MAX_LISTED]],
            "counts": {
                "differences": len(found.differences),
                **{name: len(names) for name, names in lists.items()},
            },
            **{name: names[:MAX_LISTED] for name, names in lists.items()},
        }

    return await services.query_workers.run(work)


@router.get("/v1/findings")
async def findings(
    request: Request,
    caller: Reader,
    limit: Limit = 1000,
    *,
    everything: Annotated[bool, Query(alias="all")] = False,
) -> dict[str, Any]:
    """List the open findings, or all, the latest first."""
    if caller.tenant is not None:
        raise ForbiddenError("Findings about prices are not for a key of one tenant.")
    services: Services = request.app.state.services
    found = await services.books_workers.run(
        services.books.findings, open_only=not everything, limit=limit
    )
    return {"findings": [asdict(finding) for finding in found]}


@router.post("/v1/findings/resolve")
async def resolve(request: Request, caller: Operator) -> dict[str, Any]:
    """Close a finding; found again, it opens again."""
    services: Services = request.app.state.services
    body = await read_document(request, ResolveBody)
    if not body.reason.strip():
        raise BadRequestError("Resolving a finding needs a reason.", where="reason")
    resolved = await services.books_workers.run(
        services.books.resolve_finding,
        body.kind,
        body.subject,
        reason=body.reason,
        actor=caller.key_id,
        at=services.clock(),
    )
    return {"finding": asdict(resolved)}


def _stated(services: Services, tolerance: float, last: str, now: int) -> dict[str, Any]:
    """Compare what providers stated with the list price of the same usage, by model.

    Only events whose usage is whole and priced can drift, and those are flagged when they are
    priced; what all stated events come to says how much that matters.
    """
    last_us = duration(last, "last")

    def ask(metrics: tuple[str, ...], *filters: Filter) -> Answer:
        return services.olap.query(
            Question(
                metrics=metrics, by=("provider", "model"), filters=filters, last_us=last_us,
                limit=MAX_LIMIT,
            ),
            now=now,
        )  # fmt: skip

    stated = {
        (row[0], row[1]): (row[2], row[3])
        for row in ask(("provider_cost", "attempts"), _STATED_BY_PROVIDER).rows
    }
    drifted = ask(("provider_cost", "list_cost", "attempts"), _STATED_BY_PROVIDER, _DRIFTED).rows
    rows = []
    for provider, model, theirs, ours, count in drifted:
        whole, attempts = stated.get((provider, model), (theirs, count))
        said, listed = int(theirs or 0), int(ours or 0)
        # Against a stated cost of nothing every difference is endless: no number says it.
        percent = round((listed - said) / whole * 100, 2) if whole else None
        if listed != said and (percent is None or abs(percent) > tolerance):
            rows.append(
                {
                    "provider": provider, "model": model, "stated_nanos": said,
                    "list_nanos": listed, "drifted_attempts": count, "attempts": attempts,
                    "percent": percent,
                }
            )  # fmt: skip
    rows.sort(key=lambda row: (row["percent"] is not None, -abs(row["percent"] or 0)))
    found = [
        Finding(STATED, f"{row['provider']}/{row['model']}", {**row, "last": last}, now, now)
        for row in rows
    ]
    services.books.find(found, at=now)
    return {
        "against": "stated",
        "last": last,
        "tolerance_percent": tolerance,
        "compared": sum(int(attempts or 0) for _, attempts in stated.values()),
        "differences": rows[:MAX_LISTED],
        "counts": {"differences": len(rows)},
    }
