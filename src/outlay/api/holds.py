"""Holding for one call over HTTP: reserve, extend, settle, void, and looking at holds.

A hold is for callers that keep no lease: each call is checked against everything it counts for,
in one transaction. All of them may be sent again: an id with the same content answers as before,
but for `extend`, which holds that much more each time.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from outlay.act.policy import Policy
from outlay.act.standing import tenant_of
from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.limit_calls import (
    Amount,
    AmountsBody,
    Path,
    Text,
    checked_id,
    outcome_of,
    own_tenant,
    policy_of,
    refused,
    refused_by,
    stands_answer,
    tenants_of,
)
from outlay.api.services import Services
from outlay.core.limits.holds import Extend, Hold, Line, Need, Reserve, Settle, Void
from outlay.core.limits.limit import CREDITS, MAX_AMOUNT
from outlay.core.limits.refusal import entitlement_refusal
from outlay.core.limits.subject import Subject
from outlay.errors import BadRequestError, ConflictError, NotFoundError

MAX_TTL_S: Final = 86_400
MAX_LISTED: Final = 1_000
TENANT_OWNER: Final = "tenant:"
"""Begins the owner of a hold for which none is named: its tenant."""

router = APIRouter()
Holder = Annotated[Caller, Depends(needs("ingest"))]
Reader = Annotated[Caller, Depends(needs("read", "admin"))]
Ttl = Annotated[int, msgspec.Meta(ge=1, le=MAX_TTL_S)]
State = Literal["", "open", "settled", "void", "expired"]


class SubjectBody(msgspec.Struct, forbid_unknown_fields=True):
    """What the call is about; `billing_unit` is `type:id`, `agent` the whole path."""

    tenant: Text = ""
    plan: Text = ""
    billing_unit: Text = ""
    user: Text = ""
    feature: Text = ""
    workflow: Text = ""
    agent: Path = ""
    model: Text = ""
    provider: Text = ""
    initiator: Text = ""
    request: Text = ""
    run: Text = ""


class HoldBody(msgspec.Struct, forbid_unknown_fields=True):
    """A hold to make; `owner` is a lease of the same caller, `entitlement` a named right."""

    hold_id: str
    subject: SubjectBody
    estimate: AmountsBody
    ttl_s: Ttl | None = None
    owner: str = ""
    entitlement: Text = ""


class MoreBody(AmountsBody, forbid_unknown_fields=True):
    """What a call that goes on may use more: it is no call more."""

    calls: Amount = 0


class ExtendBody(msgspec.Struct, forbid_unknown_fields=True):
    """How much more to hold, and for how long from now on."""

    estimate: MoreBody = msgspec.field(default_factory=MoreBody)
    ttl_s: Ttl | None = None


@router.post("/v1/holds")
async def reserve(request: Request, caller: Holder) -> JSONResponse:
    """Hold what a call may use in everything it counts for, or refuse it."""
    services: Services = request.app.state.services
    body = await read_document(request, HoldBody)
    hold_id = checked_id(body.hold_id, "hold_id")
    said = msgspec.structs.asdict(body.subject)
    said["tenant"] = own_tenant(caller, body.subject.tenant)
    owner = _owner(body.owner, said["tenant"], caller)
    amounts = body.estimate.amounts()
    digest = hashlib.sha256(msgspec.json.encode([said, amounts, owner])).hexdigest()
    policy = await policy_of(services)
    subject = policy.known(Subject(**{**said, "request": said["request"] or hold_id}))
    why = policy.denied(subject, body.entitlement)
    if why:
        services.limit_notices.denied(subject, why)
        return refused(entitlement_refusal(why))
    at = services.clock()
    wanted = tuple(policy.needs(subject, amounts, at))
    expires_at = at + (body.ttl_s or services.settings.hold_ttl_s) * 1_000_000
    op = Reserve(hold_id, owner, wanted, at, expires_at, amounts["cost"], digest)
    outcome = await outcome_of(services, op)
    match outcome.status:
        case "conflict":
            raise ConflictError("The hold's id was used with other content.", where="hold_id")
        case "over" | "busy":
            asked = {need.key.counter_id: need.amount for need in wanted}
            return refused(refused_by(policy, outcome, at, caller, asked))
        case "ended":
            raise _ended("The hold of this id is over.")
        case "already":
            known = await services.books_workers.run(services.books.hold, hold_id)
            expires_at = expires_at if known is None else known.expires_at
    answer = {
        "hold_id": hold_id,
        "state": "open",
        "expires_at": expires_at,
        "limits": stands_answer(policy, outcome, at, caller),
    }
    return JSONResponse(answer)


@router.post("/v1/holds/{hold_id:path}/extend")
async def extend(request: Request, hold_id: str, caller: Holder) -> JSONResponse:
    """Hold more for a call that goes on, and for longer."""
    services: Services = request.app.state.services
    body = await read_document(request, ExtendBody)
    policy = await policy_of(services)
    hold = await _found(services, policy, hold_id, caller)
    at = services.clock()
    amounts = body.estimate.amounts()
    wanted = tuple(_more(policy, hold, line, amounts, at) for line in hold.lines.values())
    expires_at = at + (body.ttl_s or services.settings.hold_ttl_s) * 1_000_000
    outcome = await outcome_of(services, Extend(hold_id, wanted, at, expires_at))
    match outcome.status:
        case "unknown":
            raise _unknown()
        case "ended":
            raise _ended("The hold is over, and cannot be extended.")
        case "over" | "busy":
            asked = {need.key.counter_id: need.amount for need in wanted}
            return refused(refused_by(policy, outcome, at, caller, asked))
    return JSONResponse(
        {
            "hold_id": hold_id,
            "state": "open",
            "expires_at": max(hold.expires_at, expires_at),
            "limits": stands_answer(policy, outcome, at, caller),
        }
    )


@router.post("/v1/holds/{hold_id:path}/settle")
async def settle(request: Request, hold_id: str, caller: Holder) -> dict[str, Any]:
    """Say what a call used; what was held beyond it is free again."""
    services: Services = request.app.state.services
    body = await read_document(request, AmountsBody)
    policy = await policy_of(services)
    amounts = body.amounts()
    if caller.tenant is not None or (policy.floors and CREDITS not in amounts):
        hold = await _found(services, policy, hold_id, caller)
        amounts.setdefault(CREDITS, _credits(hold, CREDITS, amounts["cost"]))
    at = services.clock()
    outcome = await outcome_of(services, Settle(hold_id, amounts, at))
    match outcome.status:
        case "unknown":
            raise _unknown()
        case "conflict":
            raise ConflictError("The hold was settled with another cost.", where="cost_nanos")
    return {
        "hold_id": hold_id,
        "state": "settled",
        "late": outcome.late,
        "short": outcome.short,
        "limits": stands_answer(policy, outcome, at, caller),
    }


@router.post("/v1/holds/{hold_id:path}/void")
async def void(request: Request, hold_id: str, caller: Holder) -> dict[str, Any]:
    """Give a hold back: the call used nothing."""
    services: Services = request.app.state.services
    policy = await policy_of(services)
    if caller.tenant is not None:
        await _found(services, policy, hold_id, caller)
    at = services.clock()
    outcome = await outcome_of(services, Void(hold_id, at))
    match outcome.status:
        case "unknown":
            raise _unknown()
        case "ended":
            raise _ended("The hold is settled, and cannot be given back.")
    return {
        "hold_id": hold_id,
        "state": "void",
        "limits": stands_answer(policy, outcome, at, caller),
    }


@router.get("/v1/holds")
async def holds(
    request: Request,
    caller: Reader,
    state: State = "open",
    owner: Annotated[str, Query(max_length=256)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100,
) -> dict[str, Any]:
    """List holds, the newest first; of a tenant's key those of its tenant."""
    services: Services = request.app.state.services
    policy = await policy_of(services)

    def read() -> list[Hold]:
        listed = services.books.holds
        if caller.tenant is None:
            return listed(state=state, owner=owner, leases=False, limit=limit)
        whose = owner or f"{TENANT_OWNER}{caller.tenant}"
        found = listed(state=state, owner=whose, leases=False, limit=limit)
        if not owner:
            found += listed(state=state, leases=False, limit=MAX_LISTED)
        own = {h.hold_id: h for h in found if tenant_of_hold(policy, h) == caller.tenant}
        return sorted(own.values(), key=lambda hold: (-hold.opened_at, hold.hold_id))[:limit]

    return {"holds": [_shown(hold) for hold in await services.books_workers.run(read)]}


