"""Commands about people: `outlay users list|add|set-password|disable`, `outlay sign-in-link`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from outlay.cli import render
from outlay.cli.options import Endpoint, Json, KeyOption, segment
from outlay.cli.prices import ask, given
from outlay.errors import NotFoundError

users = typer.Typer(
    help="Users: people who sign in to the dashboard or the portal.", no_args_is_help=True
)


class Role(StrEnum):
    """What a user may do."""

    admin = "admin"
    engineer = "engineer"
    finance = "finance"
    tenant = "tenant"


Email = Annotated[str, typer.Argument(help="E-mail, in any letters.", show_default=False)]

_PATH: Final = "/v1/users"
_MAX_LISTED: Final = 10_000
_COLUMNS: Final = [
    ("email", "e-mail"), ("name", "name"), ("role", "role"), ("tenant_id", "tenant"),
    ("way", "signs in by"), ("seen", "last seen"), ("state", "state"),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(users, name="users")
    app.command("sign-in-link")(sign_in_link)


@users.command("list")
def listed(*, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None) -> None:
    """List the users, the newest first."""
    answer = ask(endpoint, key, "GET", _PATH, params={"limit": _MAX_LISTED})
    if as_json:
        render.print_json(answer)
        return
    if not answer["users"]:
        render.console.print("There is none: `outlay users add` makes one.")
        return
    rows = [
        {
            **user,
            "tenant_id": user["tenant_id"] or "",
            "seen": render.moment(user["last_seen_at"]),
            "state": "disabled" if user["disabled"] else "of use",
        }
        for user in answer["users"]
    ]
    render.console.print(render.rows_table(rows, _COLUMNS))


@users.command("add")
def add(
    email: Email,
    *,
    role: Annotated[Role, typer.Option("--role", help="What the user may do.")],
    name: Annotated[str | None, typer.Option("--name", help="For people.")] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="With --role tenant: whose portal it is.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Make a user, who sets a password by the link that is shown this once."""
    body = given(email=email, role=role.value, name=name, tenant_id=tenant)
    answer = ask(endpoint, key, "POST", _PATH, json=body)
    if as_json:
        render.print_json(answer)
        return
    until = render.moment(answer["link_expires_at"])
    who = render.safe(answer["user"]["email"])
    render.console.print(f"A link for {who}, shown this once; it works once, until {until} UTC:")
    typer.echo(f"  {answer['link']}")


@users.command("set-password")
def set_password(
    email: Email,
    *,
    password: Annotated[
        str,
        typer.Option(
            "--password", prompt=True, hide_input=True, confirmation_prompt=True,
            help="At least 12 characters; asked for, if it is not said.",
        ),
    ],
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:  # fmt: skip
    """Give a user a password; what the user has open ends."""
    _change(endpoint, key, email, {"password": password}, "has another password", as_json=as_json)


@users.command("disable")
def disable(
    email: Email,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Let the user in again.")] = False,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Keep a user out at once; history stays."""
    said = "may sign in again" if undo else "is disabled"
    _change(endpoint, key, email, {"disabled": not undo}, said, as_json=as_json)


def sign_in_link(
    email: Annotated[
        str | None,
        typer.Argument(
            help="Whom it signs in; default: the admin of this server.", show_default=False
        ),
    ] = None,
    *,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Make a link to the dashboard that signs in once; whoever has it is that user."""
    answer = ask(endpoint, key, "POST", "/v1/session/links", json=given(email=email))
    if as_json:
        render.print_json(answer)
        return
    until = render.moment(answer["expires_at"])
    who = render.safe(answer["email"])
    render.console.print(f"It signs in as {who} once, until {until} UTC:")
    typer.echo(f"  {answer['url']}")


def _change(
    endpoint: str | None,
    key: str | None,
    email: str,
    body: dict[str, Any],
    said: str,
    *,
    as_json: bool,
) -> None:
    user_id = _user_id(endpoint, key, email)
    answer = ask(endpoint, key, "PUT", f"{_PATH}/{segment(user_id, 'EMAIL')}", json=body)
    if as_json:
        render.print_json(answer)
    else:
        render.console.print(f"{render.safe(answer['user']['email'])} {said}.")


def _user_id(endpoint: str | None, key: str | None, email: str) -> str:
    """Return the id of a user.

    Raises:
        NotFoundError: nobody has the e-mail.
    """
    wanted = email.strip().lower()
    answer = ask(endpoint, key, "GET", _PATH, params={"limit": _MAX_LISTED})
    found: list[str] = [one["user_id"] for one in answer["users"] if one["email"] == wanted]
    if not found:
        raise NotFoundError(
            "There is no such user.", where="EMAIL", hint="`outlay users list` shows them."
        )
    return found[0]
