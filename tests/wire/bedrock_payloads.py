"""Bedrock requests and replies made by hand, and the event-stream framing written out."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tests.wire.harness import Exchange, exchange, to_bytes

HOST = "https://bedrock-runtime.us-east-1.amazonaws.com"
STREAM = "application/vnd.amazon.eventstream"

ASK = {
    "messages": [{"role": "user", "content": [{"text": "What is the capital of France?"}]}],
    "system": [{"text": "You are a helpful chatbot."}],
}
"""30 + 26 characters: 14 tokens by the estimator."""


def bedrock(
    model: str,
    verb: str,
    request: Mapping[str, Any],
    reply: Mapping[str, Any] | bytes,
    *,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Exchange:
    """Make an exchange with a model; `reply` as bytes is an event stream."""
    kind = {"content-type": STREAM} if isinstance(reply, bytes) else {}
    return exchange(
        f"{HOST}/model/{quote(model, safe='')}/{verb}",
        request,
        reply,
        status=status,
        headers={**kind, **(headers or {})},
    )


def counted(read: int, written: int = 0) -> dict[str, str]:
    """Return the count headers of a reply."""
    return {
        "x-amzn-bedrock-input-token-count": str(read),
        "x-amzn-bedrock-output-token-count": str(written),
    }


def header(name: str, value: str) -> bytes:
    """Write a header whose value is text (type 7)."""
    raw_name, raw = name.encode(), value.encode()
    return struct.pack(">B", len(raw_name)) + raw_name + struct.pack(">BH", 7, len(raw)) + raw


def frame(headers: bytes, payload: bytes) -> bytes:
    """Write one message: lengths, their checksum, headers, payload, checksum."""
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(name: str, body: Mapping[str, Any]) -> bytes:
    headers = (
        header(":event-type", name)
        + header(":content-type", "application/json")
        + header(":message-type", "event")
    )
    return frame(headers, to_bytes(body))


def failure(name: str, message: str = "secret words") -> bytes:
    """Write an exception in place of an event."""
    headers = header(":exception-type", name) + header(":message-type", "exception")
    return frame(headers, to_bytes({"message": message}))


def chunk(body: Mapping[str, Any]) -> bytes:
    """Write a model's own event as `invoke` streams it."""
    wrapped = base64.b64encode(to_bytes(body)).decode()
    return event("chunk", {"bytes": wrapped, "p": "abcdef"})


def messages(body: bytes) -> list[bytes]:
    """Take a stream apart at the boundaries that its lengths tell."""
    found = []
    while body:
        (size,) = struct.unpack_from(">I", body)
        found.append(body[:size])
        body = body[size:]
    return found


def cuts(call: Exchange) -> Iterator[tuple[int, Exchange]]:
    """Yield the exchange with its stream cut after 0, 1, … messages, never after the last one."""
    parts = messages(call.body)
    for count in range(len(parts)):
        yield count, replace(call, body=b"".join(parts[:count]))


def metrics(read: int, written: int, cached: int = 0) -> dict[str, Any]:
    """Return what Bedrock adds to the last chunk of a stream."""
    return {
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": read,
            "outputTokenCount": written,
            "cacheReadInputTokenCount": cached,
            "invocationLatency": 100,
            "firstByteLatency": 10,
        }
    }
