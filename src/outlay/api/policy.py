"""The policy for processes that enforce by themselves: everything but what was used, with an ETag.

The URLs of webhooks stay on the server. A key of one tenant is told only what may be about it.
"""

from __future__ import annotations

import gzip
import threading
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from outlay.act.policy import Policy
from outlay.act.standing import tenant_of
from outlay.api.auth import Caller, needs
from outlay.api.limit_calls import policy_of
from outlay.api.services import Services
from outlay.core.limits.document import entitlement_document, limit_document
from outlay.core.limits.limit import Limit, Match
from outlay.core.limits.subject import text_matches
from outlay.core.sell import SellRow

MAX_POLICY_TENANTS: Final = 100_000
"""Tenants that a policy tells of, those with credits first; of others the plan is as is said."""
MAX_POLICY_SELLS: Final = 10_000
"""Rules of credits that a policy tells of: those of all first, then the tenants' own, and of each
those that hold longest. Where one is missing, the event says what a call cost."""
MAX_TEXTS: Final = 64
"""Policies that are kept: one for all tenants, and one a tenant with a key of its own."""
HIDDEN_URL: Final = "https://hidden.invalid/"

router = APIRouter()
AnyKey = Annotated[Caller, Depends(needs("ingest", "read", "admin"))]


class PolicyTexts:
    """The policy in gzip, as each tenant may see it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._revision = ""
        self._texts: dict[str | None, bytes] = {}

    def text(self, policy: Policy, tenant: str | None) -> bytes:
        """Return a policy for a tenant's key, or for one of none."""
        with self._lock:
            if policy.revision != self._revision:
                self._texts, self._revision = {}, policy.revision
            made = self._texts.get(tenant)
        if made is None:
            document = policy_document(policy, tenant)
            made = gzip.compress(msgspec.json.encode(document), compresslevel=6, mtime=0)
            with self._lock:
                if policy.revision == self._revision:
                    if len(self._texts) >= MAX_TEXTS:
                        self._texts.clear()
                    self._texts[tenant] = made
        return made


@router.get("/v1/limits/policy")
async def policy_text(request: Request, caller: AnyKey) -> Response:
    """Give the policy in force; `ETag` is its revision."""
    services: Services = request.app.state.services
    texts: PolicyTexts = request.app.state.policy_texts
    policy = await policy_of(services)
    headers = {"ETag": f'"{policy.revision}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    body = await services.query_workers.run(texts.text, policy, caller.tenant)
    headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


def policy_document(policy: Policy, tenant: str | None) -> dict[str, Any]:
    """Return a policy as a key of a tenant, or of none, may see it."""
    plan = None if tenant is None else policy.plans.get(tenant)
    limits = (visible(limit, tenant, plan) for limit in policy.limits if limit.mode != "off")
    rights = [one for one in policy.entitlements if tenant is None or one.plan == plan]
    tenants, cut = _tenants(policy, tenant)
    sells, sells_cut = _sells(policy, tenant)
    return {
        "revision": policy.revision,
        "limits": [_limit(policy, limit, tenant) for limit in limits if limit is not None],
        "entitlements": [entitlement_document(one) for one in rights],
        "tenants": tenants,
        "tenants_cut": cut,
        "sells": sells,
        "sells_cut": sells_cut,
    }


def visible(limit: Limit, tenant: str | None, plan: str | None) -> Limit | None:
    """Return a limit as a tenant may see it: without other tenants, or not at all."""
    if tenant is None:
        return limit
    scope: list[Match] = []
    for part in limit.scope:
        named = {"tenant": tenant, "plan": plan}.get(part.field)
        if named is None or not part.values:
            scope.append(part)
            continue
        if not text_matches(part.values, named):
            return None
        scope.append(replace(part, values=(named,)))
    return replace(limit, scope=tuple(scope))


def _limit(policy: Policy, limit: Limit, tenant: str | None) -> dict[str, Any]:
    rungs = tuple(replace(rung, url=HIDDEN_URL * bool(rung.url)) for rung in limit.thresholds)
    said = limit_document(replace(limit, thresholds=rungs))
    said["overrides"] = [
        {
            "id": one.override_id,
            "scope": one.scope_key,
            "amount": one.amount,
            "starts_at": one.starts_at,
            "ends_at": one.ends_at,
        }
        for one in policy.overrides
        if one.limit_id == limit.limit_id
        and (tenant is None or not one.scope_key or tenant_of(one.scope_key) == tenant)
    ]
    return said


def _tenants(policy: Policy, tenant: str | None) -> tuple[dict[str, dict[str, Any]], bool]:
    names = [*policy.floors, *(name for name in policy.plans if name not in policy.floors)]
    if tenant is not None:
        names = [name for name in (tenant,) if name in policy.plans or name in policy.floors]
    told = {
        name: {"plan": policy.plans.get(name, ""), "credits": name in policy.floors}
        for name in names[:MAX_POLICY_TENANTS]
    }
    return told, len(names) > MAX_POLICY_TENANTS


_SOLD_BY: Final = (
    "unit", "per_million", "tenant", "plan", "feature", "provider", "model", "valid_from",
    "valid_to",
)  # fmt: skip


def _sells(policy: Policy, tenant: str | None) -> tuple[list[dict[str, Any]], bool]:
    """Return the rules of credits of those who have an account, without what is not said."""
    rows = policy.credit_rows
    if tenant is not None:
        plan = policy.plans.get(tenant, "")
        known = tenant in policy.floors
        rows = tuple(r for r in rows if known and r.tenant in ("", tenant) and r.plan in ("", plan))
    cut = len(rows) > MAX_POLICY_SELLS
    if cut:
        rows = tuple(sorted(rows, key=_rank)[:MAX_POLICY_SELLS])
    said = [{"id": row.sell_id, **{name: getattr(row, name) for name in _SOLD_BY}} for row in rows]
    return [{n: value for n, value in one.items() if value not in ("", None)} for one in said], cut


def _rank(row: SellRow) -> tuple[bool, bool, int]:
    return row.tenant != "", row.valid_to is not None, -(row.valid_to or 0)
