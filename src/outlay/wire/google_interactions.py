"""Google's Interactions API: created, streamed, run in the background, or fetched again.

Its counters are those of `usageMetadata` under other names, and are turned into buckets by the
same arithmetic. An interaction that is not done yet, or goes on in the background after its stream
was cut, is billed by the later reading that shows it done; looks that do not are free. One that is
stored may be read again at any time: `once` carries its id, so that it counts once, also where the
first reading had to estimate. Keeps counts of characters, never text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import Endpoint, Reading, Request, Status, as_count, as_dict, as_list, as_text
from outlay.wire.google_usage import metadata_buckets, searches_charged
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import count_of, drift, is_name, note_drift, numbers_and_names

MAX_GROUNDINGS: Final = 8
"""Kinds of grounding of one interaction that become units; what is left out is found."""
MAX_TEXT_DEPTH: Final = 4
"""Levels of nested content that are counted."""

MAX_TIME_CHARACTERS: Final = 40

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_STATUS: Final[dict[str, Status]] = {
    "completed": "ok",
    "requires_action": "ok",
    "incomplete": "incomplete",
    "budget_exceeded": "incomplete",
    "requires_continuation": "incomplete",
    "failed": "error",
    "cancelled": "aborted",
}
_PENDING: Final = ("in_progress", "queued")
_TERMINAL: Final = ("interaction.completed", "interaction.complete")

_COUNTERS: Final = {
    "total_input_tokens": ("promptTokenCount", "input_tokens_by_modality", "promptTokensDetails"),
    "total_cached_tokens": (
        "cachedContentTokenCount", "cached_tokens_by_modality", "cacheTokensDetails",
    ),
    "total_output_tokens": (
        "candidatesTokenCount", "output_tokens_by_modality", "candidatesTokensDetails",
    ),
    "total_tool_use_tokens": (
        "toolUsePromptTokenCount", "tool_use_tokens_by_modality", "toolUsePromptTokensDetails",
    ),
}  # fmt: skip
"""Counters with details: the name of `usageMetadata` for each, and both names of the details."""
_KNOWN: Final = frozenset(
    (
        *_COUNTERS, *(details for _, details, _ in _COUNTERS.values()), "total_thought_tokens",
        "total_tokens", "initial_input_tokens", "grounding_tool_count",
    )
)  # fmt: skip
_SEARCH: Final = "google_search"


class GoogleInteractionReader(BodyReader):
    """Reads one attempt to create an interaction, or to look at one or cancel it."""

    __slots__ = ("_background", "_interaction", "_retrieved", "_usage")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._interaction: dict[str, Any] = {}
        """What was last told of the interaction, without its steps."""
        self._usage: dict[str, Any] = {}
        self._background = False
        self._retrieved = not request.path.rstrip("/").endswith("/interactions")
        super().__init__(request, endpoint)
        if self._retrieved:
            self.reading.find("retrieved")

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked; an agent stands for its model."""
        reading = self.reading
        reading.model_requested = as_text(body.get("model")) or as_text(body.get("agent"))
        config = as_dict(body.get("generation_config"))
        reading.max_tokens = max(0, as_count(config.get("max_output_tokens"))) or None
        reading.tier_requested = as_text(body.get("service_tier"))
        self.streamed = body.get("stream") is True
        self._background = body.get("background") is True
        if self._background:
            reading.find("background")

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole interaction."""
        self._look(body)
        for step in map(as_dict, as_list(body.get("steps"))):
            self._step(step)

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one event of a stream."""
        kind = as_text(body.get("event_type")) or name
        if kind.startswith("interaction."):
            self._look(as_dict(body.get("interaction")) or body)
            self.terminal = self.terminal or kind in _TERMINAL
        elif kind == "step.start":
            self._step(as_dict(body.get("step")))
        elif kind.endswith(".delta"):
            self._count_text(body.get("delta"))
        elif kind == "error":
            self._fail(body.get("error"))

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's status name; its text is not kept."""
        self.reading.error_type = error_type_of(body)

    def on_end(self) -> None:
        """Settle how it ended, then the counts."""
        reading = self.reading
        if reading.http_status is None or reading.http_status >= 400:
            return
        state = as_text(self._interaction.get("status"))
        if self._goes_on(state):
            # Nothing is charged yet: the reading that shows it done is.
            reading.billed = "no"
            reading.operation = "other" if self._retrieved else reading.operation
            reading.find("background")
            if self._sse is not None:
                reading.find("background_unfinished")
            self.usage_final = True
            return
        reading.once = reading.response_id or ""
        self._settle_status(state)
        if not self._usage:
            return
        for unit, count in metadata_buckets(reading, _as_metadata(self._usage)).items():
            reading.put(unit, count)
        note_drift(reading, self._usage, _KNOWN)
        reading.usage_raw = numbers_and_names(self._usage)
        self._settle_grounding(as_list(self._usage.get("grounding_tool_count")))
        self.usage_input = "total_input_tokens" in self._usage
        self.usage_final = self.usage_input and self.terminal

    def finish(self, *, complete: bool = True, error: str | None = None) -> Reading:
        """End the attempt; a look that bills nothing is free."""
        reading = super().finish(complete=complete, error=error)
        if self._retrieved and not reading.once:
            reading.surface = f"{reading.vendor}.free"
            reading.billed = "no"
        return reading

    def count_request_characters(self) -> int:
        """Count the text of the instruction and of the input."""
        body = self.request_body
        return _text_length(body.get("system_instruction")) + _text_length(body.get("input"))

    # -- inside --------------------------------------------------------------------------------

    def _goes_on(self, state: str | None) -> bool:
        """Tell whether a later reading will show what is charged."""
        if self._retrieved:
            # A cancelled one may get its counts a moment later.
            return state not in _STATUS or (state == "cancelled" and not self._usage)
        if self._sse is not None:
            return self._background and not self.terminal
        return state in _PENDING

    def _look(self, body: dict[str, Any]) -> None:
        """Read what an interaction, or an event about one, states."""
        reading = self.reading
        reading.model_served = as_text(body.get("model")) or reading.model_served
        reading.response_id = (
            as_text(body.get("id")) or as_text(body.get("interaction_id")) or reading.response_id
        )
        reading.tier_served = as_text(body.get("service_tier")) or reading.tier_served
        reading.created_at = _microseconds(body.get("created")) or reading.created_at
        # Counts are cumulative: the latest object is the one that counts.
        self._usage = as_dict(body.get("usage")) or self._usage
        for key in ("status", "errors"):
            if body.get(key):
                self._interaction[key] = body[key]

    def _step(self, step: dict[str, Any]) -> None:
        kind = as_text(step.get("type"))
        if kind == "function_call":
            self.reading.tool_calls += 1
            self.output_characters += _json_length(step.get("arguments"))
        elif kind in ("model_output", "thought"):
            self.output_characters += _text_length(step.get("content"))
            self.output_characters += _text_length(step.get("summary"))

    def _count_text(self, delta: Any) -> None:
        self.output_characters += _text_length(delta)
        self.output_characters += len(as_text(as_dict(delta).get("arguments")) or "")

    def _fail(self, error: Any) -> None:
        # What came before it was generated; whether it is charged is not said.
        self.reading.status = "error"
        self.reading.error_type = error_type_of({"error": error}) or "error"
        self.reading.billed = "possible"

    def _settle_status(self, state: str | None) -> None:
        reading = self.reading
        if state is None or (state in _PENDING and not self.terminal):
            return
        reading.finish_reason = state if is_name(state) else "unreadable"
        if (status := _STATUS.get(state)) is None:
            drift(reading, f"status.{state}")
        elif reading.status == "ok":
            reading.status = status
            if status == "error":
                errors = as_list(self._interaction.get("errors"))
                self._fail(errors[0] if errors else None)

    def _settle_grounding(self, told: list[Any]) -> None:
        reading = self.reading
        for item in map(as_dict, told[:MAX_GROUNDINGS]):
            kind, count = as_text(item.get("type")) or "", count_of(reading, item, "count")
            if kind == _SEARCH:
                model = reading.model_served or reading.model_requested
                reading.put(units.WEB_SEARCH, searches_charged(model, count))
            elif is_name(kind):
                reading.put(f"grounding_{kind}"[:64], count)
            elif count:
                drift(reading, "grounding_tool_count")
        if len(told) > MAX_GROUNDINGS:
            drift(reading, "grounding_tool_count")


