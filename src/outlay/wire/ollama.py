"""Ollama's own API: `/api/chat`, `/api/generate` and `/api/embed`.

A call streams JSON lines unless it says `"stream": false`; the line with `"done": true` holds the
counts. `prompt_eval_count` may be missing where the whole prompt was still in the server's cache.
Durations (nanoseconds) are kept raw: what self-hosting costs by time is priced by the call's own
duration. Source: ollama 0.6.3, `_types.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import (
    Endpoint,
    Request,
    as_count,
    as_dict,
    as_list,
    as_text,
    estimate_tokens,
)
from outlay.wire.ndjson import NdjsonParser
from outlay.wire.openai_reader import messages_length, strings_length
from outlay.wire.reader import BodyReader
from outlay.wire.usage_object import count_of, drift, is_name, numbers_and_names

_PROMPT: Final = "prompt_eval_count"
_COUNTS: Final = {_PROMPT: units.INPUT, "eval_count": units.OUTPUT}
_KNOWN: Final = frozenset(
    (*_COUNTS, "total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
)
_COUNTING: Final = ("_count", "_duration", "_tokens")
"""How names of counters end: the last line mixes them with other things."""
_NO_GENERATION: Final = ("load", "unload")
"""Reasons of a call that only moves a model in or out of memory."""


class OllamaReader(BodyReader):
    """What both readers share: the counts of a reply or of the last line of a stream."""

    __slots__ = ("errored", "told")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self.told: dict[str, Any] = {}
        """The last counts and durations."""
        self.errored = False
        super().__init__(request, endpoint)

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked."""
        self.reading.model_requested = as_text(body.get("model"))

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Pass over an error's text: the status says what it is."""

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply."""
        self.reading.model_served = as_text(body.get("model")) or self.reading.model_served
        told = {key: value for key, value in body.items() if key.endswith(_COUNTING)}
        self.told = told or self.told
        if body.get("error"):
            self.errored = True

    def on_end(self) -> None:
        """Turn the counts into buckets."""
        reading = self.reading
        reading.usage_raw = numbers_and_names(self.told) or None
        for key, value in self.told.items():
            if key not in _KNOWN and value:
                drift(reading, key)
        for key, unit in _COUNTS.items():
            reading.put(unit, count_of(reading, self.told, key))
        self.usage_input = _PROMPT in self.told
        if self.errored:
            reading.status, reading.error_type = "error", "error"
            if not reading.usage:
                reading.billed = "possible" if self.output_characters else "no"
                self.terminal = not self.output_characters


class OllamaGenerateReader(OllamaReader):
    """Reads one attempt of `/api/chat` or `/api/generate`."""

    __slots__ = ("_finish",)

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._finish: str | None = None
        super().__init__(request, endpoint)

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked; a stream is what one gets without asking."""
        super().on_request(body)
        bound = as_count(as_dict(body.get("options")).get("num_predict"))
        self.reading.max_tokens = bound if bound > 0 else None
        self.streamed = body.get("stream") is not False

    def response(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the response line; a proxy may have changed the stream's content type."""
        super().response(status, headers)
        if self._sse is None and self.streamed and status < 400:
            self.reading.streamed = True
            self._sse = NdjsonParser()

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply, or a line of a stream."""
        super().on_json(body)
        message = as_dict(body.get("message"))
        calls = as_list(message.get("tool_calls"))
        self.reading.tool_calls += len(calls)
        texts = (message.get("content"), message.get("thinking"), body.get("response"))
        self.output_characters += sum(len(as_text(text) or "") for text in texts)
        self.output_characters += len(as_text(body.get("thinking")) or "")
        if body.get("done") is True:
            self.terminal = True
            self._finish = as_text(body.get("done_reason"))

    def on_event(self, name: str, body: dict[str, Any]) -> None:  # noqa: ARG002 - a hook
        """Read one line."""
        self.on_json(body)

    def on_end(self) -> None:
        """Settle how it ended, then the counts."""
        super().on_end()
        reading = self.reading
        if self._finish is not None:
            reading.finish_reason = self._finish if is_name(self._finish) else "unreadable"
        if self._finish in _NO_GENERATION:
            reading.operation = "other"
            reading.billed = "no"
        elif self.terminal and not self.errored:
            if self._finish == "length":
                reading.status = "incomplete"
            if "eval_count" in self.told:
                self.usage_final = True
                self._estimate_cached_prompt()

    def count_request_characters(self) -> int:
        """Count the text of messages, or of a prompt."""
        body = self.request_body
        prompts = (as_text(body.get(key)) or "" for key in ("prompt", "suffix", "system"))
        return messages_length(body.get("messages")) + sum(map(len, prompts))

    def _estimate_cached_prompt(self) -> None:
        """Estimate a prompt that was not counted, since it was in the cache."""
        if not self.usage_input:
            count = estimate_tokens(self.count_request_characters())
            self.reading.put(units.INPUT, max(1, count))
            self.reading.usage_source = "estimated"
            self.reading.find("input_estimated")


class OllamaEmbedReader(OllamaReader):
    """Reads one attempt of `/api/embed`, or of `/api/embeddings`, which counts nothing."""

    __slots__ = ()

    def on_end(self) -> None:
        """Settle the counts."""
        super().on_end()
        self.usage_final = self.usage_input

    def count_request_characters(self) -> int:
        """Count the characters of the texts to embed."""
        body = self.request_body
        return strings_length(body.get("input")) + strings_length(body.get("prompt"))


SURFACES: Final[dict[str, type[BodyReader]]] = {
    "ollama.generate": OllamaGenerateReader,
    "ollama.embed": OllamaEmbedReader,
}
"""The reader of each surface this module speaks."""
