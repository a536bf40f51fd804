"""Prices to look up, and the whole book for SDKs. List prices only, so any key may read them."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from outlay.api.admin import moment
from outlay.api.auth import Caller, needs
from outlay.api.services import Services
from outlay.core.prices import PriceBook, RateRow

MAX_RATES: Final = 10_000
"""Most rates of one answer; `truncated` says that there are more."""

router = APIRouter()
AnyKey = Annotated[Caller, Depends(needs("read", "ingest", "admin"))]
Name = Annotated[str | None, Query(max_length=256)]


class BookCache:
    """The price book as of the books' last price revision, and its snapshot in gzip."""

    def __init__(self) -> None:
        self._revision = -1
        self._book = PriceBook(models=(), rates=())
        self._snapshot: tuple[str, bytes] | None = None

    def book(self, services: Services) -> PriceBook:
        """Return the book believed now. Blocks on the books."""
        revision = services.books.revision("prices")
        if revision != self._revision:
            self._book = services.books.load_prices()
            self._snapshot, self._revision = None, revision
        return self._book

    def snapshot(self, services: Services) -> tuple[str, bytes]:
        """Return the book's hash and its snapshot in gzip. Blocks on the books."""
        book = self.book(services)
        if self._snapshot is None or self._snapshot[0] != book.hash:
            self._snapshot = (book.hash, gzip.compress(book.to_snapshot(), mtime=0))
        return self._snapshot


@router.get("/v1/prices")
async def prices(
    request: Request,
    caller: AnyKey,
    provider: Name = None,
    model: Name = None,
    at: Name = None,
) -> dict[str, Any]:
    """List the rates that hold at a time, by default now."""
    del caller
    services: Services = request.app.state.services
    cache: BookCache = request.app.state.book_cache
    asked = moment(at, "at")
    when = services.clock() if asked is None else asked
    book = await services.query_workers.run(cache.book, services)
    rates = [
        rate
        for rate in book.rates
        if provider in (None, rate.provider) and model in (None, rate.model) and _holds(rate, when)
    ]
    return {
        "rates": [asdict(rate) for rate in rates[:MAX_RATES]],
        "truncated": len(rates) > MAX_RATES,
        "hash": book.hash,
        "at": when,
    }


@router.get("/v1/prices/snapshot")
async def snapshot(request: Request, caller: AnyKey) -> Response:
    """Give the whole price book, for pricing in process; `ETag` is its hash."""
    del caller
    services: Services = request.app.state.services
    cache: BookCache = request.app.state.book_cache
    book_hash, body = await services.query_workers.run(cache.snapshot, services)
    headers = {"ETag": f'"{book_hash}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


def _holds(rate: RateRow, when: int) -> bool:
    begun = rate.valid_from is None or rate.valid_from <= when
    return begun and (rate.valid_to is None or when < rate.valid_to)
