"""Commands about prepaid credits: `outlay credits grant|balance|history|adjust|…`, `outlay verify`.

A change made by hand gets an idempotency key of its own, unless one is given: who repeats a
command gives the key, so that it is done once.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from outlay.cli import render
from outlay.cli.client import ServerError
from outlay.cli.options import Endpoint, Json, KeyOption, segment
from outlay.cli.prices import ask, given, moment
from outlay.errors import BadRequestError

credit_app = typer.Typer(help="Prepaid credits of tenants.", no_args_is_help=True)

Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the entry.")]
Once = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="The same key again is done once; default: a new one."),
]
Amount = Annotated[str, typer.Argument(help="Credits, such as 12.5.")]

_BALANCE_COLUMNS = [
    ("tenant", "tenant"), ("has", "balance"), ("holding", "held"), ("free", "available"),
    ("overdraft", "overdraft"), ("short", "not paid"),
]  # fmt: skip
_GRANT_COLUMNS = [
    ("grant_id", "grant"), ("given", "given"), ("left", "left"), ("category", "category"),
    ("priority", "priority"), ("from", "from"), ("to", "expires"), ("reason", "why"),
]  # fmt: skip
_ENTRY_COLUMNS = [
    ("when", "when"), ("kind", "what"), ("change", "credits"), ("after", "balance"),
    ("actor", "by"), ("reason", "why"), ("tx_id", "transaction"),
]  # fmt: skip
_NUMBERS = frozenset(
    ("has", "holding", "free", "overdraft", "short", "given", "left", "priority", "change", "after")
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(credit_app, name="credits")
    for name, command in (
        ("balance", balance), ("grant", grant), ("history", history), ("adjust", adjust),
        ("refund", refund), ("transfer", transfer), ("account", account),
    ):  # fmt: skip
        credit_app.command(name)(command)
    app.command()(verify)


def credits_text(micros: int | None) -> str:
    """Write micro-credits as credits."""
    if micros is None:
        return "-"
    whole, rest = divmod(abs(micros), 1_000_000)
    places = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{'-' * (micros < 0)}{whole:,}.{places}"


def _path(tenant: str, what: str = "") -> str:
    return f"/v1/credits/{segment(tenant, 'tenant')}{what}"


def _print(rows: list[dict[str, Any]], columns: list[tuple[str, str]]) -> None:
    render.console.print(render.rows_table(rows, columns, numbers=_NUMBERS))


def _dressed(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "has": credits_text(row["posted"]),
        "holding": credits_text(row["held"]),
        "free": credits_text(row["available"]),
        "overdraft": credits_text(-row["floor"]),
        "short": credits_text(row["shortfall"]),
    }


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        render.print_json(answer)
        return
    _print(
        [_dressed(answer[name]) for name in ("balance", "to") if name in answer], _BALANCE_COLUMNS
    )


def balance(
    tenant: Annotated[str | None, typer.Argument(help="Default: every tenant.")] = None,
    *,
    grants: Annotated[bool, typer.Option("--grants", help="What it is made of, as well.")] = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Show what a tenant has, or every account."""
    if tenant is None:
        answer = ask(endpoint, key, "GET", "/v1/credits")
        rows = answer["accounts"]
    else:
        answer = ask(endpoint, key, "GET", _path(tenant))
        rows = [answer["balance"]]
        if grants:
            answer |= ask(endpoint, key, "GET", _path(tenant, "/grants"))
    if as_json:
        render.print_json(answer)
        return
    if not rows:
        render.console.print("No tenant has credits yet: `outlay credits grant` opens an account.")
        return
    _print([_dressed(row) for row in rows], _BALANCE_COLUMNS)
    if "grants" in answer:
        _print_grants(answer["grants"])


def _print_grants(rows: list[dict[str, Any]]) -> None:
    dressed = [
        {
            **row,
            "given": credits_text(row["amount"]),
            "left": credits_text(row["remaining"]),
            "from": render.moment(row["effective_at"]),
            "to": render.moment(row["expires_at"]),
        }
        for row in rows
    ]
    _print(dressed, _GRANT_COLUMNS)


