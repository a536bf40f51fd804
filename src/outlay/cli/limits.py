"""Commands that look at limits: `outlay limits list|show|state|notices|history|estimates`.

The group is here; what changes and tries limits adds itself to it from `limit_edit`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from outlay.cli import render
from outlay.cli.client import ServerError
from outlay.cli.options import Endpoint, Json, KeyOption, segment
from outlay.cli.prices import ask, given, moment
from outlay.core.limits.limit import CREDITS
from outlay.core.money import format_usd
from outlay.errors import NotFoundError

limits = typer.Typer(help="Limits: what may be used, by whom, until when.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option("--tenant", help="Of this tenant only.")]
Which = Annotated[str, typer.Option("--limit", help="Of this limit only.")]
Count = Annotated[int, typer.Option("--count", help="Rows at most.", min=1, max=10_000)]

_LIST_COLUMNS = [
    ("id", "limit"), ("who", "scope"), ("metric", "metric"), ("window", "window"),
    ("allowed", "amount"), ("ladder", "ladder"), ("mode", "mode"),
]  # fmt: skip
_STATE_COLUMNS = [
    ("limit", "limit"), ("who", "scope"), ("use", "used"), ("holding", "held"),
    ("allowed", "amount"), ("remains", "left"), ("percent", "use"), ("reached", "reached"),
    ("resets", "resets"),
]  # fmt: skip
_NOTICE_COLUMNS = [
    ("when", "when"), ("limit_id", "limit"), ("who", "scope"), ("kind", "what"),
    ("action", "action"), ("mode", "mode"), ("use", "used"), ("allowed", "amount"),
    ("times", "times"),
]  # fmt: skip
_VERSION_COLUMNS = [
    ("version", "version"), ("when", "when"), ("actor", "by"), ("reason", "why"), ("said", "limit"),
]  # fmt: skip
_OVERRIDE_COLUMNS = [
    ("override_id", "override"), ("who", "scope"), ("allowed", "amount"), ("from", "from"),
    ("to", "until"), ("revoked", "revoked"), ("actor", "by"), ("reason", "why"),
]  # fmt: skip
_ESTIMATE_COLUMNS = [
    ("model", "model"), ("agent", "agent"), ("holds", "held calls"), ("estimated", "estimated"),
    ("actual", "actual"), ("ratio", "actual / estimate"), ("under", "under-estimated"),
]  # fmt: skip


NUMBERS = frozenset(
    (
        "allowed", "use", "holding", "remains", "percent", "times", "version", "holds", "estimated",
        "actual", "ratio", "under", "matched", "refused", "cost", "peak",
    )
)  # fmt: skip
"""Keys of columns that stand right."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(limits, name="limits")
    for name, command in (
        ("list", list_limits), ("show", show), ("state", state), ("notices", notices),
        ("history", history), ("export", export), ("estimates", estimates),
    ):  # fmt: skip
        limits.command(name)(command)


def quantity(metric: str, value: int | str | None) -> str:
    """Write an amount of a metric: dollars of cost, credits, or a count."""
    if value is None:
        return "-"
    if metric == "cost":
        return format_usd(int(value))
    return f"{int(value) / 1_000_000:,.2f}" if metric == "credits" else f"{int(value):,}"


def who(scope: Any) -> str:
    """Write a scope, or a selector, in a few words."""
    if isinstance(scope, str):
        scope = dict(json.loads(scope or "[]"))
    if not scope:
        return "all"
    return ", ".join(f"{name} {_words(value)}" for name, value in scope.items())


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return f"each of {_words(value.get('each'))}"
    return " or ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def rung(threshold: dict[str, Any]) -> str:
    """Write a threshold in a few words."""
    return f"{threshold['at']} {threshold['action']}"


def limit_row(limit: dict[str, Any]) -> dict[str, Any]:
    """Return a limit as a row of a table."""
    amount, metric = limit["amount"], limit.get("metric", "cost")
    return {
        **limit,
        "who": who(limit.get("scope")),
        "metric": metric,
        "window": limit.get("window", "-"),
        "allowed": f"${amount}" if metric == "cost" else f"{int(amount):,}",
        "ladder": ", ".join(map(rung, limit.get("thresholds") or ())) or "100% block",
        "mode": limit.get("mode", "enforce"),
    }


