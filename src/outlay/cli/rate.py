"""`outlay rate`: recorded requests and responses in, readings and priced lines out, offline.

It makes outlay's accuracy checkable by anyone: the codecs, catalogue and rating are the server's.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Annotated, Any, Final

import typer
from rich.progress import Progress

from outlay.cli import render
from outlay.core.prices import PriceBook
from outlay.core.rating import call_of, line_confidence, price_call
from outlay.core.units import input_total, output_total
from outlay.errors import BadRequestError
from outlay.wire.base import MAX_BODY_BYTES, Reading, Request
from outlay.wire.registry import open_reader
from outlay.wire.sessions import open_session

MAX_LINE_CHARACTERS: Final = 2 * MAX_BODY_BYTES
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
_SSE_STARTS: Final = ("data:", "event:", ":", "id:", "retry:")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(rate)


def rate(
    *,
    jsonl: Annotated[
        str,
        typer.Option(
            "--jsonl",
            help="File, or - for standard input; a line is an object with url, request, response "
            "(or response_base64, or the messages of a socket) and, if known, status, "
            "response_headers, method, headers, complete, at (RFC 3339).",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="File to write instead.")] = None,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="Vendor of a private host: host[:port][/prefix]=vendor."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="As every command takes it; lines are always JSON.")
    ] = True,
) -> None:
    """Read recorded calls and write what they used and cost, a JSON object a line.

    A line that cannot be read gives an object with `error`, and exit code 1 at the end.
    """
    from outlay.store.books.catalogue import load_catalogue

    del as_json
    hosts = _hosts(host or [])
    book = load_catalogue()
    bad = 0
    source: IO[str] = sys.stdin
    if jsonl != "-":
        try:
            source = Path(jsonl).open(encoding="utf-8", errors="replace")  # noqa: SIM115
        except OSError as error:
            raise BadRequestError(
                f"{jsonl} cannot be read: {error.strerror}.", where="--jsonl"
            ) from error
    target: IO[str] = sys.stdout
    try:
        if out is not None:
            target = _opened(out)
        for number, line in _progress(source, shown=out is not None):
            if not line.strip():
                continue
            try:
                row = rate_line(line, book, hosts)
            except BadRequestError as error:
                bad += 1
                row = {"line": number, **error.as_dict()}
            text = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
            # A lone surrogate of a recording cannot be written as UTF-8.
            target.write(text.encode("utf-8", "replace").decode() + "\n")
    finally:
        if source is not sys.stdin:
            source.close()
        if target is not sys.stdout:
            target.close()
    if bad:
        render.errors.print(f"[yellow]{bad} lines could not be read[/yellow]")
        raise typer.Exit(1)


def _opened(out: Path) -> IO[str]:
    try:
        return out.open("w", encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadRequestError(
            f"{out} cannot be written: {error.strerror}.", where="--out"
        ) from error


def _progress(source: IO[str], *, shown: bool) -> Iterator[tuple[int, str]]:
    if not shown:
        yield from enumerate(source, 1)
        return
    with Progress(console=render.errors, transient=True) as progress:
        task = progress.add_task("lines", total=None)
        for number, line in enumerate(source, 1):
            progress.update(task, advance=1)
            yield number, line


def _hosts(pairs: list[str]) -> dict[str, str]:
    hosts = {}
    for pair in pairs:
        left, sign, right = pair.rpartition("=")
        if not (left and sign and right):
            raise BadRequestError(
                f"{pair!r} is not a host.",
                where="--host",
                hint="Write host[:port][/prefix]=vendor.",
            )
        hosts[left] = right
    return hosts


def rate_line(line: str, book: PriceBook, hosts: Mapping[str, str]) -> dict[str, Any]:
    """Rate one recorded call.

    Raises:
        BadRequestError: the line is not an object of the form that `rate` reads.
    """
    if len(line) > MAX_LINE_CHARACTERS:
        raise BadRequestError(f"The line is longer than {MAX_LINE_CHARACTERS:,} characters.")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("The line is not JSON.") from error
    if not isinstance(record, dict) or not isinstance(record.get("url"), str):
        raise BadRequestError("The line is not an object with a `url`.", where="url")
    at = _at(record.get("at"))
    readings = _messages(record, hosts) if "messages" in record else _read(record, hosts)
    if readings is None:
        return {"url": record["url"], "provider": None, "findings": ["unknown_provider"]}
    if len(readings) == 1 and "messages" not in record:
        return _described(readings[0], book, at)
    return _several(record["url"], [_described(reading, book, at) for reading in readings])


def _several(url: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe what told of several calls: a socket, or the results of a batch."""
    return {
        "url": url,
        "readings": rows,
        "input_total": sum(row["input_total"] for row in rows),
        "output_total": sum(row["output_total"] for row in rows),
        "cost_nanos": sum(row["cost_nanos"] for row in rows),
        "findings": sorted({finding for row in rows for finding in row["findings"]}),
    }


