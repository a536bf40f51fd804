"""Anthropic messages, plain and streamed, on every host that speaks them.

Native API, Vertex `rawPredict`, Bedrock `invoke` and Foundry carry the same JSON. Owns the reading
of requests, bodies, stream events and Bedrock's count headers; the arithmetic of the usage object
is in `anthropic_usage`. Keeps counts of characters, never text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlay.core import units
from outlay.wire.anthropic_usage import (
    INPUT_KEYS,
    add_counts,
    build_segments,
    fee_buckets,
    note_unknown,
    request_ttl_unit,
    token_buckets,
)
from outlay.wire.base import (
    BEDROCK_COUNT_HEADERS,
    BEDROCK_ERROR_HEADER,
    BEDROCK_TIER_HEADER,
    Endpoint,
    Reading,
    Request,
    Segment,
    Status,
    as_count,
    as_dict,
    as_list,
    as_text,
    estimate_tokens,
)
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import drift, is_name, merge_latest, numbers_and_names

STATUS_BY_STOP_REASON: Final[dict[str, Status]] = {
    "end_turn": "ok",
    "stop_sequence": "ok",
    "tool_use": "ok",
    "pause_turn": "ok",
    "compaction": "ok",
    "max_tokens": "incomplete",
    "model_context_window_exceeded": "incomplete",
    "refusal": "refused",
}

_STREAM_PATHS: Final = (":streamRawPredict", "/invoke-with-response-stream")
_TOOL_BLOCKS: Final = frozenset(("tool_use", "server_tool_use", "mcp_tool_use"))
_RESULT_UNITS: Final = {
    "web_search_tool_result": units.WEB_SEARCH,
    "web_fetch_tool_result": units.WEB_FETCH,
}
_DELTA_TEXT: Final = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
    "compaction_delta": "content",
}
_BEDROCK_METRICS: Final = {
    "inputTokenCount": "input_tokens",
    "outputTokenCount": "output_tokens",
    "cacheReadInputTokenCount": "cache_read_input_tokens",
    "cacheWriteInputTokenCount": "cache_creation_input_tokens",
}
_NO_REGION: Final = ("global", "not_available")


class AnthropicMessagesReader(BodyReader):
    """Reads one attempt of the messages API."""

    __slots__ = (
        "_delta_usage", "_fallback_to", "_results", "_spare_usage", "_stop_reason", "_ttl_unit",
        "_usage",
    )  # fmt: skip

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._usage: dict[str, Any] = {}
        """The provider's usage object, each field at its latest non-null value."""
        self._spare_usage: dict[str, Any] = {}
        """What Bedrock counted beside the body: used when the body has no counts."""
        self._delta_usage = False
        """A `message_delta` brought usage: the output count is no placeholder any more."""
        self._stop_reason: str | None = None
        self._fallback_to: str | None = None
        self._results: dict[str, int] = {}
        self._ttl_unit = units.CACHE_WRITE_5M
        super().__init__(request, endpoint)
        if request.path.endswith(_STREAM_PATHS):
            self.streamed = self.reading.streamed = True

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked."""
        reading = self.reading
        # Where the path names the model, as on Bedrock and Vertex, it is what was called.
        reading.model_requested = reading.model_requested or as_text(body.get("model"))
        reading.max_tokens = as_count(body.get("max_tokens")) or None
        reading.tier_requested = as_text(body.get("service_tier"))
        reading.speed = as_text(body.get("speed"))
        self.streamed = body.get("stream") is True
        self._ttl_unit = request_ttl_unit(body)

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Read Bedrock's counts and error class."""
        for name, key in BEDROCK_COUNT_HEADERS.items():
            value = headers.get(name, "").strip()
            if value.isascii() and value.isdigit() and len(value) <= 15:
                self._spare_usage[key] = int(value)
        tier = headers.get(BEDROCK_TIER_HEADER, "")
        if is_name(tier):
            self.reading.tier_served = tier
        error = headers.get(BEDROCK_ERROR_HEADER, "").partition(":")[0]
        if is_name(error):
            self.reading.error_type = error

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole message."""
        kind = as_text(body.get("type"))
        if kind == "error":
            self._fail(body)
            return
        if kind == "message_batch" or _is_token_count(body):
            # A batch is billed by its results, one by one, and counting tokens costs nothing.
            if kind is not None:
                drift(self.reading, kind)
            self.usage_final = True
            self.reading.billed = "no"
            return
        self._message(body)
        for place, block in enumerate(map(as_dict, as_list(body.get("content")))):
            self._block(place, block)
        self.usage_final = "output_tokens" in self._usage

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one stream event."""
        kind = as_text(body.get("type")) or name
        if kind == "message_start":
            self._message(as_dict(body.get("message")))
        elif kind == "content_block_start":
            self._block(as_count(body.get("index")), as_dict(body.get("content_block")))
        elif kind == "content_block_delta":
            delta = as_dict(body.get("delta"))
            key = _DELTA_TEXT.get(as_text(delta.get("type")) or "")
            if key is not None:
                piece = as_text(delta.get(key)) or ""
                self.output_characters += len(piece)
                if key == "partial_json":
                    self.tools().add(as_count(body.get("index")), None, piece)
        elif kind == "message_delta":
            self._message_delta(body)
        elif kind == "message_stop":
            self.terminal = True
            self.usage_final = self.usage_final or self._delta_usage
        elif kind == "error":
            self._fail(body)
        metrics = as_dict(body.get("amazon-bedrock-invocationMetrics"))
        for key, target in _BEDROCK_METRICS.items():
            if key in metrics:
                self._spare_usage[target] = as_count(metrics[key])

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's type; its text is not kept."""
        self.reading.error_type = error_type_of(body) or self.reading.error_type

    def on_end(self) -> None:
        """Turn the latest usage object into buckets."""
        self._settle_outcome()
        if self.reading.http_status is None or self.reading.http_status >= 400:
            return
        if self._spare_usage and not (self.usage_final and self._counts_input()):
            self._usage = {**self._usage, **self._spare_usage}
            self.usage_final = "output_tokens" in self._spare_usage
        self.usage_input = self._counts_input()
        if self._usage:
            self._settle_facts()
            self._settle_usage()
            self.reading.usage_raw = numbers_and_names(self._usage)
        if not self.usage_final and self._results and not fee_buckets(self._usage):
            # The search was done and what it found was read, though no count of either came.
            for unit, count in self._results.items():
                self.reading.put(unit, count)
            self.reading.find("input_lower_bound")

    def count_request_characters(self) -> int:
        """Count the text of the system prompt, the messages and their tool results."""
        body = self.request_body
        total = _text_length(body.get("system"))
        for message in map(as_dict, as_list(body.get("messages"))):
            total += _text_length(message.get("content"))
        return total

    # -- inside --------------------------------------------------------------------------------

    def _message(self, message: dict[str, Any]) -> None:
        reading = self.reading
        reading.model_served = as_text(message.get("model")) or reading.model_served
        reading.response_id = as_text(message.get("id")) or reading.response_id
        self._stop_reason = as_text(message.get("stop_reason")) or self._stop_reason
        merge_latest(self._usage, as_dict(message.get("usage")))

    def _message_delta(self, body: dict[str, Any]) -> None:
        usage = as_dict(body.get("usage"))
        merge_latest(self._usage, usage)
        self._delta_usage = self._delta_usage or usage.get("output_tokens") is not None
        reason = as_text(as_dict(body.get("delta")).get("stop_reason"))
        if reason is not None:
            self._stop_reason = reason
            self.terminal = True
            self.usage_final = self._delta_usage

    def _block(self, place: int, block: dict[str, Any]) -> None:
        kind = as_text(block.get("type")) or ""
        if kind in _TOOL_BLOCKS:
            self.reading.tool_calls += 1
            self.tools().add(place, as_text(block.get("name")), block.get("input"))
        elif kind in _RESULT_UNITS:
            # A failed search holds an error object instead of a list, and is not charged.
            if kind != "web_search_tool_result" or isinstance(block.get("content"), list):
                unit = _RESULT_UNITS[kind]
                self._results[unit] = self._results.get(unit, 0) + 1
        elif kind == "fallback":
            self._fallback(
                as_text(as_dict(block.get("from")).get("model")),
                as_text(as_dict(block.get("to")).get("model")),
            )
        for key in ("text", "thinking"):
            self.output_characters += len(as_text(block.get(key)) or "")

    def _fallback(self, first: str | None, then: str | None) -> None:
        self.reading.fallback_from = self.reading.fallback_from or first
        self._fallback_to = then or self._fallback_to

    def _fail(self, body: dict[str, Any]) -> None:
        # The input was accepted; whether it is charged is not said.
        self.reading.status = "error"
        self.reading.error_type = error_type_of(body) or "error"
        self.reading.billed = "possible"

    def _counts_input(self) -> bool:
        return any(self._usage.get(key) is not None for key in INPUT_KEYS)

    def _settle_outcome(self) -> None:
        reading, reason = self.reading, self._stop_reason
        if reason is None:
            return
        reading.finish_reason = reason if is_name(reason) else "unreadable"
        if reason not in STATUS_BY_STOP_REASON:
            drift(reading, f"stop_reason.{reason}")
        elif reading.status == "ok":
            reading.status = STATUS_BY_STOP_REASON[reason]

    def _settle_facts(self) -> None:
        """Read what decides the price besides counts."""
        reading, usage = self.reading, self._usage
        note_unknown(reading, usage)
        tier = as_text(usage.get("service_tier"))
        reading.tier_served = tier or reading.tier_served
        reading.batch = tier == "batch"
        reading.speed = as_text(usage.get("speed")) or reading.speed
        region = (as_text(usage.get("inference_geo")) or "").lower()
        if region and region not in _NO_REGION:
            reading.region_class = region
        for iteration in map(as_dict, as_list(usage.get("iterations"))):
            if iteration.get("type") == "fallback_message":
                model = as_text(iteration.get("model"))
                if model is not None and model != reading.model_served:
                    self._fallback(reading.model_served, model)

    def _settle_usage(self) -> None:
        reading, usage = self.reading, self._usage
        first = reading.fallback_from or reading.model_served or reading.model_requested or ""
        main = self._fallback_to or reading.model_served or first
        reading.model_served = main or None
        segments: list[Segment] = []
        if self.usage_final:
            segments = build_segments(reading, usage, model=first, ttl_unit=self._ttl_unit)
        fees = fee_buckets(usage)
        if segments:
            if fees:
                _charge_fees(segments, main, fees)
            reading.segments = segments
            for segment in segments:
                add_counts(reading.usage, segment.usage)
            return
        if as_list(usage.get("iterations")):
            reading.find("iterations_without_counts")
        add_counts(reading.usage, token_buckets(reading, usage, self._ttl_unit))
        add_counts(reading.usage, fees)
        if self.usage_final and not self.usage_input:
            _estimate_input(reading, self.count_request_characters())