@router.get("/v1/holds/{hold_id:path}")
async def hold(request: Request, hold_id: str, caller: Reader) -> dict[str, Any]:
    """Show a hold with what it holds of each counter."""
    services: Services = request.app.state.services
    policy = await policy_of(services)
    return {"hold": _shown(await _found(services, policy, hold_id, caller))}


def tenant_of_hold(policy: Policy, hold: Hold) -> str:
    """Return the tenant that a hold is for, "" if it does not tell."""
    if hold.owner.startswith(TENANT_OWNER):
        return hold.owner.removeprefix(TENANT_OWNER)
    named = tenants_of(policy, hold)
    return named.pop() if len(named) == 1 else ""


async def _found(services: Services, policy: Policy, hold_id: str, caller: Caller) -> Hold:
    """Return a hold that the caller may know of.

    Raises:
        NotFoundError: there is none.
    """
    known = await services.books_workers.run(services.books.hold, hold_id)
    if known is None or known.lease:
        raise _unknown()
    if caller.tenant is not None and tenant_of_hold(policy, known) != caller.tenant:
        raise _unknown()
    return known


def _owner(said: str, tenant: str, caller: Caller) -> str:
    if not said:
        return f"{TENANT_OWNER}{tenant}"
    checked_id(said, "owner")
    if caller.tenant is not None or said.startswith(TENANT_OWNER):
        raise BadRequestError(
            "This owner cannot be named.", where="owner",
            hint="Leave it out: the hold is its tenant's then.",
        )  # fmt: skip
    return said


