"""Managing: tenants, keys, dead letters, the audit log, and the server's state.

Times are microseconds UTC; a body may also give RFC 3339 text. A key's secret is shown once, in
the answer that makes it.
"""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from outlay import __version__
from outlay.api.auth import Caller, needs, new_secret
from outlay.api.body import read_document
from outlay.api.plain import micros
from outlay.api.services import Services
from outlay.errors import BadRequestError, ConflictError, NotFoundError
from outlay.store.base import Key, Tenant

MAX_LISTED: Final = 10_000
MAX_TIME_DIGITS: Final = 18
"""Digits of the last microsecond of the year 9999."""

router = APIRouter()
Admin = Annotated[Caller, Depends(needs("admin"))]
Reader = Annotated[Caller, Depends(needs("read", "admin"))]
Limit = Annotated[int, Query(ge=1, le=MAX_LISTED)]


class TenantBody(msgspec.Struct, forbid_unknown_fields=True):
    """A tenant version; what is left out of a change stays as it is."""

    tenant_id: str | None = None
    name: str | None = None
    plan: str | None = None
    tier: str | None = None
    contract_type: str | None = None
    contract_id: str | None = None
    labels: dict[str, str] | None = None
    valid_from: int | str | None = None


class KeyBody(msgspec.Struct, forbid_unknown_fields=True):
    """A key to make."""

    name: str
    scopes: list[str]
    tenant_id: str | None = None
    expires_at: int | str | None = None


def moment(value: int | str | None, where: str) -> int | None:
    """Return a time of a body or a query as microseconds UTC.

    Raises:
        BadRequestError: it is neither microseconds nor RFC 3339 text with a zone.
    """
    if not isinstance(value, str):
        return value
    if value.isascii() and value.isdigit() and len(value) <= MAX_TIME_DIGITS:
        return int(value)
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise BadRequestError(
            f"`{where}` must be RFC 3339 text with a zone, or microseconds UTC.", where=where
        )
    return micros(parsed)


# tenants


@router.get("/v1/tenants")
async def tenants(request: Request, caller: Reader) -> dict[str, Any]:
    """List the tenants in force now; a tenant's key sees its own only."""
    services: Services = request.app.state.services
    found = await services.books_workers.run(services.books.tenants, at=services.clock())
    if caller.tenant is not None:
        found = [tenant for tenant in found if tenant.tenant_id == caller.tenant]
    return {"tenants": [asdict(tenant) for tenant in found]}


@router.post("/v1/tenants")
async def create_tenant(request: Request, caller: Admin) -> JSONResponse:
    """Make a tenant; the same one again changes nothing, another of that id is a conflict."""
    services: Services = request.app.state.services
    body = await read_document(request, TenantBody)
    if body.tenant_id is None:
        raise BadRequestError("`tenant_id` is missing.", where="tenant_id")

    def create() -> Tenant:
        wanted = _version(body, body.tenant_id or "", None, default_from=0)
        history = services.books.tenant_history(wanted.tenant_id)
        if history and wanted not in [replace(version, valid_to=None) for version in history]:
            raise ConflictError(
                "There is a tenant of this id.", where="tenant_id", hint="Change it with PUT."
            )
        written = services.books.put_tenant(wanted, actor=caller.key_id, at=services.clock())
        services.policy.expire()
        return written

    made = await services.books_workers.run(create)
    return JSONResponse({"tenant": asdict(made)}, 201)


@router.get("/v1/tenants/{tenant_id:path}")
async def tenant(request: Request, tenant_id: str, caller: Reader) -> dict[str, Any]:
    """Show a tenant as it is now, and all its versions, oldest first."""
    services: Services = request.app.state.services
    history: list[Tenant] = []
    if caller.tenant in (None, tenant_id):
        history = await services.books_workers.run(services.books.tenant_history, tenant_id)
    if not history:
        raise NotFoundError("There is no such tenant.", where="tenant_id")
    now = services.clock()
    current = [v for v in history if v.valid_from <= now]
    return {
        "tenant": asdict(current[-1] if current else history[0]),
        "history": [asdict(version) for version in history],
    }


