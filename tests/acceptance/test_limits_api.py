"""Limits on a real server over HTTP: bursts, crashes, expiry, webhooks, and what is left after."""

from __future__ import annotations

import hashlib
import hmac
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.test_server import Process, serving
from tests.unit.act.receiver import Receiver

pytestmark = pytest.mark.heavy

WAIT_S = 30.0
CALLERS = 200
CENT = 10_000_000
"""Nano-dollars."""
SECRET = "webhook-secret"


class Site:
    """A server with an operator's key."""

    def __init__(self, server: Process, key: str) -> None:
        self.http = httpx.Client(
            base_url=str(server.url),
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            limits=httpx.Limits(max_connections=CALLERS),
        )

    def put(self, *limits: dict[str, Any]) -> None:
        answer = self.http.post(
            "/v1/limits", params={"reason": "test"}, json={"limits": list(limits)}
        )
        assert answer.status_code in (200, 201), answer.text

    def hold(self, hold_id: str, cost: int, **values: Any) -> httpx.Response:
        body = {
            "hold_id": hold_id, "subject": {"tenant": "acme"}, "estimate": {"cost_nanos": cost},
            **values,
        }  # fmt: skip
        return self.http.post("/v1/holds", json=body)

    def settle(self, hold_id: str, cost: int) -> httpx.Response:
        return self.http.post(f"/v1/holds/{hold_id}/settle", json={"cost_nanos": cost})

    def state(self) -> tuple[int, int]:
        """Return what is used and held of all counters."""
        rows = self.http.get("/v1/limits/state").json()["counters"]
        return sum(row["used"] for row in rows), sum(row["held"] for row in rows)

    def proven(self) -> bool:
        answer = self.http.get("/v1/verify")
        assert answer.status_code == 200, answer.text
        return not answer.json().get("differences")


@contextmanager
def site(data: Path, key: str = "", **settings: Any) -> Iterator[Site]:
    with serving(data, **settings) as server:
        assert server.url, server.errors.read_text()
        made = Site(server, key or str(server.key))
        made.server = server  # type: ignore[attr-defined]
        yield made
        made.http.close()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


BUDGET = {"id": "budget", "scope": {"tenant": "each"}, "window": "month", "amount": "1.00"}


def test_a_burst_on_a_small_budget_gets_exactly_what_is_there(tmp_path: Path) -> None:
    with site(tmp_path / "data") as here:
        here.put(BUDGET)
        ready = threading.Barrier(CALLERS)

        def call(number: int) -> int:
            ready.wait(30)
            return here.hold(f"h{number}", 3 * CENT).status_code

        with ThreadPoolExecutor(CALLERS) as pool:
            codes = list(pool.map(call, range(CALLERS)))
        assert sorted(set(codes)) == [200, 402]
        assert codes.count(200) == 33
        assert here.state() == (0, 99 * CENT)
        for number, code in enumerate(codes):
            if code == 200:
                assert here.settle(f"h{number}", 2 * CENT).status_code == 200
        assert here.state() == (66 * CENT, 0)
        assert here.hold("next", 34 * CENT).status_code == 200
        assert here.hold("after", CENT).status_code == 402
        assert here.proven()
        status = here.http.get("/v1/status").json()
        assert "authority" in str(status)
        assert "outlay_authority_batch_ops_count" in here.http.get("/metrics").text


def test_after_a_crash_nothing_held_is_left_and_nothing_used_is_lost(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"lease_ttl_s": 5}
    with site(tmp_path / "data", **settings) as here:
        here.put(BUDGET)
        key = here.server.key  # type: ignore[attr-defined]
        assert here.hold("used", 30 * CENT).status_code == 200
        assert here.settle("used", 20 * CENT).status_code == 200
        assert here.hold("open", 30 * CENT, ttl_s=3).status_code == 200
        line = {"limit": "budget", "scope": '[["tenant","acme"]]', "need": 20 * CENT}
        told = here.http.post("/v1/leases", json={"owner": "gone", "lines": [line]}).json()
        assert told["lines"][0]["granted"] == 20 * CENT
        told = told["lines"][0]
        report = {**line, "counter": told["counter"], "reported": 5 * CENT, "calls": 1, "need": 0}
        report["flying"] = 15 * CENT
        assert here.http.post("/v1/leases", json={"owner": "gone", "lines": [report]}).is_success
        assert here.state() == (25 * CENT, 45 * CENT)
        here.server.child.send_signal(signal.SIGKILL)  # type: ignore[attr-defined]
        here.server.child.wait(30)  # type: ignore[attr-defined]
    with site(tmp_path / "data", str(key), **settings) as here:
        used, _ = here.state()
        assert used == 25 * CENT
        until(lambda: here.state() == (25 * CENT, 0))
        assert here.proven()
        late = here.settle("open", 10 * CENT)
        assert (late.status_code, late.json()["late"]) == (200, True)
        assert here.state() == (35 * CENT, 0)
        assert here.proven()


def test_an_escalation_reaches_a_person_and_a_raise_lets_calls_pass(tmp_path: Path) -> None:
    receiver = Receiver()
    ladder = [
        {"at": "80%", "action": "escalate", "url": receiver.url},
        {"at": "100%", "action": "block"},
    ]
    settings: dict[str, Any] = {"webhook_private_hosts": True, "webhook_secret": SECRET}
    with site(tmp_path / "data", **settings) as here:
        here.put({**BUDGET, "thresholds": ladder})
        here.hold("h", 90 * CENT)
        here.settle("h", 90 * CENT)
        (told,) = receiver.wait(1)
        assert (told["limit"], told["action"], told["used"]) == ("budget", "escalate", 90 * CENT)
        headers, body = receiver.calls[0]
        stamp, _, signature = headers["outlay-signature"].partition(",v1=")
        message = stamp[2:].encode() + b"." + body
        assert signature == hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
        assert here.hold("more", 50 * CENT).status_code == 402
        raised = here.http.post(
            "/v1/limits/budget/overrides",
            json={
                "amount": "2.00",
                "ends_at": time.time_ns() // 1000 + 3_600_000_000,
                "reason": "granted",
            },
        )
        assert raised.is_success, raised.text
        assert here.hold("more", 50 * CENT).status_code == 200
    receiver.close()


def test_without_the_setting_no_private_address_is_called(tmp_path: Path) -> None:
    receiver = Receiver()
    rung = {"at": "50%", "action": "escalate", "url": receiver.url}
    with site(tmp_path / "data") as here:
        here.put({**BUDGET, "thresholds": [rung]})
        here.hold("h", 90 * CENT)
        here.settle("h", 90 * CENT)
        until(lambda: 'part="webhooks"' in here.http.get("/metrics").text)
        counted = 'outlay_part_events_total{kind="failed",part="webhooks"} 1.0'
        until(lambda: counted in here.http.get("/metrics").text)
    assert receiver.calls == []
    receiver.close()


def test_the_policy_is_sent_once_per_change(tmp_path: Path) -> None:
    with site(tmp_path / "data") as here:
        here.put(BUDGET)
        first = here.http.get("/v1/limits/policy")
        etag = first.headers["etag"]
        assert [one["id"] for one in first.json()["limits"]] == ["budget"]
        again = here.http.get("/v1/limits/policy", headers={"If-None-Match": etag})
        assert again.status_code == 304
        here.put({**BUDGET, "amount": "5.00"})
        changed = here.http.get("/v1/limits/policy", headers={"If-None-Match": etag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != etag
