"""Rates realistic calls as `outlay rate` does, and works out by hand what they must cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from outlay.cli.rate import rate_line
from outlay.core.prices import PriceBook
from tests.wire.harness import sse
from tests.wire.pricing import catalogue

OPENAI = "https://api.openai.com/v1"
CHAT = f"{OPENAI}/chat/completions"
RESPONSES = f"{OPENAI}/responses"
MESSAGES = "https://api.anthropic.com/v1/messages"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model"

AUGUST = "2026-08-01T00:00:00Z"
"""OpenAI's Sol costs 5 / 30 then; batch and flex prices are not listed yet."""
NOVEMBER = "2026-11-02T12:00:00Z"
"""Batch and flex prices are listed by then."""


def rated(
    url: str,
    request: Any,
    response: Any,
    *,
    at: str = AUGUST,
    book: PriceBook | None = None,
    hosts: Mapping[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Rate one call; `response` as a list is a stream of events, `more` are fields of the line."""
    if isinstance(response, list):
        response = sse(*response).decode()
    record = {"url": url, "request": request, "response": response, "at": at, **more}
    return rate_line(json.dumps(record), book or catalogue(), hosts or {})


def nanos(*rows: tuple[int, str]) -> int:
    """Add up `(quantity, dollars per million)`, each rounded half to even on its own."""
    each = [Decimal(count) * Decimal(usd) * 1000 for count, usd in rows]
    return sum(int(amount.to_integral_value(rounding=ROUND_HALF_EVEN)) for amount in each)


def lines(row: Mapping[str, Any]) -> dict[str, int]:
    """Return a call's cost by unit."""
    return {line["unit"]: line["nanos"] for line in row["lines"]}


def bases(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what each unit's price stands on."""
    return {line["unit"]: line["basis"] for line in row["lines"]}


def chat(usage: Any, model: str = "gpt-5.6-sol", **more: Any) -> dict[str, Any]:
    """Return a chat completion with these counts."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"}}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_785_000_000,
            "model": model, "choices": [choice], "usage": usage, **more}  # fmt: skip


def message(usage: Any, model: str = "claude-sonnet-4-5-20250929", **more: Any) -> dict[str, Any]:
    """Return an Anthropic message with these counts."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": [], "stop_reason": "end_turn", "usage": usage, **more}  # fmt: skip


def candidate(usage: Any, **more: Any) -> dict[str, Any]:
    """Return a Gemini reply with these counts."""
    content = {"role": "model", "parts": [{"text": "done"}]}
    return {"candidates": [{"content": content, "finishReason": "STOP", **more}],
            "modelVersion": "gemini-2.5-flash", "usageMetadata": usage}  # fmt: skip
