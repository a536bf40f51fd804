"""Changing limits: a document of them, one of them, and temporary overrides, by who operates.

A document is taken whole or not at all. A change never resets what was used.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from outlay.api.admin import moment
from outlay.api.auth import Caller, needs
from outlay.api.body import MAX_DOCUMENT_BYTES, read_document
from outlay.api.limit_urls import keep_urls
from outlay.api.limits import known_limit, shown
from outlay.api.price_edit import read_bytes
from outlay.api.services import Services
from outlay.core.ids import RANDOM_BYTES, uuid7
from outlay.core.limits.document import contradictions, entitlement_document, read_limits
from outlay.core.limits.document_values import amount as read_amount
from outlay.core.limits.limit import SCOPES, Limit, Override
from outlay.core.limits.subject import key_text, needs_id, read_scope_key
from outlay.errors import BadRequestError, ConflictError, NotFoundError
from outlay.store.limitfile import read_yaml
from outlay.store.limits import LimitChange

RESERVED: Final = frozenset(("policy", "state", "notices", "check", "estimates"))
"""Ids that paths under /v1/limits have already."""
_JSON: Final = "application/json"
_YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml")

router = APIRouter()
Operator = Annotated[Caller, Depends(needs("admin", "operate"))]
Reason = Annotated[str, Query(max_length=1024)]


class OverrideBody(msgspec.Struct, forbid_unknown_fields=True):
    """A temporary amount: for one scope (its key, or a mapping of field to value), or for all."""

    amount: str | int
    ends_at: int | str
    reason: str
    starts_at: int | str | None = None
    scope: str | dict[str, str] = ""
    override_id: str = ""


@router.post("/v1/limits")
async def change(
    request: Request,
    caller: Operator,
    reason: Reason = "",
    *,
    dry_run: bool = False,
    prune: bool = False,
) -> dict[str, Any]:
    """Take limits and entitlements, as JSON or YAML; `prune` removes those it does not name."""
    services: Services = request.app.state.services
    media, body = await read_bytes(request, known=(_JSON, *_YAML), most=MAX_DOCUMENT_BYTES)
    document: Any = _decoded(body) if media == _JSON else read_yaml(body)
    if not isinstance(document, dict):
        raise BadRequestError("The document must be a mapping with `limits`.", where="body")
    reason = str(document.pop("reason", "") or reason)
    return await services.books_workers.run(
        _write, services, caller, document, reason=reason, dry_run=dry_run, prune=prune
    )


@router.put("/v1/limits/{limit_id}")
async def put(
    request: Request, limit_id: str, caller: Operator, reason: Reason = "", *, dry_run: bool = False
) -> dict[str, Any]:
    """Make a limit, or change it; what it has used stays."""
    services: Services = request.app.state.services
    _, body = await read_bytes(request, known=(_JSON,), most=MAX_DOCUMENT_BYTES)
    one = _decoded(body)
    if not isinstance(one, dict):
        raise BadRequestError("The body must be one limit.", where="body")
    reason = str(one.pop("reason", "") or reason)
    if one.setdefault("id", limit_id) != limit_id:
        raise BadRequestError("`id` is not the one in the path.", where="id")
    return await services.books_workers.run(
        _write, services, caller, {"limits": [one]}, reason=reason, dry_run=dry_run, prune=False
    )


@router.delete("/v1/limits/{limit_id}")
async def remove(
    request: Request, limit_id: str, caller: Operator, reason: Reason = ""
) -> dict[str, Any]:
    """Remove a limit; its history stays."""
    services: Services = request.app.state.services

    def write() -> dict[str, Any]:
        services.books.change_limits(
            LimitChange(removed=(limit_id,)),
            reason=_reason(reason),
            actor=caller.key_id,
            at=services.clock(),
        )
        services.policy.expire()
        return {"removed": limit_id}

    return await services.books_workers.run(write)


@router.post("/v1/limits/{limit_id}/overrides")
async def override(request: Request, limit_id: str, caller: Operator) -> dict[str, Any]:
    """Give a limit another amount until a time; the larger of several holds."""
    services: Services = request.app.state.services
    body = await read_document(request, OverrideBody)

    def write() -> dict[str, Any]:
        now = services.clock()
        limit = known_limit(services, limit_id, caller)
        starts_at, ends_at = moment(body.starts_at, "starts_at"), moment(body.ends_at, "ends_at")
        if ends_at is None or ends_at <= max(now, starts_at or 0):
            raise BadRequestError(
                "`ends_at` must lie in the future, after `starts_at`.", where="ends_at"
            )
        made = services.books.put_override(
            Override(
                override_id=body.override_id
                or uuid7(now // 1000, secrets.token_bytes(RANDOM_BYTES)),
                limit_id=limit_id,
                amount=read_amount(body.amount, limit.metric, "amount"),
                starts_at=now if starts_at is None else starts_at,
                ends_at=ends_at,
                reason=_reason(body.reason),
                actor=caller.key_id,
                scope_key=_scope_key(limit, body.scope) if body.scope else "",
            ),
            at=now,
        )
        services.policy.expire()
        return {"override": asdict(made)}

    return await services.books_workers.run(write)


@router.delete("/v1/limits/{limit_id}/overrides/{override_id}")
async def revoke(
    request: Request, limit_id: str, override_id: str, caller: Operator, reason: Reason = ""
) -> dict[str, Any]:
    """End an override now."""
    services: Services = request.app.state.services

    def write() -> dict[str, Any]:
        known = {one.override_id: one for one in services.books.overrides()}
        if override_id not in known or known[override_id].limit_id != limit_id:
            raise NotFoundError("There is no such override.", where="override_id")
        ended = services.books.revoke_override(
            override_id, reason=_reason(reason), actor=caller.key_id, at=services.clock()
        )
        services.policy.expire()
        return {"override": asdict(ended)}

    return await services.books_workers.run(write)


def _write(
    services: Services,
    caller: Caller,
    document: Mapping[str, Any],
    *,
    reason: str,
    dry_run: bool,
    prune: bool,
) -> dict[str, Any]:
    before = {limit.limit_id: limit for limit in services.books.limits()}
    if "admin" not in caller.scopes:
        keep_urls(document, before)
    wanted = read_limits(document)
    for place, limit in enumerate(wanted.limits):
        if limit.limit_id in RESERVED:
            raise BadRequestError(
                f"`{limit.limit_id}` is a word of the API; choose another id.",
                where=f"limits[{place}].id",
            )
    plans = {one.plan: one for one in services.books.entitlements()}
    after = {} if prune else dict(before)
    after.update({limit.limit_id: limit for limit in wanted.limits})
    for place, limit in enumerate(wanted.limits):
        _check_kind(before.get(limit.limit_id), limit, f"limits[{place}]")
    problems = contradictions(after.values())
    if problems:
        raise ConflictError(problems[0], where="limits", hint="Change or remove one of the two.")
    named = {one.plan for one in wanted.entitlements}
    change = LimitChange(
        limits=tuple(one for one in wanted.limits if before.get(one.limit_id) != one),
        removed=tuple(name for name in before if name not in after),
        entitlements=tuple(one for one in wanted.entitlements if plans.get(one.plan) != one),
        removed_plans=tuple(plan for plan in plans if prune and plan not in named),
    )
    if not dry_run:
        services.books.change_limits(
            change, reason=_reason(reason), actor=caller.key_id, at=services.clock()
        )
        services.policy.expire()
    return {
        "dry_run": dry_run,
        "added": [shown(one, caller) for one in change.limits if one.limit_id not in before],
        "changed": [shown(one, caller) for one in change.limits if one.limit_id in before],
        "removed": list(change.removed),
        "entitlements": [entitlement_document(one) for one in change.entitlements],
        "removed_plans": list(change.removed_plans),
    }


def _check_kind(before: Limit | None, after: Limit, where: str) -> None:
    """Refuse a change after which what was counted would be read in another unit."""
    if before is None:
        return
    changed = ""
    if before.metric != after.metric:
        changed = "metric"
    elif before.window != after.window and {before.window, after.window} == {"rate", "rolling"}:
        changed = "window"
    if changed:
        raise ConflictError(
            f"The {changed} of `{after.limit_id}` cannot change: what it has counted is no"
            f" {getattr(after, changed)}.",
            where=f"{where}.{changed}",
            hint="Make a limit with another id, and remove this one.",
        )


def _scope_key(limit: Limit, scope: str | dict[str, str]) -> str:
    """Return the key of a scope of a limit, given as such or as a mapping."""
    try:
        named = dict(scope) if isinstance(scope, dict) else read_scope_key(scope)
    except ValueError as error:
        raise BadRequestError("`scope` is no scope key.", where="scope") from error
    fields = [name for name in SCOPES if any(p.field == name and p.each for p in limit.scope)]
    if needs_id(limit):
        fields.append(needs_id(limit))
    if set(named) != set(fields):
        wanted = ", ".join(f"`{name}`" for name in fields) or "nothing: it counts all together"
        raise BadRequestError(f"A scope of this limit names {wanted}.", where="scope")
    return key_text(tuple((name, named[name]) for name in fields))


def _reason(reason: str) -> str:
    if not reason.strip():
        raise BadRequestError("A change of limits needs a reason.", where="reason")
    return reason


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.Decoder(float_hook=str).decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadRequestError("The body is not valid JSON.", where="body") from error
