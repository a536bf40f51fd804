"""Fairness: a crowd of one tenant's calls does not stand before another tenant's."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx

from tests.gateway.house import House, chat

PATH = "/crowded/v1/chat/completions"
SERVICE_S = 0.1
PLACES = 4
NOISE = 60
"""Calls that the noisy tenant keeps waiting: fifteen rounds of the upstream's places."""
BOUND_ROUNDS = 3
"""A call of a tenant within its share waits for the round that runs and goes in one of the next
two; the rest is the machine's noise."""


def test_a_noisy_tenant_cannot_raise_anothers_p99_past_the_bound(house: House) -> None:
    noisy, quiet = house.key(house.tenant()), house.key(house.tenant())
    house.provider.delay = SERVICE_S
    ends = threading.Event()

    def crowd() -> None:
        with house.client(noisy) as client:
            while not ends.is_set():
                client.post(PATH, json=chat(), timeout=60)

    took = []
    with ThreadPoolExecutor(NOISE) as pool:
        for _ in range(NOISE):
            pool.submit(crowd)
        try:
            house.until(
                lambda: house.gateway.lane("crowded").turnstile.stats().waiting >= NOISE / 2
            )
            with house.client(quiet) as client:
                for _ in range(20):
                    began = time.monotonic()
                    assert client.post(PATH, json=chat()).status_code == 200
                    took.append(time.monotonic() - began)
        finally:
            ends.set()
    house.provider.delay = 0
    first_come = SERVICE_S * NOISE / PLACES
    worst = statistics.quantiles(took, n=100)[-1]
    assert worst < BOUND_ROUNDS * SERVICE_S + 0.3 < first_come, (worst, sorted(took)[-3:])


def test_a_full_queue_says_when_to_come_again(house: House) -> None:
    secret = house.key(house.tenant())
    slow = {"x-do": '{"delay": 0.5}'}

    def call(_: int) -> httpx.Response:
        with house.client(secret, **slow) as client:
            return client.post("/narrow/v1/chat/completions", json=chat())

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(call, range(6)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {200: 3, 429: 3}  # one at work, two wait
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["outlay-problem"] == "queue_full"
    assert int(refused.headers["retry-after"]) >= 1


def test_who_hangs_up_while_waiting_is_never_sent(house: House) -> None:
    secret = house.key(house.tenant())
    seen = len(house.provider.seen)
    with ThreadPoolExecutor(1) as pool, house.client(secret) as client:
        slow = {"authorization": f"Bearer {secret}", "x-do": '{"delay": 0.6}'}
        url = f"{house.url}/narrow/v1/chat/completions"
        first = pool.submit(httpx.post, url, json=chat(), headers=slow)
        house.until(lambda: len(house.provider.seen) == seen + 1)
        with suppress(httpx.ReadTimeout):
            client.post("/narrow/v1/chat/completions", json=chat("own-3"), timeout=0.2)
        assert first.result().status_code == 200
        assert client.post("/narrow/v1/chat/completions", json=chat()).status_code == 200
    models = [one.json()["model"] for one in house.provider.seen[seen:]]
    assert models == ["own-1", "own-1"]
