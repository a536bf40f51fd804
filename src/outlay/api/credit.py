"""Prepaid credits: balances and history to read, grants and corrections to make.

Every change has an idempotency key and a reason: sent twice it is made once. Amounts are credits as
text (`"12.5"`), or micro-credits as an integer in `*_micros`. A tenant's key sees its own only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from outlay.api.admin import moment
from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.services import Services
from outlay.errors import BadRequestError, NotFoundError
from outlay.store.credits import (
    CATEGORIES,
    MAX_ENTRY_ID,
    MAX_MICROS,
    MICROS,
    Balance,
    Category,
    Entry,
    Grant,
)

MAX_LISTED: Final = 1_000
PLACES: Final = 6
"""Places behind the point that a credit has."""
_PPM: Final = 1_000_000
_CREDITS: Final = re.compile(r"[+-]?[0-9]{1,13}(\.[0-9]{1,6})?")
_SHARE: Final = re.compile(r"[01](\.[0-9]{1,6})?")

router = APIRouter()
Admin = Annotated[Caller, Depends(needs("admin"))]
Reader = Annotated[Caller, Depends(needs("read", "admin"))]


class GrantBody(msgspec.Struct, forbid_unknown_fields=True):
    """Credits to give; `rollover` is the share, from 0 to 1, of what is left when they expire."""

    key: str
    reason: str
    amount: str | int | None = None
    amount_micros: int | None = None
    category: str = "paid"
    priority: int = 100
    effective_at: int | str | None = None
    expires_at: int | str | None = None
    rollover: str | None = None
    rollover_days: int = 0


class AmountBody(msgspec.Struct, forbid_unknown_fields=True):
    """A correction (below zero too), a refund, or a transfer `to` another tenant."""

    key: str
    reason: str
    amount: str | int | None = None
    amount_micros: int | None = None
    to: str = ""
    tx_id: str = ""


class AccountBody(msgspec.Struct, forbid_unknown_fields=True):
    """How an account works; `overdraft` is how far below zero its balance may go."""

    reason: str
    overdraft: str | int = 0
    enforce: bool = True
    top_up_below: str | int | None = None
    top_up_amount: str | int | None = None
    top_up_url: str = ""


def micros(value: str | int, where: str) -> int:
    """Return credits, as text or a whole number, in micro-credits.

    Raises:
        BadRequestError: it is no number of credits, or has more than `PLACES` places.
    """
    found = _CREDITS.fullmatch(str(value))
    exact = int(Decimal(found[0]) * MICROS) if found else None
    if exact is None or abs(exact) > MAX_MICROS:
        raise BadRequestError(
            f"`{where}` must be a number of credits with at most {PLACES} places.",
            where=where,
            hint=f'Write it as text, such as "12.5"; at most {MAX_MICROS // MICROS} credits.',
        )
    return exact


def balance_answer(balance: Balance, caller: Caller) -> dict[str, Any]:
    """Return a balance as JSON carries it: all in micro-credits; addresses are for admins."""
    answer = {**asdict(balance), "available": balance.available}
    if "admin" not in caller.scopes:
        del answer["top_up_url"]
    return answer


@router.get("/v1/credits")
async def accounts(request: Request, caller: Reader) -> dict[str, Any]:
    """List every account, or the caller's own."""
    services: Services = request.app.state.services
    found = await services.books_workers.run(services.books.balances)
    if caller.tenant is not None:
        found = [one for one in found if one.tenant == caller.tenant]
    return {"accounts": [balance_answer(one, caller) for one in found]}


@router.get("/v1/credits/{tenant}")
async def balance(request: Request, tenant: str, caller: Reader) -> dict[str, Any]:
    """Return a tenant's balance: one row of the books."""
    services: Services = request.app.state.services
    _own(caller, tenant)
    found = await services.books_workers.run(services.books.balance, tenant)
    return {"balance": balance_answer(_known(found), caller)}


@router.get("/v1/credits/{tenant}/grants")
async def grants(
    request: Request, tenant: str, caller: Reader, *, all_of_them: bool = False
) -> dict[str, Any]:
    """List a tenant's grants in the order they drain; used and expired ones too if asked."""
    services: Services = request.app.state.services
    _own(caller, tenant)

    def read() -> list[Grant]:
        _known(services.books.balance(tenant))
        return services.books.grants(tenant, open_only=not all_of_them)

    found = await services.books_workers.run(read)
    return {"grants": [asdict(one) for one in found]}


@router.get("/v1/credits/{tenant}/history")
async def history(
    request: Request,
    tenant: str,
    caller: Reader,
    before: Annotated[int, Query(ge=0, le=MAX_ENTRY_ID)] = 0,
    count: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100,
) -> dict[str, Any]:
    """List a tenant's entries, the newest first; `before` is the last entry of the page before."""
    services: Services = request.app.state.services
    _own(caller, tenant)

    def read() -> list[Entry]:
        _known(services.books.balance(tenant))
        return services.books.credit_history(tenant, before=before, limit=count)

    found = await services.books_workers.run(read)
    rows = [asdict(one) for one in found]
    if caller.tenant is not None:
        for row in rows:
            del row["actor"]
    return {"entries": rows, "next": found[-1].entry_id if len(found) == count else None}


