"""Commands that look prices up: `outlay prices list|show|at|history|export`.

The group is here; what changes and compares prices adds itself to it from `price_edit`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from outlay.cli import render
from outlay.cli.client import ServerError
from outlay.cli.options import Endpoint, Json, KeyOption, client
from outlay.core.money import format_usd
from outlay.errors import BadRequestError

prices = typer.Typer(help="The price book.", no_args_is_help=True)

Provider = Annotated[str | None, typer.Option("--provider")]
Model = Annotated[str | None, typer.Option("--model")]
At = Annotated[
    str | None, typer.Option("--at", help="A date or RFC 3339 time of the call; default: now.")
]
KnownAt = Annotated[
    str | None,
    typer.Option("--known-at", help="As the book was believed at this time; default: now."),
]
Tenant = Annotated[str | None, typer.Option("--tenant", help="As it is for this tenant.")]

_RATE_COLUMNS = [
    ("provider", "provider"), ("model", "model"), ("unit", "unit"), ("price", "$ / M"),
    ("when", "when"), ("layer", "layer"), ("source", "source"),
]  # fmt: skip
_SHOW_COLUMNS = [
    ("unit", "unit"), ("price", "$ / M"), ("when", "when"), ("layer", "layer"),
    ("mark", "wins"), ("from", "from"), ("to", "to"), ("source", "source"), ("rate_id", "id"),
]  # fmt: skip
_HISTORY_COLUMNS = [
    ("recorded", "believed from"), ("superseded", "until"), ("unit", "unit"),
    ("price", "$ / M"), ("when", "when"), ("from", "holds from"), ("to", "to"),
    ("layer", "layer"), ("source", "source"), ("rate_id", "id"),
]  # fmt: skip
_SELL_COLUMNS = [
    ("unit", "unit"), ("amount", "sold for"), ("who", "to"), ("what", "of"), ("from", "from"),
    ("to", "until"), ("source", "source"), ("sell_id", "id"),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(prices, name="prices")


def moment(text: str | None, where: str) -> int | None:
    """Return a date or time of the command line in microseconds UTC; a date is its midnight."""
    from outlay.store.pricefile.values import moment as read

    try:
        return None if text is None else read(text)
    except ValueError as error:
        raise BadRequestError(str(error), where=where) from error


def ask(endpoint: str | None, key: str | None, method: str, path: str, **parts: Any) -> Any:
    """Ask the server; a list of problems in its refusal is printed line by line first."""
    try:
        with client(endpoint, key) as server:
            return server.call(method, path, **parts)
    except ServerError as error:
        if error.problems and "--json" not in sys.argv:
            columns = [("place", "where"), ("field", "field"), ("message", "what is wrong")]
            rows = [
                {**problem, "place": problem.get("item") or f"line {problem.get('line')}"}
                for problem in error.problems
            ]
            render.errors.print(render.rows_table(rows, columns))
        raise


def given(**values: Any) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def dress(row: dict[str, Any]) -> dict[str, Any]:
    """Add to a rate what a table shows of it."""
    row["price"] = format_usd(row["nanos_per_million"])
    named = (row.get(n) for n in ("host_class", "region_class", "tier", "speed", "window"))
    conditions = [str(value) for value in named if value]
    if row.get("batch"):
        conditions.append("batch")
    if row.get("min_context"):
        conditions.append(f"from {row['min_context']:,} tokens in")
    if row.get("min_quantity"):
        conditions.append(f"at least {row['min_quantity']:,}")
    if row.get("tenant"):
        conditions.append(f"tenant {row['tenant']}")
    row["when"] = ", ".join(conditions)
    row["from"], row["to"] = (_day(row.get(n)) for n in ("valid_from", "valid_to"))
    row["recorded"] = render.moment(row.get("recorded_at"))
    row["superseded"] = render.moment(row.get("superseded_at"))
    row["mark"] = "yes" if row.get("wins") else ""
    return row


def _day(micros: int | None) -> str:
    """Write a time; midnight, as most prices change, as its date."""
    return render.moment(micros).removesuffix(" 00:00:00")


def sell_table(rows: list[dict[str, Any]]) -> Any:
    """Lay out sell rows."""
    for row in rows:
        row["amount"] = _amount(row)
        who = (("tenant", row["tenant"]), ("plan", row["plan"]), ("feature", row["feature"]))
        row["who"] = ", ".join(f"{name} {value}" for name, value in who if value) or "all"
        row["what"] = "/".join(filter(None, (row["provider"], row["model"]))) or "all"
        row["from"], row["to"] = (_day(row.get(n)) for n in ("valid_from", "valid_to"))
    return render.rows_table(rows, _SELL_COLUMNS)


def _amount(row: dict[str, Any]) -> str:
    amount: int = row["per_million"]
    if row["out"] == "credits":
        if row["unit"] == "cost":
            return f"{amount / 1000:,.15g} credits a dollar"
        if row["unit"] == "calls":
            return f"{amount / 1_000_000_000_000:,.15g} credits a call"
        return f"{amount / 1_000_000:,.15g} credits a million"
    if row["unit"] == "cost":
        return f"{amount / 1_000_000:.15g} times our cost"
    if row["unit"] == "calls" and amount % 1_000_000 == 0:
        return f"{format_usd(amount // 1_000_000)} a call"
    return f"{format_usd(amount)} a million"


@prices.command("list")
def prices_list(
    *,
    provider: Provider = None,
    model: Model = None,
    at: At = None,
    known_at: KnownAt = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """List the rates that hold at a time, in dollars per million units."""
    asked = given(
        provider=provider, model=model, at=moment(at, "--at"),
        known_at=moment(known_at, "--known-at"),
    )  # fmt: skip
    answer = ask(endpoint, key, "GET", "/v1/prices", params=asked)
    if as_json:
        render.print_json(answer)
        return
    rows = [dress(row) for row in answer["rates"]]
    render.console.print(render.rows_table(rows, _RATE_COLUMNS))
    if answer["sells"] and not (provider or model):
        render.console.print(sell_table(answer["sells"]))
    if answer["truncated"]:
        render.console.print("There are more: name a --provider or a --model.")


@prices.command("show")
def prices_show(
    provider: str,
    model: str,
    *,
    tenant: Tenant = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Show how a name resolves now, every rate that holds, and which of them win."""
    _show(given(provider=provider, model=model, tenant=tenant), endpoint, key, as_json=as_json)


