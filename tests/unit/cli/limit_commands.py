"""Runs the commands of limits, credits and virtual keys against a server that really runs."""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console
from typer.testing import CliRunner

from outlay.cli import credit, currencies, limit_edit, limits, people, render, virtual_keys
from outlay.core.ids import uuid7
from outlay.errors import OutlayError

APP = typer.Typer(pretty_exceptions_enable=False)
for module in (limits, limit_edit, credit, currencies, virtual_keys, people):
    module.register(APP)

WAIT_S = 20.0


class Commands:
    """One command line with the first key of a server."""

    def __init__(self, served: Any, folder: Path) -> None:
        self.served = served
        self.folder = folder
        self.env = {"OUTLAY_ENDPOINT": served.url, "OUTLAY_KEY": served.first_key}

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run a command; return what it printed, blanks and lines of tables folded.

        Raises:
            OutlayError: what the command was refused with.
        """
        return re.sub(r"[\s│┃]+", " ", self._run(*words, code=code))

    def json(self, *words: str, code: int = 0) -> Any:
        """Run a command with `--json` and return the document that it printed."""
        return json.loads(self._run(*words, "--json", code=code))

    def send(self, **fields: Any) -> dict[str, Any]:
        """Send an event that ended now, and wait until it can be asked for."""
        at = time.time_ns() // 1000
        event = {
            "event_id": uuid7(at // 1000, os.urandom(10)), "started_at": at, "ended_at": at,
            "tenant_id": "acme", "operation": "chat", "status": "ok", "provider": "openai",
            "vendor": "openai", "surface": "openai.chat", "model_requested": "gpt-5",
            "model_served": "gpt-5", "input": 1_000_000,
            "usage_raw": {"prompt_tokens": 1_000_000}, **fields,
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {self.served.first_key}"}
        answer = httpx.post(f"{self.served.url}/v1/events", json=[event], headers=headers)
        assert answer.json()["accepted"] == 1, answer.text
        until(lambda: self.served.server.olap.event(event["event_id"]) is not None)
        return event

    def _run(self, *words: str, code: int) -> str:
        out = io.StringIO()
        before = render.console, render.errors
        render.console = render.errors = Console(file=out, width=250)
        try:
            done = CliRunner().invoke(APP, words, env=self.env)
        finally:
            render.console, render.errors = before
        if isinstance(done.exception, OutlayError):
            raise done.exception
        assert done.exit_code == code, (done.output, done.exception)
        return out.getvalue() + done.output


def until(true: Callable[[], bool]) -> None:
    """Wait for something that happens soon."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
