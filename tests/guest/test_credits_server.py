"""Prepaid calls against a real server: they stop when the balance is used up, and all adds up."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

import outlay
from outlay.capture.runtime import active
from outlay.config import Settings
from outlay.wiring.run import start_in_thread
from tests.guest.bodies import CHAT, JSON
from tests.guest.conftest import Answer
from tests.guest.replies import Start
from tests.unit.capture.limits.authority import month, until

pytestmark = pytest.mark.heavy

CREDIT = 1_000_000
CALLS = 60
MOST = 100
"""Tokens of output that a call may have: a tenth of a credit."""
PRICES: dict[str, Any] = {
    "reason": "test",
    "rates": [
        {"provider": "openai", "model": "m", "unit": unit, "price": price}
        for unit, price in (("input", 1), ("output", 10))
    ],
    "sell": [{"unit": "cost", "credits": 100}],
}


def provide(_method: str, _path: str, _headers: Any, body: bytes) -> Answer:
    """Answer as OpenAI does, after a while, with any number of tokens up to the bound."""
    asked = json.loads(body)
    time.sleep(0.01)
    wrote = random.Random(asked["user"]).randint(MOST // 5, MOST)
    usage = {"prompt_tokens": 10, "completion_tokens": wrote, "total_tokens": 10 + wrote}
    return 200, JSON, json.dumps({**CHAT, "model": "m", "usage": usage}).encode()


class Site:
    """A server with prices, and an account of one credit."""

    def __init__(self, server: Any, *limits: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {server.first_key}"}
        self.http = httpx.Client(base_url=server.url, headers=headers, timeout=30)
        self.post("/v1/prices", PRICES)
        if limits:
            self.post("/v1/limits?reason=test", {"limits": list(limits)})
        grant = {"key": "one", "reason": "test", "amount": "1.00"}
        self.post("/v1/credits/acme/grants", grant)

    def post(self, path: str, body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def balance(self) -> dict[str, Any]:
        return self.get("/v1/credits/acme")["balance"]  # type: ignore[no-any-return]

    def evented(self) -> tuple[int, int]:
        """Return the calls and the credits of the events that are stored."""
        question = {"metrics": ["attempts", "credits"], "by": ["status"], "last": "1h"}
        rows = self.post("/v1/query", question)["rows"]
        return next(((n, int(micros)) for status, n, micros in rows if status == "ok"), (0, 0))

    def charged(self) -> int:
        entries = self.get("/v1/credits/acme/history?count=1000")["entries"]
        own = [one for one in entries if one["account"] == "tenant:acme"]
        return -sum(int(one["amount"]) for one in own if one["kind"] != "grant")


def spend(url: str) -> list[int]:
    """Make many calls at once; return their HTTP statuses."""
    ready = threading.Barrier(CALLS)

    def call(number: int) -> int:
        body: Any = {
            "model": "m", "max_tokens": MOST, "user": str(number),
            "messages": [{"role": "user", "content": "forty characters of text, more or less.."}],
        }  # fmt: skip
        ready.wait(30)
        with outlay.context(tenant="acme", feature="chat"):
            return requests.post(f"{url}/openai/v1/chat/completions", json=body).status_code

    with ThreadPoolExecutor(CALLS) as pool:
        return list(pool.map(call, range(CALLS)))


def priced() -> bool:
    runtime = active()
    assert runtime is not None
    runtime.wake()
    return runtime.rates.book is not None


@pytest.mark.parametrize("strict", [True, False])
def test_calls_stop_when_the_balance_is_used_up(
    tmp_path: Path, loopback: Start, strict: bool
) -> None:
    provider = loopback(provide)
    settings = Settings(data=str(tmp_path / "data"), port=0, seed_prices=False)
    with start_in_thread(settings) as server:
        site = Site(server, month("1000.00", strict=strict))
        outlay.init(
            server.url, server.first_key, limits=True, limits_sync_s=0.05, limits_patience_s=3.0,
            ship_interval_s=20.0, hosts={f"127.0.0.1:{provider.port}/openai": "openai"},
        )  # fmt: skip
        until(priced, 10)
        statuses = spend(provider.url)
        passed = statuses.count(200)
        assert statuses.count(402) == CALLS - passed
        assert 10 <= passed <= 48
        # What was used is charged before any event has come.
        until(lambda: site.balance()["held"] == 0, 10)
        said = site.balance()
        assert outlay.flush(10)
        until(lambda: site.evented()[0] == passed, 20)
        used = site.evented()[1]
        until(lambda: site.charged() + site.balance()["shortfall"] == used, 20)
        balance = site.balance()
        assert said["posted"] == balance["posted"] == CREDIT - site.charged()
        assert balance["floor"] == 0 <= balance["posted"]
        assert balance["posted"] < 2 * CREDIT * MOST // 1000
        if strict:
            assert balance["shortfall"] == 0
        assert site.get("/v1/verify")["ok"]
        outlay.shutdown(2.0)
        site.http.close()
