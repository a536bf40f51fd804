"""Commands that change and try limits: `outlay limits apply|set|remove|raise|check`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from outlay.cli import render
from outlay.cli.files import content_of, media_of
from outlay.cli.limits import known_limit, limit_row, limits, print_rows, quantity, who
from outlay.cli.options import Endpoint, Json, KeyOption, segment
from outlay.cli.prices import ask, given, moment
from outlay.errors import BadRequestError

_MEDIA = {".yaml": "application/yaml", ".yml": "application/yaml", ".json": "application/json"}
_CHANGE_COLUMNS = [
    ("sign", ""), ("id", "limit"), ("who", "scope"), ("metric", "metric"), ("window", "window"),
    ("allowed", "amount"), ("ladder", "ladder"), ("mode", "mode"),
]  # fmt: skip
_CHECK_COLUMNS = [
    ("limit", "limit"), ("who", "scope"), ("matched", "calls"), ("refused", "would be refused"),
    ("cost", "their cost"), ("first", "first"), ("peak", "peak use"), ("percent", "of it"),
]  # fmt: skip
_CALENDAR = ("hour", "day", "week", "month")

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
        content=content_of(file), headers={"Content-Type": _media(file)},
    )  # fmt: skip
    _show(answer, as_json=as_json)


def set_limit(
    limit_id: str,
    amount: Annotated[str, typer.Argument(help="Dollars of cost; else a whole number.")],
    *,
    reason: Reason,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", help="field=value, field=each, field=each:value; more values with commas."
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="cost, tokens, calls …; default: cost.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option("--window", help="month (default), day, 'rolling 24h', 'rate 1m', run …"),
    ] = None,
    burst: Annotated[
        str | None, typer.Option("--burst", help="Of a rate: what it allows at once.")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", help="A rung, as 80%=warn; default 100%=block.")
    ] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="IANA time zone.")] = None,
    anchor_day: Annotated[int | None, typer.Option("--anchor-day")] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="enforce, shadow or off.")] = None,
    on_unreachable: Annotated[str | None, typer.Option(help="open or closed.")] = None,
    strict: Annotated[
        bool | None, typer.Option("--strict/--no-strict", help="Hold the worst case.")
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", help="The lowest is named first in refusals.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="For people.")] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Make a limit, or change of one that is there what is said; models need a file."""
    path = f"/v1/limits/{segment(limit_id, 'limit_id')}"
    body = given(
        id=limit_id, amount=amount, metric=metric, window=window, burst=burst, zone=zone,
        anchor_day=anchor_day, mode=mode, on_unreachable=on_unreachable, strict=strict,
        priority=priority, name=name, scope=dict(map(_part, scope)) if scope else None,
        thresholds=list(map(_threshold, at)) if at else None,
    )  # fmt: skip
    body = _changed(known_limit(endpoint, key, path), body)
    answer = ask(
        endpoint, key, "PUT", path, json=body,
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
    path = f"/v1/limits/{segment(limit_id, 'limit_id')}"
    answer = ask(endpoint, key, "DELETE", path, params={"reason": reason})
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
    path = f"/v1/limits/{segment(limit_id, 'limit_id')}"
    answer = ask(endpoint, key, "POST", f"{path}/overrides", json=body)
    if as_json:
        render.print_json(answer)
        return
    made = answer["override"]
    limit = known_limit(endpoint, key, path) or {}
    allowed = quantity(limit.get("metric", "cost"), made["amount"])
    render.console.print(
        f"{render.safe(limit_id)} for {render.safe(who(made['scope_key']))} is {allowed} until"
        f" {render.moment(made['ends_at'])} UTC (override {render.safe(made['override_id'])}).",
        soft_wrap=True,
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
    path = (
        f"/v1/limits/{segment(limit_id, 'limit_id')}/overrides/{segment(override_id, 'override')}"
    )
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
        body["limits"] = _limits_in(file)
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
            "cost": quantity("cost", row["refused_cost_nanos"]),
            "first": render.moment(row["first_refused_at"]),
            "peak": quantity(one["metric"], row["peak_used"]),
            "percent": f"{row['peak_ppm'] / 1_000_000:.1%}",
        }
        for one in answer["limits"]
        for row in one["top"]
    ]
    if rows:
        print_rows(rows, _CHECK_COLUMNS)
    more = sum(one["scopes"] - len(one["top"]) for one in answer["limits"])
    if more:
        render.console.print(f"{more:,} more scopes; those with most refused are shown.")
    cost = quantity("cost", answer["refused_cost_nanos"])
    render.console.print(
        f"{_count(answer['events'], 'call')} looked at;"
        f" {answer['refused']:,} would be refused ({cost})."
    )


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        render.print_json(answer)
        return
    rows = [{**limit_row(one), "sign": "+"} for one in answer["added"]]
    rows += [{**limit_row(one), "sign": "~"} for one in answer["changed"]]
    rows += [{"sign": "-", "id": name} for name in answer["removed"]]
    if rows:
        print_rows(rows, _CHANGE_COLUMNS)
    plans = len(answer["entitlements"]) + len(answer["removed_plans"])
    if not rows and not plans:
        render.console.print("The limits say so already; nothing changes.")
        return
    would = "would be " if answer["dry_run"] else ""
    told = ", ".join(f"{len(answer[n])} {would}{n}" for n in ("added", "changed", "removed"))
    told += f"; {_count(plans, 'plan')} {would}changed" if plans else ""
    render.console.print(f"{told}.")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _changed(before: Mapping[str, Any] | None, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a limit with what is said of it; what only its old window had goes with it."""
    limit = {**(before or {}), **said}
    if before is not None and before.get("window") != limit.get("window"):
        window = str(limit.get("window", "")).partition(" ")[0]
        for name, windows in (
            ("zone", _CALENDAR),
            ("anchor_day", ("month",)),
            ("burst", ("rate",)),
        ):
            if name not in said and window not in windows:
                limit.pop(name, None)
    if limit.setdefault("metric", "cost") != "concurrent_calls":
        limit.setdefault("window", "month")
    return limit


def _limits_in(file: Path) -> list[Any]:
    """Return the limits of a file as plain values; the server reads what they say."""
    content = content_of(file)
    if _media(file) == "application/json":
        try:
            document = json.loads(content, parse_float=str)
        except (ValueError, RecursionError) as error:
            raise BadRequestError(f"{file.name} is not valid JSON.", where="FILE") from error
    else:
        from outlay.store.limitfile import read_yaml  # YAML only where it is needed

        document = read_yaml(content)
    found = document.get("limits") if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise BadRequestError(f"{file.name} has no list of `limits`.", where="FILE")
    return found


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name or not value:
        raise BadRequestError(f"{text!r} is not field=value.", where="--scope")
    return name.strip(), value.strip()


def _part(text: str) -> tuple[str, Any]:
    name, value = _pair(text)
    each, found, listed = value.partition("each:")
    if found and not each:
        return name, {"each": [one.strip() for one in listed.split(",")]}
    values = [one.strip() for one in value.split(",")]
    return name, values[0] if len(values) == 1 else values


def _threshold(text: str) -> dict[str, Any]:
    at, found, action = text.partition("=")
    if not found:
        raise BadRequestError(f"{text!r} is no rung such as 80%=warn.", where="--at")
    return {"at": at.strip(), "action": action.strip()}


def _media(file: Path) -> str:
    return media_of(file, _MEDIA, kind="file of limits", hint="Use .yaml or .json.")
