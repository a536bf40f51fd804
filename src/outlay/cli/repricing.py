"""`outlay prices unpriced|rerate|spread`: what has no price yet, and pricing again."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from outlay.cli import render
from outlay.cli.client import Client
from outlay.cli.options import Endpoint, Json, KeyOption, client
from outlay.cli.prices import given, moment, prices
from outlay.core.money import format_usd, nanos_from_usd
from outlay.errors import BadRequestError

From = Annotated[str, typer.Option("--from", help="Start of the events: a date or RFC 3339.")]
To = Annotated[str, typer.Option("--to", help="End, excluded: a date or RFC 3339.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands on every adjustment.")]
Provider = Annotated[str, typer.Option("--provider", help="Of this provider only.")]
Model = Annotated[
    str, typer.Option("--model", help="With this name only, priced, served or requested.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Write without asking.")]


RUN_TIMEOUT_S = 3600.0
"""How long a re-rating may take; its millions of events take minutes."""

_WHY = {
    "unknown_model": "no row of the book knew the name",
    "no_rate": "a unit had no rate",
    "usage_unknown": "maybe billed, usage unknown",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the group `prices`."""
    del app
    for command in (unpriced, rerate, spread):
        prices.command()(command)


def unpriced(
    *,
    start: Annotated[
        str | None, typer.Option("--from", help="A date or RFC 3339; default: 30 days ago.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="A date or RFC 3339; default: now.")
    ] = None,
    provider: Provider = "",
    model: Model = "",
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """List events without a price: what they lack, and what limits hold them at."""
    window = given(**{"from": moment(start, "--from"), "to": moment(end, "--to")})
    params = window | {n: v for n, v in (("provider", provider), ("model", model)) if v}
    with client(endpoint, key) as server:
        answer = server.call("GET", "/v1/prices/unpriced", params=params)
    if as_json:
        render.print_json(answer)
        return
    if not answer["unpriced"]:
        render.console.print("Every event has a price.")
        return
    for row in answer["unpriced"]:
        row["why"] = _WHY.get(row["reason"], row["reason"])
        row["held at"] = format_usd(row["ceiling_nanos"])
        row["first"], row["last"] = render.moment(row["first_at"]), render.moment(row["last_at"])
    columns = [
        ("provider", "provider"), ("model", "model"), ("why", "why"), ("events", "events"),
        ("tenants", "tenants"), ("first", "first"), ("last", "last"),
        ("held at", "held at (ceiling)"), ("event_id", "for example"),
    ]  # fmt: skip
    render.console.print(render.rows_table(answer["unpriced"], columns))
    render.console.print(
        "Give each of their units a rate with `outlay prices set`; they are then re-rated by "
        "themselves. `outlay explain` shows an event's units."
    )


def rerate(
    *,
    start: From,
    end: To,
    reason: Reason,
    provider: Provider = "",
    model: Model = "",
    tenant: Annotated[str, typer.Option("--tenant", help="Of this tenant only.")] = "",
    only_unpriced: Annotated[
        bool, typer.Option("--unpriced", help="Only events that have no price.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Price past events with today's book: shows the difference, then writes adjustments.

    With --json it only previews, unless --yes is given too.
    """
    body: dict[str, Any] = {
        "from": moment(start, "--from"), "to": moment(end, "--to"), "reason": reason,
        "provider": provider, "model": model, "tenant": tenant, "unpriced": only_unpriced,
    }  # fmt: skip
    with client(endpoint, key) as server:
        answer = _previewed(server, "/v1/prices/rerate", body, _show_rerate, yes, as_json)
    if as_json:
        render.print_json(answer)


def spread(
    *,
    provider: Annotated[str, typer.Option("--provider", help="Whose cluster, such as vllm.")],
    model: Annotated[str, typer.Option("--model", help="The model it serves.")],
    hourly: Annotated[str, typer.Option("--hourly", help="Dollars an hour, such as 12.50.")],
    start: From,
    end: To,
    reason: Reason,
    output_weight: Annotated[
        float, typer.Option("--output-weight", help="An output token counts as so many input ones.")
    ] = 3.0,
    cache_read_weight: Annotated[
        float, typer.Option("--cache-read-weight", help="A cached input token counts as this.")
    ] = 0.1,
    yes: Yes = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Spread a cluster's hourly cost over the tokens measured on it, hour by hour."""
    body = {
        "from": moment(start, "--from"), "to": moment(end, "--to"), "reason": reason,
        "provider": provider, "model": model, "hourly_nanos": _dollars(hourly),
        "output_weight": output_weight, "cache_read_weight": cache_read_weight,
    }  # fmt: skip
    with client(endpoint, key) as server:
        answer = _previewed(server, "/v1/prices/spread", body, _show_spread, yes, as_json)
    if as_json:
        render.print_json(answer)


def _previewed(
    server: Client, path: str, body: dict[str, Any], show: Any, yes: bool, as_json: bool
) -> dict[str, Any]:
    """Ask for the preview, show it, and do it for good when a person or --yes says so."""
    answer: dict[str, Any] = server.call("POST", path, json=body, timeout=RUN_TIMEOUT_S)
    if not as_json:
        show(answer)
    worth = answer.get("changed") or answer.get("rates")
    if not worth or (as_json and not yes):
        return answer
    if not yes and not typer.confirm("Write this?"):
        return answer
    answer = server.call("POST", path, json={**body, "apply": True}, timeout=RUN_TIMEOUT_S)
    if not as_json:
        written = answer.get("written", answer.get("rerated", {}).get("written", 0))
        render.console.print(f"[green]{written:,} adjustments written[/green]")
    return answer


def _show_rerate(answer: dict[str, Any]) -> None:
    for row in answer["models"]:
        row["was"], row["now"] = format_usd(row["was_nanos"]), format_usd(row["now_nanos"])
        row["difference"] = format_usd(row["now_nanos"] - row["was_nanos"])
    columns = [
        ("provider", "provider"), ("model", "model"), ("events", "events"), ("was", "was"),
        ("now", "now"), ("difference", "difference"),
    ]  # fmt: skip
    if answer["models"]:
        render.console.print(render.rows_table(answer["models"], columns))
    difference = format_usd(answer["now_nanos"] - answer["was_nanos"])
    render.console.print(
        f"{answer['changed']:,} of {answer['examined']:,} events change, of {answer['tenants']:,} "
        f"tenants: {difference} in all{_sold(answer)}; {answer['priced_late']:,} get their first "
        f"price, {answer['still_unpriced']:,} still have none."
    )


def _sold(answer: dict[str, Any]) -> str:
    """Say how what tenants are charged changes, which may change where the cost does not."""
    nanos, micros = answer["sell_change_nanos"], answer["credits_change_micros"]
    said = [f"sold for {format_usd(nanos)} more"] if nanos else []
    said += [f"{micros / 1_000_000:,.2f} credits more"] if micros else []
    return "".join(f", {part}" for part in said)


def _show_spread(answer: dict[str, Any]) -> None:
    for row in answer["rates"]:
        row["hour"], row["price"] = (
            render.moment(row["valid_from"]),
            format_usd(row["nanos_per_million"]),
        )
    columns = [("hour", "hour"), ("unit", "unit"), ("price", "$ per million")]
    worked = answer["hours"] - answer["idle_hours"]
    render.console.print(render.rows_table(answer["rates"], columns))
    render.console.print(
        f"{format_usd(answer['spread_nanos'])} spread over {worked:,} of {answer['hours']:,} "
        f"hours; {answer['idle_hours']:,} were idle, their "
        f"{format_usd(answer['idle_nanos'])} is nobody's."
    )


def _dollars(text: str) -> int:
    try:
        return nanos_from_usd(Decimal(text))
    except (ArithmeticError, ValueError) as error:
        raise BadRequestError(
            "A price is written in dollars, such as 12.50.", where="--hourly"
        ) from error
