"""Exchange rates: what a dollar is in other currencies, for showing amounts in them.

A rate holds from its time on until that currency's next one. Text to numbers is exact; nothing is
ever a float.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request

from outlay.api.admin import moment
from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.services import Services
from outlay.errors import BadRequestError
from outlay.store.currencies import BASE, PPB, ExchangeRate

PLACES: Final = 9
"""Places behind the point that a rate has."""
_RATE: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")

router = APIRouter()
Reader = Annotated[Caller, Depends(needs("read", "portal"))]
Admin = Annotated[Caller, Depends(needs("admin"))]


class RateBody(msgspec.Struct, forbid_unknown_fields=True):
    """A rate to write; it holds from `valid_from`, by default now. `source`: who says so."""

    per_usd: str
    reason: str
    valid_from: int | str | None = None
    source: str = ""


def parts_per_billion(text: str) -> int:
    """Return units for a dollar, as text such as `"0.9142"`, times 10^9, exactly.

    Raises:
        BadRequestError: it is no such number.
    """
    found = _RATE.fullmatch(text)
    if found is None:
        raise BadRequestError(
            "`per_usd` must be units of the currency for one dollar, as text of at most 9 digits "
            f"before the point and {PLACES} behind it.",
            where="per_usd",
            hint='Such as "0.9142".',
        )
    return int(found[1]) * PPB + int((found[2] or "").ljust(PLACES, "0"))


@router.get("/v1/currencies")
async def currencies(request: Request, caller: Reader) -> dict[str, Any]:
    """List every rate, those that begin last first."""
    del caller
    services: Services = request.app.state.services
    found = await services.books_workers.run(services.books.exchange_rates)
    return {"base": BASE, "rates": [asdict(rate) for rate in found]}


@router.put("/v1/currencies/{currency}")
async def put(request: Request, currency: str, caller: Admin) -> dict[str, Any]:
    """Write a rate, in the place of one that begins at the same time."""
    services: Services = request.app.state.services
    body = await read_document(request, RateBody)
    now = services.clock()
    begins = moment(body.valid_from, "valid_from")
    rate = ExchangeRate(
        currency, parts_per_billion(body.per_usd), now if begins is None else begins, body.source
    )
    written = await services.books_workers.run(
        services.books.put_exchange_rate, rate, reason=body.reason, actor=caller.key_id, at=now
    )
    return {"rate": asdict(written)}
