"""boto3 clients of Bedrock: metered on their way through urllib3, whole and streamed, each attempt
once, and every byte as it is without the tap."""

from __future__ import annotations

import base64
import gc
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

import outlay
from outlay.capture.testing import capture_events
from tests.guest.bodies import ANTHROPIC, SECRET
from tests.guest.conftest import Answer
from tests.guest.replies import Cut, Paused, Start
from tests.wire.bedrock_payloads import STREAM, counted, event

MODEL = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
USAGE = {
    "inputTokens": 30,
    "outputTokens": 7,
    "totalTokens": 1037,
    "cacheReadInputTokens": 1000,
    "cacheWriteInputTokens": 0,
}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": SECRET}]}},
    "stopReason": "end_turn",
    "usage": USAGE,
    "metrics": {"latencyMs": 5},
}
FRAMES = [
    event("messageStart", {"role": "assistant"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": SECRET}}),
    event("contentBlockStop", {"contentBlockIndex": 0}),
    event("messageStop", {"stopReason": "end_turn"}),
    event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}}),
]
ASK = [{"role": "user", "content": [{"text": SECRET}]}]
INVOKE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": SECRET}],
}
JSON = {"content-type": "application/json", "x-amzn-requestid": "req_9"}
BUSY: Answer = (
    503,
    {**JSON, "x-amzn-errortype": "ServiceUnavailableException"},
    b'{"message":"busy"}',
)
THROTTLED: Answer = (
    400,
    {**JSON, "x-amzn-errortype": "ThrottlingException"},
    b'{"message":"slow down"}',
)


XML = b"<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"


def _chunk(body: dict[str, Any]) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(json.dumps(body).encode()).decode()})


