"""Cohere's own API: chat (v1 and v2), generate, summarize, classify, parse and embed.

What is charged stands in `billed_units`, at the end of a stream too. v2 streams are server-sent
events ended by `message-end`; v1 streams are JSON lines ended by `stream-end`. A reply does not
name its model. Reranking is in `rerank`. Source: cohere 7.3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import (
    COHERE_COUNT_HEADER,
    Endpoint,
    Request,
    Status,
    as_dict,
    as_list,
    as_text,
)
from outlay.wire.cohere_usage import fill
from outlay.wire.ndjson import NdjsonParser
from outlay.wire.openai_reader import first_count, messages_length, strings_length, text_length
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import is_name

MAX_HEADER_DIGITS: Final = 15

_STATUS: Final[dict[str, Status]] = {
    "MAX_TOKENS": "incomplete",
    "ERROR_LIMIT": "incomplete",
    "ERROR_TOXIC": "refused",
    "ERROR": "error",
    "TIMEOUT": "error",
    "USER_CANCEL": "aborted",
}
"""Finish reasons that are not a plain end; any other is `ok`."""

_PARTS: Final = ("text", "thinking", "tool_plan")


class CohereReader(BodyReader):
    """What all of Cohere's endpoints share."""

    __slots__ = ("evidence", "told")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self.told: tuple[dict[str, Any], bool] | None = None
        """The last object with counts, and whether it is a `meta` object."""
        self.evidence: dict[str, int] = {}
        super().__init__(request, endpoint)

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked."""
        self.reading.model_requested = as_text(body.get("model"))
        self.reading.max_tokens = first_count(body, ("max_tokens",))
        self.streamed = body.get("stream") is True

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Keep the header's sum of billed tokens beside the counts."""
        count = headers.get(COHERE_COUNT_HEADER, "")
        if count.isascii() and count.isdigit() and len(count) <= MAX_HEADER_DIGITS:
            self.evidence[COHERE_COUNT_HEADER] = int(count)

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's type; Cohere tells it by the status alone."""
        self.reading.error_type = error_type_of(body)

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply."""
        self.take_reply(body)

    def on_end(self) -> None:
        """Turn the counts into buckets."""
        if self.told is not None:
            told, meta = self.told
            if fill(self.reading, told, meta=meta, evidence=self.evidence):
                self.usage_final = self.usage_input = True

    def take_reply(self, body: dict[str, Any]) -> None:
        """Read the id and the counts of a reply, or of the response at the end of a stream."""
        ids = (as_text(body.get(key)) for key in ("id", "response_id", "generation_id"))
        self.reading.response_id = next(filter(None, ids), self.reading.response_id)
        for key in ("usage", "meta"):
            if isinstance(body.get(key), dict):
                self.told = (body[key], key == "meta")


class CohereChatReader(CohereReader):
    """Reads one attempt of an endpoint that generates or classifies text, or parses documents."""

    __slots__ = ("_finish",)

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._finish: str | None = None
        super().__init__(request, endpoint)

    def response(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the response line; v1 streams JSON lines under a content type of its own."""
        super().response(status, headers)
        if self._sse is None and self.streamed and status < 400:
            self.reading.streamed = True
            self._sse = NdjsonParser()

    def take_reply(self, body: dict[str, Any]) -> None:
        """Read a reply of any of the endpoints."""
        super().take_reply(body)
        self._finish = as_text(body.get("finish_reason")) or self._finish
        message = as_dict(body.get("message"))
        calls = as_list(message.get("tool_calls")) or as_list(body.get("tool_calls"))
        self.reading.tool_calls = len(calls) or self.reading.tool_calls
        seen = _length(message) + text_length(message.get("content"))
        seen += len(as_text(body.get("text")) or "") + len(as_text(body.get("summary")) or "")
        for generation in map(as_dict, as_list(body.get("generations"))):
            seen += len(as_text(generation.get("text")) or "")
            self._finish = as_text(generation.get("finish_reason")) or self._finish
        self.output_characters = max(seen, self.output_characters)

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one event of a v2 stream or one line of a v1 stream."""
        kind = as_text(body.get("type")) or as_text(body.get("event_type")) or name
        delta = as_dict(body.get("delta"))
        if kind == "message-start":
            self.reading.response_id = as_text(body.get("id"))
        elif kind == "message-end":
            self.take_reply(delta)
            self.terminal = True
        elif kind in ("stream-end", "stream-error"):
            self.take_reply(as_dict(body.get("response")))
            self._finish = as_text(body.get("finish_reason")) or self._finish
            self.terminal = True
        elif kind == "stream-start":
            self.reading.response_id = as_text(body.get("generation_id"))
        else:
            self._take_delta(kind, delta, body)

    def on_end(self) -> None:
        """Settle how it ended, then the counts."""
        super().on_end()
        reading = self.reading
        if self._finish is not None:
            reading.finish_reason = self._finish if is_name(self._finish) else "unreadable"
            reading.status = _STATUS.get(self._finish, "ok")
            if reading.status == "error":
                reading.error_type = self._finish.lower()
            if reading.status in ("error", "aborted") and not self.usage_final:
                # The base estimates what was seen, as of a stream that broke off.
                reading.billed = "possible" if self.output_characters else "no"
                self.terminal = not self.output_characters
        inputs = as_list(self.request_body.get("inputs"))
        succeeded = reading.http_status is not None and reading.http_status < 400
        if reading.operation == "other" and succeeded and not self.usage_final:
            reading.find("usage_missing")
            if inputs:
                # One text is one classification.
                reading.put(units.CLASSIFICATIONS, len(inputs))
                reading.usage_source = "counted"
            else:
                reading.billed = "possible"

    def count_request_characters(self) -> int:
        """Count the text of messages, or of a v1 message with its history, or of a prompt."""
        body = self.request_body
        history = map(as_dict, as_list(body.get("chat_history")))
        return (
            messages_length(body.get("messages"))
            + sum(len(as_text(body.get(key)) or "") for key in ("message", "preamble", "prompt"))
            + sum(len(as_text(past.get("message")) or "") for past in history)
            + len(as_text(body.get("text")) or "")
        )

    # -- inside --------------------------------------------------------------------------------

    def _take_delta(self, kind: str, delta: dict[str, Any], body: dict[str, Any]) -> None:
        """Count what an event of generation holds."""
        message = as_dict(delta.get("message"))
        content = as_dict(message.get("content"))
        calls = message.get("tool_calls")
        seen = _length(message) + _length(content) + len(as_text(body.get("text")) or "")
        if kind in ("tool-call-start", "tool-call-delta"):
            call = as_dict(calls[0] if isinstance(calls, list) and calls else calls)
            seen += len(as_text(as_dict(call.get("function")).get("arguments")) or "")
            self.reading.tool_calls += kind == "tool-call-start"
        elif kind == "tool-calls-generation":
            self.reading.tool_calls = len(as_list(body.get("tool_calls")))
        self.output_characters += seen


class CohereEmbedReader(CohereReader):
    """Reads one attempt of `/embed`."""

    __slots__ = ()

    def count_request_characters(self) -> int:
        """Count the characters of the texts to embed."""
        body = self.request_body
        inputs = map(as_dict, as_list(body.get("inputs")))
        return strings_length(body.get("texts")) + sum(
            text_length(given.get("content")) for given in inputs
        )


def _length(part: dict[str, Any]) -> int:
    return sum(len(as_text(part.get(key)) or "") for key in _PARTS if key in part)


SURFACES: Final[dict[str, type[BodyReader]]] = {
    "cohere.chat": CohereChatReader,
    "cohere.embed": CohereEmbedReader,
}
"""The reader of each surface this module speaks."""
