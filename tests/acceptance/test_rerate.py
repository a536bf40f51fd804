"""Re-rating on real servers: killed in the middle, or asked for twice at once, it counts once."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from outlay.core.ids import uuid7
from outlay.store.base import EventFilter
from outlay.store.compare import compare
from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.warehouse.parquet import ParquetWarehouse
from tests.acceptance.killing import Rig

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

EVENTS = 30_000
"""More than the store reads at once, so that a run has steps to be killed between."""
BATCH = 6_000
WAIT_S = 60.0
WAS, NOW = 3_000_000, 5_000_000
"""What an event costs in nano-dollars: 1000 in at $2, then $4, and 100 out at $10 a million."""
WINDOW = ("--from", "2020-01-01T00:00:00Z", "--to", "2099-01-01T00:00:00Z")
ORDER = ("prices", "rerate", *WINDOW, "--reason", "a wrong list", "--yes", "--json")
BEGUN_US = time.time_ns() // 1000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "rig")
    yield made
    made.kill(made.server)


def post(rig: Rig, path: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {rig.key}"}
    answer = httpx.post(f"{rig.url}{path}", json=body, headers=headers, timeout=WAIT_S)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rates(rig: Rig, dollars_in: str) -> None:
    told = [{"provider": "vllm", "model": "own", "unit": unit, "price": price}
            for unit, price in (("input", dollars_in), ("output", "10"))]  # fmt: skip
    post(rig, "/v1/prices", {"rates": told, "reason": "our own list"})


def fill(rig: Rig) -> None:
    """Store events that are the same in every rig, and then set another price."""
    rig.start_server()
    rates(rig, "2")
    events = [
        {
            "event_id": uuid7(BEGUN_US // 1000, number.to_bytes(10, "big")), "tenant_id": "acme",
            "started_at": BEGUN_US + number, "ended_at": BEGUN_US + number + 5,
            "operation": "chat", "status": "ok", "provider": "vllm", "model_served": "own",
            "input": 1000, "output": 100,
        }
        for number in range(EVENTS)
    ]  # fmt: skip
    for first in range(0, EVENTS, BATCH):
        answer = post(rig, "/v1/events", events[first : first + BATCH])
        assert answer == {"accepted": BATCH, "rejected": []}
    until(lambda: cost(rig) == EVENTS * WAS)
    rates(rig, "4")


def cost(rig: Rig) -> int:
    answer = post(rig, "/v1/query", {"metrics": ["cost"], "last": "1h"})
    return answer["rows"][0][0] or 0 if answer["rows"] else 0


def until(true: Callable[[], bool], pause: float = 0.1) -> None:
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(pause)


def ordered(rig: Rig) -> subprocess.Popen[str]:
    """Start a re-rating at the command line."""
    env = rig.env | {"OUTLAY_ENDPOINT": rig.url, "OUTLAY_KEY": rig.key}
    return subprocess.Popen(
        [sys.executable, "-m", "outlay", *ORDER], env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def outcome(run: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    out, err = run.communicate(timeout=2 * WAIT_S)
    return run.returncode, json.loads(out or err)


def records(rig: Rig) -> int:
    """Return the head of the captured log, read past outlay's own code."""
    uri = f"file:{rig.data / 'log' / 'captured.db'}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        return int(db.execute("SELECT max(offset) FROM record").fetchone()[0])


def adjustments(rig: Rig) -> dict[bytes, tuple[bytes, int, str]]:
    """Stop the server, check its stores, and return the one adjustment of each event."""
    rig.stop_server()
    olap = DuckDbStore(rig.data / "olap.duckdb", memory_mb=1024)
    warehouse = ParquetWarehouse(rig.data / "warehouse")
    try:
        assert olap.verify() == []
        assert compare(olap, warehouse) == []
        found: dict[bytes, tuple[bytes, int, str]] = {}
        for _, made in olap.scan(EventFilter(0, 2 * BEGUN_US)):
            for row in made.to_pylist():
                assert row["adjusts_event_id"] not in found, "an event was adjusted twice"
                said = (row["event_id"], row["cost_nanos"], repr(row["lines"]))
                found[row["adjusts_event_id"]] = said
        return found
    finally:
        olap.close()
        warehouse.close()


def test_a_run_killed_in_the_middle_and_run_again_equals_one_clean_run(
    rig: Rig, tmp_path: Path
) -> None:
    fill(rig)
    before = records(rig)
    run = ordered(rig)
    until(lambda: records(rig) > before, pause=0.002)
    rig.kill(rig.server)
    outcome(run)

    rig.start_server()
    until(lambda: cost(rig) > EVENTS * WAS)
    begun = next(e for e in audit(rig) if e["action"] == "prices.rerate.begin")
    assert begun["details"]["reason"] == "a wrong list", "who and why is known of a cut run too"
    code, again = outcome(ordered(rig))
    assert code == 0, again
    assert 0 < again["written"] < EVENTS, "the kill was to come in the middle"
    until(lambda: cost(rig) == EVENTS * NOW)
    code, third = outcome(ordered(rig))
    assert (code, third["changed"]) == (0, 0)
    mended = adjustments(rig)

    clean = Rig(tmp_path / "clean")
    try:
        fill(clean)
        code, whole = outcome(ordered(clean))
        assert (code, whole["written"]) == (0, EVENTS)
        assert adjustments(clean) == mended
    finally:
        clean.kill(clean.server)


def audit(rig: Rig) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {rig.key}"}
    answer = httpx.get(f"{rig.url}/v1/audit", headers=headers, timeout=WAIT_S)
    entries: list[dict[str, Any]] = answer.json()["audit"]
    return entries


def test_two_runs_at_the_same_time_adjust_every_event_once(rig: Rig) -> None:
    fill(rig)
    body = {"from": 0, "to": 2 * BEGUN_US, "reason": "a wrong list", "apply": True}
    headers = {"Authorization": f"Bearer {rig.key}"}

    def run(_: int) -> httpx.Response:
        return httpx.post(
            f"{rig.url}/v1/prices/rerate", json=body, headers=headers, timeout=2 * WAIT_S
        )

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(run, range(2)))
    # The second one waits a little for the first, and is refused if that takes longer.
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert sum(answer.json().get("written", 0) for answer in answers) == EVENTS
    until(lambda: cost(rig) == EVENTS * NOW)
    again = [outcome(one) for one in (ordered(rig), ordered(rig))]
    assert {result.get("written", 0) for _, result in again} == {0}
    assert len(adjustments(rig)) == EVENTS
