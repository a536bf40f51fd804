"""Commands that change and try limits: `outlay limits apply|set|remove|raise|check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from outlay.cli import render
from outlay.cli.limits import limit_row, limits, quantity, who
from outlay.cli.options import Endpoint, Json, KeyOption
from outlay.cli.prices import ask, given, moment
from outlay.errors import BadRequestError

_MEDIA = {".yaml": "application/yaml", ".yml": "application/yaml", ".json": "application/json"}
_CHANGE_COLUMNS = [
    ("sign", ""), ("id", "limit"), ("who", "scope"), ("metric", "metric"), ("window", "window"),
    ("allowed", "amount"), ("ladder", "ladder"), ("mode", "mode"),
]  # fmt: skip
_CHECK_COLUMNS = [
    ("limit", "limit"), ("who", "scope"), ("events", "calls"), ("refused", "would be refused"),
    ("cost", "their cost"), ("first", "first"), ("peak", "peak use"),
]  # fmt: skip

Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would do; write nothing.")]
File = Annotated[
    Path, typer.Argument(help="A file of limits, .yaml or .json.", exists=True, dir_okay=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the group `limits`."""
    del app
    for name, command in (
        ("apply", apply), ("set", set_limit), ("remove", remove), ("raise", raise_limit),
        ("revoke", revoke), ("check", check),
    ):  # fmt: skip
        limits.command(name)(command)


