"""Anthropic's wire: messages, whole and streamed, as `anthropic` 2.x reads them.

System blocks marked with `cache_control` are cached for 5 minutes or 1 hour. The input side is
told in `message_start`, so an interrupted stream is billed by it. Thinking travels as text and is
part of the output count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from outlay.demo.bill import SERVED_AS, Counts
from outlay.demo.prose import pieces, prose
from outlay.demo.reply import (
    CACHE_FROM_TOKENS,
    Call,
    Frame,
    Reply,
    WireError,
    answer,
    identifier,
    known_model,
    to_json,
)
from outlay.demo.tokenizer import characters, tokens

PING_AFTER: Final = 1
"""Deltas before the first `ping` of a stream."""


def error(status: int, kind: str, message: str, **extra: str) -> WireError:
    """Return an error as Anthropic words it."""
    request_id = identifier("req_")
    body = {
        "type": "error", "error": {"type": kind, "message": message}, "request_id": request_id,
    }  # fmt: skip
    return WireError(status, body, {"request-id": request_id, **extra})


def refusal(kind: str, model: str) -> WireError:
    """Return the error of a fault that happens before generation."""
    wait = {"retry-after-ms": "20"}
    if kind == "rate_limit":
        text = f"This request would exceed your organization's rate limit for {model}."
        return error(429, "rate_limit_error", text, **wait)
    if kind == "server_error":
        return error(500, "api_error", "Internal server error", **wait)
    return error(529, "overloaded_error", "Overloaded", **wait)


def _model(body: Mapping[str, Any]) -> str:
    model = known_model("anthropic", body.get("model"))
    if model is None:
        raise error(404, "not_found_error", f"model: {body.get('model')}")
    if not isinstance(body.get("max_tokens"), int):
        raise error(400, "invalid_request_error", "max_tokens: Field required")
    return model


def _system(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the system blocks as text and time to live; the latter is empty if not cached."""
    given = body.get("system")
    if isinstance(given, str):
        return [(given, "")]
    blocks = []
    for block in given if isinstance(given, list) else ():
        control = block.get("cache_control")
        blocks.append(
            (str(block.get("text", "")), (control or {}).get("ttl", "5m") if control else "")
        )
    return blocks


def _message_texts(body: Mapping[str, Any]) -> Iterator[str]:
    for message in body.get("messages") or ():
        content = message.get("content")
        if isinstance(content, str):
            yield content
            continue
        for block in content or ():
            if isinstance(block.get("text"), str):
                yield block["text"]


class _Usage:
    """The token counts of one message."""

    def __init__(self, call: Call, model: str) -> None:
        blocks = _system(call.body)
        texts = [text for text, _ in blocks] + list(_message_texts(call.body))
        self.read = 0
        self.written = {"5m": 0, "1h": 0}
        covered = self._cache(call, model, blocks)
        self.input = tokens(characters(texts)) - covered
        thinking = (call.body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
        seed = "".join(texts)
        self.answer = answer(seed, limit=call.body["max_tokens"], thinks=thinking)
        self.thinking = prose(seed[::-1], self.answer.reasoning_tokens * 4)
        self.output = tokens(len(self.thinking) + len(self.answer.text))

    def _cache(self, call: Call, model: str, blocks: list[tuple[str, str]]) -> int:
        """Look the marked prefixes up, longest last, and return the tokens they cover."""
        prefix, covered = "", 0
        for text, ttl in blocks:
            prefix += text
            size = tokens(len(prefix))
            if not ttl or size < CACHE_FROM_TOKENS:
                continue
            if call.cache.touch(call.tenant, model, prefix):
                self.read += size - covered
            else:
                self.written[ttl] += size - covered
            covered = size
        return covered

    def input_side(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input,
            "cache_creation_input_tokens": sum(self.written.values()),
            "cache_read_input_tokens": self.read,
        }

    def full(self, output: int) -> dict[str, Any]:
        creation = {f"ephemeral_{ttl}_input_tokens": n for ttl, n in self.written.items()}
        return {
            **self.input_side(),
            "cache_creation": creation,
            "output_tokens": output,
            "service_tier": "standard",
            "inference_geo": "not_available",
        }

    def details(self) -> dict[str, Any]:
        if not self.thinking:
            return {}
        return {"output_tokens_details": {"thinking_tokens": tokens(len(self.thinking))}}

    def counts(self, output: int) -> Counts:
        return Counts(
            input=self.input,
            cache_read=self.read,
            cache_write_5m=self.written["5m"],
            cache_write_1h=self.written["1h"],
            output=output,
        )

    def complete(self) -> Counts:
        return self.counts(self.output)

    def cut(self, sent: int) -> Counts:
        return self.counts(max(1, tokens(sent)))


def messages(call: Call) -> Reply:
    """Answer `POST /v1/messages`."""
    model = _model(call.body)
    usage = _Usage(call, model)
    stop = "max_tokens" if usage.answer.truncated else "end_turn"
    head: dict[str, Any] = {
        "model": SERVED_AS.get(model, model),
        "id": identifier("msg_"),
        "type": "message",
        "role": "assistant",
    }
    sent = {"request-id": identifier("req_"), "anthropic-organization-id": "org-demo"}
    if call.body.get("stream"):
        frames = list(_frames(usage, head, stop))
        return Reply("anthropic", model, usage.complete(), usage.cut, b"", frames, sent)
    content: list[dict[str, Any]] = [{"type": "text", "text": usage.answer.text}]
    if usage.thinking:
        content.insert(0, {"type": "thinking", "thinking": usage.thinking, "signature": "c2ln"})
    body = {
        **head,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {**usage.full(usage.output), **usage.details()},
    }
    return Reply("anthropic", model, usage.complete(), usage.cut, to_json(body), headers=sent)


def _event(name: str, values: Mapping[str, Any], sent: int = 0) -> Frame:
    data = to_json({"type": name, **values})
    return Frame(f"event: {name}\n".encode() + b"data: " + data + b"\n\n", sent)


def _frames(usage: _Usage, head: dict[str, Any], stop: str) -> Iterator[Frame]:
    opening = {
        **head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage.full(1),
    }  # fmt: skip
    yield _event("message_start", {"message": opening})
    index = 0
    if usage.thinking:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        yield from _block(index, block, "thinking", usage.thinking)
        index += 1
    block = {"type": "text", "text": ""}
    yield from _block(index, block, "text", usage.answer.text)
    yield _event(
        "message_delta",
        {
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {
                **usage.input_side(), "output_tokens": usage.output, **usage.details(),
            },
        },
    )  # fmt: skip
    yield _event("message_stop", {})


def _block(index: int, block: dict[str, Any], kind: str, text: str) -> Iterator[Frame]:
    yield _event("content_block_start", {"index": index, "content_block": block})
    for number, piece in enumerate(pieces(text)):
        if number == PING_AFTER and index == 0:
            yield _event("ping", {})
        delta = {"type": f"{kind}_delta", kind: piece}
        yield _event("content_block_delta", {"index": index, "delta": delta}, len(piece))
    if kind == "thinking":
        signed = {"type": "signature_delta", "signature": "c2lnbmF0dXJl"}
        yield _event("content_block_delta", {"index": index, "delta": signed})
    yield _event("content_block_stop", {"index": index})
