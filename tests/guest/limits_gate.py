"""A gate that answers what a test wants, tickets that remember, and a provider of long streams."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import boto3
import openai
from botocore.config import Config
from google import genai
from google.genai import types as genai_types

from outlay.capture.limits.steps import Admitted, Asked, Downgrade, Refused, Step
from outlay.capture.runtime import active
from outlay.capture.testing import capture_events
from outlay.core.limits.refusal import Refusal
from tests.guest.bodies import ANTHROPIC, CHAT_BODY, GEMINI, JSON, SECRET, SSE
from tests.guest.conftest import Answer
from tests.guest.replies import Start
from tests.wire.bedrock_payloads import STREAM, event

MESSAGES: Any = [{"role": "user", "content": SECRET}]
REFUSAL = Refusal(
    "limit",
    "The limit `acme-month` (cost per month for tenant acme) allows $5.00; $5.00 is used.",
    "acme-month",
    metric="cost",
    window="month",
    scope_key='[["tenant","acme"]]',
    amount=5_000_000_000,
    used=5_000_000_000,
    left=0,
    resets_at=1_800_000_000_000_000,
)
PIECES = 200
"""Deltas in a long stream, of about 4 tokens each."""
WORD = "sixteen letters!"


@dataclass
class Held:
    """A ticket; `room` is how many tokens of output it lets a stream grow to."""

    room: int = 10**9
    hold_id: str = "lease-1"
    estimate_nanos: int = 1234
    limit_action: str = ""
    downgraded_from: str = ""
    buyer: Any = None
    unchecked: bool = False
    cuts: bool = True
    bounds: bool = True
    began: int = 0
    grown: list[int] = field(default_factory=list)
    ended: list[Mapping[str, int] | None] = field(default_factory=list)

    def grow(self, output_tokens: int) -> bool:
        self.grown.append(output_tokens)
        return output_tokens <= self.room

    def begun(self, at: int) -> None:
        self.began = at

    def settle(self, amounts: Mapping[str, int]) -> None:
        self.ended.append(amounts)

    def void(self) -> None:
        self.ended.append(None)


@dataclass
class Gate:
    """Says `steps` one by one, then lets everything pass; an exception is raised."""

    steps: list[Any] = field(default_factory=list)
    room: int = 10**9
    asked: list[Asked] = field(default_factory=list)
    tickets: list[Held] = field(default_factory=list)

    def enter(self, asked: Asked) -> Step:
        self.asked.append(asked)
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, BaseException):
            raise step
        if step is not None:
            return step  # type: ignore[no-any-return]
        self.tickets.append(Held(self.room, downgraded_from=asked.downgraded_from))
        return Admitted(self.tickets[-1])

    def refuse(self, times: int = 1) -> None:
        self.steps += [Refused(REFUSAL)] * times

    def downgrade(self, model: str, asked: str = "") -> None:
        self.steps.append(Downgrade(model, asked, "acme-month"))

    def ended(self) -> list[Mapping[str, int] | None]:
        return [ticket.ended[0] if ticket.ended else {"open": 1} for ticket in self.tickets]


@contextmanager
def limited(**settings: Any) -> Iterator[tuple[Gate, list[dict[str, Any]]]]:
    """Limits that a test decides on, and the events that are made under them."""
    with capture_events(**settings) as events:
        gate, runtime = Gate(), active()
        assert runtime is not None
        runtime.gate = gate  # type: ignore[assignment]
        yield gate, events


class Providers:
    """Speaks as OpenAI, Anthropic, Gemini and Bedrock do; its streams are long."""

    def __init__(self, start: Start) -> None:
        self.first: list[Answer] = []
        self.server = start(self._reply)
        port = self.server.port
        names = ("openai", "anthropic", "google", "aws", "ollama", "cohere")
        self.hosts = {f"127.0.0.1:{port}/{name}": name for name in names}

    def _reply(self, _method: str, path: str, _headers: Any, body: bytes) -> Answer:
        if self.first:
            return self.first.pop(0)
        asked = json.loads(body) if body else {}
        if "/aws" in path:
            if path.endswith("stream"):
                return 200, {**JSON, "content-type": STREAM}, long_converse()
            return 200, JSON, json.dumps(CONVERSE).encode()
        if "/google" in path:
            if "stream" in path:
                return 200, SSE, long_gemini()
            return 200, JSON, json.dumps(GEMINI).encode()
        if "/anthropic" in path:
            if asked.get("stream"):
                return 200, SSE, long_anthropic()
            return 200, JSON, json.dumps(ANTHROPIC).encode()
        if path.endswith("/responses"):
            return 200, SSE, long_responses(asked["model"])
        if asked.get("stream"):
            return 200, SSE, long_chat()
        return 200, JSON, CHAT_BODY

    def sent(self) -> list[dict[str, Any]]:
        """Return the JSON of every request that arrived."""
        return [json.loads(body) for *_, body in self.server.requests]

    def paths(self) -> list[str]:
        return [path for _, path, *_ in self.server.requests]

    def openai(self, **more: Any) -> openai.OpenAI:
        return openai.OpenAI(api_key="sk-test", base_url=f"{self.server.url}/openai/v1", **more)

    def openai_async(self, **more: Any) -> Any:
        return openai.AsyncOpenAI(
            api_key="sk-test", base_url=f"{self.server.url}/openai/v1", **more
        )

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key="sk-test", base_url=f"{self.server.url}/anthropic")

    def anthropic_async(self) -> Any:
        return anthropic.AsyncAnthropic(api_key="sk-test", base_url=f"{self.server.url}/anthropic")

    def google(self, **more: Any) -> genai.Client:
        options = genai_types.HttpOptions(base_url=f"{self.server.url}/google", **more)
        return genai.Client(api_key="test", http_options=options)

    def bedrock(self, **config: Any) -> Any:
        return boto3.client(
            "bedrock-runtime",
            region_name="eu-west-1",
            endpoint_url=f"{self.server.url}/aws",
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="secret-key",
            config=Config(**config),
        )


CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": SECRET}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 30, "outputTokens": 7, "totalTokens": 37},
    "metrics": {"latencyMs": 5},
}


def data(body: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(body)}\n\n".encode()


def long_chat() -> list[bytes]:
    head = {
        "id": "chatcmpl-9",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "gpt-4o-mini-2024-07-18",
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    first = chunk({"role": "assistant", "content": ""})
    return [first, *(chunk({"content": WORD}) for _ in range(PIECES)), chunk({}, "stop"),
            b"data: [DONE]\n\n"]  # fmt: skip


def long_responses(model: str) -> list[bytes]:
    response = {
        "id": "resp_9", "object": "response", "created_at": 1_790_000_000, "model": model,
        "status": "in_progress", "output": [], "parallel_tool_calls": True, "tool_choice": "auto",
        "tools": [], "usage": None,
    }  # fmt: skip
    item = {"id": "msg_9", "type": "message", "role": "assistant", "status": "in_progress",
            "content": []}  # fmt: skip
    part = {"type": "output_text", "text": "", "annotations": []}
    at = {"item_id": "msg_9", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **at, "part": part},
        *({"type": "response.output_text.delta", **at, "delta": WORD, "logprobs": []}
          for _ in range(PIECES)),
    ]  # fmt: skip
    return [
        data({**event, "sequence_number": number}, event["type"])
        for number, event in enumerate(events)
    ]


def long_anthropic() -> list[bytes]:
    def named(kind: str, **more: Any) -> bytes:
        return data({"type": kind, **more}, kind)

    start = {**ANTHROPIC, "content": [], "stop_reason": None}
    return [
        named("message_start", message=start),
        named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(named("content_block_delta", index=0, delta={"type": "text_delta", "text": WORD})
          for _ in range(PIECES)),
        named("content_block_stop", index=0),
        named("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
              usage={"output_tokens": 4 * PIECES}),
        named("message_stop"),
    ]  # fmt: skip


def long_gemini(sse: bool = True) -> list[bytes]:
    def chunk(finish: str | None = None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": [{"text": WORD}], "role": "model"}}
        if finish:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r9"}

    chunks = [*(chunk() for _ in range(PIECES)), chunk("STOP")]
    if sse:
        return [data(made) for made in chunks]
    texts = [json.dumps(made, indent=1).encode() for made in chunks]
    return [b"[" + texts[0], *(b",\r\n" + text for text in texts[1:]), b"]"]


def long_converse() -> list[bytes]:
    delta = {"contentBlockIndex": 0, "delta": {"text": WORD}}
    return [
        event("messageStart", {"role": "assistant"}),
        *(event("contentBlockDelta", delta) for _ in range(PIECES)),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("messageStop", {"stopReason": "end_turn"}),
        event("metadata", {"usage": CONVERSE["usage"], "metrics": {"latencyMs": 5}}),
    ]