def _is_token_count(body: dict[str, Any]) -> bool:
    """Tell a token count from a message: on Vertex both answer `rawPredict`."""
    return "input_tokens" in body and "usage" not in body and "content" not in body


def _charge_fees(segments: list[Segment], model: str, fees: dict[str, int]) -> None:
    """Put fee units with the main model, so that the segments sum to the whole."""
    for segment in segments:
        if segment.model == model:
            add_counts(segment.usage, fees)
            return
    segments.append(Segment(model, dict(fees), "fees"))


def _estimate_input(reading: Reading, characters: int) -> None:
    """Fill in an input side that a final usage object left out."""
    reading.put(units.INPUT, max(1, estimate_tokens(characters)))
    reading.find("input_estimated")
    reading.usage_source = "estimated"


def _text_length(content: Any, depth: int = 0) -> int:
    """Count the characters of a string, of text parts, and of tool results one level down."""
    if isinstance(content, str):
        return len(content)
    total = 0
    for part in map(as_dict, as_list(content)):
        total += len(as_text(part.get("text")) or "")
        if depth == 0 and part.get("type") == "tool_result":
            total += _text_length(part.get("content"), depth + 1)
    return total


SURFACES: Final[dict[str, type[BodyReader]]] = {"anthropic.messages": AnthropicMessagesReader}
"""The reader of each surface this module speaks."""
