"""OpenAI-shaped `usage` objects, turned into disjoint buckets.

The input counter includes cache reads, cache writes and every modality; the output counter
includes reasoning, unless the vendor's row says that it is additive. What does not add up is
clamped and found as `identity:<what>`. Nothing here looks at prompts or completions, and nothing
raises on a malformed object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from outlay.core import units
from outlay.core.event import MAX_COUNT
from outlay.wire.base import Reading, as_dict, as_text
from outlay.wire.usage_object import count_of, drift, is_name, note_drift
from outlay.wire.vendors import Vendor

CITATIONS: Final = "output_citation"
"""Tokens of cited text, counted beside the completion (Perplexity)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The names that one API gives to the counters."""

    input: str
    output: str
    input_details: str
    output_details: str


CHAT: Final = Shape(
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"
)
RESPONSES: Final = Shape(
    "input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"
)

_COUNTERS: Final = (RESPONSES.input, CHAT.output, RESPONSES.output, "total_tokens")
_PLAIN_CHAT: Final = frozenset(
    ("total_tokens", CHAT.input, CHAT.output, CHAT.input_details, CHAT.output_details)
)
_PLAIN_RESPONSES: Final = frozenset(
    (
        "total_tokens", RESPONSES.input, RESPONSES.output, RESPONSES.input_details,
        RESPONSES.output_details,
    )
)  # fmt: skip
"""The keys of a usage object without anything particular."""
_KNOWN: Final = _PLAIN_CHAT | _PLAIN_RESPONSES | frozenset(
    (
        "cached_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
        "reasoning_tokens", "citation_tokens", "service_tier", "server_side_tool_usage_details",
        "num_search_queries", "search_context_size", "num_sources_used", "prompt_cache_hit_tokens",
        "prompt_cache_miss_tokens", "prompt_audio_seconds", "cost", "cost_details", "is_byok",
        "cost_in_usd_ticks", "estimated_cost", "server_tool_use_details", "server_tool_use",
        "tool_calls_details", "queue_time", "prompt_time", "completion_time", "total_time",
    )
)  # fmt: skip
_KNOWN_INPUT: Final = frozenset(
    (
        "cached_tokens", "cache_read_input_tokens", "cache_write_tokens",
        "cache_creation_input_tokens", "cache_write_tokens_details", "cached_tokens_details",
        "text_tokens", "audio_tokens", "image_tokens", "video_tokens",
        "file_tokens",  # of documents: read as text, and told by OpenRouter's embeddings only
    )
)  # fmt: skip
_KNOWN_OUTPUT: Final = frozenset(
    (
        "reasoning_tokens", "audio_tokens", "image_tokens", "video_tokens", "text_tokens",
        "accepted_prediction_tokens", "rejected_prediction_tokens",
    )
)  # fmt: skip
_SERVER_TOOLS: Final = frozenset(
    ("web_search_requests", "web_fetch_requests", "tool_calls_requested", "tool_calls_executed")
)
_SEARCHES: Final = ("search_web", "web_search")
"""Perplexity's names of its search among the tools of a response."""
_TOOL_UNITS: Final = {
    "web_search_calls": units.WEB_SEARCH,
    "x_search_calls": units.SOCIAL_SEARCH,
    "code_interpreter_calls": units.CODE_EXECUTION,
    "file_search_calls": units.FILE_SEARCH,
    # Searches of attachments by their old name; billed at twice a search of collections.
    "document_search_calls": units.ATTACHMENT_SEARCH,
    "mcp_calls": "",
    "image_generation_calls": "",
    "x_posts_fetched": "",
    "x_users_fetched": "",
}
"""xAI's counters of the tools it runs, and the unit each is charged by; without one, what they
cost is known from the stated cost alone."""
_OUTPUT_ITEMS: Final = ("web_search_calls", "code_interpreter_calls", "file_search_calls")
_WRITE_UNITS: Final = {
    "ttl_30m_tokens": units.CACHE_WRITE_30M,
    "ttl_12h_tokens": units.CACHE_WRITE_12H,
}


def has_counts(usage: dict[str, Any]) -> bool:
    """Tell whether the object counts tokens at all."""
    # Chat's input counter is asked first and alone, since it is nearly always there.
    return isinstance(usage.get(CHAT.input), int) or any(
        isinstance(usage.get(key), int) for key in _COUNTERS
    )


def shape_of(usage: dict[str, Any]) -> Shape:
    """Return the shape of an object from an API that is not known."""
    return RESPONSES if RESPONSES.input in usage else CHAT