INVOKE_FRAMES = [
    _chunk({"type": "message_start", "message": {**ANTHROPIC, "content": []}}),
    _chunk({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": SECRET}}),
    _chunk({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 33}}),
    _chunk({"type": "message_stop"}),
]  # fmt: skip


class Bedrock:
    """Answers as Bedrock does; what is in `first` it answers before that."""

    def __init__(self, start: Start) -> None:
        self.first: list[Answer] = []
        self.server = start(self._reply)
        self.hosts = {f"127.0.0.1:{self.server.port}": "aws"}

    def _reply(self, _method: str, path: str, _headers: Any, _body: bytes) -> Answer:
        if self.first:
            return self.first.pop(0)
        if path.endswith("/converse-stream"):
            return 200, {**JSON, "content-type": STREAM}, FRAMES
        if path.endswith("/invoke-with-response-stream"):
            return 200, {**JSON, "content-type": STREAM}, INVOKE_FRAMES
        if path.endswith("/invoke"):
            return 200, {**JSON, **counted(3, 33)}, json.dumps(ANTHROPIC).encode()
        return 200, JSON, json.dumps(CONVERSE).encode()

    def client(self, **config: Any) -> Any:
        return boto3.client(
            "bedrock-runtime",
            region_name="eu-west-1",
            endpoint_url=self.server.url,
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="secret-key",
            config=Config(**{"retries": {"mode": "standard", "total_max_attempts": 3}, **config}),
        )


@pytest.fixture
def bedrock(loopback: Start, monkeypatch: pytest.MonkeyPatch) -> Bedrock:
    # The back-off of its retries is of no interest here.
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    return Bedrock(loopback)


@pytest.fixture
def client(bedrock: Bedrock) -> Iterator[Any]:
    made = bedrock.client()
    yield made
    made.close()


@pytest.fixture
def events(bedrock: Bedrock) -> Iterator[list[dict[str, Any]]]:
    with capture_events(hosts=bedrock.hosts) as captured:
        yield captured


def test_converse_is_one_event(client: Any, events: list[dict[str, Any]]) -> None:
    reply = client.converse(modelId=MODEL, messages=ASK)
    assert reply["output"] == CONVERSE["output"]
    (made,) = events
    assert (made["provider"], made["surface"]) == ("aws", "bedrock.converse")
    assert (made["input"], made["input_cache_read"], made["output"]) == (30, 1000, 7)
    assert (made["status"], made["http_status"]) == ("ok", 200)
    assert made["model_requested"] == MODEL
    assert made["provider_request_id"] == "req_9"
    assert "attempt" not in made
    assert SECRET not in json.dumps(events)
    assert "AKIATEST" not in json.dumps(events)


def test_converse_stream_is_one_event(client: Any, events: list[dict[str, Any]]) -> None:
    stream = client.converse_stream(modelId=MODEL, messages=ASK)["stream"]
    assert events == []
    got = list(stream)
    assert got[1]["contentBlockDelta"]["delta"]["text"] == SECRET
    assert got[-1]["metadata"]["usage"] == USAGE
    (made,) = events
    assert (made["streamed"], made["status"]) == (True, "ok")
    assert (made["input"], made["input_cache_read"], made["output"]) == (30, 1000, 7)
    assert 0 <= made["ttft_ms"] <= made["latency_ms"]


@pytest.mark.parametrize("way", ["read", "read by 10", "iter_chunks", "iter_lines", "json"])
def test_invoke_gives_the_same_bytes_and_one_event(client: Any, bedrock: Bedrock, way: str) -> None:
    def call() -> Any:
        body = client.invoke_model(modelId=MODEL, body=json.dumps(INVOKE))["body"]
        if way == "read":
            return [body.read(), body.read()]
        if way == "read by 10":
            return list(iter(lambda: body.read(10), b""))
        if way == "json":
            return json.load(body)
        return list(getattr(body, way)(16))

    plain = call()
    with capture_events(hosts=bedrock.hosts) as events:
        assert call() == plain
        gc.collect()
    assert [(e["surface"], e["status"]) for e in events] == [("anthropic.messages", "ok")]
    assert [(e["input"], e["input_cache_read"], e["output"]) for e in events] == [(3, 1111, 33)]


def test_an_invoke_stream_is_one_event(client: Any, bedrock: Bedrock) -> None:
    def call() -> list[Any]:
        reply = client.invoke_model_with_response_stream(modelId=MODEL, body=json.dumps(INVOKE))
        return list(reply["body"])

    plain = call()
    with capture_events(hosts=bedrock.hosts) as events:
        assert call() == plain
    assert [(e["streamed"], e["status"], e["output"]) for e in events] == [(True, "ok", 33)]


def test_frames_reach_the_caller_as_they_come(
    client: Any, bedrock: Bedrock, events: list[dict[str, Any]]
) -> None:
    pieces = Paused(FRAMES)
    bedrock.first = [(200, {**JSON, "content-type": STREAM}, pieces)]
    stream = iter(client.converse_stream(modelId=MODEL, messages=ASK)["stream"])
    assert next(stream) == {"messageStart": {"role": "assistant"}}
    assert events == []
    pieces.go_on.set()
    assert len(list(stream)) == len(FRAMES) - 1
    assert [e["status"] for e in events] == ["ok"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its socket
@pytest.mark.parametrize("how", ["close", "forget"])
def test_a_stream_that_is_left_is_one_aborted_event(
    client: Any, bedrock: Bedrock, events: list[dict[str, Any]], how: str
) -> None:
    pieces = Paused(FRAMES)
    bedrock.first = [(200, {**JSON, "content-type": STREAM}, pieces)]
    stream = client.converse_stream(modelId=MODEL, messages=ASK)["stream"]
    next(iter(stream))
    if how == "close":
        stream.close()
    del stream
    gc.collect()
    pieces.go_on.set()
    assert [(e["status"], e["billed"]) for e in events] == [("aborted", "possible")]


def test_a_connection_that_breaks_is_an_event(
    client: Any, bedrock: Bedrock, events: list[dict[str, Any]]
) -> None:
    bedrock.first = [(200, {**JSON, "content-type": STREAM}, Cut(FRAMES[:2]))]
    stream = client.converse_stream(modelId=MODEL, messages=ASK)["stream"]
    with pytest.raises(Exception, match="ended prematurely"):
        list(stream)
    assert [(e["status"], e["error_type"]) for e in events] == [("aborted", "ProtocolError")]


@pytest.mark.parametrize("mode", ["standard", "legacy"])
@pytest.mark.parametrize("busy", [BUSY, THROTTLED], ids=["503", "throttled with 400"])
def test_retries_are_attempts_of_one_call(
    bedrock: Bedrock, events: list[dict[str, Any]], mode: str, busy: Answer
) -> None:
    bedrock.first = [busy, busy]
    client = bedrock.client(retries={"mode": mode, "total_max_attempts": 3})
    with outlay.context(tenant="acme"):
        reply = client.converse(modelId=MODEL, messages=ASK)
    client.close()
    assert reply["ResponseMetadata"]["RetryAttempts"] == 2
    assert [e.get("attempt", 0) for e in events] == [0, 1, 2]
    assert [e["status"] for e in events] == ["error", "error", "ok"]
    assert [e["billed"] for e in events[:2]] == ["no", "no"]
    assert len({e["call_id"] for e in events}) == 1
    assert {e["tenant_id"] for e in events} == {"acme"}


def test_the_same_call_made_again_is_another_call(
    client: Any, bedrock: Bedrock, events: list[dict[str, Any]]
) -> None:
    bedrock.first = [BUSY] * 3
    with outlay.context(tenant="acme"):
        with pytest.raises(ClientError):
            client.converse(modelId=MODEL, messages=ASK)
        client.converse(modelId=MODEL, messages=ASK)
    assert [e.get("attempt", 0) for e in events] == [0, 1, 2, 0]
    assert len({e["call_id"] for e in events}) == 2


def test_a_refused_connection_is_an_event_that_was_not_billed() -> None:
    client = boto3.client(
        "bedrock-runtime", region_name="eu-west-1", endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="a", aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip
    with (
        capture_events(hosts={"127.0.0.1:9": "aws"}) as events,
        pytest.raises(EndpointConnectionError),
    ):
        client.converse(modelId=MODEL, messages=ASK)
    client.close()
    assert {(e["status"], e["error_type"], e["billed"]) for e in events} == {
        ("error", "connect", "no")
    }


def test_calls_of_other_services_are_left_alone(bedrock: Bedrock) -> None:
    client = boto3.client(
        "sts", region_name="eu-west-1", endpoint_url=bedrock.server.url,
        aws_access_key_id="a", aws_secret_access_key="b",
    )  # fmt: skip
    bedrock.first = [(200, {"content-type": "text/xml"}, XML)]
    with capture_events() as events:
        client.get_caller_identity()
    client.close()
    assert events == []