@router.put("/v1/tenants/{tenant_id:path}")
async def put_tenant(request: Request, tenant_id: str, caller: Admin) -> dict[str, Any]:
    """Make a tenant or a new version of it, which holds from `valid_from`, by default now."""
    services: Services = request.app.state.services
    body = await read_document(request, TenantBody)
    if body.tenant_id not in (None, tenant_id):
        raise BadRequestError("`tenant_id` is not the one in the path.", where="tenant_id")

    def put() -> Tenant:
        now = services.clock()
        history = services.books.tenant_history(tenant_id)
        start = moment(body.valid_from, "valid_from")
        begins = now if start is None else start
        earlier = [v for v in history if v.valid_from <= begins]
        before = earlier[-1] if earlier else None
        # The first version holds since ever, so that events before it are not without a plan.
        version = _version(body, tenant_id, before, default_from=now if history else 0)
        written = services.books.put_tenant(version, actor=caller.key_id, at=now)
        services.policy.expire()
        return written

    return {"tenant": asdict(await services.books_workers.run(put))}


def _version(
    body: TenantBody, tenant_id: str, before: Tenant | None, *, default_from: int
) -> Tenant:
    base = before or Tenant(tenant_id)
    start = moment(body.valid_from, "valid_from")

    def chosen(name: str) -> Any:
        value = getattr(body, name)
        return getattr(base, name) if value is None else value

    return Tenant(
        tenant_id=tenant_id,
        name=chosen("name"),
        plan=chosen("plan"),
        tier=chosen("tier"),
        contract_type=chosen("contract_type"),
        contract_id=chosen("contract_id"),
        labels=chosen("labels"),
        valid_from=default_from if start is None else start,
    )


# keys


@router.get("/v1/keys")
async def keys(request: Request, caller: Admin) -> dict[str, Any]:
    """List the keys, newest first, without secrets."""
    del caller
    services: Services = request.app.state.services
    found = await services.books_workers.run(services.books.keys)
    return {"keys": [asdict(key) for key in found]}


@router.post("/v1/keys")
async def create_key(request: Request, caller: Admin) -> JSONResponse:
    """Make a key; `secret` is shown this once."""
    services: Services = request.app.state.services
    body = await read_document(request, KeyBody)
    secret = new_secret()

    def create() -> Key:
        return services.books.create_key(
            name=body.name,
            scopes=body.scopes,
            tenant_id=body.tenant_id,
            secret=secret,
            actor=caller.key_id,
            at=services.clock(),
            expires_at=moment(body.expires_at, "expires_at"),
        )

    made = await services.books_workers.run(create)
    return JSONResponse({"key": asdict(made), "secret": secret}, 201)


@router.delete("/v1/keys/{key_id}")
async def revoke_key(request: Request, key_id: str, caller: Admin) -> dict[str, Any]:
    """Revoke a key; its next request is refused."""
    services: Services = request.app.state.services
    now = services.clock()
    revoked = await services.books_workers.run(
        services.books.revoke_key, key_id, actor=caller.key_id, at=now
    )
    return {"key": asdict(revoked)}


# what happened, and how things are


@router.get("/v1/dead-letters")
async def dead_letters(request: Request, caller: Admin, limit: Limit = 100) -> dict[str, Any]:
    """Show the newest items that could not be stored, and counts by code since the beginning."""
    del caller
    services: Services = request.app.state.services
    run, books = services.books_workers.run, services.books
    letters = await run(books.dead_letters, limit=limit)
    counts = await run(books.dead_letter_counts)
    return {"dead_letters": [asdict(letter) for letter in letters], "counts": counts}


@router.get("/v1/audit")
async def audit(request: Request, caller: Admin, limit: Limit = 100) -> dict[str, Any]:
    """Show the newest changes of tenants, keys and prices."""
    del caller
    services: Services = request.app.state.services
    entries = await services.books_workers.run(services.books.audit, limit=limit)
    return {"audit": [asdict(entry) for entry in entries]}


@router.get("/v1/status")
async def status(request: Request, caller: Admin) -> dict[str, Any]:
    """Show versions, backends, logs, consumers and their lag, counts, disk and dead letters."""
    del caller
    services: Services = request.app.state.services
    return await services.query_workers.run(_status, services)


def _status(services: Services) -> dict[str, Any]:
    disk = shutil.disk_usage(services.data)
    logs = {"captured": services.captured, "enriched": services.enriched}
    parts = services.parts()
    return {
        "versions": {"outlay": __version__, "python": platform.python_version()},
        "platform": sys.platform,
        "now": services.clock(),
        "backends": services.backends,
        "logs": {n: {"head": log.head(), "bytes": log.size_bytes()} for n, log in logs.items()},
        "consumers": {
            part.name: {
                "ok": part.ok,
                "offset": part.offset,
                "lag_events": part.lag_events,
                "last_error": part.error,
                "counts": part.counts,
            }
            for part in parts
        },
        "events": services.olap.count(),
        "disk": {"free_bytes": disk.free, "total_bytes": disk.total},
        "dead_letters": services.books.dead_letter_counts(),
    }
