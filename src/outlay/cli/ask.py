"""Commands that ask questions: `top`, `query`, `tree`, `explain`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import RenderableType
from rich.live import Live

from outlay.cli import render
from outlay.cli.client import Client
from outlay.cli.options import Endpoint, Json, KeyOption, client
from outlay.core.money import format_usd
from outlay.errors import OutlayError, QueryError

LEAST_REFRESH_S = 0.2
MOST_REFRESH_S = 3600.0

By = Annotated[str, typer.Option("--by", help="Dimensions, separated by commas.")]
Last = Annotated[str | None, typer.Option("--last", help="Window that ends now: 15m, 24h, 30d.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Filter, e.g. tenant=acme, model!=gpt-5, feature=a|b (any of), cost_nanos>=1000.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", "-n", help="Most rows.")]

_OPERATORS = (("!=", "ne"), (">=", "gte"), ("<=", "lte"), ("^=", "prefix"), ("=", "eq"))


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(top)
    app.command()(query)
    app.command()(tree)
    app.command()(explain)


def parse_filter(text: str) -> dict[str, Any]:
    """Turn `field=value`, `field!=a|b`, `field^=prefix` … into a filter of the query API."""
    for sign, op in _OPERATORS:
        field, found, value = text.partition(sign)
        if found and field and not field.endswith(("!", ">", "<", "^")):
            if "|" in value and op in ("eq", "ne"):
                many = "in" if op == "eq" else "not_in"
                values = [_typed(field, part) for part in value.split("|")]
                return {"field": field, "op": many, "value": values}
            return {"field": field, "op": op, "value": _typed(field, value)}
    raise QueryError(
        f"{text!r} is not a filter.",
        where="--where",
        hint="Write field=value, field!=value, field=a|b, field^=prefix, field>=n or field<=n.",
    )


def _typed(field: str, text: str) -> Any:
    """Return a value as its field takes it; the server says what is wrong with any other."""
    from outlay.store.query.dimensions import field_type

    kind = field_type(field)
    if kind == "bool":
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
    if kind == "number":
        for number in (int, float):
            try:
                return number(text)
            except ValueError:
                continue
    return text


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def top(
    *,
    by: By = "tenant",
    last: Last = "15m",
    metrics: Annotated[str, typer.Option("--metrics")] = "cost,calls,tokens,errors,unpriced",
    where: Where = None,
    limit: Limit = 10,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", help="Seconds between refreshes.")] = 1.0,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Show who spends most, now."""
    body = {
        "metrics": _names(metrics),
        "by": _names(by),
        "last": last,
        "filters": [parse_filter(text) for text in where or ()],
        "limit": limit,
    }
    with client(endpoint, key) as server:
        if watch:
            _watch(server, body, every, as_json=as_json)
            return
        answer = server.call("POST", "/v1/query", json=body)
    if as_json:
        render.print_json(answer)
    else:
        render.console.print(render.answer_table(answer))


def _watch(server: Client, body: dict[str, Any], every: float, *, as_json: bool) -> None:
    """Ask again and again; a server that was there once may go away for a while.

    With `as_json` each answer is one line, without answer the error is.
    """
    # This order of arguments turns NaN into the least.
    pause = min(max(LEAST_REFRESH_S, every), MOST_REFRESH_S)
    answer = server.call("POST", "/v1/query", json=body)
    with Live(console=render.console, auto_refresh=False, screen=False) as live:
        while True:
            if as_json:
                typer.echo(json.dumps(answer))
            else:
                live.update(_watched(answer), refresh=True)
            time.sleep(pause)
            try:
                answer = server.call("POST", "/v1/query", json=body)
            except OutlayError as error:
                if error.status < 500:
                    raise
                answer = error.as_dict()


def _watched(answer: dict[str, Any]) -> RenderableType:
    if "error" in answer:
        return f"[yellow]{render.safe(answer['error']['message'])}[/yellow] Trying again."
    return render.answer_table(answer, title="Ctrl-C ends")


