"""Commands about exchange rates: `outlay currencies list|set`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from outlay.cli import render
from outlay.cli.options import Endpoint, Json, KeyOption, segment
from outlay.cli.prices import ask, given, moment

currencies = typer.Typer(
    help="Exchange rates: what a dollar is in other currencies, for showing amounts in them.",
    no_args_is_help=True,
)

_PATH: Final = "/v1/currencies"
_PPB: Final = 1_000_000_000
_COLUMNS: Final = [
    ("currency", "currency"), ("rate", "for one dollar"), ("from", "from"), ("source", "source"),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(currencies, name="currencies")


@currencies.command("list")
def listed(*, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None) -> None:
    """List every rate, those that begin last first; each holds until its currency's next one."""
    answer = ask(endpoint, key, "GET", _PATH)
    if as_json:
        render.print_json(answer)
        return
    if not answer["rates"]:
        render.console.print("There is none: `outlay currencies set EUR 0.9142` writes one.")
        return
    render.console.print(render.rows_table([_dressed(one) for one in answer["rates"]], _COLUMNS))


@currencies.command("set")
def put(
    currency: Annotated[str, typer.Argument(help="ISO 4217 code, such as EUR.")],
    per_usd: Annotated[str, typer.Argument(help="Units of it for one dollar, such as 0.9142.")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log.")],
    since: Annotated[
        str | None,
        typer.Option("--from", help="A date or RFC 3339 time it holds from; default: now."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Who says so, such as ECB; customers see it.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Write a rate, in the place of one that begins at the same time."""
    body = given(per_usd=per_usd, reason=reason, valid_from=moment(since, "--from"), source=source)
    path = f"{_PATH}/{segment(currency, 'CURRENCY')}"
    answer = ask(endpoint, key, "PUT", path, json=body)
    if as_json:
        render.print_json(answer)
        return
    told = _dressed(answer["rate"])
    render.console.print(
        f"One dollar is {told['rate']} {render.safe(told['currency'])} from {told['from']} UTC on."
    )


def _dressed(rate: dict[str, Any]) -> dict[str, Any]:
    """Add to a rate what a table shows of it."""
    whole, rest = divmod(rate["per_usd_ppb"], _PPB)
    places = f"{rest:09}".rstrip("0")
    return {
        **rate,
        "rate": f"{whole}.{places}" if places else str(whole),
        "from": render.moment(rate["valid_from"]),
    }
