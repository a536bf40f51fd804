"""Gemini's Live API (`BidiGenerateContent`): one reading for each time the model speaks.

`usageMetadata` counts one generation, with the whole conversation as its prompt, and is charged
each time; within a generation it is cumulative, so the last count is taken. A generation ends with
the turn, and where the client sends what a tool returned. Thoughts come outside of the printed
total: they are counted as reasoning and found as `thoughts_outside_total`.
Sources: ai.google.dev/api/live; three-turn sessions logged in pydantic-ai#7269; bills compared
with counts in discuss.ai.google.dev/t/173248.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import Endpoint, Status, as_count, as_dict, as_list, as_text, estimate_tokens
from outlay.wire.google_usage import (
    merge_metadata,
    metadata_buckets,
    search_queries,
    searches_charged,
    served_tier,
)
from outlay.wire.sessions import PCM16_24K, MessageSession, base64_bytes
from outlay.wire.usage_object import drift, is_name, numbers_and_names

AUDIO_PER_S: Final = 25
"""Tokens of a second of audio, heard or spoken, for estimates."""
PCM16_16K: Final = 32_000
MAX_PARTS: Final = 256
"""Parts of one message that are looked at."""

_RENAMED: Final = {
    "responseTokenCount": "candidatesTokenCount",
    "responseTokensDetails": "candidatesTokensDetails",
}
"""What Live calls otherwise than the rest of the API."""
_ADDENDS: Final = ("promptTokenCount", "candidatesTokenCount", "toolUsePromptTokenCount")
_STATUS: Final[dict[str, Status]] = {
    "interrupted": "aborted",
    "MALFORMED_FUNCTION_CALL": "error",
    "RESPONSE_REJECTED": "refused",
    "NEED_MORE_INPUT": "ok",
}


@dataclass(slots=True)
class _Generation:
    """What is known of the generation under way."""

    began: Any
    first: Any = None
    usage: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    ended: bool = False
    """The turn is over; its counts may still come."""
    audio_bytes: int = 0
    characters: int = 0
    thought_characters: int = 0
    tool_calls: int = 0
    searches: int = 0

    @property
    def empty(self) -> bool:
        """Whether the model said nothing that is known."""
        said = self.audio_bytes or self.characters or self.thought_characters or self.tool_calls
        return not (said or self.usage)


class GoogleLiveSession(MessageSession):
    """Follows one Live connection."""

    __slots__ = ("_asked", "_audio_bytes", "_characters", "_context", "_now")

    def __init__(self, endpoint: Endpoint, path: str, query: Mapping[str, str]) -> None:
        vertex = "aiplatform" in path
        host_class = "vertex" if vertex else "ai_studio"
        super().__init__(replace(endpoint, host_class=host_class), path, query)
        self._now: _Generation | None = None
        self._asked: list[Any] = []
        """The mark of the latest message that asks the model to speak, until it does."""
        self._context = 0
        """Tokens of the conversation when the model last spoke."""
        self._characters = 0
        self._audio_bytes = 0

    @property
    def under_way(self) -> bool:
        """Whether the model was asked to speak, or speaks, and its counts are not here."""
        return self._now is not None or bool(self._asked)

    def on_sent(self, body: dict[str, Any], mark: Any) -> None:
        """Read what the client sets up, asks and answers; both spellings of names are legal."""
        for key, value in body.items():
            message = as_dict(value)
            if key == "setup":
                self._setup(as_text(message.get("model")) or "")
                self._characters += _length(message.get("systemInstruction"))
            elif key in ("clientContent", "client_content"):
                self._characters += sum(map(_length, as_list(message.get("turns"))))
                if message.get("turnComplete", message.get("turn_complete")) is True:
                    self._asked = [mark]
            elif key in ("realtimeInput", "realtime_input"):
                self._realtime(message, mark)
            elif key in ("toolResponse", "tool_response"):
                if self._now is not None and self._now.usage:
                    self._end()
                self._characters += _written(message)
                self._asked = [mark]

    def on_received(self, body: dict[str, Any], mark: Any) -> None:
        """Read a message of the server: content, tool calls, counts, or several of them."""
        content, tools = as_dict(body.get("serverContent")), as_dict(body.get("toolCall"))
        turn = as_dict(content.get("modelTurn"))
        if self._now is not None and self._now.ended and (turn or tools):
            self._end()
        if turn or tools or content.get("turnComplete") or body.get("usageMetadata"):
            now = self._generation(mark)
            self._content(now, content, turn, mark)
            calls = as_list(tools.get("functionCalls"))
            now.tool_calls += len(calls)
            now.characters += sum(map(_written, calls))
        if self._now is not None:
            self._take(self._now, body, content)

    def on_finish(self, error: str | None) -> None:
        """Give the generation under way."""
        if self._now is not None:
            self._end(error=error)

    # -- inside --------------------------------------------------------------------------------

    def _take(self, now: _Generation, body: dict[str, Any], content: dict[str, Any]) -> None:
        """Take the counts, and how the turn goes on."""
        if content.get("interrupted") is True:
            now.reason = "interrupted"
        usage = as_dict(body.get("usageMetadata"))
        if usage:
            merge_metadata(now.usage, {_RENAMED.get(key, key): usage[key] for key in usage})
            now.raw.update(usage)
        if content.get("turnComplete") is True:
            now.ended = True
            now.reason = now.reason or as_text(content.get("turnCompleteReason"))
        if now.ended and now.usage:
            self._end()

    def _setup(self, name: str) -> None:
        place, _, model = name.rpartition("/")
        location = place.partition("/locations/")[2].partition("/")[0]
        region = ""
        if self.endpoint.host_class == "vertex":
            region = "global" if location in ("", "global") else "regional"
        self.endpoint = replace(self.endpoint, model=model or None, region_class=region)

    def _realtime(self, message: dict[str, Any], mark: Any) -> None:
        if as_text(message.get("text")) is not None:
            self._characters += len(message["text"])
            self._asked = [mark]
        chunks = as_list(message.get("mediaChunks", message.get("media_chunks")))
        for chunk in (as_dict(message.get("audio")), *map(as_dict, chunks[:MAX_PARTS])):
            kind = as_text(chunk.get("mimeType", chunk.get("mime_type"))) or ""
            if kind.startswith("audio"):
                self._audio_bytes += base64_bytes(chunk.get("data"))

    def _generation(self, mark: Any) -> _Generation:
        if self._now is None:
            began = self._asked.pop() if self._asked else mark
            self._now = _Generation(began)
        return self._now

    def _content(
        self, now: _Generation, content: dict[str, Any], turn: dict[str, Any], mark: Any
    ) -> None:
        if turn and now.first is None:
            now.first = mark
        for part in map(as_dict, as_list(turn.get("parts"))[:MAX_PARTS]):
            count = len(as_text(part.get("text")) or "")
            if part.get("thought") is True:
                now.thought_characters += count
            else:
                now.characters += count + _written(part.get("executableCode"))
            now.audio_bytes += base64_bytes(as_dict(part.get("inlineData")).get("data"))
        queries = search_queries(content)
        # Repeated with every message of the turn: the fullest list counts.
        now.searches = max(now.searches, queries)

    def _end(self, *, error: str | None = None) -> None:
        """Give the reading of the generation under way."""
        now, self._now = self._now, None
        if now is None or now.empty:
            return
        reading = self.new_reading("realtime", now.began)
        reading.first = now.first
        reading.tool_calls = now.tool_calls
        reading.finish_reason = now.reason if now.reason and is_name(now.reason) else None
        if now.reason is not None and now.reason not in _STATUS:
            drift(reading, f"turnCompleteReason.{now.reason}")
        reading.status = _STATUS.get(now.reason or "", "ok")
        if reading.status == "error":
            reading.error_type = reading.finish_reason
        if not now.ended and (self._closed or not now.usage):
            reading.status = "timeout" if error == "timeout" else "aborted"
            reading.error_type = error
        if now.usage:
            self._settle(reading, now)
            self._context = reading.input_total + reading.output_total
        else:
            if now.ended:
                reading.find("usage_missing")
            self._estimate(reading, now)
        reading.put(units.WEB_SEARCH, searches_charged(reading.model_requested, now.searches))
        self._characters = self._audio_bytes = 0
        self.give(reading)

    def _settle(self, reading: Any, now: _Generation) -> None:
        usage = now.usage
        thoughts, total = as_count(usage.get("thoughtsTokenCount")), usage.get("totalTokenCount")
        if thoughts > 0 and as_count(total) == sum(as_count(usage.get(key)) for key in _ADDENDS):
            reading.find("thoughts_outside_total")
            usage = {**usage, "totalTokenCount": as_count(total) + thoughts}
        for unit, count in metadata_buckets(reading, usage).items():
            reading.put(unit, count)
        reading.tier_served = served_tier(usage)
        reading.usage_raw = numbers_and_names(now.raw)
        reading.usage_source = "provider"
        if not now.ended and self._closed:
            reading.find("usage_not_final")

    def _estimate(self, reading: Any, now: _Generation) -> None:
        """Fill in what the wire did not tell, from what passed, and say so."""
        heard = round(self._audio_bytes / PCM16_16K * AUDIO_PER_S)
        spoken = round(now.audio_bytes / PCM16_24K * AUDIO_PER_S)
        text, written = self._context + estimate_tokens(self._characters), now.characters
        reading.put(f"{units.INPUT}_audio", heard)
        reading.put(units.INPUT, text or (0 if heard else 1))
        reading.put(f"{units.OUTPUT}_audio", spoken)
        reading.put(units.REASONING, estimate_tokens(now.thought_characters))
        reading.put(units.OUTPUT, estimate_tokens(written) or (0 if reading.output_total else 1))
        reading.find("input_estimated")
        reading.find("output_estimated")
        reading.usage_source = "estimated"
        reading.billed = "possible"


def _length(content: Any) -> int:
    """Count the characters of the texts of one content."""
    parts = as_list(as_dict(content).get("parts"))[:MAX_PARTS]
    return sum(len(as_text(as_dict(part).get("text")) or "") for part in parts)


def _written(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False)) if value else 0


SESSIONS: Final[dict[str, type[MessageSession]]] = {"google.live": GoogleLiveSession}
"""The codec of each surface this module speaks."""
