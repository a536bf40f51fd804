"""Where a call goes on when its upstream cannot serve it, and what tells of it afterwards."""

from __future__ import annotations

import json

import httpx

from tests.gateway.house import House, chat, cost

PATH = "/openai/v1/chat/completions"


def test_an_alias_goes_on_to_the_next_target_and_both_attempts_are_one_call(house: House) -> None:
    tenant = house.tenant()
    house.provider.fails["own-1"] = 500
    try:
        with house.client(house.key(tenant)) as client:
            answer = client.post(PATH, json=chat("careful", out=6))
    finally:
        house.provider.fails.clear()
    assert answer.status_code == 200
    assert answer.json()["model"] == "own-2"
    assert answer.headers["outlay-upstream"] == "spare"
    assert answer.headers["outlay-model"] == "own-2"
    assert answer.headers["outlay-attempts"] == "2"
    first, second = house.events(tenant, 2)
    assert (first["model_requested"], first["status"], first["cost_nanos"]) == ("own-1", "error", 0)
    assert (second["model_requested"], second["cost_nanos"]) == ("own-2", cost(6))
    assert first["call_id"] == second["call_id"] == first["event_id"]
    assert (first["attempt"], second["attempt"]) == (0, 1)
    assert second["fallback_from"] == "own-1"
    assert dict(second["labels"])["model_alias"] == "careful"


def test_the_last_targets_error_passes_untouched(house: House) -> None:
    tenant = house.tenant()
    house.provider.fails |= {"own-1": 500, "own-2": 529}
    try:
        with house.client(house.key(tenant)) as client:
            answer = client.post(PATH, json=chat("careful"))
    finally:
        house.provider.fails.clear()
    assert answer.status_code == 529
    assert [e["http_status"] for e in house.events(tenant, 2)] == [500, 529]


def test_a_client_error_goes_nowhere_else(house: House) -> None:
    tenant = house.tenant()
    with house.client(house.key(tenant)) as client:
        answer = client.post(
            PATH, json=chat("careful"), headers={"x-do": json.dumps({"status": 400})}
        )
    assert answer.status_code == 400
    house.events(tenant, 1)


def test_weights_decide_who_gets_a_call(house: House) -> None:
    tenant = house.tenant()
    with house.client(house.key(tenant)) as client:
        served = {client.post(PATH, json=chat("either")).json()["model"] for _ in range(40)}
    assert served == {"own-1", "own-2"}


def test_the_cheapest_is_asked_first(house: House) -> None:
    with house.client(house.key(house.tenant())) as client:
        served = {client.post(PATH, json=chat("cheap")).json()["model"] for _ in range(5)}
    assert served == {"own-cheap"}


def test_an_upstream_that_fails_again_and_again_is_left_alone_then_tried(house: House) -> None:
    tenant = house.tenant()
    broken = {"x-do": json.dumps({"status": 500})}
    path = "/weak/v1/chat/completions"
    with house.client(house.key(tenant)) as client:
        assert [client.post(path, json=chat(), headers=broken).status_code for _ in range(2)] == [
            500, 500,
        ]  # fmt: skip
        seen = len(house.provider.seen)
        rests = client.post(path, json=chat())
        assert (rests.status_code, rests.headers["outlay-problem"]) == (503, "circuit_open")
        assert int(rests.headers["retry-after"]) >= 1
        assert len(house.provider.seen) == seen
        house.until(lambda: client.post(path, json=chat()).status_code == 200, 3.0)


def test_an_upstream_that_is_not_there_is_said_to_be(house: House) -> None:
    tenant = house.tenant()
    with house.client(house.key(tenant)) as client:
        answer = client.post("/gone/v1/chat/completions", json=chat())
    assert (answer.status_code, answer.headers["outlay-problem"]) == (502, "upstream_unreachable")
    [event] = house.events(tenant, 1)
    assert (event["status"], event["error_type"], event["billed"]) == ("error", "connect", "no")


def test_a_slow_upstream_times_out(house: House) -> None:
    tenant = house.tenant()
    with house.client(house.key(tenant)) as client:
        answer = client.post(
            "/hasty/v1/chat/completions", json=chat(), headers={"x-do": json.dumps({"delay": 2})}
        )
    assert (answer.status_code, answer.headers["outlay-problem"]) == (504, "upstream_timeout")
    [event] = house.events(tenant, 1)
    assert (event["status"], event["billed"]) == ("timeout", "possible")


def test_an_upstream_without_credential_says_which_is_missing(house: House) -> None:
    with house.client(house.key(house.tenant())) as client:
        answer = client.post("/keyless/v1/chat/completions", json=chat())
    assert (answer.status_code, answer.headers["outlay-problem"]) == (503, "credential_missing")
    assert "NOBODY_SET_THIS" in answer.text


def test_a_tenants_own_credential_pays_for_its_calls(house: House) -> None:
    with house.client(house.key("brings-its-own")) as client:
        client.post(PATH, json=chat())
    assert house.provider.seen[-1].header("authorization") == "Bearer sk-of-the-tenant"


def test_a_clients_own_credential_passes_only_where_it_may(house: House) -> None:
    secret = house.key(house.tenant())
    headers = {"authorization": "Bearer sk-of-the-client", "outlay-key": secret}
    denied = httpx.post(house.url + PATH, json=chat(), headers=headers)
    assert (denied.status_code, denied.headers["outlay-problem"]) == (403, "client_credential")
    path = "/open/v1/chat/completions"
    assert httpx.post(house.url + path, json=chat(), headers=headers).status_code == 200
    seen = house.provider.seen[-1]
    assert seen.header("authorization") == "Bearer sk-of-the-client"
    assert not seen.header("outlay-key")


def test_an_undeclared_upstream_lists_those_that_there_are(house: House) -> None:
    with house.client(house.key(house.tenant())) as client:
        answer = client.get("/v2/nothing")
    assert answer.status_code == 404  # the API's answer: no upstream is called so
