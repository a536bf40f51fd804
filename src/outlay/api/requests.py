"""Lists of requests, to find the one that cost so much or failed. Its tree says the rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.plain import rfc3339
from outlay.api.services import Services
from outlay.store.query.requests import RequestRow, cursor_of, parse_requests

router = APIRouter()
Reader = Annotated[Caller, Depends(needs("read"))]


@router.post("/v1/requests")
async def requests(request: Request, caller: Reader) -> dict[str, Any]:
    """List requests of a window, a page at a time; `next` goes into `after` for the next page."""
    services: Services = request.app.state.services
    body: dict[str, Any] = await read_document(request, dict[str, Any])
    question = parse_requests(body, now=services.clock(), tenant=caller.tenant)
    page = await services.query_workers.run(services.olap.requests, question)
    return {
        "requests": [_shown(row) for row in page.rows],
        "next": cursor_of(question, page),
        "from": rfc3339(page.start),
        "to": rfc3339(page.end),
        "complete": page.complete,
    }


def _shown(row: RequestRow) -> dict[str, Any]:
    return {
        **asdict(row),
        "duration_us": row.ended_at - row.started_at,
        "retries": row.retries,
        "status": row.status,
    }
