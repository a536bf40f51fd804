"""Limits in line: asked before the first byte, topped up while a stream runs, settled behind it."""

from __future__ import annotations

import json

import openai
import pytest

from tests.gateway.house import House, chat, cost

PATH = "/openai/v1/chat/completions"


def test_a_call_that_does_not_fit_is_refused_and_nobody_is_asked(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    house.limit(tenant, cost(1), strict=True)
    seen = len(house.provider.seen)
    client = openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key=secret, max_retries=2)
    with client, pytest.raises(openai.APIStatusError) as told:
        client.chat.completions.create(**chat(out=50, max_tokens=50))
    assert told.value.status_code == 402
    assert told.value.response.headers["outlay-limit"] == tenant
    assert len(house.provider.seen) == seen
    [event] = house.events(tenant, 1)
    assert (event["status"], event["limit_action"], event["cost_nanos"]) == ("blocked", "block", 0)
    assert house.stand(tenant) == (0, 0)


def test_what_a_call_used_counts_and_what_it_held_is_free_again(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    house.limit(tenant, cost(1000))
    with house.client(secret) as client:
        for _ in range(3):
            assert client.post(PATH, json=chat(out=7, max_tokens=9)).status_code == 200
    house.events(tenant, 3)
    house.until(lambda: house.stand(tenant)[0] == 3 * cost(7))


def test_a_stream_that_reaches_its_limit_ends_well_formed(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    house.limit(
        tenant, cost(4500), thresholds=[
            {"at": "100%", "action": "partial"}, {"at": "100%", "action": "block"},
        ],
    )  # fmt: skip
    slow = {"x-do": json.dumps({"gap": 0.005, "at_once": 20})}
    client = openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key=secret, max_retries=0)
    with client:
        chunks = list(
            client.chat.completions.create(
                **chat(out=20_000, max_tokens=2000), stream=True, extra_headers=slow
            )
        )
    assert chunks[-1].choices[0].finish_reason == "length"
    [event] = house.events(tenant, 1)
    assert event["cut_off"] is True
    assert event["cost_nanos"] <= cost(4500 + 5 * 20)
    house.until(lambda: house.provider.seen[-1].gone, 5.0)
    assert "outlay_gateway_attempts_total" in house.metrics()
    assert 'outcome="cut_off",upstream="openai"} 1.0' in house.metrics()


def test_near_its_end_a_limit_sends_a_cheaper_model(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    house.limit(
        tenant, cost(100_000), thresholds=[
            {"at": "0.001%", "action": "downgrade", "models": {"own-1": "own-cheap"}},
            {"at": "100%", "action": "block"},
        ],
    )  # fmt: skip
    with house.client(secret) as client:
        client.post(PATH, json=chat())
        answer = client.post(PATH, json=chat())
    assert answer.json()["model"] == "own-cheap"
    assert answer.headers["outlay-model"] == "own-cheap"
    event = house.events(tenant, 2)[1]
    assert (event["model_requested"], event["downgraded_from"]) == ("own-cheap", "own-1")
    assert event["limit_action"] == "downgrade"


def test_a_failed_attempt_holds_nothing_while_the_next_target_serves(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    house.limit(tenant, cost(1000))
    house.provider.fails["own-1"] = 500
    try:
        with house.client(secret) as client:
            assert client.post(PATH, json=chat("careful", out=9, max_tokens=9)).status_code == 200
    finally:
        house.provider.fails.clear()
    house.events(tenant, 2)
    house.until(lambda: house.stand(tenant)[0] == cost(9))