def state_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return how a scope stands as a row of a table."""
    metric = row["metric"]
    return {
        **row,
        "who": who(row["scope"]),
        "use": quantity(metric, row["used"]),
        "holding": quantity(metric, row["held"]),
        "allowed": quantity(metric, row["amount"]),
        "remains": quantity(metric, row["left"]),
        "percent": f"{row['share']:.1%}",
        "reached": ", ".join(row["reached"]) or "-",
        "resets": render.moment(row["resets_at"]),
    }


def print_rows(rows: list[dict[str, Any]], columns: list[tuple[str, str]]) -> None:
    """Print rows as a table."""
    render.console.print(render.rows_table(rows, columns, numbers=NUMBERS))


def known_limit(endpoint: str | None, key: str | None, path: str) -> dict[str, Any] | None:
    """Return a limit as a document, nothing where there is none. `path` is its own."""
    try:
        found: dict[str, Any] | None = ask(endpoint, key, "GET", path).get("limit")
    except ServerError as error:
        if error.status != 404:
            raise
        return None
    return found


def list_limits(*, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None) -> None:
    """List the limits, and what plans may use."""
    answer = ask(endpoint, key, "GET", "/v1/limits")
    if as_json:
        render.print_json(answer)
        return
    if not answer["limits"]:
        render.console.print("No limits. `outlay limits apply FILE --reason …` takes a file.")
    else:
        rows = [limit_row(one) for one in answer["limits"]]
        print_rows(rows, _LIST_COLUMNS)
    for one in answer["entitlements"]:
        parts = (f"{name}: {', '.join(one[name])}" for name in one if name != "plan")
        render.console.print(f"plan {render.safe(one['plan'])}: {render.safe('; '.join(parts))}")


def show(
    limit_id: str, *, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None
) -> None:
    """Show a limit, its overrides, and how its scopes stand."""
    answer = ask(endpoint, key, "GET", f"/v1/limits/{segment(limit_id, 'limit_id')}")
    if "limit" not in answer:  # the path is one of the API's own
        raise NotFoundError(
            "There is no such limit.", where="limit_id", hint="`outlay limits list` shows them."
        )
    if as_json:
        render.print_json(answer)
        return
    print_rows([limit_row(answer["limit"])], _LIST_COLUMNS)
    metric = answer["limit"].get("metric", "cost")
    if answer["overrides"]:
        _print_overrides(answer["overrides"], metric)
    if answer["counters"]:
        print_rows([state_row(row) for row in answer["counters"]], _STATE_COLUMNS)
    else:
        render.console.print("Nothing has been counted in this period.")


def state(
    *,
    tenant: Tenant = "",
    limit: Which = "",
    past: Annotated[bool, typer.Option("--past", help="Periods that are over as well.")] = False,
    count: Count = 50,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Show how scopes stand against their limits, the fullest first."""
    asked = {"tenant": tenant, "limit": limit, "past": past, "count": count}
    answer = ask(endpoint, key, "GET", "/v1/limits/state", params=asked)
    if as_json:
        render.print_json(answer)
        return
    if not answer["counters"]:
        render.console.print("Nothing has been counted yet.")
        return
    print_rows([state_row(row) for row in answer["counters"]], _STATE_COLUMNS)
    if answer["more"]:
        render.console.print(f"{answer['more']:,} more; see --count.")


def notices(
    *,
    tenant: Tenant = "",
    limit: Which = "",
    since: Annotated[str | None, typer.Option("--since", help="A date or RFC 3339.")] = None,
    count: Count = 50,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """List what limits did: thresholds crossed, calls refused, late settlements."""
    asked = given(tenant=tenant, limit=limit, since=moment(since, "--since"), count=count)
    answer = ask(endpoint, key, "GET", "/v1/limits/notices", params=asked)
    if as_json:
        render.print_json(answer)
        return
    if not answer["notices"]:
        render.console.print("No notices.")
        return
    for row in answer["notices"]:
        metric = CREDITS if row["limit_id"] == CREDITS else row["details"].get("metric", "cost")
        row["when"], row["who"] = render.moment(row["at"]), who(row["scope_key"])
        row["use"], row["allowed"] = (quantity(metric, row[n]) for n in ("used", "amount"))
    print_rows(answer["notices"], _NOTICE_COLUMNS)


def history(
    limit_id: str, *, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None
) -> None:
    """List every version and override of a limit: who changed what, when and why."""
    answer = ask(endpoint, key, "GET", f"/v1/limits/{segment(limit_id, 'limit_id')}/history")
    if as_json:
        render.print_json(answer)
        return
    metric = "cost"
    for row in answer["versions"]:
        row["when"] = render.moment(row["at"])
        row["said"] = "removed"
        if row["limit"] is not None:
            said = limit_row(row["limit"])
            metric = said["metric"]
            row["said"] = f"{said['who']}: {said['allowed']} {said['window']}, {said['ladder']}"
    print_rows(answer["versions"], _VERSION_COLUMNS)
    if answer["overrides"]:
        _print_overrides(answer["overrides"], metric)


def _print_overrides(rows: list[dict[str, Any]], metric: str) -> None:
    dressed = [
        {
            **row,
            "who": who(row["scope_key"]),
            "allowed": quantity(metric, row["amount"]),
            "from": render.moment(row["starts_at"]),
            "to": render.moment(row["ends_at"]),
            "revoked": render.moment(row["revoked_at"]),
        }
        for row in rows
    ]
    print_rows(dressed, _OVERRIDE_COLUMNS)


def export(
    out: Annotated[
        Path | None, typer.Option("--out", help="A file; default: the terminal.")
    ] = None,
    *,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Write all limits as JSON that `outlay limits apply` takes."""
    text = json.dumps(ask(endpoint, key, "GET", "/v1/limits"), indent=2) + "\n"
    if out is None:
        sys.stdout.write(text)
        return
    out.write_text(text, "utf-8")
    render.errors.print(f"Written to {render.safe(out)}.")


def estimates(
    *,
    start: Annotated[str | None, typer.Option("--from", help="A date or RFC 3339.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End, excluded; default: now.")] = None,
    tenant: Tenant = "",
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Compare what calls were held at with what they cost, by model and agent."""
    window = given(**{"from": moment(start, "--from"), "to": moment(end, "--to")})
    asked = window | ({"tenant": tenant} if tenant else {})
    answer = ask(endpoint, key, "GET", "/v1/limits/estimates", params=asked)
    if as_json:
        render.print_json(answer)
        return
    rows = answer["estimates"]
    if not rows:
        render.console.print("No call has been held.")
        return
    for row in rows:
        row["estimated"] = format_usd(row["estimated_nanos"])
        row["actual"] = format_usd(row["actual_nanos"])
        row["ratio"] = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        row["under"] = f"{row['under_share']:.1%}"
    print_rows(rows, _ESTIMATE_COLUMNS)
