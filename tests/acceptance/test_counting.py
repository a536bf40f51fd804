"""Counters on real servers: killed again and again while limits come and change, yet exact."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from outlay.core.ids import uuid7
from outlay.store.books.sql import SqlBooks
from outlay.store.olap.duckdb import DuckDbStore
from tests.acceptance.killing import Rig

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

ROUNDS = 6
BATCH = 3_000
WAIT_S = 60.0
TENANTS = 7
COST = 5_000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "rig")
    yield made
    made.kill(made.server)


def call(rig: Rig, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {rig.key}"}
    answer = httpx.request(method, f"{rig.url}{path}", json=body, headers=headers, timeout=WAIT_S)
    assert answer.status_code == 200, answer.text
    return answer.json()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def batch(number: int) -> list[dict[str, Any]]:
    begun = time.time_ns() // 1000
    return [
        {
            "event_id": uuid7(begun // 1000, (number * BATCH + place).to_bytes(10, "big")),
            "tenant_id": f"t{place % TENANTS}", "started_at": begun, "ended_at": begun + 5,
            "operation": "tool", "name": "search", "status": "ok",
            "feature": f"f{place % 2}", "provider_cost_nanos": COST,
        }
        for place in range(BATCH)
    ]  # fmt: skip


def document(round_: int) -> dict[str, Any]:
    """Return limits: one that stays, one that comes later, one that changes what it counts."""
    limits: list[dict[str, Any]] = [
        {"id": "stays", "scope": {"tenant": "each"}, "window": "month", "amount": "100"}
    ]
    if round_ >= 2:
        limits.append({"id": "later", "window": "month", "amount": "100"})
    feature = f"f{round_ % 2}"
    limits.append({"id": "moves", "scope": {"feature": feature}, "metric": "calls",
                   "window": "month", "amount": 10**9})  # fmt: skip
    return {"limits": limits, "reason": "a test"}


def settled(rig: Rig) -> bool:
    """Tell whether everything was stored and counted, the past of limits too."""
    parts = call(rig, "GET", "/v1/status")["consumers"]
    behind = [parts[name]["lag_events"] for name in ("enrich", "olap", "settle")]
    return not any(behind) and not parts["settle"]["counts"]["waiting"]


def test_a_server_killed_while_it_counts_ends_with_the_sum_of_its_events(rig: Rig) -> None:
    rig.start_server()
    for number in range(ROUNDS):
        answer = call(rig, "POST", "/v1/events", batch(number))
        assert answer["accepted"] == BATCH
        call(rig, "POST", "/v1/limits", document(number))
        time.sleep(0.05 * number)
        rig.kill(rig.server)
        rig.start_server()
    until(lambda: settled(rig))
    time.sleep(1.0)  # a limit may begin just now
    until(lambda: settled(rig))
    rig.stop_server()

    books = SqlBooks(f"sqlite:///{rig.data / 'books.db'}")
    olap = DuckDbStore(rig.data / "olap.duckdb", memory_mb=1024)
    try:
        assert olap.count() == ROUNDS * BATCH
        used = {
            name: {c.key.scope_key: c.used for c in books.counters(limit_id=name)}
            for name in ("stays", "later", "moves")
        }
        each = [sum(place % TENANTS == t for place in range(BATCH)) for t in range(TENANTS)]
        assert used["stays"] == {
            f'[["tenant","t{t}"]]': ROUNDS * each[t] * COST for t in range(TENANTS)
        }
        assert used["later"] == {"[]": ROUNDS * BATCH * COST}
        assert used["moves"] == {"[]": ROUNDS * BATCH // 2}
        assert books.check_holds() == []
        assert books.posted() <= olap.offset()
    finally:
        olap.close()
        books.close()
