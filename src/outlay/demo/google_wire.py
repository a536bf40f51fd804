"""Google's wire: `generateContent` and its stream, as `google-genai` 3.x reads them.

Every chunk states the usage so far. Thoughts come beside the candidates' tokens, not inside them,
and are told from the first chunk on. A system instruction used again is cached implicitly; only
the read shows, and nothing is charged for the write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from outlay.demo.bill import Counts
from outlay.demo.prose import pieces
from outlay.demo.reply import (
    CACHE_FROM_TOKENS,
    Answer,
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

PIECES_A_CHUNK: Final = 6
"""Gemini sends fewer and larger chunks than the others."""


def error(status: int, name: str, message: str) -> WireError:
    """Return an error as Google words it."""
    return WireError(status, {"error": {"code": status, "message": message, "status": name}})


def refusal(kind: str, model: str) -> WireError:
    """Return the error of a fault that happens before generation."""
    if kind == "rate_limit":
        text = f"Resource has been exhausted for {model} (e.g. check quota)."
        return error(429, "RESOURCE_EXHAUSTED", text)
    if kind == "server_error":
        return error(500, "INTERNAL", "An internal error has occurred. Please retry.")
    return error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")


def _field(body: Any, name: str) -> Any:
    """Return a field by its JSON name or its snake-case one: protobuf JSON accepts both."""
    found = body.get(name) if isinstance(body, dict) else None
    if found is None and isinstance(body, dict):
        found = body.get(re.sub("([A-Z])", r"_\1", name).lower())
    return found


def _parts(content: Any) -> Iterator[str]:
    for part in (content or {}).get("parts") or ():
        if isinstance(part.get("text"), str):
            yield part["text"]


class _Usage:
    """The token counts of one generation."""

    def __init__(self, call: Call, model: str) -> None:
        body = call.body
        prefix = "".join(_parts(_field(body, "systemInstruction")))
        texts = [prefix]
        for content in body.get("contents") or ():
            texts += _parts(content)
        self.prompt = tokens(characters(texts))
        self.cached = 0
        if tokens(len(prefix)) >= CACHE_FROM_TOKENS and call.cache.touch(
            call.tenant, model, prefix
        ):
            self.cached = tokens(len(prefix))
        config = _field(body, "generationConfig")
        thinking = _field(config, "thinkingConfig")
        thinks = bool(thinking) and _field(thinking, "thinkingBudget") != 0
        limit = _field(config, "maxOutputTokens")
        self.answer: Answer = answer("".join(texts), limit=limit, thinks=thinks)

    def metadata(self, sent: int) -> dict[str, Any]:
        """Return the usage after so many characters; a count of 0 is left out."""
        candidates, thoughts = tokens(sent), self.answer.reasoning_tokens
        counts = {
            "promptTokenCount": self.prompt,
            "candidatesTokenCount": candidates,
            "totalTokenCount": self.prompt + candidates + thoughts,
            "cachedContentTokenCount": self.cached,
            "thoughtsTokenCount": thoughts,
        }
        found: dict[str, Any] = {name: count for name, count in counts.items() if count}
        found["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": self.prompt}]
        if self.cached:
            found["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": self.cached}]
        return {**found, "serviceTier": "standard"}

    def cut(self, sent: int) -> Counts:
        output = max(1, tokens(sent) + self.answer.reasoning_tokens)
        return Counts(input=self.prompt - self.cached, cache_read=self.cached, output=output)

    def complete(self) -> Counts:
        return self.cut(len(self.answer.text))


def generate(call: Call, name: str, *, streamed: bool) -> Reply:
    """Answer `models/{name}:generateContent` or `:streamGenerateContent?alt=sse`."""
    model = known_model("google", name)
    if model is None:
        raise error(404, "NOT_FOUND", f"models/{name} is not found.")
    usage = _Usage(call, model)
    finish = "MAX_TOKENS" if usage.answer.truncated else "STOP"
    tail = {"modelVersion": model, "responseId": identifier("")}
    if streamed:
        frames = list(_frames(usage, finish, tail))
        return Reply("google", model, usage.complete(), usage.cut, frames=frames)
    body = _body(usage, usage.answer.text, len(usage.answer.text), finish, tail)
    return Reply("google", model, usage.complete(), usage.cut, body=to_json(body))


def _body(
    usage: _Usage, text: str, sent: int, finish: str, tail: Mapping[str, Any]
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}}
    if finish:
        candidate["finishReason"] = finish
    candidate["index"] = 0
    return {"candidates": [candidate], "usageMetadata": usage.metadata(sent), **tail}


def _frames(usage: _Usage, finish: str, tail: Mapping[str, Any]) -> Iterator[Frame]:
    parts = list(pieces(usage.answer.text))
    sent = 0
    for start in range(0, len(parts), PIECES_A_CHUNK):
        text = "".join(parts[start : start + PIECES_A_CHUNK])
        sent += len(text)
        last = start + PIECES_A_CHUNK >= len(parts)
        body = _body(usage, text, sent, finish if last else "", tail)
        yield Frame(b"data: " + to_json(body) + b"\r\n\r\n", len(text))
