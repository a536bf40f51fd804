"""Batch results: one reading per answered line, the download itself free, memory one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlay.wire.base import MAX_BODY_BYTES, Reader, Reading, Request
from outlay.wire.registry import open_reader
from tests.wire.anthropic_payloads import message
from tests.wire.harness import byte_by_byte, in_chunks

OPENAI = "https://api.openai.com/v1/files/file-out/content"
ANTHROPIC = "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results"
GEMINI = "https://generativelanguage.googleapis.com"
GEMINI_FILE = f"{GEMINI}/download/v1beta/files/batch-1:download?alt=media"
GEMINI_JOB = f"{GEMINI}/v1beta/batches/b_1"

CREATED = 1_790_000_000
CREATED_US = CREATED * 1_000_000

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": CREATED,
    "model": "gpt-5.6-luna",
    "choices": [{"index": 0, "message": {"content": "secret"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens": 7,
    },
    "service_tier": "default",
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": CREATED + 5,
    "status": "completed",
    "background": False,
    "model": "gpt-5.6-luna",
    "output": [],
    "usage": {"input_tokens": 9, "output_tokens": 4},
}
VECTORS = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
GENERATED = {
    "candidates": [{"content": {"parts": [{"text": "secret"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 6, "candidatesTokenCount": 2, "totalTokenCount": 8},
    "modelVersion": "gemini-3-flash",
    "responseId": "r_1",
}


def answered(body: Any, number: int = 1, status: int = 200) -> dict[str, Any]:
    return {
        "id": f"batch_req_{number}",
        "custom_id": f"mine-{number}",
        "response": {"status_code": status, "request_id": f"req_{number}", "body": body},
        "error": None,
    }


def succeeded(number: int = 1, **usage: Any) -> dict[str, Any]:
    said = message({"input_tokens": 10, "output_tokens": 3, "service_tier": "batch", **usage})
    return {
        "custom_id": f"mine-{number}",
        "result": {"type": "succeeded", "message": {**said, "id": f"msg_{number}"}},
    }


def lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in objects)


def opened(url: str, method: str = "GET") -> Reader:
    reader = open_reader(Request(method, url))
    assert reader is not None
    return reader


def download(
    url: str, body: bytes, chunks: Any = None, *, status: int = 200, complete: bool = True
) -> tuple[Reading, list[Reading]]:
    reader = opened(url)
    reader.response(status, {"content-type": "application/octet-stream"})
    ready: list[Reading] = []
    for chunk in [body] if chunks is None else chunks:
        reader.feed(chunk)
        ready += reader.ready
        reader.ready.clear()
    own = reader.finish(complete=complete)
    return own, ready + reader.ready


def is_free(reading: Reading) -> bool:
    return reading.surface.endswith(".free") and reading.billed == "no" and not reading.usage


# -- what a line says --------------------------------------------------------------------------


def test_a_completion_is_read_as_if_it_had_been_asked_for_alone() -> None:
    own, (reading,) = download(OPENAI, lines(answered(CHAT)))
    assert is_free(own)
    assert (reading.provider, reading.surface, reading.operation) == (
        "openai", "openai.chat", "chat",
    )  # fmt: skip
    assert reading.usage == {"input": 10, "input_cache_read": 20, "output": 7}
    assert (reading.batch, reading.billed, reading.status) == (True, "yes", "ok")
    assert (reading.model_served, reading.tier_served) == ("gpt-5.6-luna", "default")
    assert (reading.response_id, reading.once) == ("chatcmpl-1", "chatcmpl-1")
    assert reading.provider_request_id == "req_1"
    assert reading.created_at == CREATED_US
    assert "secret" not in repr(reading)


@pytest.mark.parametrize(
    ("body", "surface", "usage", "once"),
    [
        (RESPONSE, "openai.responses", {"input": 9, "output": 4}, "resp_1"),
        (VECTORS, "openai.embeddings", {"input": 8}, "batch_req_1"),
        (
            {**CHAT, "object": "text_completion", "choices": [{"text": "x"}]},
            "openai.completions",
            {"input": 10, "input_cache_read": 20, "output": 7},
            "chatcmpl-1",
        ),
    ],
)
def test_the_object_of_a_body_decides_who_reads_it(
    body: Any, surface: str, usage: dict[str, int], once: str
) -> None:
    _, (reading,) = download(OPENAI, lines(answered(body)))
    assert (reading.surface, reading.usage, reading.once) == (surface, usage, once)
    assert reading.batch


def test_a_body_that_nobody_knows_is_unknown_and_not_free() -> None:
    body = {"object": "decision", "usage": {"input_tokens": 5, "output_tokens": 1}}
    _, (reading,) = download(OPENAI, lines(answered(body)))
    assert (reading.surface, reading.billed) == ("openai.unknown", "possible")
    assert "unknown_endpoint" in reading.findings
    assert reading.usage == {"input": 5, "output": 1}


def test_moderations_are_free_where_they_are_free() -> None:
    body = {"id": "modr-1", "model": "omni-moderation-latest", "results": [{"flagged": False}]}
    assert download(OPENAI, lines(answered(body)))[1] == []
    (reading,) = download("https://api.mistral.ai/v1/files/f/content", lines(answered(body)))[1]
    assert reading.billed == "possible"


@pytest.mark.parametrize(
    "line",
    [
        answered({"error": {"message": "no", "type": "invalid_request_error"}}, status=400),
        {"id": "b", "custom_id": "c", "response": None, "error": {"code": "batch_expired"}},
        {"id": "b", "custom_id": "c", "response": {"status_code": 500}, "error": None},
    ],
)
def test_a_line_that_failed_costs_nothing(line: dict[str, Any]) -> None:
    own, ready = download(OPENAI, lines(line, answered(CHAT)))
    assert [reading.once for reading in ready] == ["chatcmpl-1"]
    assert is_free(own)


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://r.openai.azure.com/openai/files/f/content?api-version=1", "azure"),
        ("https://api.groq.com/openai/v1/files/f/content", "groq"),
        ("https://api.mistral.ai/v1/files/f/content", "mistral"),
    ],
)
def test_others_have_the_same_lines(url: str, provider: str) -> None:
    line = {"custom_id": "c", "response": {"status_code": 200, "body": CHAT}}
    _, (reading,) = download(url, lines(line))
    assert (reading.provider, reading.surface, reading.once) == (
        provider, "openai.chat", "chatcmpl-1",
    )  # fmt: skip


def test_anthropic_bills_what_succeeded_and_nothing_else() -> None:
    others = [
        {"custom_id": kind, "result": {"type": kind}} for kind in ("errored", "canceled", "expired")
    ]
    own, (one, two) = download(ANTHROPIC, lines(others[0], succeeded(1), *others, succeeded(2)))
    assert is_free(own)
    assert (one.surface, one.usage) == ("anthropic.messages", {"input": 10, "output": 3})
    assert (one.batch, one.tier_served, one.once, two.once) == (True, "batch", "msg_1", "msg_2")
    # The lines have no time: whoever looked at the job may know one.
    assert (one.created_at, one.job) == (None, "msgbatch_1")


def test_gemini_lines_are_responses_by_key() -> None:
    body = lines({"key": "a", "response": GENERATED}, {"key": "b", "error": {"code": 3}})
    own, (reading,) = download(GEMINI_FILE, body)
    assert is_free(own)
    assert (reading.surface, reading.usage) == ("google.generate", {"input": 6, "output": 2})
    assert (reading.once, reading.model_served) == ("r_1", "gemini-3-flash")
    assert (reading.job, reading.created_at) == ("batch-1", None)


def test_gemini_embeddings_are_counted_as_they_are_told() -> None:
    body = {"embedding": {"values": [0.5]}, "tokenCount": "12"}
    _, (reading,) = download(GEMINI_FILE, lines({"key": "a", "response": body}))
    assert (reading.surface, reading.usage) == ("google.embed", {"input": 12})
    assert reading.once == "batch-1#1"


# -- the download ------------------------------------------------------------------------------

WHOLE = lines(answered(CHAT), *[answered(VECTORS, n) for n in (2, 3)]) + b"\n" + lines(
    answered(RESPONSE, 4)
).rstrip(b"\n")  # fmt: skip


def test_any_chunking_gives_the_same_readings() -> None:
    whole = download(OPENAI, WHOLE)
    assert len(whole[1]) == 4
    assert download(OPENAI, WHOLE, byte_by_byte(WHOLE)) == whole
    for size in (2, 7, 100, 1000):
        assert download(OPENAI, WHOLE, in_chunks(WHOLE, size)) == whole


def test_lines_are_ready_before_the_file_ends() -> None:
    reader = opened(OPENAI)
    reader.response(200, {})
    reader.feed(lines(answered(CHAT)))
    assert [reading.once for reading in reader.ready] == ["chatcmpl-1"]


def test_a_download_that_is_cut_gives_the_lines_that_came_whole() -> None:
    own, ready = download(OPENAI, WHOLE[:-20], complete=False)
    assert [reading.once for reading in ready] == ["chatcmpl-1", "batch_req_2", "batch_req_3"]
    assert (own.status, is_free(own)) == ("aborted", True)


@pytest.mark.parametrize(
    "body",
    [
        lines({"custom_id": "c", "method": "POST", "url": "/v1/responses", "body": {}}),
        lines({"messages": [{"role": "user", "content": "fine-tuning"}]}),
        b'{"one": "object",\n "over": "lines"}',
        b"[1, 2]",
        b"%PDF-1.7\n" + lines(answered(CHAT)),
        b"  \n\x00\x01",
        b"",
    ],
)
def test_a_file_that_is_no_batch_output_is_passed_over(body: bytes) -> None:
    body += lines(answered(CHAT)) if body else b""
    for chunks in (None, byte_by_byte(body)):
        own, ready = download(OPENAI, body, chunks)
        assert ready == []
        assert is_free(own)
        assert own.findings == []


def test_a_file_that_is_no_batch_output_is_not_held() -> None:
    reader = opened(OPENAI)
    reader.response(200, {})
    for _ in range(4):
        reader.feed(b"\x00" * 1024)
    reader.feed(b"x" * 1024)
    assert reader.ready == []
    assert len(reader._splitter._rest) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [206, 302, 404])
def test_only_a_whole_file_is_read(status: int) -> None:
    own, ready = download(OPENAI, WHOLE, status=status)
    assert (ready, is_free(own)) == ([], True)
    assert own.status == ("error" if status == 404 else "ok")


def test_a_line_above_the_bound_is_lost_and_said() -> None:
    line = json.dumps(answered({**CHAT, "id": "big", "pad": ""})).encode()
    pad = MAX_BODY_BYTES - len(line)
    fits = line.replace(b'"pad": ""', b'"pad": ' + b" " * pad + b'""')
    own, ready = download(OPENAI, fits + b"\n" + lines(answered(CHAT)))
    assert ([reading.once for reading in ready], is_free(own)) == (["big", "chatcmpl-1"], True)
    wide = line.replace(b'"pad": ""', b'"pad": ' + b" " * (pad + 1) + b'""')
    own, ready = download(OPENAI, lines(answered(CHAT)) + wide + b"\n" + lines(answered(RESPONSE)))
    assert [reading.once for reading in ready] == ["chatcmpl-1", "resp_1"]
    assert (own.surface, own.billed, own.once) == (
        "openai.batch_results", "possible", "file-out#lost",
    )  # fmt: skip
    assert own.findings == ["usage_missing", "event_too_large"]


def test_long_vectors_and_images_do_not_make_a_line_too_long() -> None:
    vectors = [{"embedding": [0.0123456789] * 3072} for _ in range(600)]
    body = {"object": "list", "data": vectors, "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    body["image"] = "A" * MAX_BODY_BYTES
    raw = lines(answered(body))
    assert len(raw) > 2 * MAX_BODY_BYTES
    _, ready = download(OPENAI, raw)
    assert [(reading.surface, reading.usage) for reading in ready] == [
        ("openai.embeddings", {"input": 7}),
    ]


def test_a_damaged_line_is_lost_and_said() -> None:
    own, ready = download(OPENAI, lines(answered(CHAT)) + b'{"custom_id": \n' + lines([1]))
    assert len(ready) == 1
    assert own.findings == ["usage_missing", "malformed_event"]
    assert (own.billed, own.usage) == ("possible", {})


def test_ending_twice_says_the_same() -> None:
    reader = opened(OPENAI)
    reader.response(200, {})
    reader.feed(lines(answered(CHAT)).rstrip())
    first = reader.finish()
    assert (reader.finish() is first, len(reader.ready)) == (True, 1)
    timed_out = opened(OPENAI).finish(complete=False, error="timeout")
    assert (timed_out.status, is_free(timed_out)) == ("timeout", True)


# -- looking at a job --------------------------------------------------------------------------


def look(url: str, body: Any, method: str = "GET") -> tuple[Reading, list[Reading]]:
    reader = opened(url, method)
    reader.response(200, {"content-type": "application/json"})
    reader.feed(json.dumps(body).encode())
    return reader.finish(), reader.ready


def test_a_look_at_a_job_tells_its_time_and_the_name_of_its_results() -> None:
    job = {
        "id": "msgbatch_1", "type": "message_batch", "processing_status": "ended",
        "created_at": "2026-09-21T14:13:20.5Z", "ended_at": "2026-09-21T15:00:00Z",
    }  # fmt: skip
    own, ready = look("https://api.anthropic.com/v1/messages/batches/msgbatch_1", job)
    assert (is_free(own), ready) == (True, [])
    assert (own.job, own.created_at) == ("msgbatch_1", CREATED_US + 500_000)
    own, _ = look(
        "https://api.openai.com/v1/batches/batch_1",
        {"id": "batch_1", "object": "batch", "output_file_id": "file-out", "created_at": CREATED},
    )
    assert (own.job, own.created_at, is_free(own)) == ("file-out", CREATED_US, True)
    own, _ = look(
        "https://api.mistral.ai/v1/batch/jobs/j_1",
        {"id": "j_1", "output_file": "f-1", "created_at": CREATED},
    )
    assert (own.job, own.created_at) == ("f-1", CREATED_US)


@pytest.mark.parametrize("when", ["yesterday", "2026-09-21", "2026-09-21T14:13:20", 5, None, [1]])
def test_a_time_that_is_none_is_not_taken(when: Any) -> None:
    own, _ = look("https://api.anthropic.com/v1/messages/batches/msgbatch_1", {"created_at": when})
    assert (own.created_at, is_free(own)) == (None, True)


def gemini_job(**response: Any) -> dict[str, Any]:
    meta = {"createTime": "2026-09-21T14:13:20.123456789Z", "state": "BATCH_STATE_SUCCEEDED"}
    return {"name": "batches/b_1", "metadata": meta, "done": True, "response": response}


@pytest.mark.parametrize("inside", [True, False], ids=["response", "metadata.output"])
def test_a_gemini_job_brings_its_responses_when_it_is_done(inside: bool) -> None:
    found = [
        {"response": GENERATED},
        {"error": {"code": 3}},
        {"response": {**GENERATED, "responseId": None}, "metadata": {"key": "k"}},
    ]
    job = gemini_job(inlinedResponses={"inlinedResponses": found})
    if not inside:
        job["metadata"]["output"] = job.pop("response")
    own, (one, two) = look(GEMINI_JOB, job)
    assert is_free(own)
    assert (one.once, two.once) == ("r_1", "b_1#3")
    assert one.created_at == two.created_at == CREATED_US + 123_456
    assert (one.usage, one.batch, one.provider) == ({"input": 6, "output": 2}, True, "google")


def test_embeddings_of_a_gemini_job_have_the_jobs_model() -> None:
    found = {"response": {"embedding": {"values": [0.5]}, "tokenCount": "12"}}
    job = gemini_job(inlinedEmbedContentResponses={"inlinedResponses": [found]})
    job["metadata"]["model"] = "models/gemini-embedding-001"
    _, (reading,) = look(GEMINI_JOB, job)
    assert (reading.model_requested, reading.usage) == ("gemini-embedding-001", {"input": 12})


def test_a_gemini_job_with_a_file_names_it() -> None:
    own, ready = look(GEMINI_JOB, gemini_job(responsesFile="files/batch-1"))
    assert (own.job, ready) == ("batch-1", [])


def test_a_job_that_is_not_done_has_nothing_to_tell() -> None:
    job = {"name": "batches/b_1", "metadata": {"state": "BATCH_STATE_RUNNING"}}
    own, ready = look(GEMINI_JOB, job)
    assert (is_free(own), ready, own.findings) == (True, [], [])


def test_a_job_too_large_to_read_may_have_cost_something() -> None:
    reader = opened(GEMINI_JOB)
    reader.response(200, {"content-type": "application/json"})
    reader.feed(b"{" + b" " * MAX_BODY_BYTES)
    own = reader.finish()
    assert (own.billed, own.surface, own.once) == ("possible", "google.batch_results", "b_1#lost")
    assert (own.findings, own.operation) == (["body_too_large"], "chat")