def _as_metadata(usage: dict[str, Any]) -> dict[str, Any]:
    """Return the counters under the names of `usageMetadata`."""
    named = {
        "thoughtsTokenCount": usage.get("total_thought_tokens"),
        "totalTokenCount": usage.get("total_tokens"),
    }
    for counter, (name, details, named_details) in _COUNTERS.items():
        named[name] = usage.get(counter)
        named[named_details] = [
            {"modality": item.get("modality"), "tokenCount": item.get("tokens")}
            for item in map(as_dict, as_list(usage.get(details)))
        ]
    return {name: value for name, value in named.items() if value is not None}


def _text_length(content: Any, depth: int = 0) -> int:
    """Count the characters of text in content, steps or a piece of them."""
    if isinstance(content, str):
        return len(content)
    if depth >= MAX_TEXT_DEPTH:
        return 0
    if isinstance(content, list):
        return sum(_text_length(item, depth + 1) for item in content)
    if not isinstance(content, dict):
        return 0
    inner = _text_length(content.get("content"), depth + 1)
    return len(as_text(content.get("text")) or "") + inner


def _json_length(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False)) if value else 0


def _microseconds(value: Any) -> int | None:
    """Return an ISO 8601 time in microseconds UTC; `None` for anything else."""
    text = as_text(value)
    if text is None or len(text) > MAX_TIME_CHARACTERS:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


SURFACES: Final[dict[str, type[BodyReader]]] = {"google.interactions": GoogleInteractionReader}
"""The reader of each surface this module speaks."""