def grant(
    tenant: str,
    amount: Amount,
    *,
    reason: Reason,
    promotional: Annotated[bool, typer.Option("--promotional", help="Given, not paid.")] = False,
    priority: Annotated[int, typer.Option("--priority", help="The lowest drains first.")] = 100,
    start: Annotated[
        str | None, typer.Option("--from", help="Effective from; default: now.")
    ] = None,
    expires: Annotated[str | None, typer.Option("--expires", help="A date or RFC 3339.")] = None,
    rollover: Annotated[
        str | None, typer.Option("--rollover", help="Share that lives on at expiry, 0 to 1.")
    ] = None,
    rollover_days: Annotated[int, typer.Option("--rollover-days", help="0: for ever.")] = 0,
    idempotency_key: Once = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Give a tenant credits."""
    body = given(
        key=idempotency_key or _new_key(), reason=reason, amount=amount,
        category="promotional" if promotional else "paid", priority=priority,
        effective_at=moment(start, "--from"), expires_at=moment(expires, "--expires"),
        rollover=rollover, rollover_days=rollover_days,
    )  # fmt: skip
    answer = ask(endpoint, key, "POST", _path(tenant, "/grants"), json=body)
    _show(answer, as_json=as_json)


def history(
    tenant: str,
    *,
    count: Annotated[int, typer.Option("--count", min=1, max=1000)] = 50,
    before: Annotated[int, typer.Option("--before", help="Entry id; default: the newest.")] = 0,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """List a tenant's entries, the newest first."""
    asked = {"count": count, "before": before}
    answer = ask(endpoint, key, "GET", _path(tenant, "/history"), params=asked)
    if as_json:
        render.print_json(answer)
        return
    for row in answer["entries"]:
        row["when"], row["change"] = render.moment(row["at"]), credits_text(row["amount"])
        row["after"] = credits_text((row["balance_before"] or 0) + row["amount"])
    _print(answer["entries"], _ENTRY_COLUMNS)
    if answer["next"] is not None:
        render.console.print(f"More: --before {answer['next']}")


def adjust(
    tenant: str,
    amount: Annotated[
        str, typer.Argument(help="Credits; to take some away, last and after `--`: … -- -3.5")
    ],
    *,
    reason: Reason,
    idempotency_key: Once = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Correct a balance, up or down."""
    body = {"key": idempotency_key or _new_key(), "reason": reason, "amount": amount}
    _show(ask(endpoint, key, "POST", _path(tenant, "/adjust"), json=body), as_json=as_json)


def refund(
    tenant: str,
    amount: Amount,
    *,
    reason: Reason,
    transaction: Annotated[
        str, typer.Option("--transaction", help="Of this charge, to the grants that it drained.")
    ] = "",
    idempotency_key: Once = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Give back what was charged."""
    body = {
        "key": idempotency_key or _new_key(),
        "reason": reason,
        "amount": amount,
        "tx_id": transaction,
    }
    _show(ask(endpoint, key, "POST", _path(tenant, "/refund"), json=body), as_json=as_json)


def transfer(
    source: str,
    target: str,
    amount: Amount,
    *,
    reason: Reason,
    idempotency_key: Once = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Move credits from one tenant to another."""
    body = {
        "key": idempotency_key or _new_key(),
        "reason": reason,
        "amount": amount,
        "to": target,
    }
    _show(ask(endpoint, key, "POST", _path(source, "/transfer"), json=body), as_json=as_json)


def account(
    tenant: str,
    *,
    reason: Reason,
    overdraft: Annotated[
        str | None, typer.Option("--overdraft", help="How far below zero it may go; 0: it may not.")
    ] = None,
    top_up_below: Annotated[
        str | None, typer.Option("--top-up-below", help="Ask for a top-up below this balance.")
    ] = None,
    top_up_amount: Annotated[str | None, typer.Option("--top-up-amount")] = None,
    top_up_url: Annotated[
        str | None, typer.Option("--top-up-url", help="Called to ask for it.")
    ] = None,
    no_top_up: Annotated[bool, typer.Option("--no-top-up", help="Ask for none any more.")] = False,
    enforce: Annotated[
        bool | None, typer.Option("--enforce/--no-enforce", help="Refuse calls without credits.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Open an account, or change what is said of it: its overdraft, its automatic top-up."""
    top_up = given(
        top_up_below=top_up_below, top_up_amount=top_up_amount, top_up_url=top_up_url
    )  # fmt: skip
    if no_top_up and top_up:
        raise BadRequestError("Give --no-top-up or how to top up, not both.", where="--no-top-up")
    body = _settings(endpoint, key, tenant) | top_up | given(overdraft=overdraft, enforce=enforce)
    if no_top_up:
        body |= {"top_up_below": None, "top_up_amount": None, "top_up_url": ""}
    answer = ask(endpoint, key, "PUT", _path(tenant), json={**body, "reason": reason})
    _show(answer, as_json=as_json)


def _settings(endpoint: str | None, key: str | None, tenant: str) -> dict[str, Any]:
    """Return how an account is set, as a change of it says so; nothing if there is none."""
    try:
        now = ask(endpoint, key, "GET", _path(tenant))["balance"]
    except ServerError as error:
        if error.status != 404:
            raise
        return {}
    said = {"overdraft": -now["floor"]} | {n: now[n] for n in ("top_up_below", "top_up_amount")}
    exact = {n: None if v is None else credits_text(v).replace(",", "") for n, v in said.items()}
    return {**exact, "enforce": now["enforce"], "top_up_url": now["top_up_url"]}


def verify(
    *,
    books: Annotated[
        str | None,
        typer.Option("--books", help="URL or file of books to prove without a server."),
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Prove that holds equal counters and that the credit ledger balances."""
    answer = ask(endpoint, key, "GET", "/v1/verify") if books is None else _offline(books)
    if as_json:
        render.print_json(answer)
    else:
        for part in ("holds", "credits"):
            for line in answer[part]:
                render.console.print(f"[red]{part}[/red] {render.safe(line)}", soft_wrap=True)
        if answer["ok"]:
            render.console.print("The books balance: holds equal counters, entries equal balances.")
    if not answer["ok"]:
        raise typer.Exit(1)


def _offline(books: str) -> dict[str, Any]:
    from outlay.wiring.backends import open_books

    url = books if "://" in books else f"sqlite:///{Path(books).resolve()}"
    file = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:") and not file.is_file():
        # Opening them would make new ones, and prove those.
        raise BadRequestError(f"There are no books at {file}.", where="--books")
    opened = open_books(url)
    try:
        found = {"holds": opened.check_holds(), "credits": opened.check_credits()}
    finally:
        opened.close()
    return {"ok": not any(found.values()), **found}


def _new_key() -> str:
    return f"cli-{secrets.token_hex(12)}"