def _more(policy: Policy, hold: Hold, line: Line, amounts: dict[str, int], at: int) -> Need:
    """Return what a line needs more; one whose limit is gone is bounded by nothing."""
    key = line.key
    if key.limit_id == CREDITS:
        wanted = amounts.get(CREDITS)
        if wanted is None:
            wanted = _credits(hold, line.metric, amounts["cost"])
        return policy.credit_need(tenant_of(key.scope_key), wanted)
    wanted = 0 if line.gauge else amounts.get(line.metric, 0)
    limit = policy.limit(key.limit_id)
    if limit is None:
        return Need(key, line.metric, wanted)
    # The counter stays the one that the call began in.
    need = policy.need(limit, key.scope_key, wanted, at)
    return Need(key, line.metric, wanted, need.cap, need.meter)


def _credits(hold: Hold, metric: str, cost: int) -> int:
    """Return credits for a cost at the rate of the hold; exact is what the event says later."""
    held = sum(line.granted for line in hold.lines.values() if line.metric == metric)
    if not hold.estimate_nanos:
        return held
    return min(MAX_AMOUNT, -(-held * cost // hold.estimate_nanos))


def _unknown() -> NotFoundError:
    return NotFoundError("There is no such hold.", where="hold_id")


def _ended(message: str) -> ConflictError:
    return ConflictError(message, where="hold_id", hint="Reserve a new one.")


def _shown(hold: Hold) -> dict[str, Any]:
    is_open = hold.state == "open"
    return {
        "hold_id": hold.hold_id,
        "owner": hold.owner,
        "state": hold.state,
        "opened_at": hold.opened_at,
        "expires_at": hold.expires_at,
        "estimate_nanos": hold.estimate_nanos,
        "actual_nanos": hold.actual_nanos,
        "late": hold.late,
        "limits": [line_answer(line, is_open=is_open) for line in hold.lines.values()],
    }


def line_answer(line: Line, *, is_open: bool) -> dict[str, Any]:
    """Return a hold's or lease's part in one counter."""
    return {
        "limit": line.key.limit_id,
        "scope": line.key.scope_key,
        "counter": line.key.counter_id,
        "metric": line.metric,
        "granted": line.granted,
        "held": line.held() if is_open else 0,
        "used": line.target(),
        "reported": line.reported,
        "calls": line.calls,
        "evented": line.evented,
        "events": line.events,
        "short": line.short,
    }
