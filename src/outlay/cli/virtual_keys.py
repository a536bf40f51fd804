"""Commands about the gateway's keys: `outlay virtual-keys create|list|rotate|revoke`."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from outlay.cli import render
from outlay.cli.options import Endpoint, Json, KeyOption, segment
from outlay.cli.prices import ask, given, moment
from outlay.errors import BadRequestError

virtual_keys = typer.Typer(
    help="Virtual keys: what clients of the gateway show in the place of a provider's key.",
    no_args_is_help=True,
)


class Priority(StrEnum):
    """Which calls go first at a crowded upstream."""

    interactive = "interactive"
    background = "background"


Expires = Annotated[
    str | None, typer.Option("--expires", help="A date or RFC 3339 time; default: never.")
]
Grace = Annotated[
    str | None,
    typer.Option("--grace", help="How long it still works, such as 15m or 24h; default: not."),
]

_PATH: Final = "/v1/virtual-keys"
_COLUMNS: Final = [
    ("key_id", "key"), ("name", "name"), ("tenant", "tenant"), ("work", "for"), ("may", "may use"),
    ("prefix", "secret"), ("created", "created"), ("ends", "ends"), ("state", "state"),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(virtual_keys, name="virtual-keys")


@virtual_keys.command("list")
def listed(
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant.")] = None,
    usable: Annotated[bool, typer.Option("--usable", help="Only those of use now.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 1000,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """List keys, the newest first; secrets are not stored and cannot be shown."""
    params = {**given(tenant=tenant), "usable": usable, "limit": limit}
    answer = ask(endpoint, key, "GET", _PATH, params=params)
    if as_json:
        render.print_json(answer)
        return
    if not answer["virtual_keys"]:
        render.console.print("There is none: `outlay virtual-keys create` makes one.")
        return
    _print(answer["virtual_keys"])


@virtual_keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="For people.")],
    *,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            help="Whose work it is; left out: a service's key, which says it in a signed context.",
        ),
    ] = None,
    feature: Annotated[
        str | None, typer.Option("--feature", help="The feature that its calls are for.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", help="The agent that its calls are of, or below.")
    ] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", help="The workspace that they are for.")
    ] = None,
    initiator: Annotated[
        str | None, typer.Option("--initiator", help="Who began the work: user or system.")
    ] = None,
    upstream: Annotated[
        list[str] | None,
        typer.Option(
            "--upstream", help="An upstream it may use, such as openai; may repeat; default: any."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A model or alias it may ask for, such as gpt-5*; may repeat; default: any.",
        ),
    ] = None,
    priority: Annotated[
        Priority | None,
        typer.Option("--priority", help="At a crowded upstream; default: by the initiator."),
    ] = None,
    expires: Expires = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Make a key; its secret is shown this once."""
    body = given(
        name=name, tenant_id=tenant, feature=feature, agent=agent, workspace=workspace,
        initiator=initiator, upstreams=upstream, models=model, priority=priority,
        expires_at=moment(expires, "--expires"),
    )  # fmt: skip
    _show_secret(ask(endpoint, key, "POST", _PATH, json=body), as_json=as_json)


@virtual_keys.command("rotate")
def rotate(
    key_id: str,
    *,
    grace: Grace = None,
    expires: Expires = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """Make a new secret with the same terms; the old one works for a grace time."""
    body = given(grace_s=_seconds(grace), expires_at=moment(expires, "--expires"))
    path = f"{_PATH}/{segment(key_id, 'KEY_ID')}/rotate"
    answer = ask(endpoint, key, "POST", path, json=body)
    _show_secret(answer, as_json=as_json)
    if not as_json:
        until = render.moment(answer["replaced"]["revoked_at"])
        render.console.print(f"The old one, {render.safe(key_id)}, works until {until} UTC.")


@virtual_keys.command("revoke")
def revoke(
    key_id: str,
    *,
    grace: Grace = None,
    as_json: Json = False,
    endpoint: Endpoint = None,
    key: KeyOption = None,
) -> None:
    """End a key at once, or after a grace time; an end never moves to a later time."""
    path = f"{_PATH}/{segment(key_id, 'KEY_ID')}"
    params = given(grace_s=_seconds(grace))
    answer = ask(endpoint, key, "DELETE", path, params=params)
    if as_json:
        render.print_json(answer)
        return
    until = render.moment(answer["virtual_key"]["revoked_at"])
    render.console.print(f"{render.safe(key_id)} is revoked as of {until} UTC.")


def _seconds(grace: str | None) -> int | None:
    """Return a grace time in seconds.

    Raises:
        BadRequestError: it is not a duration.
    """
    from outlay.store.query.parse import duration

    try:
        return None if grace is None else duration(grace, "--grace") // 1_000_000
    except BadRequestError as error:
        raise BadRequestError(error.message, where="--grace") from error


def _show_secret(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        render.print_json(answer)
        return
    made = render.safe(answer["virtual_key"]["key_id"])
    render.console.print(f"The secret of {made}, shown this once; only its hash is kept:")
    render.console.print(f"  {render.safe(answer['secret'])}", soft_wrap=True)


def _print(rows: list[dict[str, Any]]) -> None:
    now = time.time_ns() // 1000
    render.console.print(render.rows_table([_dressed(row, now) for row in rows], _COLUMNS))


def _dressed(row: dict[str, Any], now: int) -> dict[str, Any]:
    """Add to a key what a table shows of it."""
    ends = [row[name] for name in ("expires_at", "revoked_at") if row[name] is not None]
    of_use = not any(at <= now for at in ends)
    revoked = row["revoked_at"] is not None and row["revoked_at"] <= now
    work = (row[name] for name in ("feature", "agent", "workspace", "initiator", "priority"))
    return {
        **row,
        "tenant": row["tenant_id"] or "(a service's)",
        "work": ", ".join(text for text in work if text),
        "may": ", ".join([*row["upstreams"], *row["models"]]) or "anything",
        "prefix": f"{row['prefix']}…",
        "created": render.moment(row["created_at"]),
        "ends": render.moment(min(ends, default=None)),
        "state": "of use" if of_use else "revoked" if revoked else "expired",
    }
