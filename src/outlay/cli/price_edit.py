"""Commands that change and compare prices: `outlay prices set|sync|diff|findings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from outlay.cli import render
from outlay.cli.files import content_of, media_of
from outlay.cli.options import Endpoint, Json, KeyOption
from outlay.cli.prices import ask, dress, given, moment, prices, sell_table
from outlay.core.money import format_usd
from outlay.errors import BadRequestError

_MEDIA = {
    ".yaml": "application/yaml", ".yml": "application/yaml", ".csv": "text/csv",
    ".json": "application/json",
}  # fmt: skip
_CHANGE_COLUMNS = [
    ("sign", ""), ("provider", "provider"), ("model", "model"), ("unit", "unit"),
    ("price", "$ per million"), ("when", "when"), ("from", "from"), ("to", "to"),
    ("layer", "layer"), ("source", "source"),
]  # fmt: skip
_ALIAS_COLUMNS = [
    ("provider", "provider"), ("match", "alias"), ("model", "model"), ("region_class", "region"),
]  # fmt: skip
_SYNC_COLUMNS = [
    ("provider", "provider"), ("model", "model"), ("unit", "unit"), ("when", "when"),
    ("was", "was"), ("now", "is"),
]  # fmt: skip
_DIFF_COLUMNS = [
    ("provider", "provider"), ("model", "model"), ("unit", "unit"), ("condition", "when"),
    ("mine", "ours"), ("other", "theirs"), ("share", "difference"), ("key", "their key"),
]  # fmt: skip
_STATED_COLUMNS = [
    ("provider", "provider"), ("model", "model"), ("other", "stated"), ("mine", "at list price"),
    ("share", "of all stated"), ("drifted_attempts", "drifted"), ("attempts", "attempts"),
]  # fmt: skip
_FINDING_COLUMNS = [
    ("kind", "kind"), ("subject", "subject"), ("times", "times"), ("first", "first"),
    ("last", "last"), ("resolved", "resolved"), ("details", "details"),
]  # fmt: skip

Text = Annotated[str | None, typer.Option()]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would do; write nothing.")]
File = Annotated[
    Path | None, typer.Option("--file", help="A catalogue as a file.", exists=True, dir_okay=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the group `prices`."""
    del app
    for name, command in (
        ("set", set_prices), ("sync", sync), ("diff", diff), ("findings", findings)
    ):  # fmt: skip
        prices.command(name)(command)