@prices.command("at")
def prices_at(
    time: str,
    provider: str,
    model: str,
    *,
    known_at: KnownAt = None,
    tenant: Tenant = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Show the same for a call at a time in the past or future, and as known at another."""
    asked = given(
        provider=provider, model=model, tenant=tenant, at=moment(time, "TIME"),
        known_at=moment(known_at, "--known-at"),
    )  # fmt: skip
    _show(asked, endpoint, key, as_json=as_json)


def _show(asked: dict[str, Any], endpoint: str | None, key: str | None, *, as_json: bool) -> None:
    answer = ask(endpoint, key, "GET", "/v1/prices/show", params=asked)
    if as_json:
        render.print_json(answer)
        return
    found, said = answer["resolution"], answer["asked"]
    name = f"{said['provider']} {said['model']}"
    known = f", as known at {render.moment(said['known_at'])}" if said["known_at"] else ""
    if found is None:
        render.console.print(f"Nothing prices {render.safe(name)}{known}: its calls are unpriced.")
        return
    guess = ", an estimate" if found["estimated"] else ""
    render.console.print(
        f"{render.safe(name)} is {render.safe(found['provider'])} {render.safe(found['model'])}"
        f" (by {render.safe(found['rule'])}{guess}) at {render.moment(said['at'])} UTC{known}",
        soft_wrap=True,
    )
    rows = [dress(row) for row in answer["rates"]]
    render.console.print(render.rows_table(rows, _SHOW_COLUMNS))
    if answer["sells"]:
        render.console.print(sell_table(answer["sells"]))


@prices.command("history")
def prices_history(
    provider: str,
    model: str,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Most rows.")] = 1000,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Show every row ever believed of a model, the newest belief first."""
    asked = {"provider": provider, "model": model, "limit": limit}
    answer = ask(endpoint, key, "GET", "/v1/prices/history", params=asked)
    if as_json:
        render.print_json(answer)
        return
    rows = [dress(row) for row in answer["rates"]]
    render.console.print(render.rows_table(rows, _HISTORY_COLUMNS))


@prices.command("export")
def prices_export(
    file: Annotated[
        Path | None, typer.Argument(help="Where to write; default: standard output.")
    ] = None,
    *,
    form: Annotated[
        str | None, typer.Option("--format", help="yaml or csv; default: by the file's name.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", help="This layer only; default: all that is written by hand."),
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Write prices as a price file that `prices set` reads."""
    by_name = "csv" if file is not None and file.suffix == ".csv" else "yaml"
    asked = given(format=form or by_name, layer=layer)
    with client(endpoint, key) as server:
        response = server.send("GET", "/v1/prices/export", params=asked)
        if response.status_code >= 400:
            server.call("GET", "/v1/prices/export", params=asked)
    text = response.text
    if file is not None:
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise BadRequestError(f"{file} cannot be written: {error.strerror}.") from error
    if as_json:
        render.print_json({"format": asked["format"], "file": file and str(file), "text": text})
    elif file is None:
        sys.stdout.write(text)
    else:
        render.console.print(f"Written to {render.safe(file)}.")
