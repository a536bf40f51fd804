"""The shapes that makers give to requests and replies of Bedrock's InvokeModel.

Owns where each shape keeps its counters, its reason to stop, its tool calls and its text; what is
made of them is `bedrock_invoke`'s. Shapes are told apart by their keys, never by the model's name,
and a chunk of a stream is read as a reply in which most is missing. Pure functions over decoded
JSON; they never raise on odd values, and keep no text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from outlay.wire.base import Reading, Status, as_count, as_dict, as_list, as_text
from outlay.wire.usage_object import drift, is_name

MAX_DEPTH: Final = 8
"""Levels of a body that are searched for text."""
MAX_TOOL_CALLS: Final = 1024
"""Distinct tool calls counted in one reply."""

_STATUS: Final[dict[str, Status]] = {
    "stop": "ok", "end_turn": "ok", "stop_sequence": "ok", "tool_use": "ok", "tool_calls": "ok",
    "complete": "ok", "finish": "ok", "finished": "ok", "endoftext": "ok", "success": "ok",
    "eos_token": "ok", "function_call": "ok", "stop_criteria_met": "ok", "tool_call": "ok",
    "length": "incomplete", "max_tokens": "incomplete", "model_length": "incomplete",
    "rag_query_when_rag_disabled": "error", "error": "error",
    "content_filter": "refused", "content_filtered": "refused", "error_toxic": "refused",
    "guardrail_intervened": "blocked",
}  # fmt: skip
"""What the makers' reasons mean, in lower case."""

_REASON_KEYS: Final = (
    "stopReason", "stop_reason", "finish_reason", "finishReason", "completionReason",
)  # fmt: skip
_PARTS: Final = ("choices", "results", "outputs", "generations", "completions")
"""Lists of answers; the first one's reason is the reply's."""

_FLAT: Final = {
    "prompt_token_count": "input_tokens",
    "generation_token_count": "output_tokens",
    "inputTextTokenCount": "input_tokens",
    "inputTokenCount": "input_tokens",
    "totalOutputTextTokenCount": "output_tokens",
}
"""Counters in the body itself: Llama's, Titan's and Nova's, by Anthropic's names for them."""

_REPLY_KEYS: Final = frozenset(
    (
        "text", "outputText", "generation", "completion", "content", "reasoning_content",
        "reasoning", "arguments", "input", "thinking", "message", "refusal",
    )
)  # fmt: skip
_REQUEST_KEYS: Final = frozenset(
    (
        "prompt", "inputText", "text", "texts", "value", "query", "content", "message", "system",
        "documents", "arguments", "input", "thinking", "preamble", "snippet", "title",
    )
)  # fmt: skip
_ECHOES: Final = frozenset(("prompt", "chat_history", "texts", "citations", "usage", "meta"))
"""Members of a reply that are no output."""
_MAX_TOKENS: Final = (
    "max_tokens", "max_completion_tokens", "max_gen_len", "max_new_tokens", "maxTokens",
    "maxTokenCount", "max_tokens_to_sample",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reply ended."""

    reason: str
    status: Status


def max_tokens(body: dict[str, Any]) -> int | None:
    """Return the bound on the output that a request sets."""
    places = (body, as_dict(body.get("inferenceConfig")), as_dict(body.get("textGenerationConfig")))
    for place in places:
        for key in _MAX_TOKENS:
            if (count := as_count(place.get(key))) > 0:
                return count
    return None


def usage_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body's usage object; Nova's streams have it in their `metadata`."""
    return as_dict(body.get("usage")) or as_dict(as_dict(body.get("metadata")).get("usage"))


def flat_counts(body: dict[str, Any]) -> dict[str, int]:
    """Return the counters that stand in the body itself, by Anthropic's names for them."""
    counts = {
        name: as_count(body[key])
        for key, name in _FLAT.items()
        if body.get(key) is not None and not isinstance(body[key], list | dict)
    }
    titan = [as_dict(result).get("tokenCount") for result in as_list(body.get("results"))]
    if any(count is not None for count in titan):
        counts["output_tokens"] = sum(max(0, as_count(count)) for count in titan)
    billed = as_dict(as_dict(body.get("meta")).get("billed_units"))
    for key in ("input_tokens", "output_tokens", "search_units"):
        if billed.get(key) is not None:
            counts[key] = as_count(billed[key])
    return counts


def outcome_of(body: dict[str, Any], reading: Reading) -> Outcome | None:
    """Return how the reply ended, or `None` where it does not say; a new reason is a finding."""
    places = [body, as_dict(body.get("messageStop"))]
    for name in _PARTS:
        places += map(as_dict, as_list(body.get(name))[:1])
    for place in places:
        for key in _REASON_KEYS:
            value = place.get(key)
            reason = as_text(as_dict(value).get("reason")) or as_text(value)
            if reason is None:
                continue
            status = _STATUS.get(reason.lower())
            if status is None:
                drift(reading, f"{key}.{reason}")
            return Outcome(reason if is_name(reason) else "unreadable", status or "ok")
    return None


def tool_calls(body: dict[str, Any], seen: int) -> set[Any]:
    """Return a key for each tool call in the reply or chunk; `seen` of them were there before."""
    found: set[Any] = set()
    for choice in map(as_dict, as_list(body.get("choices"))):
        for part in ("message", "delta"):
            for place, call in enumerate(as_list(as_dict(choice.get(part)).get("tool_calls"))):
                number = as_dict(call).get("index")
                number = number if isinstance(number, int) else place
                found.add((as_count(choice.get("index")), number))
    for place, _ in enumerate(as_list(body.get("tool_calls"))):
        found.add(("cohere", place))
    message = as_dict(as_dict(body.get("output")).get("message"))
    for place, block in enumerate(as_list(message.get("content"))):
        if "toolUse" in as_dict(block):
            found.add(("nova", place))
    start = as_dict(body.get("contentBlockStart"))
    if "toolUse" in as_dict(start.get("start")):
        found.add(("nova", as_count(start.get("contentBlockIndex"))))
    return found if seen + len(found) <= MAX_TOOL_CALLS else set()


def reply_length(body: dict[str, Any]) -> int:
    """Count the characters of a reply's or chunk's output."""
    return _length({k: v for k, v in body.items() if k not in _ECHOES}, _REPLY_KEYS, 0)


def request_length(body: Any) -> int:
    """Count the characters of a request's prompts, messages and texts."""
    return _length(body, _REQUEST_KEYS, 0)


def _length(value: Any, keys: frozenset[str], depth: int) -> int:
    """Count the characters of strings, and of lists of strings, that are members named so."""
    if depth > MAX_DEPTH:
        return 0
    if isinstance(value, list):
        return sum(_length(item, keys, depth + 1) for item in value)
    if not isinstance(value, dict):
        return 0
    total = 0
    for key, item in value.items():
        if isinstance(item, str):
            total += len(item) if key in keys else 0
        elif isinstance(item, list) and key in keys:
            total += sum(
                len(part) if isinstance(part, str) else _length(part, keys, depth + 1)
                for part in item
            )
        else:
            total += _length(item, keys, depth + 1)
    return total
