"""Background responses and batches through the official SDKs: each answer billed once, alike."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types as genai_types

import outlay
from outlay.capture.attempt import MAX_PIECE_BYTES
from outlay.capture.testing import capture_events
from outlay.core.ids import uuid7_unix_ms
from tests.guest.bodies import ANTHROPIC, CHAT, GEMINI, JSON, SECRET
from tests.guest.conftest import Answer, Loopback
from tests.guest.test_events import accepted

MADE = int(time.time()) - 7200
MADE_TEXT = datetime.fromtimestamp(MADE, UTC).isoformat().replace("+00:00", "Z")
VECTORS = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}


def jsonl(*lines: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def answered(body: Any, number: int) -> dict[str, Any]:
    response = {"status_code": 200, "request_id": f"req_{number}", "body": body}
    return {"id": f"batch_req_{number}", "custom_id": f"c{number}", "response": response}


OPENAI_FILE = jsonl(
    *[answered({**CHAT, "id": f"chatcmpl-{n}", "created": MADE + n}, n) for n in range(3)],
    answered(VECTORS, 3),
    {"id": "x", "custom_id": "c4", "response": None, "error": {"code": "batch_expired"}},
)
OPENAI_BATCH = {
    "id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "status": "completed",
    "completion_window": "24h", "created_at": MADE, "input_file_id": "file-in",
    "output_file_id": "file-out",
}  # fmt: skip
ANTHROPIC_FILE = jsonl(
    {"custom_id": "a", "result": {"type": "succeeded", "message": ANTHROPIC}},
    {"custom_id": "b", "result": {"type": "expired"}},
    {"custom_id": "c", "result": {"type": "succeeded", "message": {**ANTHROPIC, "id": "msg_2"}}},
)
GEMINI_JOB = {
    "name": "batches/b1",
    "metadata": {
        "state": "BATCH_STATE_SUCCEEDED",
        "createTime": MADE_TEXT,
        "output": {
            "inlinedResponses": {"inlinedResponses": [{"response": GEMINI}, {"error": {"code": 3}}]}
        },
    },
    "done": True,
}


class Provider:
    """Speaks the batch and background APIs of OpenAI, Anthropic and Gemini."""

    def __init__(self, start: Callable[[Callable[..., Answer]], Loopback]) -> None:
        self.polls = 0
        self.server = start(self._reply)
        port = self.server.port
        names = ("openai", "anthropic", "google")
        self.hosts = {f"127.0.0.1:{port}/{name}": name for name in names}

    def _reply(self, method: str, path: str, _headers: Any, _body: bytes) -> Answer:
        path = path.partition("?")[0]
        if path.endswith("/content"):
            return 200, {"content-type": "application/octet-stream"}, [OPENAI_FILE]
        if path.endswith("/results"):
            packed = gzip.compress(ANTHROPIC_FILE)
            kind = {"content-type": "application/x-jsonl", "content-encoding": "gzip"}
            return 200, kind, [packed[:50], packed[50:]]
        return 200, JSON, json.dumps(self._json(method, path)).encode()

    def _json(self, method: str, path: str) -> Any:
        if "/google/" in path:
            return GEMINI_JOB
        if "/messages/batches/" in path:
            return {
                "id": "msgbatch_1", "type": "message_batch", "processing_status": "ended",
                "created_at": MADE_TEXT, "expires_at": MADE_TEXT, "request_counts": {},
                "results_url": f"{self.server.url}{path}/results",
            }  # fmt: skip
        if "/responses" in path:
            self.polls += method == "GET"
            return self._response("completed" if self.polls > 2 else "queued")
        return OPENAI_BATCH

    def _response(self, status: str) -> dict[str, Any]:
        usage = {"input_tokens": 12, "output_tokens": 7, "total_tokens": 19}
        return {
            "id": "resp_1", "object": "response", "created_at": MADE, "model": "gpt-5.6-luna",
            "status": status, "background": True, "output": [], "parallel_tool_calls": True,
            "tool_choice": "auto", "tools": [], "usage": usage if status == "completed" else None,
        }  # fmt: skip

    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(api_key="sk-test", base_url=f"{self.server.url}/openai/v1")

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key="sk-test", base_url=f"{self.server.url}/anthropic")

    def google(self) -> genai.Client:
        options = genai_types.HttpOptions(base_url=f"{self.server.url}/google")
        return genai.Client(api_key="test", http_options=options)


@pytest.fixture
def provider(loopback: Callable[[Callable[..., Answer]], Loopback]) -> Provider:
    return Provider(loopback)


def twice(provider: Provider, work: Callable[[], Any]) -> list[dict[str, Any]]:
    """Do the work in two runtimes, as two processes would; they must agree on every id."""
    with capture_events(hosts=provider.hosts, tenant="acme") as one:
        work()
        work()
    with capture_events(hosts=provider.hosts) as two:
        work()
    assert {e["event_id"] for e in one} >= {e["event_id"] for e in two}
    accepted(one)
    assert SECRET not in json.dumps(one)
    return one


def times(events: list[dict[str, Any]]) -> list[int]:
    assert all(uuid7_unix_ms(e["event_id"]) == e["started_at"] // 1000 for e in events)
    assert all(e["started_at"] == e["ended_at"] and "latency_ms" not in e for e in events)
    return [e["started_at"] // 1_000_000 - MADE for e in events]


def test_openai_polling_a_background_response(provider: Provider) -> None:
    def work() -> None:
        with provider.openai() as client:
            made = client.responses.create(model="gpt-5.6-luna", input=SECRET, background=True)
            while made.status != "completed":
                made = client.responses.retrieve(made.id)
            client.responses.retrieve(made.id)

    events = twice(provider, work)
    (event,) = [e for e in events if e.get("billed") != "no"]
    assert (event["input"], event["output"], event["tenant_id"]) == (12, 7, "acme")
    assert times([event]) == [0]
    assert {e["response_id"] for e in events} == {"resp_1"}


@pytest.mark.parametrize("streamed", [False, True])
def test_openai_batch_output(provider: Provider, streamed: bool) -> None:
    def work() -> None:
        with provider.openai() as client:
            batch = client.batches.retrieve("batch_1")
            assert batch.output_file_id is not None
            if not streamed:
                assert client.files.content(batch.output_file_id).read() == OPENAI_FILE
                return
            with client.files.with_streaming_response.content(batch.output_file_id) as raw:
                assert b"".join(raw.iter_bytes(chunk_size=64)) == OPENAI_FILE

    events = twice(provider, work)
    assert [e.get("response_id") for e in events] == [
        "chatcmpl-0", "chatcmpl-1", "chatcmpl-2", None,
    ]  # fmt: skip
    assert all(e["batch"] and e["provider"] == "openai" for e in events)
    assert [e["input"] for e in events] == [12, 12, 12, 8]
    assert events[3]["operation"] == "embeddings"
    # The vectors' line has no time of its own: it is the job's.
    assert times(events) == [0, 1, 2, 0]


def test_anthropic_batch_results(provider: Provider) -> None:
    def work() -> None:
        with provider.anthropic() as client:
            found = list(client.messages.batches.results("msgbatch_1"))
        assert [line.result.type for line in found] == ["succeeded", "expired", "succeeded"]

    events = twice(provider, work)
    assert [(e["response_id"], e["input"], e["output"]) for e in events] == [
        ("msg_1", 3, 33), ("msg_2", 3, 33),
    ]  # fmt: skip
    assert times(events) == [0, 0]
    assert all(e["batch"] for e in events)


def test_anthropic_results_without_a_look_at_the_job_are_one_event_a_period(
    provider: Provider,
) -> None:
    url = f"{provider.server.url}/anthropic/v1/messages/batches/msgbatch_1/results"
    events = twice(provider, lambda: httpx.get(url))
    assert len(events) == 2
    assert all(e["started_at"] // 1_000_000 > MADE + 3600 for e in events)


def test_gemini_inlined_responses(provider: Provider) -> None:
    def work() -> None:
        assert provider.google().batches.get(name="batches/b1").dest is not None

    (event,) = twice(provider, work)
    assert (event["input"], event["response_id"], event["batch"]) == (18, "resp_1", True)
    assert times([event]) == [0]


def test_a_large_download_is_counted_whole_and_in_pieces() -> None:
    count = 2 * MAX_PIECE_BYTES // 300
    chats = ({**CHAT, "id": f"chatcmpl-{n}", "created": MADE} for n in range(count))
    body = jsonl(*(answered(chat, n) for n, chat in enumerate(chats)))
    assert len(body) > 2 * MAX_PIECE_BYTES
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    with capture_events() as events, outlay.context(), httpx.Client(transport=transport) as client:
        assert client.get("https://api.openai.com/v1/files/f/content").content == body
        spent = outlay.current()
    assert len(events) == len({e["event_id"] for e in events}) == count
    assert (spent.calls, spent.tokens) == (count, 19 * count)


def test_other_files_are_downloaded_in_peace() -> None:
    body = b"\x89PNG" + bytes(1_000_000)
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    with capture_events() as events, httpx.Client(transport=transport) as client:
        assert client.get("https://api.openai.com/v1/files/f/content").content == body
        assert outlay.stats()["errors"] == {}
    assert events == []