@router.post("/v1/credits/{tenant}/grants")
async def grant(request: Request, tenant: str, caller: Admin) -> dict[str, Any]:
    """Give a tenant credits."""
    services: Services = request.app.state.services
    body = await read_document(request, GrantBody)
    if body.category not in CATEGORIES:
        raise BadRequestError(
            f"`category` must be one of {', '.join(CATEGORIES)}.", where="category"
        )
    category: Category = "paid" if body.category == "paid" else "promotional"

    def write() -> dict[str, Any]:
        made, left = services.books.grant(
            tenant,
            _above_zero(body),
            key=body.key,
            reason=body.reason,
            actor=caller.key_id,
            at=services.clock(),
            category=category,
            priority=body.priority,
            effective_at=moment(body.effective_at, "effective_at"),
            expires_at=moment(body.expires_at, "expires_at"),
            rollover_ppm=_share(body.rollover),
            rollover_us=body.rollover_days * 86_400_000_000,
        )
        services.policy.expire()
        return {"grant": asdict(made), "balance": balance_answer(left, caller)}

    return await services.books_workers.run(write)


@router.post("/v1/credits/{tenant}/adjust")
async def adjust(request: Request, tenant: str, caller: Admin) -> dict[str, Any]:
    """Correct a balance, up or down."""
    services: Services = request.app.state.services
    body = await read_document(request, AmountBody)
    return await _changed(request, caller, lambda: services.books.adjust(
        tenant, _amount(body), **_by(services, caller, body)
    ))  # fmt: skip


@router.post("/v1/credits/{tenant}/refund")
async def refund(request: Request, tenant: str, caller: Admin) -> dict[str, Any]:
    """Give back what was charged; of a transaction, to the grants that it drained."""
    services: Services = request.app.state.services
    body = await read_document(request, AmountBody)
    return await _changed(request, caller, lambda: services.books.refund(
        tenant, _above_zero(body), tx_id=body.tx_id, **_by(services, caller, body)
    ))  # fmt: skip


@router.post("/v1/credits/{tenant}/transfer")
async def transfer(request: Request, tenant: str, caller: Admin) -> dict[str, Any]:
    """Move credits to another tenant."""
    services: Services = request.app.state.services
    body = await read_document(request, AmountBody)
    if not body.to:
        raise BadRequestError("`to` names no tenant.", where="to")

    def write() -> dict[str, Any]:
        source, target = services.books.transfer(
            tenant, body.to, _above_zero(body), **_by(services, caller, body)
        )  # fmt: skip
        services.policy.expire()
        return {
            "balance": balance_answer(source, caller),
            "to": balance_answer(target, caller),
        }

    return await services.books_workers.run(write)


@router.put("/v1/credits/{tenant}")
async def account(request: Request, tenant: str, caller: Admin) -> dict[str, Any]:
    """Open an account, or change its overdraft and its automatic top-up."""
    services: Services = request.app.state.services
    body = await read_document(request, AccountBody)
    overdraft = micros(body.overdraft, "overdraft")
    if overdraft < 0:
        raise BadRequestError(
            "`overdraft` is how far below zero the balance may go: 0 credits or more.",
            where="overdraft",
        )

    def optional(value: str | int | None, where: str) -> int | None:
        return None if value is None else micros(value, where)

    return await _changed(request, caller, lambda: services.books.set_account(
        tenant, floor=-overdraft, reason=body.reason,
        actor=caller.key_id, at=services.clock(), enforce=body.enforce,
        top_up_below=optional(body.top_up_below, "top_up_below"),
        top_up_amount=optional(body.top_up_amount, "top_up_amount"),
        top_up_url=body.top_up_url,
    ))  # fmt: skip


@router.get("/v1/verify")
async def verify(request: Request, _caller: Admin) -> dict[str, Any]:
    """Prove that holds equal counters and that the ledger balances: a line per difference."""
    services: Services = request.app.state.services

    def prove() -> dict[str, Any]:
        found = {
            "holds": services.books.check_holds(),
            "credits": services.books.check_credits(),
        }
        return {"ok": not any(found.values()), **found}

    return await services.books_workers.run(prove)


async def _changed(
    request: Request, caller: Caller, write: Callable[[], Balance]
) -> dict[str, Any]:
    services: Services = request.app.state.services
    left = await services.books_workers.run(write)
    services.policy.expire()
    return {"balance": balance_answer(left, caller)}


def _by(services: Services, caller: Caller, body: AmountBody) -> dict[str, Any]:
    return {
        "key": body.key, "reason": body.reason, "actor": caller.key_id, "at": services.clock()
    }  # fmt: skip


def _amount(body: AmountBody | GrantBody) -> int:
    if (body.amount is None) == (body.amount_micros is None):
        raise BadRequestError("Give one of `amount` and `amount_micros`.", where="amount")
    exact = body.amount_micros or 0
    amount = exact if body.amount is None else micros(body.amount, "amount")
    if not amount:
        raise BadRequestError("`amount` is 0: nothing would change.", where="amount")
    return amount


def _above_zero(body: AmountBody | GrantBody) -> int:
    amount = _amount(body)
    if amount < 0:
        raise BadRequestError(
            "`amount` must be above 0.", where="amount", hint="`adjust` takes credits away."
        )
    return amount


def _share(text: str | None) -> int:
    if text is None:
        return 0
    ppm = int(Decimal(text) * _PPM) if _SHARE.fullmatch(text) else _PPM + 1
    if ppm > _PPM:
        raise BadRequestError(
            "`rollover` must be a share from 0 to 1.", where="rollover", hint='Such as "0.5".'
        )
    return ppm


def _own(caller: Caller, tenant: str) -> None:
    if caller.tenant not in (None, tenant):
        raise _no_account()


def _known(found: Balance | None) -> Balance:
    if found is None:
        raise _no_account()
    return found


def _no_account() -> NotFoundError:
    return NotFoundError(
        "This tenant has no credit account.",
        where="tenant",
        hint="The first grant opens one: `outlay credits grant TENANT AMOUNT --reason …`.",
    )
