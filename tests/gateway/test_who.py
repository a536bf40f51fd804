"""Who may call, for whom, and what a client is told that may not."""

from __future__ import annotations

import time
from typing import Any

import httpx
import openai
import pytest

import outlay
from outlay.core.envelope import baggage_with, seal
from tests.gateway.house import SECRET, House, chat, cost

PATH = "/openai/v1/chat/completions"


def post(house: House, secret: str, body: Any = None, **headers: str) -> httpx.Response:
    with house.client(secret, **headers) as client:
        return client.post(PATH, json=body or chat())


def context(secret: str = SECRET, **values: str) -> str:
    """Return a baggage header with a signed context."""
    now = time.time_ns() // 1000
    return baggage_with("", seal(values, {"team": "blue"}, secret=secret, now=now, ttl_s=60))


def test_nobody_is_told_in_the_providers_own_words(house: House) -> None:
    client = openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key="ov_nobody", max_retries=0)
    with client, pytest.raises(openai.AuthenticationError) as told:
        client.chat.completions.create(**chat())
    assert told.value.code == "unknown_key"
    assert told.value.response.headers["outlay-problem"] == "unknown_key"


def test_without_any_key_nothing_is_served(house: House) -> None:
    assert httpx.post(house.url + PATH, json=chat()).status_code == 401


def test_a_key_may_be_bound_to_upstreams_and_models(house: House) -> None:
    secret = house.key(house.tenant(), upstreams=["openai"], models=["own-1", "other-*"])
    assert post(house, secret).status_code == 200
    assert post(house, secret, chat("other-7")).status_code == 200
    denied = post(house, secret, chat("own-2"))
    assert (denied.status_code, denied.headers["outlay-problem"]) == (403, "model_not_allowed")
    with house.client(secret) as client:
        denied = client.post("/spare/v1/chat/completions", json=chat())
    assert (denied.status_code, denied.headers["outlay-problem"]) == (403, "upstream_not_allowed")


def test_a_revoked_key_stops_at_once(house: House) -> None:
    made = house.ask("POST", "/v1/virtual-keys", {"name": "short", "tenant_id": house.tenant()})
    secret, key_id = made["secret"], made["virtual_key"]["key_id"]
    house.until(lambda: house.ready(secret))
    house.ask("DELETE", f"/v1/virtual-keys/{key_id}")
    house.until(lambda: post(house, secret).status_code == 401, 1.0)
    assert post(house, secret).headers["outlay-problem"] == "key_revoked"


def test_a_services_key_takes_the_tenant_from_a_signed_context(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(None)
    told = context(tenant_id=tenant, feature="search", user_id="u1", request_id="r-1")
    assert post(house, secret, baggage=told).status_code == 200
    [event] = house.events(tenant, 1)
    assert (event["tenant_source"], event["feature"], event["user_id"]) == (
        "request",
        "search",
        "u1",
    )
    assert event["request_id"] == "r-1"
    assert event["context_verified"] is True
    assert dict(event["labels"])["team"] == "blue"


def test_a_context_that_nobody_signed_is_as_if_not_there(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(None)
    forged = context("another-secret-of-somebody", tenant_id=tenant)
    for baggage in (forged, "outlay=nonsense", f"tenant={tenant}"):
        answer = post(house, secret, baggage=baggage)
        assert (answer.status_code, answer.headers["outlay-problem"]) == (403, "no_tenant")
    house.events(tenant, 0)


def test_a_tenants_key_takes_no_other_tenant(house: House) -> None:
    mine, other = house.tenant(), house.tenant()
    answer = post(house, house.key(mine), baggage=context(tenant_id=other))
    assert (answer.status_code, answer.headers["outlay-problem"]) == (403, "tenant_mismatch")


def test_the_sdk_in_front_of_the_gateway_is_counted_once_and_tells_its_context(
    house: House, tmp_path: Any
) -> None:
    tenant = house.tenant()
    secret = house.key(None)
    host = house.url.removeprefix("http://")
    outlay.init(
        house.url, house.admin_key, strict=True, spool_dir=str(tmp_path),
        context_secret=SECRET, hosts={f"{host}/openai": "openai"}, ship_interval_s=0.05,
    )  # fmt: skip
    try:
        client = openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key=secret)
        with client, outlay.context(tenant=tenant, feature="both"), outlay.agent("writer"):
            client.chat.completions.create(**chat(out=4))
        assert outlay.flush(5)
    finally:
        outlay.shutdown()
    [event] = house.events(tenant, 1)
    assert (event["feature"], event["agent_path"]) == ("both", "writer")
    assert event["cost_nanos"] == cost(4)


def test_what_the_gateway_answers_itself_is_no_attempt_of_the_sdk_in_front_of_it(
    house: House, tmp_path: Any
) -> None:
    tenant = house.tenant()
    host = house.url.removeprefix("http://")
    outlay.init(
        house.url, house.admin_key, strict=True, spool_dir=str(tmp_path), tenant=tenant,
        hosts={f"{host}/openai": "openai"}, ship_interval_s=0.05,
    )  # fmt: skip
    try:
        client = openai.OpenAI(base_url=f"{house.url}/openai/v1", api_key="ov_x", max_retries=0)
        with client, pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(**chat())
        assert outlay.flush(5)
        assert outlay.stats()["captured"] == 0
    finally:
        outlay.shutdown()
