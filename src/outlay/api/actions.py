"""What the requests of a feature, agent, workflow, tenant or user cost: their spread and waste."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.plain import rfc3339
from outlay.api.services import Services
from outlay.store.query.actions import LOOP_CALLS, ActionRow, Spread, parse_actions

router = APIRouter()
Reader = Annotated[Caller, Depends(needs("read"))]


@router.post("/v1/actions")
async def actions(request: Request, caller: Reader) -> dict[str, Any]:
    """Compare requests by a dimension, the dearest first; sums are those of a query."""
    services: Services = request.app.state.services
    body: dict[str, Any] = await read_document(request, dict[str, Any])
    question = parse_actions(body, now=services.clock(), tenant=caller.tenant)
    found = await services.query_workers.run(services.olap.actions, question)
    return {
        "rows": [_row(row) for row in found.rows],
        "bins": [asdict(one) for one in found.bins],
        "sample": found.sample,
        "scaled": found.scaled,
        "loop_calls": LOOP_CALLS,
        "from": rfc3339(question.start),
        "to": rfc3339(question.end),
    }


def _row(row: ActionRow) -> dict[str, Any]:
    """Return a row in one level; of a key without actions, what they are like is null."""
    document = asdict(row)
    spread = document.pop("spread")
    return document | (spread or dict.fromkeys(field.name for field in fields(Spread)))
