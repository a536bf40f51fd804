"""The real server in its own process: events in, answers out, restarted, and still there."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from outlay.api.shapes.query import ExplainedEvent
from outlay.core.ids import uuid7
from tests.unit.api.shaped import check

pytestmark = pytest.mark.heavy

EVENTS = 1000
START_TIMEOUT_S = 60.0
VISIBLE_TIMEOUT_S = 30.0

PROGRAM = """
import json, sys
from outlay.config import load
from outlay.wiring import run_server

def ready(url, key, link):
    print(json.dumps({"url": url, "key": key}), flush=True)

settings = {"data": sys.argv[1], "port": 0, "duckdb_memory_mb": 256, **json.loads(sys.argv[2])}
run_server(load({}, overrides=settings), on_ready=ready)
print("closed", flush=True)
"""


class Process:
    """A server process and what it printed when it was ready."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.errors = data.with_name("errors.log")
        with self.errors.open("ab") as errors:
            self.child = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(data), json.dumps(settings)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        ready = self.line()
        told = json.loads(ready) if ready else {}
        self.url, self.key = told.get("url"), told.get("key")

    def line(self) -> str:
        assert self.child.stdout is not None
        readable, _, _ = select.select([self.child.stdout], [], [], START_TIMEOUT_S)
        return self.child.stdout.readline() if readable else ""

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it and return its exit code and the rest of its output."""
        self.child.send_signal(number)
        rest, _ = self.child.communicate(timeout=START_TIMEOUT_S)
        return self.child.returncode, rest


@contextmanager
def serving(data: Path, **settings: Any) -> Iterator[Process]:
    process = Process(data, **settings)
    try:
        yield process
    finally:
        if process.child.poll() is None:
            process.child.kill()
        process.child.wait()
        assert process.child.stdout is not None
        process.child.stdout.close()


def events(number: int) -> list[dict[str, Any]]:
    now = time.time_ns() // 1000
    return [
        {
            "event_id": uuid7(now // 1000, os.urandom(10)),
            "started_at": now - 5000,
            "ended_at": now - 1000,
            "tenant_id": f"t{index % 4}",
            "request_id": "request-1",
            "agent_path": "boss/research" if index % 2 else "boss",
            "operation": "chat",
            "provider": "openai",
            "model_requested": "gpt-4o",
            "model_served": "gpt-4o",
            "status": "ok",
            "input": 1000,
            "output": 100,
        }
        for index in range(number)
    ]


def spend(http: httpx.Client) -> dict[str, tuple[int, int]]:
    """Return cost and calls by tenant."""
    question = {"metrics": ["cost", "calls"], "by": ["tenant"], "last": "1h"}
    answer = http.post("/v1/query", json=question)
    assert answer.status_code == 200, answer.text
    return {tenant: (cost, calls) for tenant, cost, calls in answer.json()["rows"]}


def wait_for(http: httpx.Client, calls: int) -> dict[str, tuple[int, int]]:
    until = time.monotonic() + VISIBLE_TIMEOUT_S
    while time.monotonic() < until:
        found = spend(http)
        if sum(count for _, count in found.values()) >= calls:
            return found
        time.sleep(0.05)
    raise AssertionError(f"only {spend(http)} after {VISIBLE_TIMEOUT_S} s")


def client(process: Process, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=process.url or "", headers=headers, timeout=30)


def test_events_are_answered_for_priced_explained_and_survive_a_restart(tmp_path: Path) -> None:
    data, batch = tmp_path / "data", events(EVENTS)
    with serving(data) as first:
        assert first.key is not None, first.errors.read_text()
        key = first.key
        with client(first, key) as http:
            for _ in range(2):  # the second time all of them are duplicates
                answer = http.post("/v1/events", json=batch)
                assert answer.json() == {"accepted": EVENTS, "rejected": []}
            found = wait_for(http, EVENTS)
            # 1000 in at $2.50 and 100 out at $10 a million, of 250 calls a tenant.
            assert found == {f"t{n}": (875_000_000, 250) for n in range(4)}
            told = http.get(f"/v1/events/{batch[0]['event_id']}")
            check(told.content, ExplainedEvent, "GET /v1/events/{event_id}")
            event = told.json()
            assert event["derivation"]["adds_up"]
            assert [line["nanos"] for line in event["lines"]] == [2_500_000, 1_000_000]
            tree = http.get("/v1/requests/request-1/tree").json()
            assert (tree["cost_nanos"], tree["attempts"]) == (3_500_000_000, EVENTS)
            made = {"name": "t1", "scopes": ["read"], "tenant_id": "t1"}
            scoped = http.post("/v1/keys", json=made).json()["secret"]
            status = http.get("/v1/status").json()
            assert status["events"] == EVENTS
            assert all(part["ok"] for part in status["consumers"].values())
        with client(first, scoped) as http:
            assert spend(http) == {"t1": (875_000_000, 250)}
        assert first.stop() == (0, "closed\n")
    assert key not in first.errors.read_text()

    with serving(data) as second:
        assert second.key is None
        with client(second, key) as http:
            assert wait_for(http, EVENTS) == found
            assert http.get("/readyz").status_code == 200
        with client(second, scoped) as http:
            assert set(spend(http)) == {"t1"}
        assert second.stop(signal.SIGINT) == (0, "closed\n")


def test_acknowledged_events_are_there_after_kill_9(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as first:
        key = first.key or ""
        with client(first, key) as http:
            for _ in range(5):
                assert http.post("/v1/events", json=events(100)).json()["accepted"] == 100
        first.stop(signal.SIGKILL)
    with serving(data) as second:
        with client(second, key) as http:
            found = wait_for(http, 500)
            assert sum(calls for _, calls in found.values()) == 500
        second.stop()


def test_a_second_server_on_the_same_data_says_who_has_it(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as first:
        with serving(tmp_path / "data") as second:
            assert second.child.wait(START_TIMEOUT_S) == 1
            text = second.errors.read_text()
            assert f"Another outlay server (process {first.child.pid})" in text
        assert httpx.get(f"{first.url}/healthz").status_code == 200
        assert first.stop()[0] == 0


def test_requests_in_hand_are_finished_when_it_stops(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as process:
        body = json.dumps(events(10)).encode()

        def slowly() -> Iterator[bytes]:
            yield body[:100]
            process.child.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            yield body[100:]

        with client(process, process.key or "") as http:
            json_type = {"Content-Type": "application/json"}
            answer = http.post("/v1/events", content=slowly(), headers=json_type)
        assert answer.json() == {"accepted": 10, "rejected": []}
        assert process.child.wait(START_TIMEOUT_S) == 0
