"""Converse replies and streams made by hand."""

from __future__ import annotations

from typing import Any

from outlay.wire.base import Reading
from tests.wire.bedrock_payloads import ASK, bedrock, event
from tests.wire.harness import Exchange, read

CLAUDE = "eu.anthropic.claude-sonnet-4-6"
USAGE = {"inputTokens": 10, "outputTokens": 4, "totalTokens": 14}


def reply(usage: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    body = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Paris."}]}},
        "stopReason": "end_turn",
        "usage": USAGE if usage is None else usage,
        "metrics": {"latencyMs": 12},
    }
    return {key: value for key, value in {**body, **more}.items() if value is not None}


def converse(
    body: dict[str, Any] | None = None, *, model: str = CLAUDE, ask: dict[str, Any] | None = None
) -> Reading:
    return read(bedrock(model, "converse", ask or ASK, reply() if body is None else body))


def stream(
    *parts: bytes, model: str = CLAUDE, ask: dict[str, Any] | None = None, stop: str = "end_turn"
) -> Exchange:
    head = (
        event("messageStart", {"role": "assistant"}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Paris. " * 4}}),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("messageStop", {"stopReason": stop}),
    )
    return bedrock(model, "converse-stream", ask or ASK, b"".join((*head, *parts)))


def metadata(usage: dict[str, Any], **more: Any) -> bytes:
    return event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}, **more})
