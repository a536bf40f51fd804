"""Looking at limits: what there is, how each scope stands, and what limits did.

A tenant's key sees the limits that are about it alone, or about each tenant alike, and of those
only its own scopes. Webhook addresses are shown to admins only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from outlay.act.standing import use_of
from outlay.api.auth import Caller, needs
from outlay.api.services import Services
from outlay.core.limits import ladder
from outlay.core.limits.counting import forget
from outlay.core.limits.document import entitlement_document, limit_document
from outlay.core.limits.holds import Counter
from outlay.core.limits.limit import Limit, Override, amount_now
from outlay.core.limits.subject import key_text, read_scope_key
from outlay.errors import NotFoundError
from outlay.store.books.checks import MAX_TIME

MAX_LISTED: Final = 10_000
DEFAULT_LISTED: Final = 1_000

router = APIRouter()
Reader = Annotated[Caller, Depends(needs("read", "admin"))]
Count = Annotated[int, Query(ge=1, le=MAX_LISTED)]


def visible(limit: Limit, tenant: str | None) -> bool:
    """Tell whether a key bound to a tenant may know of a limit; `None` may know of all."""
    if tenant is None:
        return True
    match = next((part for part in limit.scope if part.field == "tenant"), None)
    if match is None:
        return False
    return match.values == (tenant,) or (match.each and tenant in (match.values or (tenant,)))


def scope_visible(limit: Limit, scope_key: str, tenant: str | None) -> bool:
    """Tell whether a key bound to a tenant may see one scope of a limit."""
    if tenant is None:
        return True
    if not visible(limit, tenant):
        return False
    named = read_scope_key(scope_key).get("tenant")
    alone = any(part.field == "tenant" and part.values == (tenant,) for part in limit.scope)
    return named == tenant or (named is None and alone)


def shown(limit: Limit, caller: Caller) -> dict[str, Any]:
    """Return a limit as this caller may see it."""
    document = limit_document(limit)
    if "admin" not in caller.scopes:
        for threshold in document.get("thresholds", ()):
            threshold.pop("url", None)
    return document


def standing(
    counter: Counter, limit: Limit, overrides: Sequence[Override], *, now: int
) -> dict[str, Any]:
    """Return how a counter stands: used, held, what the limit allows, what is left."""
    forget(counter, now)
    key = counter.key
    amount = amount_now(limit, tuple(overrides), key.scope_key, now)
    cap = ladder.cap_of(limit, amount)
    use = use_of(limit, counter.used, counter.held)
    whole = ladder.room_of(limit, amount)
    return {
        "limit": limit.limit_id,
        "name": limit.name,
        "scope": read_scope_key(key.scope_key),
        "scope_key": key.scope_key,
        "metric": limit.metric,
        "window": limit.window,
        "mode": limit.mode,
        "starts_at": key.starts_at or None,
        "resets_at": key.ends_at or None,
        "used": counter.used,
        "held": counter.held,
        "amount": amount,
        "cap": cap,
        "left": None if cap is None else max(0, cap - counter.used - counter.held),
        "share": use / whole if whole else 0.0,
        "reached": list(ladder.actions_at(limit, used=use, amount=amount)),
        "current": not key.ends_at or key.starts_at <= now < key.ends_at,
    }


@router.get("/v1/limits")
async def limits(request: Request, caller: Reader) -> dict[str, Any]:
    """List the limits, and what plans may use."""
    services: Services = request.app.state.services

    def read() -> dict[str, Any]:
        found = [one for one in services.books.limits() if visible(one, caller.tenant)]
        rights = services.books.entitlements() if caller.tenant is None else []
        return {
            "limits": [shown(limit, caller) for limit in found],
            "entitlements": [entitlement_document(one) for one in rights],
        }

    return await services.books_workers.run(read)


@router.get("/v1/limits/state")
async def state(
    request: Request,
    caller: Reader,
    limit: str = "",
    tenant: str = "",
    *,
    past: bool = False,
    count: Count = DEFAULT_LISTED,
) -> dict[str, Any]:
    """Show how scopes stand, those with most used first; `past` adds periods that are over."""
    services: Services = request.app.state.services
    asked = tenant if caller.tenant is None else caller.tenant

    def read() -> dict[str, Any]:
        now = services.clock()
        rows = standings(services, now=now, limit=limit, tenant=asked, past=past)
        return {"now": now, "counters": rows[:count], "more": max(0, len(rows) - count)}

    return await services.books_workers.run(read)


def standings(
    services: Services, *, now: int, limit: str = "", tenant: str = "", past: bool = False
) -> list[dict[str, Any]]:
    """Return how scopes stand, those with most used first; of one tenant or limit, if named.

    Blocks on the books.
    """
    known = {one.limit_id: one for one in services.books.limits()}
    overrides = services.books.overrides(at=now)
    like = key_text((("tenant", tenant),))[1:-1] if tenant else ""
    when = None if past else now
    found = services.books.counters(limit_id=limit, scope_like=like, at=when, limit=MAX_LISTED)
    if tenant:
        # A limit of this tenant alone counts without naming it.
        for one in known.values():
            if visible(one, tenant) and not _names_tenant(one):
                found += services.books.counters(limit_id=one.limit_id, at=when, limit=MAX_LISTED)
    rows = []
    for counter in {c.key.counter_id: c for c in found}.values():
        definition = known.get(counter.key.limit_id)
        if definition is None or (limit and definition.limit_id != limit):
            continue
        if not scope_visible(definition, counter.key.scope_key, tenant or None):
            continue
        row = standing(counter, definition, overrides, now=now)
        if past or row["current"]:
            rows.append(row)
    rows.sort(key=lambda row: (-row["share"], row["limit"], row["scope_key"]))
    return rows


@router.get("/v1/limits/notices")
async def notices(
    request: Request,
    caller: Reader,
    limit: str = "",
    tenant: str = "",
    since: Annotated[int, Query(ge=0, le=MAX_TIME)] = 0,
    count: Count = DEFAULT_LISTED,
) -> dict[str, Any]:
    """List what limits did, the newest first."""
    services: Services = request.app.state.services
    asked = tenant if caller.tenant is None else caller.tenant
    found = await services.books_workers.run(
        services.books.notices, limit_id=limit, tenant=asked, since=since, limit=count
    )
    return {"notices": [asdict(one) for one in found]}


@router.get("/v1/limits/{limit_id}")
async def show(request: Request, limit_id: str, caller: Reader) -> dict[str, Any]:
    """Show a limit, the overrides that hold, and how its scopes stand."""
    services: Services = request.app.state.services

    def read() -> dict[str, Any]:
        now = services.clock()
        limit = known_limit(services, limit_id, caller)
        overrides = [
            one for one in services.books.overrides(at=now) if one.limit_id == limit.limit_id
        ]
        found = services.books.counters(limit_id=limit.limit_id, at=now, limit=DEFAULT_LISTED)
        rows = [
            standing(counter, limit, overrides, now=now)
            for counter in found
            if scope_visible(limit, counter.key.scope_key, caller.tenant)
        ]
        told = [
            _override(one, caller)
            for one in overrides
            if one.scope_key in ("", "[]") or scope_visible(limit, one.scope_key, caller.tenant)
        ]
        return {
            "limit": shown(limit, caller),
            "overrides": told,
            "counters": [row for row in rows if row["current"]],
        }

    return await services.books_workers.run(read)


@router.get("/v1/limits/{limit_id}/history")
async def history(
    request: Request, limit_id: str, caller: Annotated[Caller, Depends(needs("admin", "operate"))]
) -> dict[str, Any]:
    """List every version of a limit and every override of it, the newest first."""
    services: Services = request.app.state.services

    def read() -> dict[str, Any]:
        versions = services.books.limit_history(limit_id)
        if not versions:
            raise NotFoundError("There is no such limit.", where="limit_id")
        return {
            "versions": [
                {
                    "version": one.version,
                    "limit": None if one.limit is None else shown(one.limit, caller),
                    "at": one.at,
                    "actor": one.actor,
                    "reason": one.reason,
                }
                for one in versions
            ],
            "overrides": [
                asdict(one) for one in services.books.overrides() if one.limit_id == limit_id
            ],
        }

    return await services.books_workers.run(read)


def _names_tenant(limit: Limit) -> bool:
    """Tell whether the scopes of a limit name the tenant they are of."""
    return any(part.field == "tenant" and part.each for part in limit.scope)


def _override(one: Override, caller: Caller) -> dict[str, Any]:
    """Return an override as this caller may see it: who made it is for admins."""
    answer = asdict(one)
    if "admin" not in caller.scopes:
        del answer["actor"]
    return answer


def known_limit(services: Services, limit_id: str, caller: Caller) -> Limit:
    """Return a limit that the caller may know of. Blocks on the books.

    Raises:
        NotFoundError: there is none.
    """
    for limit in services.books.limits():
        if limit.limit_id == limit_id and visible(limit, caller.tenant):
            return limit
    raise NotFoundError(
        "There is no such limit.", where="limit_id", hint="`outlay limits list` shows them."
    )