def query(
    *,
    metrics: Annotated[str, typer.Option("--metrics", "-m")] = "cost,calls",
    by: By = "",
    last: Last = None,
    start: Annotated[str | None, typer.Option("--from", help="RFC 3339, included.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="RFC 3339, excluded.")] = None,
    where: Where = None,
    grain: Annotated[str, typer.Option("--grain", help="none, minute, hour, day, month.")] = "none",
    timezone: Annotated[str, typer.Option("--timezone", help="IANA name.")] = "UTC",
    order: Annotated[str, typer.Option("--order", help="Columns; -name is descending.")] = "",
    limit: Limit = 100,
    schema: Annotated[
        bool, typer.Option("--schema", help="List every metric and dimension.")
    ] = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Ask any question: metrics by dimensions, filtered, over a window."""
    with client(endpoint, key) as server:
        if schema:
            _show_schema(server, as_json=as_json)
            return
        body: dict[str, Any] = {
            "metrics": _names(metrics),
            "by": _names(by),
            "filters": [parse_filter(text) for text in where or ()],
            "grain": grain,
            "timezone": timezone,
            "limit": limit,
        }
        if order:
            body["order"] = _names(order)
        if start or end:
            body |= {name: at for name, at in (("from", start), ("to", end)) if at}
        if last or not (start or end):
            body["last"] = last or "24h"
        answer = server.call("POST", "/v1/query", json=body)
    if as_json:
        render.print_json(answer)
    else:
        render.console.print(render.answer_table(answer))


def _show_schema(server: Client, *, as_json: bool) -> None:
    answer = server.call("GET", "/v1/query/schema")
    if as_json:
        render.print_json(answer)
        return
    for part in ("metrics", "dimensions"):
        columns = [("name", part[:-1]), ("meaning", "meaning")]
        if part == "metrics":
            columns.insert(1, ("unit", "unit"))
        render.console.print(render.rows_table(answer[part], columns))


def _one(
    path: str,
    show: Callable[[dict[str, Any]], None],
    endpoint: str | None,
    key: str | None,
    *,
    as_json: bool,
) -> None:
    with client(endpoint, key) as server:
        answer = server.call("GET", path)
    if as_json:
        render.print_json(answer)
    else:
        show(answer)


def tree(
    request_id: Annotated[str, typer.Argument(help="The request's id.")],
    *,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Show the cost tree of one request: agents, calls, attempts, tools."""

    def show(answer: dict[str, Any]) -> None:
        render.console.print(render.cost_tree(answer))
        attempts = f"{answer['calls']} calls, {answer['attempts']} attempts"
        total = format_usd(answer["cost_nanos"])
        render.console.print(f"{total} for {render.safe(answer['tenant'])}: {attempts}")

    _one(f"/v1/requests/{quote(request_id, safe='')}/tree", show, endpoint, key, as_json=as_json)


def explain(
    event_id: Annotated[str, typer.Argument(help="The event's id.")],
    *,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Show one event's whole way: what was captured, and how its price came about."""
    _one(
        f"/v1/events/{quote(event_id, safe='')}", _show_explanation, endpoint, key, as_json=as_json
    )


_MOMENTS = ("started_at", "ended_at", "received_at")
_ELSEWHERE = ("lines", "usage_raw", "adjustments")


def _show_explanation(answer: dict[str, Any]) -> None:
    event = answer["event"]
    facts = [
        {"field": name, "value": render.moment(value) if name in _MOMENTS else value}
        for name, value in event.items()
        if value not in (None, "", [], {}, False, 0) and name not in _ELSEWHERE
    ]
    render.console.print(render.rows_table(facts, [("field", "field"), ("value", "value")]))
    if event.get("usage_raw"):
        raw = event["usage_raw"]
        text = raw if isinstance(raw, str) else json.dumps(raw)
        render.console.print(f"[bold]raw usage[/bold] {render.safe(text)}", soft_wrap=True)
    if answer["derivation"].get("convention"):
        rule = render.safe(answer["derivation"]["convention"])
        render.console.print(f"[bold]convention[/bold] {rule}", soft_wrap=True)
    columns = [
        ("unit", "unit"), ("quantity", "quantity"), ("nanos_per_million", "nano-$ per million"),
        ("nanos", "nano-$"), ("basis", "basis"), ("confidence", "confidence"),
        ("rate_id", "rate"), ("source", "source"),
    ]  # fmt: skip
    render.console.print(render.rows_table(answer["lines"], columns))
    derivation = answer["derivation"]
    for line in derivation.get("arithmetic") or ():
        render.console.print(f"  [dim]{render.safe(line)}[/dim]", soft_wrap=True)
    render.console.print(f"[green]{format_usd(event['cost_nanos'] or 0)}[/green] in all")
    for change in derivation.get("adjustments") or ():
        what = f"{format_usd(change['nanos'])} on {render.moment(change['at'])}"
        reason = render.safe(change["reason"])
        render.console.print(f"[bold]adjusted[/bold] by {what}: {reason}", soft_wrap=True)
        for line in change["arithmetic"]:
            render.console.print(f"  [dim]{render.safe(line)}[/dim]", soft_wrap=True)
    if "cost_now_nanos" in derivation:
        render.console.print(f"[green]{format_usd(derivation['cost_now_nanos'])}[/green] now")
