"""Leases over HTTP: a process reports what it used, gives back and takes slices, once a second.

One sync is one operation in one transaction. Its answer tells how each counter stands and how long
what was granted may be used without asking again.
"""

from __future__ import annotations

import threading
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from outlay.act.policy import Policy
from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.holds import TENANT_OWNER, line_answer
from outlay.api.lease_lines import LineBody, Wants
from outlay.api.limit_calls import checked_id, outcome_of, policy_of, tenants_of
from outlay.api.services import Services
from outlay.core.limits.holds import Hold, Sync
from outlay.errors import BadRequestError, ConflictError

MAX_LINES: Final = 5_000
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_OWNERS: Final = 100_000
MAX_LISTED: Final = 1_000
MAX_LINES_SHOWN: Final = 100
"""Of one lease in a list."""
MAX_SEQ: Final = 2**53 - 1

router = APIRouter()
Holder = Annotated[Caller, Depends(needs("ingest"))]
Reader = Annotated[Caller, Depends(needs("read", "admin"))]


class LeaseBody(msgspec.Struct, forbid_unknown_fields=True):
    """A sync; `at` is the sender's clock, which nothing goes by. `closing` gives all back.

    `seq` counts an owner's syncs from 1 up: one that was overtaken changes nothing.
    """

    owner: str
    lines: Annotated[list[LineBody], msgspec.Meta(max_length=MAX_LINES)] = []
    at: int | None = None
    closing: bool = False
    seq: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)] = 0


class Owners:
    """Which tenant's keys each lease was synced with, so that no tenant touches another's.

    It is forgotten with the process; an owner's id is random, and no other tenant is ever shown it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tenants: dict[str, str] = {}

    def bind(self, owner: str, tenant: str, named: set[str]) -> bool:
        """Take an owner for a tenant; false where it is another's.

        `named` are the tenants that its lease has lines of.
        """
        with self._lock:
            known = self._tenants.get(owner)
            if known is not None:
                return known == tenant
            if named - {tenant}:
                return False
            if len(self._tenants) >= MAX_OWNERS:
                del self._tenants[next(iter(self._tenants))]
            self._tenants[owner] = tenant
            return True

    def knows(self, owner: str, tenant: str) -> bool:
        """Tell whether an owner is known to be a tenant's."""
        with self._lock:
            return self._tenants.get(owner) == tenant


@router.post("/v1/leases")
async def sync(request: Request, caller: Holder) -> dict[str, Any]:
    """Take what a process reports, and lease it slices of what it wants."""
    services: Services = request.app.state.services
    body = await read_document(request, LeaseBody, most=MAX_BODY_BYTES)
    owner = checked_id(body.owner, "owner")
    if owner.startswith(TENANT_OWNER):
        raise BadRequestError("This owner cannot be named.", where="owner")
    policy = await policy_of(services)
    if caller.tenant is not None:
        await _bind(request, policy, owner, caller.tenant)
    at = services.clock()
    wants = Wants(policy, caller, at)
    if len(body.lines) < MAX_LINES_SHOWN:
        wants.take(body.lines)
    else:
        await services.books_workers.run(wants.take, body.lines)
    ttl_s = services.settings.lease_ttl_s
    expires_at = at + ttl_s * 1_000_000
    op = Sync(owner, tuple(wants.wants), at, expires_at, body.closing, body.seq)
    outcome = await outcome_of(services, op)
    if outcome.status not in ("ok", "already"):
        raise _taken()
    return {
        "now": at,
        "ttl_s": ttl_s,
        "policy": policy.revision,
        "lines": wants.answers(outcome.stands),
    }


@router.get("/v1/leases")
async def leases(
    request: Request,
    caller: Reader,
    state: Annotated[str, Query(pattern="^(open|closed|expired|)$")] = "open",
    owner: Annotated[str, Query(max_length=128)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100,
) -> dict[str, Any]:
    """List leases, the newest first; a tenant's key sees those that hold for its tenant alone."""
    services: Services = request.app.state.services
    owners: Owners = request.app.state.lease_owners
    policy = await policy_of(services)

    def read() -> list[Hold]:
        most = limit if caller.tenant is None else MAX_LISTED
        found = services.books.holds(state=state, owner=owner, leases=True, limit=most)
        if caller.tenant is not None:
            found = [lease for lease in found if _is_own(policy, lease, caller.tenant, owners)]
        return found[:limit]

    return {"leases": [_shown(lease) for lease in await services.books_workers.run(read)]}


async def _bind(request: Request, policy: Policy, owner: str, tenant: str) -> None:
    """Check that a lease is of a tenant that may use it.

    Raises:
        ConflictError: it is another's.
    """
    services: Services = request.app.state.services
    owners: Owners = request.app.state.lease_owners
    if owners.knows(owner, tenant):
        return
    lease = await services.books_workers.run(services.books.hold, owner)
    if not owners.bind(owner, tenant, set() if lease is None else tenants_of(policy, lease)):
        raise _taken()


def _is_own(policy: Policy, lease: Hold, tenant: str, owners: Owners) -> bool:
    named = tenants_of(policy, lease)
    return named == {tenant} or (not named and owners.knows(lease.hold_id, tenant))


def _taken() -> ConflictError:
    return ConflictError(
        "This owner's id is used for something else.", where="owner", hint="Use a random one."
    )


def _shown(lease: Hold) -> dict[str, Any]:
    is_open = lease.state == "open"
    lines = list(lease.lines.values())
    return {
        "owner": lease.hold_id,
        "state": lease.state,
        "opened_at": lease.opened_at,
        "expires_at": lease.expires_at,
        "lines": [line_answer(line, is_open=is_open) for line in lines[:MAX_LINES_SHOWN]],
        "more_lines": max(0, len(lines) - MAX_LINES_SHOWN),
    }