def fill(reading: Reading, usage: dict[str, Any], shape: Shape, vendor: Vendor) -> bool:
    """Put the buckets of one usage object (without decimals) into the reading.

    Returns:
        Whether the object holds nothing but known names and counts.
    """
    additive = vendor.reasoning_additive and shape is CHAT
    if not additive and _fill_plain(reading, usage, shape):
        return True
    counts = _Counts(reading, usage)
    note_drift(reading, usage, _KNOWN | vendor.uncharged if vendor.uncharged else _KNOWN)
    total_in, total_out = counts.of(shape.input), counts.of(shape.output)
    total = counts.of("total_tokens")
    _fill_input(reading, counts, as_dict(usage.get(shape.input_details)), total_in)
    extra = _fill_output(
        reading,
        counts,
        as_dict(usage.get(shape.output_details)),
        total_out,
        additive=additive,
    )
    _fill_fees(reading, counts, shape)
    if vendor.reasoning_in_total and total_in and total > total_in + total_out + extra:
        # Thoughts that only the total tells of, unless the details did.
        rest = total - total_in - total_out - extra
        reading.put(units.REASONING, rest)
        extra += rest
        reading.find("reasoning_from_total")
    if (tier := as_text(usage.get("service_tier"))) is not None and is_name(tier):
        reading.tier_served = tier  # Mistral's place for it
    sums = {total_in + total_out + extra}
    if vendor.total_partial:
        sums.add(total_in + total_out)
    if total and (total_in or total_out) and total not in sums:
        reading.find("identity:total")
    return False


def _fill_plain(reading: Reading, usage: dict[str, Any], shape: Shape) -> bool:
    """Take the common object by a short way, if it is one: only counts of text, and they add up.

    It finds nothing, so whatever is worth a finding is left to the long way, as is all the rest.
    """
    if not usage.keys() <= (_PLAIN_CHAT if shape is CHAT else _PLAIN_RESPONSES):
        return False
    inputs, outputs = usage.get(shape.input_details, {}), usage.get(shape.output_details, {})
    if type(inputs) is not dict or type(outputs) is not dict:
        return False
    if not (inputs.keys() <= _KNOWN_INPUT and outputs.keys() <= _KNOWN_OUTPUT):
        return False
    total_in, total_out = usage.get(shape.input, 0), usage.get(shape.output, 0)
    total = usage.get("total_tokens", 0)
    for count in (total_in, total_out, total, *inputs.values(), *outputs.values()):
        if type(count) is not int or not 0 <= count <= MAX_COUNT:
            return False
    read, reasoning = inputs.get("cached_tokens", 0), outputs.get("reasoning_tokens", 0)
    if sum(inputs.values()) != read or sum(outputs.values()) != reasoning:
        return False  # another part is not zero
    both = total_in + total_out
    if read > total_in or reasoning > total_out or (both and total not in (0, both)):
        return False
    if read:
        reading.put(units.CACHE_READ, read)
    reading.put(units.INPUT, total_in - read)
    if reasoning:
        reading.put(units.REASONING, reasoning)
    reading.put(units.OUTPUT, total_out - reasoning)
    return True


class _Counts:
    """Reads counters: whole, not negative, bounded; anything else is a finding."""

    __slots__ = ("reading", "usage")

    def __init__(self, reading: Reading, usage: dict[str, Any]) -> None:
        self.reading = reading
        self.usage = usage

    def of(self, key: str, within: dict[str, Any] | None = None) -> int:
        counters = self.usage if within is None else within
        value = counters.get(key)
        if value is None or value == 0:
            return 0
        if type(value) is int and 0 < value <= MAX_COUNT:
            return value
        count = count_of(self.reading, counters, key)
        if count < 0:
            self.reading.find(f"negative:{key}")
        return max(0, count)

    def subset(self, what: str, count: int, whole: int) -> int:
        """Return a part of a whole, clamped to it."""
        if count > whole:
            self.reading.find(f"identity:{what}")
        return min(count, whole)