def apply(
    file: File,
    *,
    reason: Reason,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove limits and plans the file does not name.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Take a file of limits and entitlements; all of it or nothing. Usage is never reset."""
    answer = ask(
        endpoint, key, "POST", "/v1/limits",
        params={"reason": reason, "dry_run": dry_run, "prune": prune},
        content=_content(file), headers={"Content-Type": _media(file)},
    )  # fmt: skip
    _show(answer, as_json=as_json)


def set_limit(
    limit_id: str,
    amount: Annotated[str, typer.Argument(help="Dollars of cost; else a whole number.")],
    *,
    reason: Reason,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="field=value, field=each; several values with commas."),
    ] = None,
    metric: Annotated[str, typer.Option("--metric")] = "cost",
    window: Annotated[
        str, typer.Option("--window", help="month, day, 'rolling 24h', 'rate 1m', request …")
    ] = "month",
    at: Annotated[
        list[str] | None, typer.Option("--at", help="A rung, as 80%=warn; default 100%=block.")
    ] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="IANA time zone.")] = None,
    anchor_day: Annotated[int | None, typer.Option("--anchor-day")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="enforce, shadow or off.")] = None,
    on_unreachable: Annotated[str | None, typer.Option(help="open or closed.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Hold the worst case.")] = False,
    priority: Annotated[int | None, typer.Option("--priority")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Make or change one limit by its options; a ladder with models needs a file."""
    body: dict[str, Any] = {"id": limit_id, "metric": metric, "amount": amount}
    if metric != "cost" and amount.isdigit():
        body["amount"] = int(amount)
    if metric != "concurrent_calls":
        body["window"] = window
    body |= given(
        zone=zone, anchor_day=anchor_day, mode=mode, on_unreachable=on_unreachable,
        strict=strict or None, priority=priority,
    )  # fmt: skip
    if scope:
        body["scope"] = dict(_part(one) for one in scope)
    if at:
        body["thresholds"] = [_threshold(one) for one in at]
    answer = ask(
        endpoint, key, "PUT", f"/v1/limits/{limit_id}", json=body,
        params={"reason": reason, "dry_run": dry_run},
    )  # fmt: skip
    _show(answer, as_json=as_json)


def remove(
    limit_id: str,
    *,
    reason: Reason,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Remove a limit; its history stays."""
    answer = ask(endpoint, key, "DELETE", f"/v1/limits/{limit_id}", params={"reason": reason})
    if as_json:
        render.print_json(answer)
    else:
        render.console.print(f"Limit {render.safe(limit_id)} is removed.")


def raise_limit(
    limit_id: str,
    amount: Annotated[str, typer.Argument(help="In the place of the limit's amount.")],
    *,
    until: Annotated[str, typer.Option("--until", help="A date or RFC 3339; excluded.")],
    reason: Reason,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="field=value; default: every scope.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Give a limit another amount until a time."""
    body = {
        "amount": amount,
        "ends_at": moment(until, "--until"),
        "reason": reason,
        "scope": dict(map(_pair, scope or ())),
    }
    answer = ask(endpoint, key, "POST", f"/v1/limits/{limit_id}/overrides", json=body)
    if as_json:
        render.print_json(answer)
        return
    made = answer["override"]
    ends = render.moment(made["ends_at"])
    render.console.print(
        f"{render.safe(limit_id)} for {render.safe(who(made['scope_key']))} is"
        f" {render.safe(amount)} until {ends} UTC (override {made['override_id']})."
    )


def revoke(
    limit_id: str,
    override_id: str,
    *,
    reason: Reason,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """End an override now."""
    path = f"/v1/limits/{limit_id}/overrides/{override_id}"
    answer = ask(endpoint, key, "DELETE", path, params={"reason": reason})
    if as_json:
        render.print_json(answer)
    else:
        render.console.print("The override has ended.")


def check(
    file: Annotated[
        Path | None, typer.Argument(help="Limits to try; default: those in force.", exists=True)
    ] = None,
    *,
    start: Annotated[str | None, typer.Option("--from", help="A date or RFC 3339.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End, excluded; default: now.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", help="A limit in force, by id.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Tell what limits would have refused in the past; nothing is written."""
    body: dict[str, Any] = given(**{"from": moment(start, "--from"), "to": moment(end, "--to")})
    if file is not None and limit:
        raise BadRequestError("Give either a file or --limit.", where="--limit")
    if file is not None:
        dry = ask(
            endpoint, key, "POST", "/v1/limits", params={"dry_run": True, "reason": "check"},
            content=_content(file), headers={"Content-Type": _media(file)},
        )  # fmt: skip
        body["limits"] = [*dry["added"], *dry["changed"]]
    if limit:
        body["ids"] = limit
    answer = ask(endpoint, key, "POST", "/v1/limits/check", json=body)
    if as_json:
        render.print_json(answer)
        return
    rows = [
        {
            **row,
            "limit": one["limit"],
            "who": who(row["scope"]),
            "cost": quantity("cost", row["refused_nanos"]),
            "first": render.moment(row["first_at"]),
            "peak": quantity(one["metric"], row["peak"]),
        }
        for one in answer["limits"]
        for row in one["scopes"]
    ]
    if rows:
        render.console.print(render.rows_table(rows, _CHECK_COLUMNS))
    refused = sum(one["refused"] for one in answer["limits"])
    render.console.print(f"{answer['events']:,} calls looked at; {refused:,} would be refused.")


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        render.print_json(answer)
        return
    rows = [{**limit_row(one), "sign": "+"} for one in answer["added"]]
    rows += [{**limit_row(one), "sign": "~"} for one in answer["changed"]]
    rows += [{"sign": "-", "id": name} for name in answer["removed"]]
    if rows:
        render.console.print(render.rows_table(rows, _CHANGE_COLUMNS))
    plans = len(answer["entitlements"]) + len(answer["removed_plans"])
    if not rows and not plans:
        render.console.print("The limits say so already; nothing changes.")
        return
    would = "would be " if answer["dry_run"] else ""
    render.console.print(
        f"{len(answer['added'])} {would}added, {len(answer['changed'])} {would}changed,"
        f" {len(answer['removed'])} {would}removed; {plans} plans {would}changed."
    )


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name or not value:
        raise BadRequestError(f"{text!r} is not field=value.", where="--scope")
    return name.strip(), value.strip()


def _part(text: str) -> tuple[str, Any]:
    name, value = _pair(text)
    values = [one.strip() for one in value.split(",")]
    return name, values[0] if len(values) == 1 else values


def _threshold(text: str) -> dict[str, Any]:
    at, found, action = text.partition("=")
    if not found:
        raise BadRequestError(f"{text!r} is no rung such as 80%=warn.", where="--at")
    return {"at": at.strip(), "action": action.strip()}


def _media(file: Path) -> str:
    media = _MEDIA.get(file.suffix.lower())
    if media is None:
        raise BadRequestError(
            f"{file.name} is no file of limits by its name.",
            where="FILE",
            hint="Use .yaml or .json.",
        )
    return media


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadRequestError(f"{file} cannot be read: {error.strerror}.", where="FILE") from error
