"""Builders of Anthropic payloads for the tests."""

from __future__ import annotations

from typing import Any

from outlay.wire.base import Reading
from tests.wire.harness import Exchange, assert_sane, exchange, read, sse

URL = "https://api.anthropic.com/v1/messages"
ASKED: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "12345678"}],
}


def message(usage: dict[str, Any] | None, **values: Any) -> dict[str, Any]:
    body = {"id": "msg_1", "type": "message", "model": "claude-sonnet-5", "content": [], **values}
    return {"stop_reason": "end_turn", **body, **({} if usage is None else {"usage": usage})}


def of_usage(asked: dict[str, Any] | None = None, /, **usage: Any) -> Reading:
    """Read a whole message with these counts over the usual ones."""
    counts = {"input_tokens": 10, "output_tokens": 5, **usage}
    reading = read(exchange(URL, {**ASKED, **(asked or {})}, message(counts)))
    assert_sane(reading)
    return reading


def start(**usage: Any) -> dict[str, Any]:
    counts = {"input_tokens": 10, "output_tokens": 1, **usage}
    return {"type": "message_start", "message": message(counts, stop_reason=None)}


def text(value: str, kind: str = "text_delta", key: str = "text") -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, key: value}}


def delta(stop: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage}


STOP = {"type": "message_stop"}


def stream(*events: dict[str, Any], **asked: Any) -> Exchange:
    return exchange(URL, {**ASKED, "stream": True, **asked}, sse(*events, names=True))
