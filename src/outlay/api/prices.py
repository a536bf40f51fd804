"""Prices to look up: what holds and wins at a time, as known at a time, and how it came to be.

A key of one tenant sees no other tenant's rates, and nothing of what usage is sold for; that is
cut off here, before anything is selected. Writing is in `price_edit`, comparing in `price_check`.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from outlay.api.admin import moment
from outlay.api.auth import Caller, needs
from outlay.api.services import Services
from outlay.core.match import canonical_provider
from outlay.core.prices import LAYERS, ModelRow, PriceBook, RateRow
from outlay.core.sell import SellRow
from outlay.errors import BadRequestError
from outlay.store.books.change import model_id, overlap, span
from outlay.store.pricefile.write import write_file

MAX_RATES: Final = 10_000
"""Most rates of one answer; `truncated` says that there are more."""
MAX_SNAPSHOTS: Final = 64
"""Snapshots that are kept: one a tenant with rates of its own."""

router = APIRouter()
AnyKey = Annotated[Caller, Depends(needs("read", "ingest", "admin"))]
Reader = Annotated[Caller, Depends(needs("read", "admin"))]
Name = Annotated[str | None, Query(max_length=256)]
Needed = Annotated[str, Query(max_length=256, min_length=1)]
Limit = Annotated[int, Query(ge=1, le=MAX_RATES)]
_MEDIA: Final = {"yaml": "application/yaml", "csv": "text/csv"}


@dataclass(frozen=True, slots=True)
class _Kept:
    """A book and the snapshots made of it: one object, so that they always belong together."""

    revision: int
    book: PriceBook
    snapshots: dict[str, tuple[str, bytes]]


class BookCache:
    """The price book as of the books' last price revision, and its snapshots in gzip.

    `editing` is held from the reading of the book to the writing of a change that was planned on
    it, so that no other change comes between.
    """

    def __init__(self) -> None:
        self.editing = threading.Lock()
        self._kept = _Kept(-1, PriceBook(), {})

    def book(self, services: Services) -> PriceBook:
        """Return the book believed now. Blocks on the books."""
        return self._now(services).book

    def _now(self, services: Services) -> _Kept:
        kept, revision = self._kept, services.books.revision("prices")
        if revision != kept.revision:
            kept = self._kept = _Kept(revision, services.books.load_prices(), {})
        return kept

    def snapshot(self, services: Services, caller: Caller) -> tuple[str, bytes]:
        """Return the hash and the gzip snapshot of what a caller may see. Blocks on the books."""
        kept = self._now(services)
        book, snapshots = kept.book, kept.snapshots
        # Tenants without rates of their own see the same book.
        whose = caller.tenant if caller.tenant in book.tenants else ""
        place = "*" if caller.tenant is None else whose or ""
        made = snapshots.get(place)
        if made is None:
            visible = seen_by(book, caller)
            made = (visible.hash, gzip.compress(visible.to_snapshot(), mtime=0))
            if len(snapshots) >= MAX_SNAPSHOTS:
                snapshots.clear()
            snapshots[place] = made
        return made


def seen_by(book: PriceBook, caller: Caller) -> PriceBook:
    """Return the part of a book that a caller may see."""
    return book if caller.tenant is None else book.for_tenant(caller.tenant)


def believed(request: Request, caller: Caller, known_at: int | None) -> PriceBook:
    """Return what a caller may see of the book as known at a time. Blocks on the books."""
    services: Services = request.app.state.services
    cache: BookCache = request.app.state.book_cache
    book = cache.book(services) if known_at is None else services.books.load_prices(
        known_at=known_at
    )  # fmt: skip
    return seen_by(book, caller)


@router.get("/v1/prices")
async def prices(
    request: Request,
    caller: AnyKey,
    provider: Name = None,
    model: Name = None,
    at: Name = None,
    known_at: Name = None,
) -> Response:
    """List the rates that hold at a time, by default now, as known then, by default now."""
    services: Services = request.app.state.services
    when, known = _times(services, at, known_at)
    zipped = "gzip" in request.headers.get("accept-encoding", "")

    def build() -> bytes:
        # Megabytes: made here, off the event loop that calls of the gateway share.
        book = believed(request, caller, known)
        rates = [
            rate
            for rate in book.rates
            if provider in (None, rate.provider)
            and model in (None, rate.model)
            and _holds(rate, when)
        ]
        answer = {
            "rates": rates[:MAX_RATES],
            "sells": [row for row in _sells(book, caller) if _holds(row, when)][:MAX_RATES],
            "truncated": len(rates) > MAX_RATES,
            "hash": book.hash,
            "at": when,
            "known_at": known,
        }
        text = msgspec.json.encode(answer)
        return gzip.compress(text, compresslevel=1, mtime=0) if zipped else text

    headers = {"vary": "accept-encoding"} | ({"content-encoding": "gzip"} if zipped else {})
    body = await services.query_workers.run(build)
    return Response(body, media_type="application/json", headers=headers)


@router.get("/v1/prices/show")
async def show(
    request: Request,
    caller: Reader,
    provider: Needed,
    model: Needed,
    at: Name = None,
    known_at: Name = None,
    tenant: Name = None,
) -> dict[str, Any]:
    """Show how a name resolves, by which rule, every rate that holds, and which of them win."""
    services: Services = request.app.state.services
    when, known = _times(services, at, known_at)
    whose = caller.tenant or tenant or ""
    book = await services.query_workers.run(believed, request, caller, known)
    found = book.resolve(provider, [model], whose)
    asked = {"provider": provider, "model": model, "at": when, "known_at": known, "tenant": whose}
    if found is None:
        return {"asked": asked, "resolution": None, "rates": [], "sells": [], "aliases": []}
    rates = [
        row
        for row in book.rates
        if _is(row, found.provider, found.model) and row.tenant in ("", whose) and _holds(row, when)
    ]
    strength = {layer: place for place, layer in enumerate(LAYERS)}
    rates.sort(key=lambda r: (r.unit, -strength.get(r.layer, 0), r.min_context, r.rate_id))
    return {
        "asked": asked,
        "resolution": {**asdict(found), "estimated": found.estimated},
        "rates": [
            {**asdict(row), "wins": _wins(book, row, when, whose)} for row in rates[:MAX_RATES]
        ],
        "sells": [
            asdict(row)
            for row in _sells(book, caller)
            if _holds(row, when)
            and row.provider in ("", found.provider)
            and row.model.lower() in ("", found.model.lower())
        ],
        "aliases": _models(row for row in book.models if _is(row, found.provider, found.model)),
    }


@router.get("/v1/prices/history")
async def history(
    request: Request, caller: Reader, provider: Needed, model: Needed, limit: Limit = 1000
) -> dict[str, Any]:
    """Show every row ever believed of a model, the newest belief first."""
    services: Services = request.app.state.services

    def read() -> tuple[list[RateRow], list[ModelRow]]:
        owner = canonical_provider(provider)
        said = services.books.price_history(owner, model, limit=limit)
        if any(said):
            return said
        found = believed(request, caller, None).resolve(provider, [model], caller.tenant or "")
        if found is None:
            return [], []
        return services.books.price_history(found.provider, found.model, limit=limit)

    rates, models = await services.books_workers.run(read)
    if caller.tenant is not None:
        rates = [row for row in rates if row.tenant in ("", caller.tenant)]
    return {"rates": [asdict(row) for row in rates], "models": _models(models)}


@router.get("/v1/prices/export")
async def export(
    request: Request,
    caller: Reader,
    form: Annotated[Literal["yaml", "csv"], Query(alias="format")] = "yaml",
    layer: Name = None,
) -> Response:
    """Give the rows of a layer, by default all that were written by hand, as a price file."""
    services: Services = request.app.state.services
    if layer is not None and layer not in LAYERS:
        raise BadRequestError(f"`layer` is one of {', '.join(LAYERS)}.", where="layer")

    def write() -> str:
        book = believed(request, caller, None)
        if layer is None:
            # A catalogue brings corrections too: read back, they would stand as written by hand.
            hand = services.books.rates_by_hand()
            rates = [row for row in book.rates if row.rate_id in hand]
        else:
            rates = [row for row in book.rates if row.layer == layer]
        named = layer in (None, "override")
        aliases = [row for row in book.models if named and row.layer == "override"]
        sells = _sells(book, caller) if layer is None else []
        return write_file(rates, aliases, sells, form=form)

    text = await services.query_workers.run(write)
    headers = {"Content-Disposition": f'attachment; filename="prices.{form}"'}
    return Response(text, media_type=_MEDIA[form], headers=headers)


@router.get("/v1/prices/snapshot")
async def snapshot(request: Request, caller: AnyKey) -> Response:
    """Give the price book, for pricing in process; `ETag` is its hash."""
    services: Services = request.app.state.services
    cache: BookCache = request.app.state.book_cache
    book_hash, body = await services.query_workers.run(cache.snapshot, services, caller)
    headers = {"ETag": f'"{book_hash}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)


def _times(services: Services, at: str | None, known_at: str | None) -> tuple[int, int | None]:
    asked = moment(at, "at")
    return services.clock() if asked is None else asked, moment(known_at, "known_at")


def _holds(row: RateRow | SellRow, when: int) -> bool:
    return overlap(span(row), (when, when + 1))


def _is(row: RateRow | ModelRow, provider: str, model: str) -> bool:
    return row.provider.lower() == provider.lower() and row.model.lower() == model.lower()


def _wins(book: PriceBook, row: RateRow, when: int, tenant: str) -> bool:
    """Tell whether a call of exactly the row's conditions is priced by it."""
    chosen = book.rate_set(
        row.provider, row.model, host_class=row.host_class, region_class=row.region_class,
        tier=row.tier, batch=row.batch, speed=row.speed, tenant=tenant, at=when,
        input_total=row.min_context,
    )  # fmt: skip
    return chosen.rows.get(row.unit) is row


def _sells(book: PriceBook, caller: Caller) -> list[SellRow]:
    """Return what usage is sold for: the operator's matter, not an SDK's."""
    reader = "read" in caller.scopes or "admin" in caller.scopes
    return list(book.sells) if reader and caller.tenant is None else []


def _models(rows: Iterable[ModelRow]) -> list[Mapping[str, Any]]:
    return [{**asdict(row), "id": model_id(row)} for row in rows]
