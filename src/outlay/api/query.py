"""Questions: queries, one request's tree, one event explained. A key's tenant bounds them all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request

from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.explain import explain, rate_ids
from outlay.api.metrics import Metrics
from outlay.api.plain import cell, plain, rfc3339
from outlay.api.services import Services
from outlay.api.tree import build_tree
from outlay.errors import NotFoundError
from outlay.store.base import Answer
from outlay.store.query.dimensions import schema
from outlay.store.query.model import parse_query

MAX_ID_CHARACTERS: Final = 256

router = APIRouter()
Reader = Annotated[Caller, Depends(needs("read"))]


@router.post("/v1/query")
async def query(request: Request, caller: Reader) -> dict[str, Any]:
    """Answer a question."""
    services: Services = request.app.state.services
    metrics: Metrics = request.app.state.metrics
    body: dict[str, Any] = await read_document(request, dict[str, Any])
    now = services.clock()
    question = parse_query(body, now=now, tenant=caller.tenant)
    began = time.perf_counter()
    answer = await services.query_workers.run(services.olap.query, question, now=now)
    metrics.query_seconds.observe(time.perf_counter() - began)
    return shown_answer(answer)


@router.get("/v1/query/schema")
async def query_schema(caller: Reader) -> Mapping[str, object]:
    """List everything that can be asked."""
    del caller
    return schema()


@router.get("/v1/requests/{request_id:path}/tree")
async def tree(request: Request, request_id: str, caller: Reader) -> dict[str, Any]:
    """Show what one request cost, agent by agent and call by call."""
    services: Services = request.app.state.services

    def build() -> dict[str, Any] | None:
        events = services.olap.request_events(request_id, tenant=caller.tenant)
        return build_tree(request_id, map(plain, events)) if events else None

    found = None
    if len(request_id) <= MAX_ID_CHARACTERS:
        found = await services.query_workers.run(build)
    if found is None:
        raise NotFoundError("There is no event of such a request.", where="request_id")
    return found


@router.get("/v1/events/{event_id}")
async def event(request: Request, event_id: str, caller: Reader) -> dict[str, Any]:
    """Explain one event: what was captured and how its price came about."""
    services: Services = request.app.state.services

    def build() -> dict[str, Any] | None:
        stored = services.olap.event(event_id)
        if stored is None or caller.tenant not in (None, stored.get("tenant_id")):
            return None
        values = plain(stored)
        return explain(values, services.books.rates(rate_ids(values)))

    found = None
    if len(event_id) <= MAX_ID_CHARACTERS:
        found = await services.query_workers.run(build)
    if found is None:
        # The same words whether it is another tenant's or nobody's.
        raise NotFoundError("There is no such event.", where="event_id")
    return found


def shown_answer(answer: Answer) -> dict[str, Any]:
    """Return an answer as JSON carries it."""
    kinds = [column.kind for column in answer.columns]
    return {
        "columns": [{"name": c.name, "kind": c.kind, "unit": c.unit} for c in answer.columns],
        "rows": [
            [cell(value, kind) for value, kind in zip(row, kinds, strict=True)]
            for row in answer.rows
        ],
        "source": answer.source,
        "from": rfc3339(answer.start),
        "to": rfc3339(answer.end),
    }
