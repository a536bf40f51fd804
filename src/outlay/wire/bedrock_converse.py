"""Bedrock's Converse and ConverseStream: one shape for the models of all makers.

Owns the reading of their requests, bodies and stream events; the arithmetic of the usage object is
in `bedrock_usage`. The reply names no model: it is the one asked for in the URL, unless a prompt
router says which it chose. The ARN of an application inference profile hides the model; it is
kept as `model_requested`, and the price book has a row that says what it means. Keeps counts of
characters, never text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlay.wire.base import (
    BEDROCK_ERROR_HEADER,
    Endpoint,
    Request,
    as_count,
    as_dict,
    as_list,
    as_text,
)
from outlay.wire.bedrock_names import is_openai
from outlay.wire.bedrock_usage import (
    STATUS_BY_STOP_REASON,
    add_guardrail,
    error_name,
    note_block,
    put_converse,
    trace_units,
    write_unit,
)
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import drift, is_name, merge_latest, numbers_and_names

MAX_TEXT_DEPTH: Final = 8
"""Levels of a request that are searched for text."""

_TEXT_KEYS: Final = ("text", "input")
"""Where text stands in blocks of the request and the reply; tool input is an object of texts."""


class BedrockConverseReader(BodyReader):
    """Reads one attempt of Converse or ConverseStream."""

    __slots__ = ("_stop_reason", "_trace", "_usage")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._usage: dict[str, Any] = {}
        self._trace: dict[str, Any] = {}
        self._stop_reason: str | None = None
        super().__init__(request, endpoint)
        if request.path.endswith("/converse-stream"):
            self.streamed = self.reading.streamed = True

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked."""
        reading = self.reading
        reading.max_tokens = as_count(as_dict(body.get("inferenceConfig")).get("maxTokens")) or None
        reading.tier_requested = as_text(as_dict(body.get("serviceTier")).get("type"))
        reading.speed = as_text(as_dict(body.get("performanceConfig")).get("latency"))

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Read the class of an error."""
        self.reading.error_type = error_name(headers.get(BEDROCK_ERROR_HEADER))

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply."""
        self._facts(body)
        self._stop_reason = as_text(body.get("stopReason"))
        message = as_dict(as_dict(body.get("output")).get("message"))
        for place, block in enumerate(map(as_dict, as_list(message.get("content")))):
            self._block(place, block)
            self.output_characters += text_length(block)
        self.usage_final = "outputTokens" in self._usage

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one stream event."""
        if body.get("type") == "error":
            self._fail(body)
        elif name == "contentBlockStart":
            self._block(as_count(body.get("contentBlockIndex")), as_dict(body.get("start")))
        elif name == "contentBlockDelta":
            self.output_characters += text_length(body.get("delta"))
            if piece := as_dict(as_dict(body.get("delta")).get("toolUse")).get("input"):
                self.tools().add(as_count(body.get("contentBlockIndex")), None, piece)
        elif name == "messageStop":
            self._stop_reason = as_text(body.get("stopReason")) or self._stop_reason
            self.terminal = True
        elif name == "metadata":
            self._facts(body)
            self.usage_final = "outputTokens" in self._usage

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's class; its text is not kept."""
        found = error_name(as_text(as_dict(body).get("__type")) or error_type_of(body))
        self.reading.error_type = self.reading.error_type or found

    def on_end(self) -> None:
        """Turn the usage object into buckets."""
        reading = self.reading
        self._settle_outcome()
        if reading.http_status is None or reading.http_status >= 400:
            return
        if getattr(self._sse, "damaged", 0):
            reading.find("damaged_event")
        if self._usage:
            model = reading.model_requested or ""
            put_converse(
                reading,
                self._usage,
                ttl_unit=write_unit(self.request_body, model),
                inclusive=reading.streamed and is_openai(model),
            )
            self.usage_input = "inputTokens" in self._usage
            reading.usage_raw = numbers_and_names(self._usage)
            if self.usage_final and not reading.usage:
                reading.usage_source = "provider"
                if reading.status != "blocked":
                    reading.find("usage_zero")
        add_guardrail(reading, trace_units(reading, self._trace.get("guardrail")))
        note_block(reading, counted=self.usage_final)

    def count_request_characters(self) -> int:
        """Count the text of the system prompt and the messages, tool results included."""
        body = self.request_body
        return text_length(body.get("system")) + text_length(body.get("messages"))

    # -- inside --------------------------------------------------------------------------------

    def _facts(self, body: dict[str, Any]) -> None:
        """Read what a whole reply and a stream's metadata tell alike."""
        reading = self.reading
        merge_latest(self._usage, as_dict(body.get("usage")))
        self._trace = as_dict(body.get("trace")) or self._trace
        router = as_dict(self._trace.get("promptRouter"))
        reading.model_served = as_text(router.get("invokedModelId")) or reading.model_served
        tier = as_text(as_dict(body.get("serviceTier")).get("type"))
        reading.tier_served = tier or reading.tier_served
        latency = as_text(as_dict(body.get("performanceConfig")).get("latency"))
        reading.speed = latency or reading.speed

    def _block(self, place: int, block: dict[str, Any]) -> None:
        if "toolUse" in block:
            self.reading.tool_calls += 1
            tool = as_dict(block["toolUse"])
            self.tools().add(place, as_text(tool.get("name")), tool.get("input"))

    def _fail(self, body: dict[str, Any]) -> None:
        # The input was accepted; whether it is charged is not said.
        self.reading.status = "error"
        self.reading.error_type = error_name(error_type_of(body)) or "error"
        self.reading.billed = "possible"

    def _settle_outcome(self) -> None:
        reading, reason = self.reading, self._stop_reason
        if reason is None:
            return
        reading.finish_reason = reason if is_name(reason) else "unreadable"
        if reason not in STATUS_BY_STOP_REASON:
            drift(reading, f"stopReason.{reason}")
        elif reading.status == "ok":
            reading.status = STATUS_BY_STOP_REASON[reason]


def text_length(value: Any, depth: int = 0) -> int:
    """Count the characters of all texts in blocks; images and documents as bytes have none."""
    if depth > MAX_TEXT_DEPTH:
        return 0
    if isinstance(value, list):
        return sum(text_length(item, depth + 1) for item in value)
    if not isinstance(value, dict):
        return 0
    total = 0
    for key, item in value.items():
        if isinstance(item, str):
            total += len(item) if key in _TEXT_KEYS else 0
        elif key in ("json", "input"):
            total += _strings_length(item, depth + 1)
        else:
            total += text_length(item, depth + 1)
    return total


def _strings_length(value: Any, depth: int) -> int:
    """Count the characters of all strings in a JSON value, names of members included."""
    if isinstance(value, str):
        return len(value)
    if depth > MAX_TEXT_DEPTH:
        return 0
    if isinstance(value, list):
        return sum(_strings_length(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return sum(len(key) + _strings_length(item, depth + 1) for key, item in value.items())
    return 0


SURFACES: Final[dict[str, type[BodyReader]]] = {"bedrock.converse": BedrockConverseReader}
"""The reader of each surface this module speaks."""
