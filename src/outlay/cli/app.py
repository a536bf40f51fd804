"""The command tree, and how errors end.

Exit codes: 0 done, 1 refused or failed, 2 the command line itself is wrong.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from outlay import __version__
from outlay.cli import (
    admin,
    ask,
    credit,
    currencies,
    doctor,
    limit_edit,
    limits,
    people,
    price_edit,
    prices,
    rate,
    render,
    repricing,
    serve,
    virtual_keys,
)
from outlay.errors import OutlayError

app = typer.Typer(
    name="outlay",
    help="Know, cap and charge what every tenant's AI agents cost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"outlay {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file of settings (env OUTLAY_CONFIG).")
    ] = None,
) -> None:
    """Take the options that stand before any command."""
    del version
    if config is not None:
        os.environ["OUTLAY_CONFIG"] = str(config)


def fail(error: OutlayError) -> NoReturn:
    """Say what is wrong, where and what to do, and leave."""
    where = f" [dim]({render.safe(error.where)})[/dim]" if error.where else ""
    render.errors.print(f"[red]error[/red] {render.safe(error.message)}{where}", soft_wrap=True)
    render.errors.print(f"  [dim]{render.safe(error.hint)}[/dim]", soft_wrap=True)
    raise SystemExit(_code(error))


def _code(error: OutlayError) -> int:
    """Return 2 for an option that is wrong by itself, 1 for everything that was refused."""
    return 2 if (error.where or "").startswith("--") else 1


def run() -> None:
    """Run the command line."""
    for module in (
        serve, ask, rate, admin, people, virtual_keys, limits, limit_edit, credit, currencies,
        prices, price_edit, repricing, doctor,
    ):  # fmt: skip
        module.register(app)
    try:
        app()
    except OutlayError as error:
        if "--json" in sys.argv:
            render.print_json(error.as_dict())
            raise SystemExit(_code(error)) from error
        fail(error)
    except BrokenPipeError:
        # The reader of our output (`| head`) has left: that is not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
