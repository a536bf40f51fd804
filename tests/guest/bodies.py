"""Provider replies used by several guest tests: small, and with text that must never get out."""

from __future__ import annotations

import json
from typing import Any

SECRET = "the quick brown secret"
"""Stands for content in prompts and completions: no event or log may hold it."""

OPENAI_URL = "https://api.openai.com/v1/chat/completions"


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": SECRET}], **more}


CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": SECRET},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19},
}
CHAT_BODY = json.dumps(CHAT).encode()
JSON = {"content-type": "application/json", "x-request-id": "req_1"}
SSE = {"content-type": "text/event-stream", "x-request-id": "req_2"}


def _chunk(**more: Any) -> bytes:
    body = {
        "id": "chatcmpl-2",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        **more,
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _delta(text: str, finish: str | None = None) -> bytes:
    delta = {"content": text} if text else {}
    return _chunk(choices=[{"index": 0, "delta": delta, "finish_reason": finish}], usage=None)


PLAIN_CHUNKS = [_delta("Hel"), _delta("lo " + SECRET), _delta("", "stop")]
USAGE_CHUNK = _chunk(choices=[], usage=CHAT["usage"])
DONE = b"data: [DONE]\n\n"


def openai_stream(body: bytes) -> list[bytes]:
    """What the provider streams: the usage chunk only for who asked for it."""
    options = json.loads(body).get("stream_options") or {}
    usage = [USAGE_CHUNK] if options.get("include_usage") else []
    return [*PLAIN_CHUNKS, *usage, DONE]


ANTHROPIC: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-8",
    "content": [{"type": "text", "text": SECRET}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 3,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 1111,
        "output_tokens": 33,
    },
}


def _named(name: str, body: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **body})}\n\n".encode()


ANTHROPIC_STREAM = [
    _named("message_start", {"message": {**ANTHROPIC, "content": [], "stop_reason": None}}),
    _named("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    _named("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": SECRET}}),
    _named("content_block_stop", {"index": 0}),
    _named(
        "message_delta",
        {"delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"output_tokens": 33}},
    ),
    _named("message_stop", {}),
]  # fmt: skip

GEMINI: dict[str, Any] = {
    "candidates": [
        {"content": {"parts": [{"text": SECRET}], "role": "model"}, "finishReason": "STOP"}
    ],
    "usageMetadata": {
        "promptTokenCount": 18,
        "candidatesTokenCount": 31,
        "thoughtsTokenCount": 35,
        "totalTokenCount": 84,
    },
    "modelVersion": "gemini-2.5-flash",
    "responseId": "resp_1",
}
GEMINI_STREAM = [b"data: " + json.dumps(GEMINI).encode() + b"\r\n\r\n"]
