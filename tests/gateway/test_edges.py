"""What HTTP allows and few send: odd answers, odd requests, and that none of it costs money."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from outlay.core.envelope import baggage_with, seal
from outlay.core.event import MAX_LABELS
from tests.gateway.house import SECRET, House, chat, targets
from tests.gateway.raw import RawProvider, answers, ask, head_of

PATH = "/openai/v1/chat/completions"


def defects(house: House) -> int:
    return len(house.lines("defect"))


@contextmanager
def served(house: House, provider: RawProvider, **settings: Any) -> Iterator[httpx.Client]:
    """Have the gateway serve a provider as `raw`, and give a client of it."""
    raw = {"raw": {"vendor": "openai", "url": provider.url, "credential": credential(house)}}
    changed = house.serving({"upstreams": raw, **settings})
    with changed, house.client(house.key(house.tenant())) as client:
        yield client


def credential(house: House) -> dict[str, str]:
    told: dict[str, str] = house.document["upstreams"]["openai"]["credential"]
    return told


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_may_still_tell_a_length(house: House, status: int) -> None:
    said = f"HTTP/1.1 {status} X\r\nContent-Length: 7\r\nETag: e\r\nConnection: close\r\n\r\n"
    before = defects(house)
    with RawProvider(answers(said.encode())) as provider, served(house, provider) as client:
        for _ in range(2):
            answer = client.get("/raw/v1/files/f/content")
            assert (answer.status_code, answer.headers["etag"]) == (status, "e")
    assert defects(house) == before


def test_head_passes_with_the_length_that_the_body_would_have(house: House) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nConnection: close\r\n\r\n"
    with RawProvider(answers(said)) as provider, served(house, provider) as client:
        answer = client.head("/raw/v1/files/f/content")
    assert (answer.status_code, answer.headers["content-length"]) == (200, "1234")


def test_an_answer_held_for_its_cost_tells_its_length_once(house: House) -> None:
    body = json.dumps({"id": "x", "choices": []}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    said = head + b"%d\r\n\r\n" % len(body) + body
    with (
        RawProvider(answers(said)) as provider,
        served(house, provider, cost_headers=True) as client,
    ):
        answer = client.post("/raw/v1/chat/completions", json=chat())
    assert answer.content == body
    assert answer.headers.get_list("content-length") == [str(len(body))]


def test_an_upstreams_bare_name_is_its_root(house: House) -> None:
    before = defects(house)
    with house.client(house.key(house.tenant())) as client:
        answer = client.get("/openai?a=1", headers={"x-do": json.dumps({"body": "root"})})
    assert (answer.status_code, answer.text) == (200, "root")
    assert (house.provider.seen[-1].path, house.provider.seen[-1].query) == ("/openai/", "a=1")
    assert defects(house) == before


def test_no_provider_is_asked_to_echo_a_request_with_its_credential(house: House) -> None:
    secret, seen = house.key(house.tenant()), len(house.provider.seen)
    answer = httpx.request("TRACE", house.url + "/openai/v1/models", headers={"outlay-key": secret})
    assert (answer.status_code, answer.headers["outlay-problem"]) == (405, "method_not_allowed")
    assert len(house.provider.seen) == seen


def test_a_key_in_a_sockets_header_never_goes_on_with_a_plain_request(house: House) -> None:
    secret = house.key(house.tenant())
    shown = {"sec-websocket-protocol": f"realtime, openai-insecure-api-key.{secret}"}
    assert httpx.post(house.url + PATH, json=chat(), headers=shown).status_code == 200
    assert secret not in str(house.provider.seen[-1])


def test_the_model_in_the_path_is_what_a_key_may_ask_for_and_not_a_name_in_the_body(
    house: House,
) -> None:
    url = f"{house.provider.url}/azure"
    own = {"azure": {"vendor": "azure", "url": url, "credential": credential(house)}}
    secret = house.key(house.tenant(), models=["own-1"])
    path = "/azure/openai/deployments/{}/chat/completions?api-version=2024-10-21"
    with house.serving({"upstreams": own}), house.client(secret) as client:
        denied = client.post(path.format("expensive"), json=chat("own-1"))
        allowed = client.post(path.format("own-1"), json=chat("own-1"))
    assert (denied.status_code, denied.headers.get("outlay-problem")) == (403, "model_not_allowed")
    assert allowed.status_code == 200


def test_a_full_set_of_labels_leaves_room_for_the_alias(house: House) -> None:
    tenant = house.tenant()
    labels = {f"l{number}": "" for number in range(MAX_LABELS)}
    now = time.time_ns() // 1000
    told = seal({}, labels, secret=SECRET, now=now, ttl_s=60)
    with house.client(house.key(tenant), baggage=baggage_with("", told)) as client:
        assert client.post(PATH, json=chat("careful")).status_code == 200
    [event] = house.events(tenant, 1)
    named = dict(event["labels"])
    assert named["model_alias"] == "careful"
    assert len(named) == MAX_LABELS


def test_contexts_are_counted_by_what_became_of_them(house: House) -> None:
    def counted() -> int:
        return house.gateway.metrics.contexts.get("malformed", 0)

    before = counted()
    with house.client(house.key(house.tenant()), baggage="outlay=nonsense") as client:
        client.post(PATH, json=chat())
    assert counted() == before + 1


def test_a_like_request_of_another_tenant_is_no_retry_of_the_first_ones(house: House) -> None:
    one, other = house.tenant(), house.tenant()
    secret = house.key(None)
    for tenant, do in ((one, {"status": 503}), (other, {})):
        now = time.time_ns() // 1000
        sealed = seal({"tenant_id": tenant}, {}, secret=SECRET, now=now, ttl_s=60)
        headers = {"baggage": baggage_with("", sealed), "x-do": json.dumps(do)}
        with house.client(secret, **headers) as client:
            client.post(PATH, json=chat(), headers={"x-stainless-retry-count": "1"})
    [failed], [served] = house.events(one, 1), house.events(other, 1)
    assert served["call_id"] != failed["call_id"]


def test_who_relays_only_names_no_event_that_nobody_records(house: House) -> None:
    runtime = house.gateway.runtime
    before = runtime.settings
    runtime.settings = replace(before, enabled=False)
    try:
        with house.client(house.key(house.tenant())) as client:
            answer = client.post(PATH, json=chat())
    finally:
        runtime.settings = before
    assert answer.status_code == 200
    assert "outlay-event-id" not in answer.headers


def test_nobody_is_told_in_the_words_of_the_provider_that_the_path_names(house: House) -> None:
    answer = httpx.post(house.url + "/anthropic/v1/messages", headers={"x-api-key": "ov_nobody"})
    assert answer.status_code == 401
    assert (answer.json()["type"], answer.json()["error"]["type"]) == (
        "error", "authentication_error",
    )  # fmt: skip


def test_a_clients_own_credential_has_no_fallback_elsewhere(house: House) -> None:
    secret = house.key(house.tenant())
    headers = {"authorization": "Bearer sk-of-the-client", "outlay-key": secret,
               "x-do": json.dumps({"status": 500})}  # fmt: skip
    aliases = {"mine": {"targets": targets("open/own-1", "spare/own-2")}}
    with house.serving({"aliases": aliases}):
        path = house.url + "/open/v1/chat/completions"
        answer = httpx.post(path, json=chat("mine"), headers=headers)
    assert answer.status_code == 500
    assert "outlay-problem" not in answer.headers


def test_a_target_without_its_credential_is_passed_over(house: House) -> None:
    tenant = house.tenant()
    aliases = {"half": {"targets": targets("keyless/own-1", "openai/own-2")}}
    with house.serving({"aliases": aliases}), house.client(house.key(tenant)) as client:
        answer = client.post(PATH, json=chat("half"))
    assert answer.status_code == 200
    [event] = house.events(tenant, 1)
    assert (event["model_requested"], event["attempt"]) == ("own-2", 0)


def test_every_answer_tells_its_date_once(house: House) -> None:
    secret = house.key(house.tenant())
    with house.client(secret) as client:
        told = {"headers": {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}}
        served = client.post(PATH, json=chat(), headers={"x-do": json.dumps(told)})
        refused = client.post(PATH, json=chat(), headers={"authorization": "Bearer ov_x"})
    assert served.headers["date"] == told["headers"]["date"]
    for answer in (served, refused, httpx.get(house.url + "/healthz")):
        assert len(answer.headers.get_list("date")) == 1, answer.request.url


def test_a_client_that_says_close_is_answered_and_closed(house: House) -> None:
    sent = head_of("GET", "/openai/v1/models", house.key(house.tenant()), connection="close")
    got = ask(house.url, sent)
    assert got.startswith(b"HTTP/1.1 200 ")