def set_prices(
    file: Annotated[
        Path | None,
        typer.Argument(help="A price file, .yaml or .csv.", exists=True, dir_okay=False),
    ] = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")],
    provider: Text = None,
    model: Text = None,
    unit: Text = None,
    price: Annotated[str | None, typer.Option(help="Dollars for `--per` units.")] = None,
    per: Annotated[str | None, typer.Option(help="1, 1000 or 1000000 (default).")] = None,
    valid_from: Annotated[
        str | None, typer.Option("--from", help="A date or RFC 3339; default: since ever.")
    ] = None,
    valid_to: Annotated[
        str | None, typer.Option("--to", help="End, excluded; default: open.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="correction, override or contract.")] = None,
    tenant: Annotated[str | None, typer.Option(help="A contract for this tenant only.")] = None,
    tier: Text = None,
    batch: Annotated[bool, typer.Option("--batch")] = False,
    speed: Text = None,
    host_class: Text = None,
    region_class: Text = None,
    min_context: Text = None,
    min_quantity: Text = None,
    window: Annotated[str | None, typer.Option(help="HH:MM:SS-HH:MM:SS, UTC.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the price is from.")] = None,
    withdraw: Annotated[
        list[str] | None, typer.Option("--withdraw", help="Id of a row to believe no longer.")
    ] = None,
    dry_run: DryRun = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take prices far off their neighbours.")
    ] = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Take a price file, or one rate by its options; all of it or nothing."""
    rate = given(
        provider=provider, model=model, unit=unit, price=price, per=per, valid_from=valid_from,
        valid_to=valid_to, layer=layer or (tenant and "contract"), tenant=tenant, tier=tier,
        batch=batch or None, speed=speed, host_class=host_class, region_class=region_class,
        min_context=min_context, min_quantity=min_quantity, window=window, source=source,
    )  # fmt: skip
    if file is not None and (rate or withdraw):
        raise BadRequestError(
            "Give either a file or one rate by options, not both.",
            where=next((f"--{name.replace('_', '-')}" for name in rate), "--withdraw"),
        )
    flags = {"dry_run": dry_run, "force": force}
    if file is None:
        if not rate and not withdraw:
            raise BadRequestError(
                "Name a price file, or one rate.",
                hint="outlay prices set FILE --reason …, or --provider, --model, --unit, --price.",
            )
        body = {"rates": [rate] if rate else [], "withdraw": withdraw or [], "reason": reason}
        answer = ask(endpoint, key, "POST", "/v1/prices", json={**body, **flags})
    else:
        answer = ask(
            endpoint, key, "POST", "/v1/prices", params={"reason": reason, **flags},
            content=content_of(file), headers={"Content-Type": _media(file)},
        )  # fmt: skip
    if as_json:
        render.print_json(answer)
    else:
        _show_change(answer)


def _media(file: Path) -> str:
    return media_of(file, _MEDIA, kind="price file", hint="Use .yaml or .csv.")


def _show_change(answer: dict[str, Any]) -> None:
    rows = [{**dress(row), "sign": "+"} for row in answer["rates"]]
    rows += [{**dress(row), "sign": "-"} for row in answer["replaced"]]
    if rows:
        render.console.print(render.rows_table(rows, _CHANGE_COLUMNS))
    if answer["aliases"]:
        render.console.print(render.rows_table(answer["aliases"], _ALIAS_COLUMNS))
    if answer["sells"]:
        render.console.print(sell_table(answer["sells"]))
    would = "would be " if answer["dry_run"] else ""
    if answer["added"] or answer["superseded"]:
        render.console.print(
            f"{answer['added']} rows {would}recorded, {answer['superseded']} {would}superseded."
        )
    else:
        render.console.print("The book says so already; nothing changes.")


def sync(
    *,
    file: File = None,
    update: Annotated[
        bool, typer.Option("--update", help="Fetch the newest from genai-prices' publisher.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Read the catalogue again, and tell which prices changed; rows by hand stay."""
    parts: dict[str, Any] = {"params": {"update": update, "dry_run": dry_run}}
    if file is not None:
        parts |= {"content": content_of(file), "headers": {"Content-Type": "application/json"}}
    answer = ask(endpoint, key, "POST", "/v1/prices/sync", **parts)
    if as_json:
        render.print_json(answer)
        return
    for row in answer["changes"]:
        row["when"] = ", ".join(f"{n}={v}" for n, v in row["conditions"].items())
        row["was"], row["now"] = (_spans(row[name]) for name in ("before", "after"))
    if answer["changes"]:
        render.console.print(render.rows_table(answer["changes"], _SYNC_COLUMNS))
    would = "would change" if dry_run else "changed"
    render.console.print(
        f"{render.safe(answer['source'])}: {answer['rates']:,} rates and"
        f" {answer['corrections']:,} corrections; {answer['prices_changed']:,} prices {would}."
    )


def _spans(rows: list[dict[str, Any]]) -> str:
    said = []
    for row in rows:
        ends = [row["valid_from"], row["valid_to"]]
        dates = [render.moment(end)[:10] if end is not None else "" for end in ends]
        when = f" ({'…'.join(dates)})" if any(dates) else ""
        said.append(format_usd(row["nanos_per_million"]) + when)
    return ", ".join(said) or "-"


def diff(
    *,
    file: File = None,
    stated: Annotated[
        bool, typer.Option("--stated", help="Against what providers stated themselves.")
    ] = False,
    last: Annotated[str, typer.Option("--last", help="With --stated: window, as 7d.")] = "7d",
    at: Annotated[str | None, typer.Option("--at", help="With --file: prices at a time.")] = None,
    tolerance: Annotated[float, typer.Option(help="Percent that prices may differ.")] = 1.0,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Compare with LiteLLM's JSON, or with stated dollars; differences become findings."""
    if stated == (file is not None):
        raise BadRequestError("Give one of --file and --stated.", where="--file")
    asked = given(tolerance=tolerance, at=moment(at, "--at"))
    parts: dict[str, Any] = {"params": {**asked, "against": "stated", "last": last}}
    if file is not None:
        parts["params"] = {**asked, "against": "litellm"}
        parts |= {"content": content_of(file), "headers": {"Content-Type": "application/json"}}
    answer = ask(endpoint, key, "POST", "/v1/prices/diff", **parts)
    if as_json:
        render.print_json(answer)
        return
    mine, other = ("list_nanos", "stated_nanos") if stated else ("ours", "theirs")
    for row in answer["differences"]:
        row["mine"], row["other"] = format_usd(row[mine]), format_usd(row[other])
        row["share"] = "-" if row["percent"] is None else f"{row['percent']:+.1f} %"
    columns = _STATED_COLUMNS if stated else _DIFF_COLUMNS
    if answer["differences"]:
        render.console.print(render.rows_table(answer["differences"], columns))
    counts = ", ".join(f"{n.replace('_', ' ')} {count:,}" for n, count in answer["counts"].items())
    what = "attempts" if stated else "prices"
    render.console.print(f"{answer['compared']:,} {what} compared; {counts}.")


def findings(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones as well.")] = False,
    resolve: Annotated[
        str | None, typer.Option("--resolve", help="Close the finding of this subject.")
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="Of the finding to close.")
    ] = "catalogue_drift",
    reason: Annotated[str, typer.Option("--reason", help="Why it is settled.")] = "",
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """List findings about prices, or close one."""
    if resolve is not None:
        body = {"kind": kind, "subject": resolve, "reason": reason}
        answer = ask(endpoint, key, "POST", "/v1/findings/resolve", json=body)
        found = [answer["finding"]]
    else:
        asked = {"all": everything}
        answer = ask(endpoint, key, "GET", "/v1/findings", params=asked)
        found = answer["findings"]
    if as_json:
        render.print_json(answer)
        return
    if not found:
        render.console.print("No findings." if everything else "No open findings.")
        return
    for row in found:
        for name, field in (
            ("first", "first_at"),
            ("last", "last_at"),
            ("resolved", "resolved_at"),
        ):
            row[name] = render.moment(row[field])
    render.console.print(render.rows_table(found, _FINDING_COLUMNS))
