"""Builders of `generateContent` payloads for the tests."""

from __future__ import annotations

import json
from typing import Any

from outlay.wire.base import Reading
from tests.wire.harness import Exchange, assert_sane, exchange, read, sse

MODEL = "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro"
URL = f"{MODEL}:generateContent"
STREAM_URL = f"{MODEL}:streamGenerateContent?alt=sse"
ARRAY_URL = f"{MODEL}:streamGenerateContent"
ASKED: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "12345678"}]}]}

FIXTURE_BUCKETS = {
    # prompt 1290 = 732 text + 258 image + 300 audio, of which 400 text + 100 audio were cached;
    # 60 more came back from tools
    "input": 332 + 60, "input_image": 258, "input_audio": 200,
    "input_cache_read": 400, "input_cache_read_audio": 100,
    "output": 20, "output_reasoning": 30, "web_search": 2,
}  # fmt: skip


def reply(usage: dict[str, Any] | None, finish: str | None = "STOP", **values: Any) -> Any:
    candidate = {"content": {"parts": [{"text": values.pop("text", "")}]}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    candidate |= values.pop("candidate", {})
    body: dict[str, Any] = {"candidates": [candidate], **values}
    return body if usage is None else {**body, "usageMetadata": usage}


def of_usage(**usage: Any) -> Reading:
    reading = read(exchange(URL, ASKED, reply({"promptTokenCount": 10, **usage})))
    assert_sane(reading)
    return reading


def stream(*chunks: dict[str, Any], **asked: Any) -> Exchange:
    return exchange(STREAM_URL, {**ASKED, **asked}, sse(*map(json.dumps, chunks)))