def _fill_input(reading: Reading, counts: _Counts, details: dict[str, Any], total: int) -> None:
    note_drift(reading, details, _KNOWN_INPUT, "input.")
    read = counts.subset("cache_read", _cache_read(counts, details), total)
    write = counts.subset("cache_write", _cache_write(counts, details), total - read)
    rest = total - read - write
    cached = as_dict(details.get("cached_tokens_details"))
    for modality in units.MODALITIES:
        key = f"{modality}_tokens"
        if not details.get(key):
            continue
        count = counts.subset("input", counts.of(key, details), total)
        told = min(counts.of(key, cached), count, read)
        reading.put(f"{units.CACHE_READ}_{modality}", told)
        read -= told
        # Cached tokens may be of this modality without saying so: they stay cached tokens.
        fresh = min(count - told, rest)
        reading.put(f"{units.INPUT}_{modality}", fresh)
        rest -= fresh
    reading.put(units.CACHE_READ, read)
    by_ttl = as_dict(details.get("cache_write_tokens_details"))
    for key, unit in _WRITE_UNITS.items() if by_ttl else ():
        part = counts.subset("cache_write_ttl", counts.of(key, by_ttl), write)
        reading.put(unit, part)
        write -= part
    reading.put(units.CACHE_WRITE, write)
    reading.put(units.INPUT, rest)


def _cache_read(counts: _Counts, details: dict[str, Any]) -> int:
    """Return cached input tokens: in the details, at the top level, or as hits and misses."""
    usage = counts.usage
    if "prompt_cache_hit_tokens" in usage:
        hit = counts.of("prompt_cache_hit_tokens")
        if hit + counts.of("prompt_cache_miss_tokens") != counts.of(CHAT.input):
            counts.reading.find("identity:cache_hit_miss")
        return hit
    for key in ("cached_tokens", "cache_read_input_tokens"):
        if details.get(key) is not None:
            return counts.of(key, details)
    return counts.of("cached_tokens") or counts.of("cache_read_input_tokens")


def _cache_write(counts: _Counts, details: dict[str, Any]) -> int:
    """Return input tokens written to a cache: in the details, or at the top level."""
    for key in ("cache_write_tokens", "cache_creation_input_tokens"):
        if details.get(key) is not None:
            return counts.of(key, details)
    return counts.of("cache_creation_input_tokens")


def _fill_output(
    reading: Reading, counts: _Counts, details: dict[str, Any], total: int, *, additive: bool
) -> int:
    """Put the output side; return the tokens that are outside of the output counter."""
    note_drift(reading, details, _KNOWN_OUTPUT, "output.")
    reasoning = counts.of("reasoning_tokens", details) or counts.of("reasoning_tokens")
    rest, extra = total, reasoning
    if not additive:
        reasoning = counts.subset("reasoning", reasoning, total)
        rest, extra = total - reasoning, 0
    reading.put(units.REASONING, reasoning)
    for modality in units.MODALITIES:
        part = counts.subset("output", counts.of(f"{modality}_tokens", details), rest)
        reading.put(f"{units.OUTPUT}_{modality}", part)
        rest -= part
    reading.put(units.OUTPUT, rest)
    citations = counts.of("citation_tokens")
    reading.put(CITATIONS, citations)
    return extra + citations


def _fill_fees(reading: Reading, counts: _Counts, shape: Shape) -> None:
    """Put what is charged beside tokens."""
    usage = counts.usage
    searches = counts.of("num_search_queries")
    for key in ("server_tool_use_details", "server_tool_use"):
        told = as_dict(usage.get(key))
        note_drift(reading, told, _SERVER_TOOLS, f"{key}.")
        searches = searches or counts.of("web_search_requests", told)
    for name, told in as_dict(usage.get("tool_calls_details")).items():
        if name in _SEARCHES:
            searches = searches or counts.of("invocation", as_dict(told))
        elif name == "fetch_url":
            reading.put(units.WEB_FETCH, counts.of("invocation", as_dict(told)))
        elif told:
            drift(reading, f"tool_calls_details.{name}")
    tools = as_dict(usage.get("server_side_tool_usage_details"))
    note_drift(reading, tools, _TOOL_UNITS.keys(), "server_side_tool_usage_details.")
    for key, unit in _TOOL_UNITS.items():
        # On `/responses` the reader counts calls of the common tools among the output items.
        if not (count := counts.of(key, tools)):
            continue
        if not unit:
            if "cost_in_usd_ticks" not in usage:
                reading.find(f"unpriced_tool:{key}")
        elif shape is not RESPONSES or key not in _OUTPUT_ITEMS:
            reading.put(unit, count)
    reading.put(units.WEB_SEARCH, searches)
    reading.put("search_sources", counts.of("num_sources_used"))
    reading.put("audio_seconds", counts.of("prompt_audio_seconds"))
    size = as_text(usage.get("search_context_size"))
    if size in units.REQUEST_SIZES:
        # Perplexity's fee for a request depends on how much it searches.
        reading.put(f"{units.REQUESTS}_{size}", 1)
    elif size is not None and "cost" not in usage:
        reading.find(f"request_fee:{size if is_name(size) else 'unreadable'}")
