"""`outlay prices unpriced|rerate|spread` on the command line, against a server that really runs."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from outlay.cli import price_edit, prices, render, repricing
from outlay.config import Settings
from outlay.core.ids import uuid7
from outlay.core.rollup import HOUR_US
from outlay.errors import BadRequestError
from outlay.wiring import start_in_thread

VISIBLE_S = 20.0

APP = typer.Typer(pretty_exceptions_enable=False)
for module in (prices, price_edit, repricing):
    module.register(APP)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Any]:
    settings = Settings(data=str(tmp_path / "data"), port=0, duckdb_memory_mb=256)
    with start_in_thread(settings, log_to=io.StringIO()) as running:
        yield running


@pytest.fixture
def outlay(served: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command and return what it printed on one line."""
    monkeypatch.setenv("OUTLAY_ENDPOINT", served.url)
    monkeypatch.setenv("OUTLAY_KEY", served.first_key)

    def run(*args: str) -> str:
        out = io.StringIO()
        monkeypatch.setattr(render, "console", Console(file=out, width=250))
        done = CliRunner().invoke(APP, ["prices", *args])
        if isinstance(done.exception, BadRequestError):
            raise done.exception
        assert done.exit_code == 0, (done.output, done.exception)
        return re.sub(r"[\s│┃]+", " ", out.getvalue() + done.output)

    return run


@pytest.fixture
def sent(served: Any) -> Callable[..., None]:
    """Send one event that ended now, or `ago_us` before, and wait until it can be asked for."""

    def send(*, ago_us: int = 0, **fields: Any) -> None:
        at = time.time_ns() // 1000 - ago_us
        event = {
            "event_id": uuid7(at // 1000, os.urandom(10)), "started_at": at, "ended_at": at,
            "tenant_id": "acme", "operation": "tool", "status": "ok", **fields,
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {served.first_key}"}
        answer = httpx.post(f"{served.url}/v1/events", json=[event], headers=headers)
        assert answer.json()["accepted"] == 1, answer.text
        end = time.monotonic() + VISIBLE_S
        while served.server.olap.event(event["event_id"]) is None:
            assert time.monotonic() < end, "the event did not arrive in time"
            time.sleep(0.05)

    return send


def days() -> tuple[str, str]:
    now = datetime.now(UTC)
    return f"{now - timedelta(days=1):%Y-%m-%d}", f"{now + timedelta(days=1):%Y-%m-%d}"


def test_what_is_no_token_is_held_above_nothing_too(
    outlay: Callable[..., str], sent: Callable[..., None]
) -> None:
    for _ in range(2):
        sent(provider="own", model_requested="crm", other_units={"search_units": 1})
    # A cent a search, since nobody prices that unit: `core.ceiling`.
    assert "own crm no row of the book knew the name 2 1" in (text := outlay("unpriced"))
    assert "$0.0200" in text


def test_a_window_may_be_given_in_days(
    outlay: Callable[..., str], sent: Callable[..., None]
) -> None:
    sent(provider="own", model_requested="crm", other_units={"search_units": 1})
    first, last = days()
    assert "own crm" in outlay("unpriced", "--from", first, "--to", last)
    window = ("--from", first, "--to", last, "--reason", "r", "--yes")
    assert "0 of 1 events change" in outlay("rerate", *window)
    with pytest.raises(BadRequestError) as caught:
        outlay("rerate", "--from", "yesterday", "--to", last, "--reason", "r")
    assert caught.value.where == "--from"


def test_a_change_of_what_is_charged_is_said_where_the_cost_is_the_same(
    outlay: Callable[..., str], sent: Callable[..., None], tmp_path: Path
) -> None:
    sent(provider="openai", model_requested="gpt-5.6-sol", operation="chat", input=1000)
    file = tmp_path / "sell.yaml"
    file.write_text("sell:\n  - {unit: calls, credits: 1.5, per: 1}\n  - {unit: input, price: 9}\n")
    assert "1.5 credits a call" in outlay("set", str(file), "--reason", "r")
    first, last = days()
    text = outlay("rerate", "--from", first, "--to", last, "--reason", "r", "--yes")
    assert "$0.00 in all, sold for $0.0090 more, 1.50 credits more" in text


def test_spreading_says_which_hours_were_idle(
    outlay: Callable[..., str], sent: Callable[..., None]
) -> None:
    now = time.time_ns() // 1000
    hour = now - now % HOUR_US - HOUR_US
    sent(provider="vllm", model_requested="own", operation="chat", input=10, ago_us=now - hour)
    start, end = (datetime.fromtimestamp(at / 1e6, UTC).isoformat() for at in (
        hour - HOUR_US, hour + HOUR_US
    ))  # fmt: skip
    text = outlay(
        "spread", "--provider", "vllm", "--model", "own", "--hourly", "12.50", "--from", start,
        "--to", end, "--reason", "r", "--yes",
    )  # fmt: skip
    assert "$12.50 spread over 1 of 2 hours; 1 were idle, their $12.50 is nobody's." in text
    assert "1 adjustments written" in text


def test_without_findings_it_says_so(outlay: Callable[..., str]) -> None:
    assert "No open findings." in outlay("findings")


def test_an_unknown_name_is_said_to_be_unknown_as_known_at_a_time(
    outlay: Callable[..., str],
) -> None:
    text = outlay("at", "2026-11-01", "openai", "gpt-5.6-sol", "--known-at", "2020-01-01")
    assert "Nothing prices openai gpt-5.6-sol, as known at 2020-01-01 00:00:00" in text
