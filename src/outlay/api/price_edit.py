"""Changing prices: rows of a body or a price file, and a new reading of the catalogue.

Admin only. A change is planned from what is believed, shown when it is a dry run, and else written
as a whole with who, when and why.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request

from outlay.api.auth import Caller, needs
from outlay.api.body import (
    MAX_DOCUMENT_BYTES,
    Memory,
    UnsupportedError,
    check_media,
    declared_length,
    read_body,
)
from outlay.api.plain import rfc3339
from outlay.api.prices import BookCache
from outlay.api.services import Services
from outlay.core.prices import PriceBook
from outlay.errors import BadRequestError
from outlay.store.base import PriceChange
from outlay.store.books.change import Plan, model_id, plan_change
from outlay.store.books.price_checks import check_change
from outlay.store.books.sources import (
    MAX_CATALOGUE_BYTES,
    MAX_CHANGES,
    Source,
    differences,
    fetched,
    from_export,
    from_package,
)
from outlay.store.pricefile.items import MAX_FILE_BYTES
from outlay.store.pricefile.read import read_change

MAX_SHOWN: Final = 500
"""Rows that the answer to a change spells out; the counts are of all."""
_JSON: Final = "application/json"
_FORMS: Final = {
    _JSON: "json", "application/yaml": "yaml", "application/x-yaml": "yaml", "text/yaml": "yaml",
    "text/csv": "csv",
}  # fmt: skip

router = APIRouter()
Admin = Annotated[Caller, Depends(needs("admin"))]
Reason = Annotated[str, Query(max_length=1024)]


class ChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    """A change as JSON: rows as in a price file, and ids of rows to withdraw."""

    reason: str = ""
    rates: list[dict[str, Any]] = []
    aliases: list[dict[str, Any]] = []
    sell: list[dict[str, Any]] = []
    units: list[str] = []
    withdraw: list[str] = []
    dry_run: bool = False
    force: bool = False


_DECODER: Final = msgspec.json.Decoder(ChangeBody, float_hook=str)
"""Numbers with a point stay the text they are written as: no price is ever a float."""


async def read_bytes(request: Request, *, known: tuple[str, ...], most: int) -> tuple[str, bytes]:
    """Return the media type and the bytes of a body within a bound."""
    media = check_media(request.headers.get("content-type"), known)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedError("This body must not be encoded.", where="Content-Encoding")
    declared_length(request.headers.get("content-length"), most)
    memory: Memory = request.app.state.memory
    with memory.share() as take:
        body = await read_body(request.receive, most=most, take=take)
    return media, body or b""


@router.post("/v1/prices")
async def change(
    request: Request,
    caller: Admin,
    reason: Reason = "",
    *,
    dry_run: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Take rows as JSON, or a price file in YAML or CSV, as a whole or not at all."""
    services: Services = request.app.state.services
    media, body = await read_bytes(request, known=tuple(_FORMS), most=MAX_FILE_BYTES)
    form, content, withdrawn = _FORMS[media], body, list[str]()
    document: Any = content
    if form == "json":
        asked = _decoded(body)
        document = {n: getattr(asked, n) for n in ("rates", "aliases", "sell", "units")}
        withdrawn, reason = asked.withdraw, asked.reason or reason
        dry_run, force = dry_run or asked.dry_run, force or asked.force
    if not reason.strip():
        raise BadRequestError("A change of prices needs a reason.", where="reason")

    cache: BookCache = request.app.state.book_cache

    def write() -> dict[str, Any]:
        with cache.editing:
            return planned_and_written()

    def planned_and_written() -> dict[str, Any]:
        now = services.clock()
        book = services.books.load_prices()
        wanted = read_change(document, form, book, at=now, force=force, withdrawn=tuple(withdrawn))
        plan = _planned(book, wanted)
        answer = _shown(plan, dry_run=dry_run)
        if not dry_run:
            answer["added"], answer["superseded"] = services.books.change_prices(
                wanted, reason=reason, actor=caller.key_id, at=now
            )
        return answer

    return await services.books_workers.run(write)


@router.post("/v1/prices/sync")
async def sync(
    request: Request, caller: Admin, *, update: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    """Read the catalogue again: the installed one, its publisher's newest, or a file's."""
    services: Services = request.app.state.services
    body = b""
    if request.headers.get("content-type"):
        _, body = await read_bytes(request, known=(_JSON,), most=MAX_CATALOGUE_BYTES)
    if body and update:
        raise BadRequestError("Give either a file or `update`, not both.", where="update")

    def read() -> dict[str, Any]:
        now = services.clock()
        day = rfc3339(now)[:10]
        source = _source(body, day=day, update=update)
        before = services.books.load_prices()
        changes = differences(_of_catalogue(before), source.book)
        count = 0
        if not dry_run:
            count = services.books.save_catalogue(
                source.book, source=source.name, actor=caller.key_id, at=now
            )
        return {
            "source": source.name,
            "rates": source.report.rates,
            "corrections": source.report.corrections,
            "skipped": dict(source.report.skipped),
            "rows_changed": count,
            "prices_changed": len(changes),
            "changes": changes[:MAX_CHANGES],
            "dry_run": dry_run,
        }

    return await services.books_workers.run(read)


def _decoded(body: bytes) -> ChangeBody:
    if len(body) > MAX_DOCUMENT_BYTES:
        raise BadRequestError(
            f"A JSON change has at most {MAX_DOCUMENT_BYTES} bytes.",
            where="body",
            hint="Send a price file as `application/yaml` or `text/csv`.",
        )
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{error}.", where="body") from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadRequestError("The body is not valid JSON.", where="body") from error


def _planned(book: PriceBook, wanted: PriceChange) -> Plan:
    check_change(wanted)
    return plan_change(book, wanted)


def _shown(plan: Plan, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "added": plan.added,
        "superseded": plan.superseded,
        "rates": [asdict(row) for row in plan.rates[:MAX_SHOWN]],
        "replaced": [asdict(row) for row in plan.ended_rates[:MAX_SHOWN]],
        "aliases": [{**asdict(row), "id": model_id(row)} for row in plan.models[:MAX_SHOWN]],
        "sells": [asdict(row) for row in plan.sells[:MAX_SHOWN]],
        "replaced_sells": [asdict(row) for row in plan.ended_sells[:MAX_SHOWN]],
    }


def _source(body: bytes, *, day: str, update: bool) -> Source:
    if body:
        return from_export(body, day=day)
    return fetched(day=day) if update else from_package()


def _of_catalogue(book: PriceBook) -> PriceBook:
    """Return the part of a book that a catalogue brings."""
    layers = ("catalogue", "correction")
    return PriceBook(rates=tuple(row for row in book.rates if row.layer in layers))
