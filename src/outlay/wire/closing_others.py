"""How cut streams of Cohere's and Ollama's own APIs end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from outlay.wire.base import Endpoint, as_count, as_text
from outlay.wire.closing import SSE, Closing, Ending
from outlay.wire.frames import LineFrames, SseFrames


class CohereClosing(Closing):
    """Ends a v2 stream: the open content, then the message."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(SseFrames(named=True), body)
        self._open: dict[int, str] = {}
        """What is open by index, and the kind of event that ends it."""

    def see(self, name: str, body: dict[str, Any]) -> None:
        """Take note of what is open."""
        kind = as_text(body.get("type")) or name
        begun, _, step = kind.rpartition("-")
        if step == "start" and begun in ("content", "tool-call", "citation"):
            self._open[as_count(body.get("index"))] = f"{begun}-end"
        elif step == "end" and begun != "message":
            self._open.pop(as_count(body.get("index")), None)
        elif kind == "message-end":
            self.finished = True

    def close(self, ending: Ending) -> list[bytes]:
        """Return the ends of all that is open."""
        last = [
            self.event(kind, {"type": kind, "index": index}) for index, kind in self._open.items()
        ]
        counts = {"input_tokens": ending.input_tokens, "output_tokens": ending.output_tokens}
        delta = {
            "finish_reason": _upper(ending.reason),
            "usage": {"billed_units": counts, "tokens": counts},
        }
        return [*last, self.event("message-end", {"type": "message-end", "delta": delta})]


class CohereLinesClosing(Closing):
    """Ends a v1 stream of JSON lines."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(LineFrames(), body)
        self._generation = ""

    def see(self, name: str, body: dict[str, Any]) -> None:  # noqa: ARG002 - a hook
        """Take note of whose stream it is."""
        self._generation = as_text(body.get("generation_id")) or self._generation
        if body.get("is_finished") is True:
            self.finished = True

    def close(self, ending: Ending) -> list[bytes]:
        """Return the last line; it repeats no text."""
        counts = {"input_tokens": ending.input_tokens, "output_tokens": ending.output_tokens}
        reason = _upper(ending.reason)
        response = {
            "text": "",
            "generation_id": self._generation,
            "finish_reason": reason,
            "meta": {"billed_units": counts, "tokens": counts},
        }
        line = {
            "is_finished": True,
            "event_type": "stream-end",
            "finish_reason": reason,
            "response": response,
        }
        return [self.event("", line)]


class OllamaClosing(Closing):
    """Ends Ollama's lines with one that is `done`."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(LineFrames(), body)
        self._model = as_text(body.get("model")) or ""
        # `/api/chat` is asked with messages, `/api/generate` with a prompt.
        self._chats = "messages" in body

    def see(self, name: str, body: dict[str, Any]) -> None:  # noqa: ARG002 - a hook
        """Take note of the model, and of the end."""
        self._model = as_text(body.get("model")) or self._model
        self.finished = self.finished or body.get("done") is True or "error" in body

    def close(self, ending: Ending) -> list[bytes]:
        """Return the last line, with counts and without durations."""
        text: dict[str, Any] = {"response": ""}
        if self._chats:
            text = {"message": {"role": "assistant", "content": ""}}
        line = {
            "model": self._model,
            "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            **text,
            "done": True,
            "done_reason": ending.reason,
            "prompt_eval_count": ending.input_tokens,
            "eval_count": ending.output_tokens,
        }
        return [self.event("", line)]


def make(endpoint: Endpoint, body: dict[str, Any], kind: str) -> Closing | None:
    """Return the closing of a reply of this content type."""
    if endpoint.surface == "ollama.generate":
        return OllamaClosing(body)
    if kind == SSE:
        return CohereClosing(body)
    return CohereLinesClosing(body) if body.get("stream") is True else None


def _upper(reason: str) -> str:
    return "MAX_TOKENS" if reason == "length" else reason.upper()
