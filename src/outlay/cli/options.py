"""The options all commands share, and the settings and client they make."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from outlay.cli.client import Client
from outlay.config import Settings, load

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Endpoint = Annotated[
    str | None, typer.Option("--endpoint", help="URL of the server (env OUTLAY_ENDPOINT).")
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", help="API key (env OUTLAY_KEY; better there than in a history file)."),
]


def settings(**overrides: Any) -> Settings:
    """Load the settings with what the command line says on top."""
    return load(overrides=overrides)


def client(endpoint: str | None, key: str | None) -> Client:
    """Open a client of the server that the options and settings name."""
    return Client(settings(endpoint=endpoint, key=key))