def _at(value: Any) -> int:
    """Return the time of the call in microseconds; without one, now."""
    if value is None:
        return int(datetime.now(UTC).timestamp() * 1e6)
    if isinstance(value, bool):
        raise BadRequestError("`at` is not a time.", where="at")
    if isinstance(value, int | float):
        # Seconds, milliseconds and microseconds since 1970 are told apart by their size.
        scale = 1_000_000 if abs(value) < 1e11 else 1_000 if abs(value) < 1e14 else 1
        if not 0 <= value * scale <= _LAST_US:
            raise BadRequestError("`at` is not between the years 1970 and 9999.", where="at")
        return round(value * scale)
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise BadRequestError("`at` is not an RFC 3339 time.", where="at") from error


def _bytes(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    flat = {}
    for name, content in value.items():
        text = content[0] if isinstance(content, list) and content else content
        flat[str(name).lower()] = str(text)
    return flat


def _messages(record: Mapping[str, Any], hosts: Mapping[str, str]) -> list[Reading] | None:
    """Read the messages of a socket, each `{"direction": "sent" | "received", "data": ...}`."""
    session = open_session(record["url"], hosts=hosts)
    if session is None:
        return None
    messages = record["messages"]
    if not isinstance(messages, list):
        raise BadRequestError("`messages` is not a list.", where="messages")
    readings: list[Reading] = []
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, dict) or "data" not in message:
            raise BadRequestError(f"`{where}` is not an object with `data`.", where=where)
        if message.get("direction") == "sent":
            session.sent(_bytes(message["data"]))
        else:
            readings += session.received(_bytes(message["data"]))
    return readings + list(session.finish())


def _read(record: Mapping[str, Any], hosts: Mapping[str, str]) -> list[Reading] | None:
    request = Request(
        method=str(record.get("method") or "POST"),
        url=record["url"],
        headers=_headers(record.get("headers")),
        body=_bytes(record.get("request")),
    )
    reader = open_reader(request, hosts=hosts)
    if reader is None:
        return None
    response = _response(record)
    headers = _headers(record.get("response_headers"))
    # A recording holds the decoded body, whatever the header said on the wire.
    headers.pop("content-encoding", None)
    if isinstance(response, str) and response.lstrip().startswith(_SSE_STARTS):
        headers["content-type"] = "text/event-stream"
    headers.setdefault("content-type", "application/json")
    status = record.get("status", 200)
    if not isinstance(status, int) or isinstance(status, bool):
        raise BadRequestError("`status` is not a whole number.", where="status")
    reader.response(status, headers)
    reader.feed(_bytes(response))
    reading = reader.finish(complete=record.get("complete") is not False)
    # A download of results costs nothing itself; what it tells of does.
    return list(reader.ready) or [reading]


def _response(record: Mapping[str, Any]) -> Any:
    if "response_base64" not in record:
        return record.get("response")
    try:
        return base64.b64decode(record["response_base64"], validate=True)
    except (TypeError, ValueError) as error:
        raise BadRequestError(
            "`response_base64` is not base64.", where="response_base64"
        ) from error


def _described(reading: Reading, book: PriceBook, at: int) -> dict[str, Any]:
    segments = [{"model": s.model, "kind": s.kind, "usage": s.usage} for s in reading.segments]
    fields = {
        name: getattr(reading, name)
        for name in (
            "provider", "surface", "vendor", "operation", "host_class", "region_class",
            "model_requested", "model_served", "deployment", "tier_requested", "tier_served",
            "batch", "speed", "streamed", "tool_calls", "max_tokens", "status", "error_type",
            "http_status", "finish_reason", "billed", "usage", "usage_source",
            "provider_cost_nanos", "response_id",
        )
    }  # fmt: skip
    priced = price_call(book, call_of({**fields, "segments": segments}, at=at))
    lines = [
        {
            "unit": line.unit,
            "quantity": line.quantity,
            "rate": line.nanos_per_million,
            "rate_id": line.rate_id,
            "nanos": line.nanos,
            "basis": line.basis,
            "confidence": line_confidence(line.basis, line.notes, guessed=priced.guessed),
        }
        for line in priced.lines
    ]
    return {
        **fields,
        "segments": segments,
        "input_total": input_total(reading.usage),
        "output_total": output_total(reading.usage),
        "lines": lines,
        "cost_nanos": priced.cost_nanos,
        "list_cost_nanos": priced.list_cost_nanos,
        "price_basis": priced.price_basis,
        "price_confidence": priced.price_confidence,
        "price_model": priced.price_model,
        "price_rule": priced.price_rule,
        "findings": [*reading.findings, *priced.flags],
    }
