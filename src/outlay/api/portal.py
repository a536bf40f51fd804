"""What a tenant's own people see: their usage, charges, credits and limits, and never our cost.

Every answer is put together of named fields: nothing that is added elsewhere shows up here by
itself. All of it is for callers with the scope `portal`, who are bound to a tenant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.limits import visible
from outlay.api.portal_limits import shown_limits
from outlay.api.portal_question import named_as_asked, read_question
from outlay.api.portal_tokens import PortalPass, PortalTokens
from outlay.api.query import shown_answer
from outlay.api.services import Services
from outlay.core.rollup import DAY_US
from outlay.errors import ForbiddenError, UnavailableError
from outlay.store.base import Tenant
from outlay.store.credits import MAX_ENTRY_ID, Balance, Entry, Grant
from outlay.store.query.model import parse_query

CHARGED_US: Final = 35 * DAY_US
"""Who was charged for something in this time is shown charges."""
MAX_ENTRIES: Final = 1_000
MAX_QUESTIONS: Final = 16
"""Questions of one tenant at once: its page must not take the place of all others."""

router = APIRouter()
Customer = Annotated[Caller, Depends(needs("portal"))]


class Places:
    """Which tenants have questions under way. One event loop's own."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextmanager
    def place(self, tenant: str) -> Iterator[None]:
        """Take a place of a tenant.

        Raises:
            UnavailableError: the tenant has `MAX_QUESTIONS` under way.
        """
        if self._taken[tenant] >= MAX_QUESTIONS:
            raise UnavailableError(f"More than {MAX_QUESTIONS} questions are asked at once.")
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]


@router.get("/v1/portal/me")
async def me(request: Request, caller: Customer) -> dict[str, Any]:
    """Tell a portal whose it is, how it is to look, and what there is to show."""
    services: Services = request.app.state.services
    tenant = _tenant(caller)
    link = _link(request)
    now = services.clock()

    def read() -> tuple[str, dict[str, bool]]:
        books = services.books
        shows = {
            "charges": _is_charged(services, tenant, now),
            "credits": books.balance(tenant) is not None,
            "limits": any(one.mode == "enforce" and visible(one, tenant) for one in books.limits()),
        }
        return _name(books.tenant_history(tenant), now), shows

    name, shows = await services.books_workers.run(read)
    if not shows["charges"]:
        with _places(request).place(tenant):
            shows["charges"] = await services.query_workers.run(_was_charged, services, tenant, now)
    return {
        "tenant": {"tenant_id": tenant, "name": name},
        "theme": {} if link is None else dict(link.theme),
        "expires_at": None if link is None else link.expires_at,
        "shows": shows,
        "dimensions": list(request.app.state.portal_dimensions),
        "now": now,
    }


@router.post("/v1/portal/usage")
async def usage(request: Request, caller: Customer) -> dict[str, Any]:
    """Answer a question about the tenant's own usage."""
    services: Services = request.app.state.services
    tenant = _tenant(caller)
    body: dict[str, Any] = await read_document(request, dict[str, Any])
    now = services.clock()
    question = read_question(
        body, dimensions=request.app.state.portal_dimensions, now=now, tenant=tenant
    )
    with _places(request).place(tenant):
        answer = await services.query_workers.run(services.olap.query, question, now=now)
    return shown_answer(named_as_asked(answer))


@router.get("/v1/portal/limits")
async def limits(request: Request, caller: Customer) -> dict[str, Any]:
    """Show how the tenant's limits stand, those with most used first; of money only the share."""
    services: Services = request.app.state.services
    tenant, dimensions = _tenant(caller), request.app.state.portal_dimensions
    found = await services.books_workers.run(shown_limits, services, tenant, dimensions)
    return {"limits": found}


@router.get("/v1/portal/credits")
async def credits_(
    request: Request,
    caller: Customer,
    before: Annotated[int, Query(ge=0, le=MAX_ENTRY_ID)] = 0,
    count: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 100,
) -> dict[str, Any]:
    """Show the tenant's balance, the grants that are left, and its entries, the newest first."""
    services: Services = request.app.state.services
    tenant = _tenant(caller)

    def read() -> dict[str, Any]:
        balance = services.books.balance(tenant)
        if balance is None:
            return {"balance": None, "grants": [], "entries": [], "next": None}
        entries = services.books.credit_history(tenant, before=before, limit=count)
        return {
            "balance": _balance(balance),
            "grants": [_grant(one) for one in services.books.grants(tenant, open_only=True)],
            "entries": [_entry(one) for one in entries],
            "next": entries[-1].entry_id if len(entries) == count else None,
        }

    return await services.books_workers.run(read)


def _tenant(caller: Caller) -> str:
    if caller.tenant is None:
        raise ForbiddenError("The scope `portal` shows what one tenant may see, and names none.")
    return caller.tenant


def _places(request: Request) -> Places:
    places: Places = request.app.state.portal_places
    return places


def _link(request: Request) -> PortalPass | None:
    """Return what the link of a request says; `None` where a key or a session opened the portal."""
    tokens: PortalTokens = request.app.state.portal_tokens
    return tokens.of_header(request.headers.get("authorization"))


def _name(history: list[Tenant], now: int) -> str:
    return next((one.name for one in reversed(history) if one.valid_from <= now), "")


def _is_charged(services: Services, tenant: str, now: int) -> bool:
    """Tell whether the price book has something to charge a tenant by, now or lately."""
    policy = services.policy.current()
    plan = policy.plans.get(tenant, "")
    return any(
        row.out == "nanos"
        and row.tenant in ("", tenant)
        and row.plan in ("", plan)
        and (row.valid_from is None or row.valid_from <= now)
        and (row.valid_to is None or row.valid_to > now - CHARGED_US)
        for row in policy.sells.rows
    )


def _was_charged(services: Services, tenant: str, now: int) -> bool:
    """Tell whether usage was charged lately, by whatever rows that have gone since."""
    asked = {"metrics": ["sell"], "from": now - CHARGED_US, "to": now}
    answer = services.olap.query(parse_query(asked, now=now, tenant=tenant), now=now)
    return any(value for row in answer.rows for value in row)


def _balance(balance: Balance) -> dict[str, Any]:
    return {
        "posted": balance.posted,
        "held": balance.held,
        "floor": balance.floor,
        "available": balance.available,
        "shortfall": balance.shortfall,
    }


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "grant_id": grant.grant_id,
        "amount": grant.amount,
        "remaining": grant.remaining,
        "category": grant.category,
        "effective_at": grant.effective_at,
        "expires_at": grant.expires_at,
        "reason": grant.reason,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    before = entry.balance_before
    return {
        "entry_id": entry.entry_id,
        "kind": entry.kind,
        "amount": entry.amount,
        "balance": None if before is None else before + entry.amount,
        "at": entry.at,
        "reason": entry.reason,
    }
