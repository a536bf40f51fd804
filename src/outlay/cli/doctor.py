"""`outlay doctor`: is everything set up right, and if not, what to do. It changes nothing."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

import typer
from rich.table import Table

from outlay import __version__
from outlay.cli import render
from outlay.cli.client import Client, ServerError
from outlay.cli.doctor_gateway import examine_keys, examine_setup
from outlay.cli.findings import Finding
from outlay.cli.options import Endpoint, Json, KeyOption, settings
from outlay.config import Settings
from outlay.errors import ConfigError, OutlayError

MAX_SKEW_S = 5.0
LEAST_FREE_BYTES = 1024**3
MAX_LAG_EVENTS = 100_000
SHOWN_LETTERS = 5

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(doctor)


def doctor(*, as_json: Json = False, endpoint: Endpoint = None, key: KeyOption = None) -> None:
    """Check the set-up: settings, packages, spool, gateway, server, key, lag, dead letters."""
    findings = list(_examine(endpoint, key))
    healthy = all(finding.state != "fail" for finding in findings)
    if as_json:
        rows = [asdict(finding) for finding in findings]
        render.print_json({"healthy": healthy, "findings": rows})
    else:
        table = Table(header_style="bold")
        for heading in ("", "check", "detail", "what to do"):
            table.add_column(heading, overflow="fold")
        for finding in findings:
            state = f"[{_COLOURS[finding.state]}]{finding.state}[/]"
            table.add_row(
                state, finding.check, render.safe(finding.detail), render.safe(finding.fix)
            )
        render.console.print(table)
    raise typer.Exit(0 if healthy else 1)


def _examine(endpoint: str | None, key: str | None) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("versions", "ok", f"outlay {__version__}, Python {version}")
    try:
        chosen = settings(endpoint=endpoint, key=key)
    except ConfigError as error:
        yield Finding("settings", "fail", error.message, error.hint)
        return
    yield Finding("settings", "ok", "every OUTLAY_* variable and file key is known")
    yield from _taps()
    yield from _spool(chosen)
    if chosen.gateway or chosen.gateway_config:
        yield from examine_setup(chosen)
    with Client(chosen, timeout_s=10.0) as server:
        yield from _server(server, chosen)


def _taps() -> Iterator[Finding]:
    found = [name for name in ("httpx", "httpx2") if importlib.util.find_spec(name)]
    if found:
        yield Finding("taps", "ok", f"{' and '.join(found)} can be tapped")
    else:
        yield Finding(
            "taps", "warn", "neither httpx nor httpx2 is installed in this environment",
            "Run doctor in the environment of your application.",
        )  # fmt: skip


def _spool(chosen: Settings) -> Iterator[Finding]:
    from outlay.capture.spool_files import default_folder

    folder = Path(chosen.spool_dir) if chosen.spool_dir else default_folder()
    if not folder.exists():
        yield Finding("spool", "ok", f"{folder} is made on first use")
        return
    files = list(folder.glob("spool-*.db"))
    size = sum(file.stat().st_size for file in files if file.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{folder}: {len(files)} files, {size:,} bytes; {free / 1e9:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        yield Finding("spool", "warn", detail, "Free space on that disk or set OUTLAY_SPOOL_DIR.")
    else:
        yield Finding("spool", "ok", detail)


def _server(server: Client, chosen: Settings) -> Iterator[Finding]:
    asked = time.time()
    try:
        answer = server.send("GET", "/healthz")
    except OutlayError as error:
        yield Finding("server", "fail", error.message, error.hint)
        return
    yield Finding("server", "ok", f"{server.endpoint} answers")
    if "date" in answer.headers:
        skew = parsedate_to_datetime(answer.headers["date"]).timestamp() - asked
        state: Literal["ok", "warn"] = "ok" if abs(skew) <= MAX_SKEW_S else "warn"
        fix = "" if state == "ok" else "Set both clocks by NTP: events would be flagged clock_skew."
        yield Finding("clock", state, f"server and this machine differ by {skew:+.0f} s", fix)
    ready = server.send("GET", "/readyz")
    parts = _json(ready)
    if ready.status_code == 200:
        yield Finding("ready", "ok", "every part of the server is ready")
    else:
        yield Finding("ready", "fail", render.cell(parts), "See the server's log.")
    if not chosen.key:
        yield Finding("key", "fail", "no key is set", "Set OUTLAY_KEY or give --key.")
        return
    yield from _status(server)
    if chosen.gateway or chosen.gateway_config:
        yield from examine_keys(server)


def _status(server: Client) -> Iterator[Finding]:
    try:
        status = server.call("GET", "/v1/status")
        letters = server.call("GET", "/v1/dead-letters", params={"limit": SHOWN_LETTERS})
    except ServerError as error:
        if error.status == 403:
            yield Finding("key", "ok", "valid; an admin key would show the server's state too")
        else:
            yield Finding("key", "fail", error.message, error.hint)
        return
    yield Finding("key", "ok", "valid, admin")
    for name, consumer in (status.get("consumers") or {}).items():
        lag = int(consumer.get("lag_events") or consumer.get("lag") or 0)
        trouble = consumer.get("last_error")
        detail = f"{lag:,} behind" + (f", last error: {trouble}" if trouble else "")
        behind = lag > MAX_LAG_EVENTS
        fix = "It catches up by itself; if not, see the server's log." if behind or trouble else ""
        yield Finding(name, "warn" if behind or trouble else "ok", detail, fix)
    counts = letters.get("counts") or {}
    if not counts:
        yield Finding("dead letters", "ok", "none")
        return
    detail = ", ".join(f"{code} {count:,}" for code, count in sorted(counts.items()))
    yield Finding("dead letters", "warn", detail, "The newest follow; mend the sender.")
    for letter in letters.get("dead_letters") or ():
        where = f"{render.moment(letter.get('at'))} {letter.get('source')}"
        yield Finding(f"  {letter.get('code')}", "warn", f"{where}: {letter.get('message')}")


def _json(answer: Any) -> Any:
    try:
        return answer.json()
    except ValueError:
        return {"status": answer.status_code}
