"""Gemini `generateContent` and `streamGenerateContent`, on AI Studio and Vertex.

Streams come as server-sent events or, without `alt=sse`, as one JSON array. Owns the reading of
requests, replies and chunks; the arithmetic of `usageMetadata` is in `google_usage`, embeddings
are in `google_embeddings`. Keeps counts of characters, never text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import (
    TIER_HEADER,
    Endpoint,
    Request,
    Status,
    as_count,
    as_dict,
    as_list,
    as_text,
    estimate_tokens,
)
from outlay.wire.google_array import JsonArrayParser
from outlay.wire.google_embeddings import GoogleEmbedReader, text_characters
from outlay.wire.google_usage import (
    merge_metadata,
    metadata_buckets,
    search_queries,
    searches_charged,
    served_tier,
)
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import drift, is_name, numbers_and_names

MAX_CANDIDATES: Final = 64
"""Candidates of one reply that are told apart; the API allows 8."""

STATUS_BY_FINISH_REASON: Final[dict[str, Status]] = {
    "STOP": "ok",
    **dict.fromkeys(
        ("MAX_TOKENS", "CONTINUATION", "TOO_MANY_TOOL_CALLS", "OTHER", "IMAGE_OTHER", "NO_IMAGE"),
        "incomplete",
    ),
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "ESCALATION",
            "PUP_LIMITED_DISABLED", "MODEL_ARMOR",
        ),
        "refused",
    ),
    **dict.fromkeys(
        (
            "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE",
            "MISSING_THOUGHT_SIGNATURE",
        ),
        "error",
    ),
}  # fmt: skip
"""What each finish reason means; the tokens of all of them are counted and charged."""


class GoogleGenerateReader(BodyReader):
    """Reads one attempt of `generateContent` or `streamGenerateContent`."""

    __slots__ = (
        "_finishes", "_fresh_usage", "_searches", "_seen", "_thought_characters", "_usage",
        "_visible_characters",
    )  # fmt: skip

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._usage: dict[str, Any] = {}
        self._fresh_usage = False
        """Usage came with the finish or after it, so it is the final one."""
        self._seen: set[int] = set()
        self._finishes: dict[int, str] = {}
        self._searches: dict[int, int] = {}
        self._visible_characters = 0
        self._thought_characters = 0
        super().__init__(request, endpoint)
        self.streamed = self.reading.streamed = ":stream" in request.path
        tier = request.headers.get(TIER_HEADER, "")
        if is_name(tier):
            self.reading.tier_requested = tier.lower()

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked; both spellings of field names are legal."""
        config = as_dict(body.get("generationConfig") or body.get("generation_config"))
        limit = config.get("maxOutputTokens", config.get("max_output_tokens"))
        self.reading.max_tokens = as_count(limit) or None
        tier = as_text(body.get("serviceTier", body.get("service_tier")))
        self.reading.tier_requested = tier.lower() if tier else None

    def response(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the response line and headers; a stream that is no SSE is a JSON array."""
        super().response(status, headers)
        if self.streamed and self._sse is None:
            self._sse = JsonArrayParser()

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply."""
        self._chunk(body)
        self.usage_final = self._tells_output()

    def on_event(self, name: str, body: dict[str, Any]) -> None:  # noqa: ARG002
        """Read one chunk of a stream; chunks have no event names."""
        self._chunk(body)
        self.terminal = self._finished()
        self.usage_final = self.terminal and self._fresh_usage

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's status name; its text is not kept."""
        self.reading.error_type = error_type_of(body)

    def on_end(self) -> None:
        """Turn the latest metadata into buckets and judge the outcome."""
        reading = self.reading
        reading.provider_request_id = reading.provider_request_id or reading.response_id
        self._settle_outcome()
        if reading.http_status is None or reading.http_status >= 400:
            return
        usage = self._usage
        self.usage_input = usage.get("promptTokenCount") is not None
        if usage:
            reading.tier_served = served_tier(usage)
            for unit, count in metadata_buckets(reading, usage).items():
                reading.put(unit, count)
            reading.usage_raw = numbers_and_names(usage)
        model = reading.model_served or reading.model_requested
        searches = sum(self._searches.values())
        reading.put(units.WEB_SEARCH, searches_charged(model, searches))
        if not self.usage_final:
            self._raise_to_seen()

    def count_request_characters(self) -> int:
        """Count the text parts of the contents and of the system instruction."""
        body = self.request_body
        system = body.get("systemInstruction", body.get("system_instruction"))
        contents = body.get("contents")
        turns = contents if isinstance(contents, list) else [contents]
        return text_characters(system) + sum(map(text_characters, turns))

    # -- inside --------------------------------------------------------------------------------

    def _chunk(self, body: dict[str, Any]) -> None:
        reading = self.reading
        if as_dict(body.get("error")):
            # What came before it was generated; whether it is charged is not said.
            reading.status = "error"
            reading.error_type = error_type_of(body) or "error"
            reading.billed = "possible"
            return
        reading.model_served = as_text(body.get("modelVersion")) or reading.model_served
        reading.response_id = as_text(body.get("responseId")) or reading.response_id
        for place, candidate in enumerate(as_list(body.get("candidates"))[:MAX_CANDIDATES]):
            self._candidate(place, as_dict(candidate))
        blocked = as_text(as_dict(body.get("promptFeedback")).get("blockReason"))
        if blocked is not None:
            self._finishes.setdefault(-1, blocked)
        usage = as_dict(body.get("usageMetadata"))
        if usage:
            merge_metadata(self._usage, usage)
            self._fresh_usage = self._finished()

    def _candidate(self, place: int, candidate: dict[str, Any]) -> None:
        index = max(0, as_count(candidate.get("index"))) or place
        if index not in self._seen and len(self._seen) >= MAX_CANDIDATES:
            return
        self._seen.add(index)
        for part in map(as_dict, as_list(as_dict(candidate.get("content")).get("parts"))):
            self._part(part)
        # Chunks repeat the queries so far: the fullest list counts, never the sum.
        self._searches[index] = max(search_queries(candidate), self._searches.get(index, 0))
        reason = as_text(candidate.get("finishReason"))
        if reason is not None and reason != "FINISH_REASON_UNSPECIFIED":
            self._finishes[index] = reason

    def _part(self, part: dict[str, Any]) -> None:
        count = len(as_text(part.get("text")) or "")
        call = as_dict(part.get("functionCall"))
        if (name := as_text(call.get("name"))) is not None:
            # Later pieces of a streamed call carry no name.
            self.reading.tool_calls += 1
        if call:
            given = call.get("args") or call.get("partialArgs")
            self.tools().add(self.reading.tool_calls, name, given)
        for written in (call.get("args"), call.get("partialArgs"), part.get("executableCode")):
            if written:
                count += len(json.dumps(written, ensure_ascii=False))
        if part.get("thought") is True:
            self._thought_characters += count
        else:
            self._visible_characters += count
        self.output_characters = self._visible_characters + self._thought_characters

    def _finished(self) -> bool:
        """Tell whether the prompt was blocked or every candidate seen has its finish reason."""
        return bool(self._finishes) and (-1 in self._finishes or self._seen <= set(self._finishes))

    def _tells_output(self) -> bool:
        """Tell whether the usage of a whole reply is complete: a zero count is left out."""
        return self._usage.get("promptTokenCount") is not None

    def _raise_to_seen(self) -> None:
        """Raise each kind of output to what was seen of it: counts told on the way may lag."""
        usage = self.reading.usage
        thoughts = usage.get(units.REASONING, 0)
        visible = units.output_total(usage) - thoughts
        more = {
            units.OUTPUT: estimate_tokens(self._visible_characters) - visible,
            units.REASONING: estimate_tokens(self._thought_characters) - thoughts,
        }
        for unit, count in more.items():
            if count > 0:
                self.reading.put(unit, count)
                self.reading.find("output_estimated")
                self.reading.usage_source = "estimated"

    def _settle_outcome(self) -> None:
        reading = self.reading
        if not self._finishes:
            return
        first = min(self._finishes)
        reason = self._finishes[first]
        reading.finish_reason = reason if is_name(reason) else "unreadable"
        status = "refused" if first == -1 else STATUS_BY_FINISH_REASON.get(reason)
        if status is None:
            drift(reading, f"finishReason.{reason}")
        elif reading.status == "ok":
            reading.status = status
            if status == "error":
                reading.error_type = reading.finish_reason


SURFACES: Final[dict[str, type[BodyReader]]] = {
    "google.generate": GoogleGenerateReader,
    "google.embed": GoogleEmbedReader,
}
"""The reader of each surface this module speaks."""
