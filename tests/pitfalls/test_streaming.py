"""Streams that tell nothing, break off or are tried again: each attempt is counted for itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

import outlay
from outlay.capture.testing import capture_events
from outlay.core.calls import call_of
from outlay.core.ceiling import ceiling_nanos
from outlay.core.rating import price_call
from tests.guest.bodies import CHAT_BODY, JSON, OPENAI_URL, PLAIN_CHUNKS, SSE, USAGE_CHUNK, asked
from tests.guest.conftest import Answer, Loopback
from tests.pitfalls.calls import CHAT, MESSAGES, RESPONSES, chat, message, nanos, rated
from tests.wire.harness import sample, sse
from tests.wire.pricing import catalogue
from tests.wire.sockets import REALTIME

AUGUST_US = 1_785_542_400_000_000
BUSY: Answer = (503, {**JSON, "retry-after-ms": "1"}, b'{"error":{"message":"busy"}}')


def delta(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {**chat(None), "object": "chat.completion.chunk", "choices": [choice]}


def cost(event: dict[str, Any]) -> int:
    """Return what the server will price an event at, from our own catalogue."""
    return price_call(catalogue(), call_of(event, at=AUGUST_US)).cost_nanos


def client(*replies: Any) -> httpx.Client:
    """Answer with each reply in turn; a list is a stream, given piece by piece."""
    left = list(replies)

    def handle(_request: httpx.Request) -> httpx.Response:
        body = left.pop(0)
        if isinstance(body, list):
            return httpx.Response(200, headers=SSE, content=iter(body))
        return httpx.Response(200, headers=JSON, content=body)

    return httpx.Client(transport=httpx.MockTransport(handle))


def test_p18_a_stream_without_counts_is_estimated_and_says_so() -> None:
    """Nobody asked for the usage chunk: what was asked and seen is counted, never nothing."""
    ask = {"model": "gpt-5.6-sol", "stream": True, "messages": [
        {"role": "user", "content": "x" * 400}]}  # fmt: skip
    row = rated(CHAT, ask, [delta("y" * 200), delta("", "stop"), b"[DONE]"])
    assert (row["usage_source"], row["price_basis"]) == ("estimated", "estimate")
    assert row["usage"]["output"] == 50, "four characters a token"
    assert row["usage"]["input"] >= 100
    assert {"usage_missing", "output_estimated"} <= set(row["findings"])
    assert row["cost_nanos"] >= nanos((100, "5"), (50, "30"))


def test_p18_a_tapped_stream_is_asked_for_its_counts() -> None:
    """The tap adds `include_usage` for a caller who did not, and hides the chunk it brings."""
    sent: list[dict[str, Any]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, headers=SSE, content=iter([*PLAIN_CHUNKS, USAGE_CHUNK]))

    http = httpx.Client(transport=httpx.MockTransport(handle))
    with (
        capture_events() as events,
        http.stream("POST", OPENAI_URL, json=asked(stream=True)) as reply,
    ):
        seen = b"".join(reply.iter_raw())
    assert sent[0]["stream_options"] == {"include_usage": True}
    assert seen == b"".join(PLAIN_CHUNKS)
    assert [(e["input"], e["output"], "findings" in e) for e in events] == [(12, 7, False)]


def test_p19_a_client_that_hangs_up_leaves_an_event_with_what_was_seen() -> None:
    """Breaking off a stream ends its attempt as aborted, with counts and a cost above zero."""
    http = client([*PLAIN_CHUNKS, USAGE_CHUNK])
    with (
        capture_events(tenant="acme") as events,
        http.stream("POST", OPENAI_URL, json=asked(stream=True)) as reply,
    ):
        next(iter(reply.iter_raw()))
    (event,) = events
    assert (event["status"], event["billed"]) == ("aborted", "possible")
    assert event["usage_source"] == "estimated"
    assert event["input"] > 0
    assert event["output"] > 0
    assert cost(event) > 0


def test_p19_anthropics_placeholder_of_one_token_is_not_taken_for_the_output() -> None:
    """The first event says one output token; a cut stream counts the text that was seen."""
    start = message({"input_tokens": 700, "output_tokens": 1})
    seen = {"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "y" * 400}}  # fmt: skip
    row = rated(MESSAGES, {"model": "claude-sonnet-4-5", "stream": True, "messages": []},
                [{"type": "message_start", "message": start}, seen], complete=False)  # fmt: skip
    assert (row["status"], row["billed"]) == ("aborted", "possible")
    assert (row["usage"]["input"], row["usage"]["output"]) == (700, 100)
    assert row["cost_nanos"] == nanos((700, "3"), (100, "15"))


def test_p19_a_bedrock_stream_cut_before_its_counts_is_estimated() -> None:
    """Bedrock tells its counts in the last event: without it they are estimated, and it says so."""
    from tests.wire.bedrock_payloads import cuts
    from tests.wire.harness import read

    *_, (_, cut) = cuts(sample("bedrock-stream-cancel-0"))
    reading = read(cut, complete=False)
    assert reading.usage_source == "estimated"
    assert {"input_estimated", "output_estimated"} <= set(reading.findings)
    assert min(reading.input_total, reading.output_total) > 0


@pytest.mark.parametrize("status", ["incomplete", "cancelled", "failed"])
def test_p20_a_turn_that_was_cancelled_keeps_its_counts(status: str) -> None:
    """A response that ended otherwise than well is charged for what its usage object says."""
    usage = {"input_tokens": 900, "output_tokens": 70, "total_tokens": 970}
    done: dict[str, Any] = {
        "id": "resp_1", "object": "response", "model": "gpt-5.6-sol", "status": status,
        "output": [], "usage": usage, "error": None,
    }  # fmt: skip
    row = rated(RESPONSES, {"model": "gpt-5.6-sol", "input": "x", "stream": True},
                [{"type": f"response.{status}", "response": done}])  # fmt: skip
    assert row["usage"] == {"input": 900, "output": 70}
    assert row["billed"] == "yes"
    assert row["cost_nanos"] == nanos((900, "5"), (70, "30"))


def test_p20_a_cancelled_answer_of_a_socket_keeps_its_counts() -> None:
    """A realtime answer that the speaker interrupted is charged as far as it went."""
    usage = {"input_tokens": 16, "output_tokens": 9, "total_tokens": 25}
    reply = {"id": "r", "status": "cancelled", "output": [], "usage": usage}
    done = {"type": "response.done", "response": reply}
    told = [{"direction": "received", "data": done}]
    (row,) = rated(REALTIME, None, None, messages=told)["readings"]
    assert (row["status"], row["billed"]) == ("aborted", "yes")
    assert row["cost_nanos"] == nanos((16, "4"), (9, "16"))


@pytest.fixture
def busy(loopback: Callable[[Callable[..., Answer]], Loopback]) -> Loopback:
    """A server that fails twice before it answers."""
    first = [BUSY, BUSY]
    return loopback(lambda *_: first.pop(0) if first else (200, JSON, CHAT_BODY))


def test_p21_every_transport_attempt_is_an_event_of_one_call(busy: Loopback) -> None:
    """An SDK that retries inside itself is seen three times, as three attempts of one call."""
    hosts = {f"127.0.0.1:{busy.port}": "openai"}
    with (
        capture_events(hosts=hosts) as events,
        openai.OpenAI(api_key="sk-x", base_url=f"{busy.url}/v1", max_retries=2) as sdk,
    ):
        sdk.chat.completions.create(**asked())
    assert len(busy.requests) == 3
    assert [event.get("attempt", 0) for event in events] == [0, 1, 2]
    assert [event["status"] for event in events] == ["error", "error", "ok"]
    assert len({event["event_id"] for event in events}) == 3
    assert len({event["call_id"] for event in events}) == 1
    assert [cost(event) > 0 for event in events] == [False, False, True]


def test_p22_a_good_answer_that_the_caller_throws_away_is_still_paid() -> None:
    """Asking again since the answer did not fit a schema: both answers were charged."""
    http = client(CHAT_BODY, CHAT_BODY)
    with capture_events() as events, outlay.context(tenant="acme"):
        for _ in range(2):
            http.post(OPENAI_URL, json=asked())
        spent = outlay.current()
    assert len(events) == 2
    assert (spent.calls, spent.tokens) == (2, 2 * 19)
    assert sum(map(cost, events)) == 2 * cost(events[0]) > 0


RESPONSE = {"id": "resp_1", "object": "response", "model": "gpt-5.6-sol", "status": "completed",
            "output": [], "usage": {"input_tokens": 9, "output_tokens": 7,
                                    "total_tokens": 16}}  # fmt: skip


def test_p23_looking_at_a_stored_response_costs_nothing() -> None:
    """The response was charged when it was made; reading it again is no second call."""
    made = rated(RESPONSES, {"model": "gpt-5.6-sol", "input": "x"}, RESPONSE)
    assert made["cost_nanos"] == nanos((9, "5"), (7, "30"))
    look = rated(f"{RESPONSES}/resp_1", None, RESPONSE, method="GET")
    assert (look["billed"], look["cost_nanos"], look["price_basis"]) == ("no", 0, "free")
    items = rated(f"{RESPONSES}/resp_1/input_items", None, {"data": []}, method="GET")
    assert (items["billed"], items["price_basis"]) == ("no", "free")


def test_p23_a_background_response_is_charged_by_whoever_sees_it_done() -> None:
    """What was queued cost nothing yet; the look that finds it done carries the counts."""
    queued = {**RESPONSE, "background": True, "status": "queued", "usage": None}
    done = {**RESPONSE, "background": True}
    first = rated(RESPONSES, {"model": "gpt-5.6-sol", "input": "x", "background": True}, queued)
    assert (first["billed"], first["usage"]) == ("no", {})
    look = rated(f"{RESPONSES}/resp_1", None, done, method="GET")
    assert (look["billed"], look["cost_nanos"]) == ("yes", nanos((9, "5"), (7, "30")))


def test_p18_p19_no_stream_is_ever_free_by_silence() -> None:
    """A stream that stopped at once is held above zero until somebody knows better."""
    ask = {"model": "gpt-5.6-sol", "stream": True, "messages": [], "max_tokens": 50}
    row = rated(CHAT, ask, sse(b": keep-alive").decode(), complete=False)
    assert (row["status"], row["billed"]) == ("aborted", "possible")
    assert ceiling_nanos(catalogue(), call_of(row, at=AUGUST_US)) > 0
