"""Ollama's own API: counts on the last line, durations kept, a cached prompt estimated."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading
from tests.wire.harness import (
    Exchange,
    assert_same_in_any_chunking,
    assert_sane,
    exchange,
    read,
    to_bytes,
)

HOSTS = {"gpu:11434": "ollama"}
CHAT = "http://gpu:11434/api/chat"
GENERATE = "http://gpu:11434/api/generate"
EMBED = "http://gpu:11434/api/embed"
ASK = {"model": "qwen3", "messages": [{"role": "user", "content": "12345678"}]}
LAST = {
    "model": "qwen3:8b", "created_at": "2026-08-01T00:00:00Z", "done": True, "done_reason": "stop",
    "total_duration": 5_000_000_000, "load_duration": 1_000_000, "prompt_eval_count": 26,
    "prompt_eval_duration": 130_000_000, "eval_count": 259, "eval_duration": 4_000_000_000,
}  # fmt: skip


def line(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, **more}
    return {"model": "qwen3:8b", "message": message, "done": False}


def stream(*lines: dict[str, Any], kind: str = "application/x-ndjson") -> Exchange:
    body = b"".join(to_bytes(each) + b"\n" for each in lines)
    headers = {"content-type": kind}
    return exchange(CHAT, ASK, {}, headers=headers, hosts=HOSTS).with_body(body)


def whole(url: str, asked: dict[str, Any], body: dict[str, Any], **more: Any) -> Reading:
    return read(exchange(url, {"stream": False, **asked}, body, hosts=HOSTS, **more))


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in LAST.items() if key not in keys}


def test_a_stream_is_what_one_gets_without_asking_and_its_last_line_counts() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": 1}}}]
    lines = (line("1234"), line("", thinking="1234", tool_calls=calls), LAST)
    reading = assert_same_in_any_chunking(stream(*lines))
    assert reading.usage == {"input": 26, "output": 259}
    assert (reading.provider, reading.surface) == ("ollama", "ollama.generate")
    assert (reading.model_requested, reading.model_served) == ("qwen3", "qwen3:8b")
    assert (reading.streamed, reading.tool_calls, reading.findings) == (True, 1, [])
    assert (reading.status, reading.finish_reason) == ("ok", "stop")


def test_durations_are_kept_raw_and_are_no_unit() -> None:
    reading = whole(CHAT, ASK, {**LAST, "message": {"content": "hi"}})
    assert reading.usage == {"input": 26, "output": 259}
    assert reading.usage_raw == {
        "total_duration": 5_000_000_000, "load_duration": 1_000_000, "prompt_eval_count": 26,
        "prompt_eval_duration": 130_000_000, "eval_count": 259, "eval_duration": 4_000_000_000,
    }  # fmt: skip
    assert not reading.streamed


def test_lines_under_another_content_type_are_lines_all_the_same() -> None:
    assert read(stream(line("1234"), LAST, kind="text/plain")).usage == {"input": 26, "output": 259}


def test_a_prompt_that_was_cached_is_estimated_and_the_output_is_exact() -> None:
    reading = read(stream(line("1234"), without("prompt_eval_count")))
    assert reading.usage == {"input": 2, "output": 259}
    assert (reading.usage_source, reading.findings) == ("estimated", ["input_estimated"])


def test_a_stream_that_is_cut_is_estimated_after_every_line() -> None:
    lines = [to_bytes(each) + b"\n" for each in (line("x" * 40), line("x" * 40), LAST)]
    outputs = []
    for count in range(len(lines)):
        reading = read(stream(), lines[:count], complete=False)
        assert_sane(reading)
        assert (reading.status, reading.billed) == ("aborted", "possible")
        assert reading.usage["input"] == 2
        outputs.append(reading.usage["output"])
    assert outputs == [1, 10, 20]


def test_a_reply_without_counts_is_estimated() -> None:
    reading = whole(GENERATE, {"model": "m", "prompt": "12345678"}, {"response": "1234"})
    assert reading.usage == {"input": 2, "output": 1}
    assert "usage_missing" in reading.findings


@pytest.mark.parametrize(
    ("reason", "status"), [("stop", "ok"), ("length", "incomplete"), ("new_reason", "ok")]
)
def test_the_reason_decides_the_status(reason: str, status: str) -> None:
    reading = whole(GENERATE, {"model": "m"}, {**LAST, "done_reason": reason})
    assert (reading.status, reading.finish_reason) == (status, reason)


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_moving_a_model_in_or_out_of_memory_costs_nothing(reason: str) -> None:
    body = {"model": "m", "response": "", "done": True, "done_reason": reason}
    reading = read(
        exchange(GENERATE, {"model": "m"}, {}, hosts=HOSTS).with_body(to_bytes(body) + b"\n")
    )
    assert (reading.status, reading.billed, reading.usage) == ("ok", "no", {})
    assert reading.findings == []


def test_the_bound_of_the_output_is_an_option() -> None:
    assert whole(CHAT, {**ASK, "options": {"num_predict": 64}}, LAST).max_tokens == 64
    assert whole(CHAT, {**ASK, "options": {"num_predict": -1}}, LAST).max_tokens is None


def test_an_error_costs_nothing_until_there_was_output() -> None:
    before = read(stream({"error": "model requires more memory: secret"}))
    assert (before.status, before.billed, before.usage) == ("error", "no", {})
    after = read(stream(line("1234"), {"error": "boom"}))
    assert (after.status, after.billed) == ("error", "possible")
    http = whole(CHAT, ASK, {"error": "model 'secret' not found"}, status=404)
    assert (http.status, http.error_type, http.billed) == ("error", "http_404", "no")
    assert "secret" not in repr(before) + repr(http)


def test_a_counter_that_is_not_known_is_found_and_kept() -> None:
    reading = whole(CHAT, ASK, {**LAST, "cached_eval_count": 7, "other": 1})
    assert reading.findings == ["drift:cached_eval_count"]
    assert reading.usage_raw["cached_eval_count"] == 7


def test_embeddings_count_their_prompt() -> None:
    body = {"model": "e", "embeddings": [[0.5]], "total_duration": 9, "prompt_eval_count": 8}
    reading = whole(EMBED, {"model": "e", "input": ["a", "b"]}, body)
    assert (reading.usage, reading.usage_source) == ({"input": 8}, "provider")
    assert (reading.operation, reading.findings) == ("embeddings", [])


def test_the_older_embeddings_endpoint_counts_nothing_and_is_estimated() -> None:
    url = "http://gpu:11434/api/embeddings"
    reading = whole(url, {"model": "e", "prompt": "12345678"}, {"embedding": [0.5]})
    assert (reading.usage, reading.usage_source) == ({"input": 2}, "estimated")


@pytest.mark.parametrize("path", ["show", "pull", "blobs/sha256:1"])
def test_looking_after_models_is_free(path: str) -> None:
    reading = whole(f"http://gpu:11434/api/{path}", {"model": "m"}, {"status": "success"})
    assert (reading.surface, reading.billed) == ("ollama.free", "no")
