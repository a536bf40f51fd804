"""A model nobody knows, on a real server: seen, held, priced when its rate comes, and explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from outlay.core.ids import uuid7
from tests.acceptance.test_server import Process, serving

pytestmark = pytest.mark.heavy

WAIT_S = 30.0
EVENTS = 50


class Operator:
    """Somebody at the command line, and what an application sends."""

    def __init__(self, server: Process) -> None:
        self.server = server
        self.began = time.time_ns() // 1000

    def run(self, *words: str, code: int = 0) -> Any:
        env = os.environ | {
            "OUTLAY_ENDPOINT": str(self.server.url), "OUTLAY_KEY": str(self.server.key),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "outlay", *words, "--json"],
            capture_output=True, text=True, env=env, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def send(self, number: int = EVENTS, **fields: Any) -> list[str]:
        now = time.time_ns() // 1000
        ids = [uuid7(now // 1000, os.urandom(10)) for _ in range(number)]
        events = [
            {
                "event_id": event_id, "started_at": now, "ended_at": now + 5, "tenant_id": "acme",
                "operation": "chat", "status": "ok", "provider": "vllm", "vendor": "vllm",
                "surface": "openai.chat", "model_served": "own-70b", "input": 1000, "output": 100,
                "usage_raw": {"prompt_tokens": 1000, "completion_tokens": 100}, **fields,
            }
            for event_id in ids
        ]  # fmt: skip
        answer = httpx.post(
            f"{self.server.url}/v1/events",
            json=events,
            headers={"Authorization": f"Bearer {self.server.key}"},
        )
        assert answer.json() == {"accepted": number, "rejected": []}, answer.text
        return ids

    def costs(self) -> list[Any]:
        answer = self.run("query", "--metrics", "cost,unpriced,calls", "--last", "1h")
        return list(answer["rows"][0]) if answer["rows"] else [0, 0, 0]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def test_an_unknown_model_is_held_then_priced_and_every_step_can_be_explained(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "data") as server:
        operator = Operator(server)
        first, *_ = operator.send()
        until(lambda: operator.costs()[2] == EVENTS)
        assert operator.costs() == [0, EVENTS, EVENTS]

        listed = operator.run("prices", "unpriced")
        (group,) = listed["unpriced"]
        assert (group["model"], group["reason"], group["events"]) == (
            "own-70b", "unknown_model", EVENTS,
        )  # fmt: skip
        assert group["ceiling_nanos"] > 0, "limits never hold an unpriced call at nothing"

        rates = tmp_path / "own.yaml"
        rates.write_text(
            "rates:\n"
            "  - {provider: vllm, model: own-70b, unit: input, price: '2.00'}\n"
            "  - {provider: vllm, model: own-70b, unit: output, price: '10.00'}\n"
        )
        operator.run("prices", "set", str(rates), "--reason", "our own cluster")
        until(lambda: operator.costs()[1] == 0)
        # 1000 x $2 and 100 x $10 a million are 3,000,000 nano-dollars an event
        assert operator.costs() == [EVENTS * 3_000_000, 0, EVENTS]
        assert operator.run("prices", "unpriced")["unpriced"] == []

        story = operator.run("explain", first)
        assert story["event"]["cost_nanos"] == 0, "what was booked is never edited"
        assert "includes cached" in story["derivation"]["convention"]
        (change,) = story["derivation"]["adjustments"]
        assert change["reason"] == "a rate arrived"
        assert change["nanos"] == 3_000_000
        assert {line["nanos_per_million"] for line in change["lines"] if line["rate_id"]} == {
            2_000_000_000, 10_000_000_000,
        }  # fmt: skip
        assert story["derivation"]["cost_now_nanos"] == 3_000_000

        operator.run(
            "prices", "set", "--provider", "vllm", "--model", "own-70b", "--unit", "input",
            "--price", "4.00", "--reason", "the list was wrong",
        )  # fmt: skip
        window = ("--from", "2020-01-01T00:00:00Z", "--to", "2099-01-01T00:00:00Z")
        order = ("prices", "rerate", *window, "--model", "own-70b", "--reason", "a wrong list")
        preview = operator.run(*order)
        assert (preview["changed"], preview["written"]) == (EVENTS, 0)
        assert preview["now_nanos"] - preview["was_nanos"] == EVENTS * 2_000_000
        assert operator.costs()[0] == EVENTS * 3_000_000, "a preview changes nothing"
        assert operator.run(*order, "--yes")["written"] == EVENTS
        assert operator.costs() == [EVENTS * 5_000_000, 0, EVENTS]
        assert operator.run(*order, "--yes")["changed"] == 0, "twice changes nothing"

        history = operator.run("prices", "history", "vllm", "own-70b")
        assert len(history["rates"]) == 3


def test_an_application_cannot_write_an_adjustment(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        now = time.time_ns() // 1000
        forged = {
            "event_id": uuid7(now // 1000, os.urandom(10)), "started_at": now, "ended_at": now,
            "tenant_id": "acme", "operation": "chat", "status": "ok", "kind": "adjustment",
            "usage_raw": {"was_nanos": 0, "now_nanos": -10**9},
        }  # fmt: skip
        answer = httpx.post(
            f"{server.url}/v1/events",
            json=[forged],
            headers={"Authorization": f"Bearer {server.key}"},
        )
        (refusal,) = answer.json()["rejected"]
        assert refusal["code"] == "server_only"
