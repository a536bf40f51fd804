"""The options all commands share, and the settings and client they make."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from outlay.cli.client import Client
from outlay.config import Settings, load
from outlay.errors import BadRequestError

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


def segment(text: str, where: str) -> str:
    """Return an id as one part of a URL's path.

    Raises:
        BadRequestError: no id is like that, and the path would lead elsewhere.
    """
    if not text or "/" in text or text in (".", ".."):
        raise BadRequestError(
            f"{text!r} is no id.", where=where, hint="Give an id as it is listed."
        )
    return quote(text, safe="")
