"""Limits in a process against a real server: what it counts is what was spent, to the nano."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import outlay
from outlay.capture.limits.gate import Gate
from outlay.capture.limits.steps import Admitted
from outlay.capture.limits.waiting import admit
from outlay.capture.runtime import active
from outlay.config import Settings
from outlay.wiring.run import start_in_thread
from tests.unit.capture.limits.authority import CENT, SPENT, ask, book, month, until

pytestmark = pytest.mark.heavy


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    settings = Settings(data=str(tmp_path / "data"), port=0, seed_prices=False)
    with start_in_thread(settings) as running:
        yield running


def admin(server: Any) -> httpx.Client:
    headers = {"Authorization": f"Bearer {server.first_key}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=10)


def started(server: Any, **settings: Any) -> Gate:
    outlay.init(server.url, server.first_key, limits=True, limits_sync_s=0.05, **settings)
    runtime = active()
    assert runtime is not None
    assert runtime.gate is not None
    runtime.rates.book = book()
    return runtime.gate


def used(client: httpx.Client) -> int:
    reply = client.get("/v1/limits/state")
    reply.raise_for_status()
    return sum(int(one["used"]) for one in reply.json()["counters"])


def test_a_burst_spends_the_limit_and_not_a_cent_more(server: Any) -> None:
    with admin(server) as client:
        reply = client.post(
            "/v1/limits", json={"limits": [month("0.20")]}, params={"reason": "test"}
        )
        assert reply.status_code < 300, reply.text
        gate = started(server)
        passed: list[int] = []

        def call() -> None:
            step = admit(gate, ask())
            if isinstance(step, Admitted):
                passed.append(1)
                step.ticket.settle(SPENT)

        threads = [threading.Thread(target=call) for _ in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(passed) == 20
        until(lambda: used(client) == 20 * CENT)
        outlay.shutdown(2.0)
        leases = client.get("/v1/leases").json()["leases"]
        assert leases == []
