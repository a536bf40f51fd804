"""One call through the gateway: bytes as they come, the right payer, an event for each attempt."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.gateway.house import PROVIDER_KEY, House, chat, cost
from tests.gateway.provider import chat_stream


def test_a_whole_answer_passes_untouched_and_its_event_knows_all(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant, feature="summaries", agent="writer")
    with house.client(secret) as client:
        answer = client.post("/openai/v1/chat/completions", json=chat(out=7))
    assert answer.status_code == 200
    assert answer.json()["usage"]["completion_tokens"] == 7
    assert answer.headers["x-request-id"] == "req-1"
    [event] = house.events(tenant, 1)
    assert event["cost_nanos"] == cost(7)
    assert event["event_id"] == answer.headers["outlay-event-id"]
    assert (event["feature"], event["agent_path"]) == ("summaries", "writer")
    assert (event["tenant_source"], event["status"]) == ("key", "ok")
    assert (event["model_requested"], event["model_served"]) == ("own-1", "own-1")
    assert event["provider_request_id"] == "req-1"


def test_the_provider_sees_its_own_key_and_never_the_clients(house: House) -> None:
    secret = house.key(house.tenant())
    with house.client(secret, **{"x-forwarded-for": "10.0.0.9", "outlay-key": secret}) as client:
        client.headers["baggage"] = "outlay=abc,other=1"
        client.post("/openai/v1/chat/completions?beta=true", json=chat())
    seen = house.provider.seen[-1]
    assert seen.header("authorization") == f"Bearer {PROVIDER_KEY}"
    assert (seen.path, seen.query) == ("/openai/v1/chat/completions", "beta=true")
    assert secret not in str(seen)
    assert not seen.header("x-forwarded-for")
    assert seen.header("baggage") == "other=1"


@pytest.mark.parametrize("place", ["x-api-key", "api-key", "x-goog-api-key", "outlay-key"])
def test_a_key_is_found_where_each_providers_sdk_shows_it(house: House, place: str) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    answer = httpx.post(
        f"{house.url}/anthropic/v1/messages", json=chat(out=3), headers={place: secret}
    )
    assert answer.json()["usage"]["output_tokens"] == 3
    [event] = house.events(tenant, 1)
    assert (event["surface"], event["cost_nanos"]) == ("anthropic.messages", cost(3))


def test_a_key_in_the_query_is_taken_out(house: House) -> None:
    secret = house.key(house.tenant())
    httpx.post(f"{house.url}/openai/v1/chat/completions?key={secret}&x=1", json=chat())
    assert house.provider.seen[-1].query == "x=1"


def test_unknown_paths_and_other_methods_pass_through(house: House) -> None:
    tenant = house.tenant()
    with house.client(house.key(tenant)) as client:
        answer = client.request(
            "PATCH", "/openai/v1/some/new%20thing?a=%2F", content=b"raw",
            headers={"x-do": json.dumps({"status": 207, "body": "as it is"})},
        )  # fmt: skip
    assert (answer.status_code, answer.text) == (207, "as it is")
    seen = house.provider.seen[-1]
    assert (seen.method, seen.path) == ("PATCH", "/openai/v1/some/new%20thing")
    assert (seen.query, seen.body) == ("a=%2F", b"raw")


def test_an_unknown_billable_path_is_recorded_as_unknown(house: House) -> None:
    tenant = house.tenant()
    with house.client(house.key(tenant)) as client:
        client.post("/openai/v1/brand/new", json={"model": "own-1"})
    [event] = house.events(tenant, 1)
    assert event["surface"] == "openai.unknown"
    assert event["price_basis"] != "free"


def test_a_providers_error_passes_untouched(house: House) -> None:
    tenant = house.tenant()
    told = {"status": 422, "headers": {"x-odd": "kept"}, "body": '{"error":{"message":"bad"}}'}
    with house.client(house.key(tenant)) as client:
        answer = client.post(
            "/openai/v1/chat/completions", json=chat(), headers={"x-do": json.dumps(told)}
        )
    assert (answer.status_code, answer.text) == (422, told["body"])
    assert answer.headers["x-odd"] == "kept"
    [event] = house.events(tenant, 1)
    assert (event["status"], event["http_status"], event["cost_nanos"]) == ("error", 422, 0)


def test_a_stream_passes_piece_by_piece_as_it_comes(house: House) -> None:
    tenant = house.tenant()
    slow = {"x-do": json.dumps({"gap": 0.2})}
    with house.client(house.key(tenant)) as client:
        began = time.monotonic()
        with client.stream(
            "POST", "/openai/v1/chat/completions", json=chat(out=3, stream=True), headers=slow
        ) as answer:
            pieces = answer.iter_raw()
            first = next(pieces)
            took = time.monotonic() - began
            rest = b"".join(pieces)
    assert took < 0.2, "the first piece waited for the second"
    # The usage that nobody but the gateway asked for is not shown.
    assert first + rest == b"".join(chat_stream("own-1", 3, usage=False))
    [event] = house.events(tenant, 1)
    assert (event["cost_nanos"], event["usage_source"]) == (cost(3), "provider")
    assert event["ttft_ms"] < event["latency_ms"]


def test_the_usage_that_a_client_asks_for_is_shown(house: House) -> None:
    body = chat(out=2, stream=True, stream_options={"include_usage": True})
    with house.client(house.key(house.tenant())) as client:
        answer = client.post("/openai/v1/chat/completions", json=body)
    assert answer.content == b"".join(chat_stream("own-1", 2, usage=True))


def test_a_client_that_leaves_is_drained_for_so_that_all_tokens_are_known(house: House) -> None:
    tenant = house.tenant()
    slow = {"x-do": json.dumps({"gap": 0.05})}
    with (
        house.client(house.key(tenant)) as client,
        client.stream(
            "POST", "/openai/v1/chat/completions", json=chat(out=10, stream=True), headers=slow
        ) as answer,
    ):
        next(answer.iter_raw())
    [event] = house.events(tenant, 1)
    assert (event["cost_nanos"], event["usage_source"]) == (cost(10), "provider")
    assert not house.provider.seen[-1].gone


def test_an_answer_that_the_upstream_breaks_off_never_looks_whole(house: House) -> None:
    tenant = house.tenant()
    body = chat(out=3, stream=True)
    pieces = [piece.decode() for piece in chat_stream("own-1", 3, usage=False)[:2]]
    do = {"pieces": pieces, "die": True, "headers": {"content-type": "text/event-stream"}}
    with house.client(house.key(tenant)) as client, pytest.raises(httpx.RemoteProtocolError):
        client.post("/openai/v1/chat/completions", json=body, headers={"x-do": json.dumps(do)})
    [event] = house.events(tenant, 1)
    assert (event["status"], event["usage_source"]) == ("aborted", "estimated")
    assert event["output"] == 2


def test_an_sdks_own_retry_is_an_attempt_of_the_same_call(house: House) -> None:
    tenant = house.tenant()
    with house.client(house.key(tenant)) as client:
        for number, do in enumerate(({"status": 503}, {})):
            client.post(
                "/openai/v1/chat/completions", json=chat(),
                headers={"x-do": json.dumps(do), "x-stainless-retry-count": str(number)},
            )  # fmt: skip
    first, second = house.events(tenant, 2)
    assert first["call_id"] == second["call_id"] == first["event_id"]
    assert (first["attempt"], second["attempt"]) == (0, 1)
    assert (first["status"], second["status"]) == ("error", "ok")


def test_a_large_upload_passes_in_pieces_and_its_fields_are_read(house: House) -> None:
    tenant = house.tenant()
    audio = b"\x00\x01" * 1_500_000
    with house.client(house.key(tenant)) as client:
        answer = client.post(
            "/openai/v1/audio/transcriptions",
            data={"model": "own-1"},
            files={"file": ("a.wav", audio, "audio/wav")},
            headers={"x-do": json.dumps({"body": '{"text":"hi","usage":{"type":"tokens",'
                     '"input_tokens":14,"output_tokens":2,"total_tokens":16}}',
                     "headers": {"content-type": "application/json"}})},
        )  # fmt: skip
    assert answer.json()["text"] == "hi"
    seen = house.provider.seen[-1]
    assert audio in seen.body
    assert seen.header("content-length") == str(len(seen.body))
    [event] = house.events(tenant, 1)
    assert (event["model_requested"], event["output"]) == ("own-1", 2)


def test_the_access_log_has_a_line_without_content(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    with house.client(secret) as client:
        client.post("/openai/v1/chat/completions?secret-query=1", json=chat())
    house.until(lambda: any(x["tenant"] == tenant and x["status"] == 200 for x in house.lines()))
    [line] = [x for x in house.lines() if x["tenant"] == tenant and x["status"] == 200]
    assert (line["upstream"], line["surface"], line["status"]) == ("openai", "openai.chat", 200)
    assert line["attempts"] == 1
    whole = house.log.getvalue()
    assert secret not in whole
    assert PROVIDER_KEY not in whole
    assert "secret-query" not in whole
    assert "out=5" not in whole
