"""Commands that run something: `serve` and `demo`."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from outlay.cli import render
from outlay.cli.options import Json, settings
from outlay.errors import BadRequestError


class Role(StrEnum):
    """Which parts a process runs."""

    all = "all"
    gateway = "gateway"


Data = Annotated[Path | None, typer.Option("--data", help="Data folder (env OUTLAY_DATA).")]
Port = Annotated[
    int | None, typer.Option("--port", help="Port, 0 for any free one (env OUTLAY_PORT).")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(serve)
    app.command()(demo)


def serve(
    *,
    data: Data = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Port = None,
    role: Annotated[
        Role, typer.Option("--role", help="`all`, or `gateway`: only that, beside a server.")
    ] = Role.all,
    reuse_port: Annotated[
        bool,
        typer.Option(
            "--reuse-port", help="With --role gateway: share the port with other such processes."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the server: ingest, worker, stores, API and gateway in one process, or one part of it."""
    from outlay.wiring import run_gateway, run_server

    chosen = settings(data=str(data) if data else None, host=host, port=port)
    if role is Role.gateway:
        run_gateway(chosen, on_ready=_gateway_ready(as_json), reuse_port=reuse_port)
        return
    if reuse_port:
        raise BadRequestError(
            "Only gateways share a port: a server is one process.",
            where="--reuse-port",
            hint="Say --role gateway as well.",
        )

    def ready(url: str, first_key: str | None, link: str | None) -> None:
        if as_json:
            # One line, so that a supervisor can read it while the server runs on.
            told = {"url": url, "key": first_key, "data": chosen.data, "sign_in_link": link}
            typer.echo(json.dumps(told))
            return
        render.console.print(f"outlay listens on [bold]{escape(url)}[/bold], data in {chosen.data}")
        if first_key is not None:
            render.console.print("The first admin key, shown this once; only its hash is kept:")
            typer.echo(f"  export OUTLAY_ENDPOINT={url} OUTLAY_KEY={first_key}")
        if link is not None:
            render.console.print(
                "The dashboard, signed in; it works once within 10 minutes, and "
                "[bold]outlay sign-in-link[/bold] makes another:"
            )
            typer.echo(f"  {link}")
        if chosen.gateway:
            _show_base_url(url)

    run_server(chosen, on_ready=ready)


def _gateway_ready(as_json: bool) -> Callable[[str], None]:
    def ready(url: str) -> None:
        if as_json:
            typer.echo(json.dumps({"url": url}))
            return
        render.console.print(f"the gateway listens on [bold]{escape(url)}[/bold]")
        _show_base_url(url)

    return ready


def _show_base_url(url: str) -> None:
    render.console.print(
        "Clients of the gateway need a base URL and a key of `outlay virtual-keys create`:"
    )
    typer.echo(f"  export OPENAI_BASE_URL={url}/openai/v1 OPENAI_API_KEY=ov_…")


def demo(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Fixed traffic; exit 0 only if every cost agrees.")
    ] = False,
    actions: Annotated[
        int | None, typer.Option("--actions", min=1, help="User actions to run; default: no end.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=1, help="Stop after this.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", min=0.01, help="User actions a second.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same traffic.")] = 7,
    data: Data = None,
    port: Port = None,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Live table.")] = True,
    history: Annotated[
        bool | None,
        typer.Option(
            "--history/--no-history",
            help="Write a month of past usage first; default: not with --check, --actions, --json.",
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the dashboard.")] = False,
    as_json: Json = False,
) -> None:
    """Run server, provider simulator and a multi-tenant agent application, live."""
    from outlay.demo.run import run_demo

    arguments: dict[str, Any] = {
        "check": check, "actions": actions, "seconds": seconds, "rate": rate, "seed": seed,
        "data": data, "port": 8787 if port is None else port,
        "live": live and not as_json and render.console.is_terminal, "json_output": as_json,
        "history": history, "open_page": open_page,
    }  # fmt: skip
    raise typer.Exit(run_demo(**arguments))
