"""Anthropic's usage object, turned into disjoint buckets and segments.

`input_tokens` excludes both cache counts, `output_tokens` includes thinking. The lifetime split of
cache writes (`cache_creation`) may cover less than their total; the rest goes to the lifetime in
use and is never lost. Pure functions over decoded JSON; they never raise on odd values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from outlay.core import units
from outlay.core.event import MAX_COUNT
from outlay.wire.base import Reading, Segment, as_count, as_dict, as_list, as_text
from outlay.wire.usage_object import count_of, drift, note_drift

MAX_SEGMENTS: Final = 32
"""Hidden model calls of one response kept apart; more are added to earlier ones, with a finding."""

MAIN_KINDS: Final = ("message", "fallback_message")
"""Iterations whose counts the top level sums up, and where its thinking tokens belong."""

_KNOWN_KINDS: Final = frozenset((*MAIN_KINDS, "compaction", "advisor_message"))
_KNOWN_KEYS: Final = frozenset(
    (
        "input_tokens", "cache_creation_input_tokens", "cache_creation",
        "cache_read_input_tokens", "output_tokens", "output_tokens_details", "server_tool_use",
        "service_tier", "speed", "inference_geo", "iterations", "fallback_credit",
    )
)  # fmt: skip
_KNOWN_ITERATION_KEYS: Final = _KNOWN_KEYS | {"type", "model"}
_TTL_UNITS: Final = {
    "ephemeral_5m_input_tokens": units.CACHE_WRITE_5M,
    "ephemeral_1h_input_tokens": units.CACHE_WRITE_1H,
}
_FEE_UNITS: Final = {
    "web_search_requests": units.WEB_SEARCH,
    "web_fetch_requests": units.WEB_FETCH,
}
INPUT_KEYS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def request_ttl_unit(body: dict[str, Any]) -> str:
    """Return the cache-write unit that the request's last cache marker asks for.

    The last marker decides since a prompt grows at its end: that is where counts beyond the stated
    split come from. Without a marker or a `ttl`, the API's default of five minutes holds.
    """
    last: dict[str, Any] = {}
    for holder in _cacheable(body):
        marker = as_dict(holder.get("cache_control"))
        if marker:
            last = marker
    return units.CACHE_WRITE_1H if last.get("ttl") == "1h" else units.CACHE_WRITE_5M


def _cacheable(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield whatever may carry a cache marker, in the order of the prompt."""
    yield from map(as_dict, as_list(body.get("tools")))
    yield from map(as_dict, as_list(body.get("system")))
    for message in map(as_dict, as_list(body.get("messages"))):
        yield from map(as_dict, as_list(message.get("content")))
    yield body


def note_unknown(reading: Reading, usage: dict[str, Any]) -> None:
    """Find every key of a usage object that carries something and that no rule covers."""
    note_drift(reading, usage, _KNOWN_KEYS)
    note_drift(reading, as_dict(usage.get("cache_creation")), _TTL_UNITS.keys(), "cache_creation.")
    note_drift(
        reading, as_dict(usage.get("server_tool_use")), _FEE_UNITS.keys(), "server_tool_use."
    )
    details = as_dict(usage.get("output_tokens_details"))
    note_drift(reading, details, {"thinking_tokens"}, "output_tokens_details.")


def token_buckets(reading: Reading, usage: dict[str, Any], ttl_unit: str) -> dict[str, int]:
    """Return the disjoint token counts of one usage object; oddities become findings."""
    counts = {
        units.INPUT: count_of(reading, usage, "input_tokens"),
        units.CACHE_READ: count_of(reading, usage, "cache_read_input_tokens"),
    }
    counts.update(_cache_writes(reading, usage, ttl_unit))
    output = count_of(reading, usage, "output_tokens")
    thinking = thinking_tokens(usage)
    if thinking > max(0, output):
        reading.find("identity:reasoning")
        thinking = max(0, output)
    counts[units.OUTPUT] = output - thinking
    counts[units.REASONING] = thinking
    return _positive(reading, counts)


def thinking_tokens(usage: dict[str, Any]) -> int:
    """Return how many of the output tokens were thinking."""
    return max(0, as_count(as_dict(usage.get("output_tokens_details")).get("thinking_tokens")))


def _cache_writes(reading: Reading, usage: dict[str, Any], ttl_unit: str) -> dict[str, int]:
    """Split cache writes by lifetime: the stated split prices its part, the rest the one in use."""
    split = as_dict(usage.get("cache_creation"))
    counts = {unit: count_of(reading, split, key) for key, unit in _TTL_UNITS.items()}
    if usage.get("cache_creation_input_tokens") is None:
        return counts
    total = count_of(reading, usage, "cache_creation_input_tokens")
    rest = total - sum(max(0, count) for count in counts.values())
    if rest < 0:
        # The larger figure is kept: a clamp here would bill real tokens at nothing.
        reading.find("cache_split_exceeds_total")
    elif rest > 0:
        counts[stated_ttl_unit(usage) or ttl_unit] += rest
        reading.find("cache_ttl_assumed")
    return counts


def stated_ttl_unit(usage: dict[str, Any]) -> str | None:
    """Return the one cache-write unit that the stated split uses, or `None` for none or both."""
    split = as_dict(usage.get("cache_creation"))
    used = [unit for key, unit in _TTL_UNITS.items() if as_count(split.get(key)) > 0]
    return used[0] if len(used) == 1 else None


def fee_buckets(usage: dict[str, Any]) -> dict[str, int]:
    """Return the counts of server tools that are charged by the request."""
    tools = as_dict(usage.get("server_tool_use"))
    counts = {unit: as_count(tools.get(key)) for key, unit in _FEE_UNITS.items()}
    return {unit: count for unit, count in counts.items() if 0 < count <= MAX_COUNT}


def _positive(reading: Reading, counts: dict[str, int]) -> dict[str, int]:
    for unit, count in counts.items():
        if count < 0:
            reading.find(f"negative:{unit}")
    return {unit: count for unit, count in counts.items() if count > 0}


def build_segments(
    reading: Reading, usage: dict[str, Any], *, model: str, ttl_unit: str
) -> list[Segment]:
    """Return one segment for each hidden model call in `iterations`, each with its own model.

    The top level sums the `message` iterations only: compaction and advisor calls are in none of
    its counts. The thinking tokens are stated at the top level alone; they are carved out of the
    main iterations in order.

    Args:
        reading: takes the findings.
        usage: the final merged usage object.
        model: the model of iterations that name none.
        ttl_unit: the cache-write unit for writes whose lifetime is not stated.
    """
    segments: list[Segment] = []
    ttl_unit = stated_ttl_unit(usage) or ttl_unit
    thinking = thinking_tokens(usage)
    main_output = 0
    for iteration in map(as_dict, as_list(usage.get("iterations"))):
        kind = as_text(iteration.get("type")) or "message"
        if kind not in _KNOWN_KINDS:
            drift(reading, f"iterations.{kind}")
        note_drift(reading, iteration, _KNOWN_ITERATION_KEYS, "iterations.")
        counts = token_buckets(reading, iteration, ttl_unit)
        if kind in MAIN_KINDS:
            thinking -= thinking_tokens(iteration)
            main_output += units.output_total(counts)
            moved = max(0, min(thinking, counts.get(units.OUTPUT, 0)))
            thinking -= moved
            _move(counts, units.OUTPUT, units.REASONING, moved)
        if counts:
            _append(
                reading, segments, Segment(as_text(iteration.get("model")) or model, counts, kind)
            )
    if segments and as_count(usage.get("output_tokens")) > main_output:
        reading.find("iterations_below_total")
    return segments


def _move(counts: dict[str, int], source: str, target: str, count: int) -> None:
    if count:
        counts[source] -= count
        counts[target] = counts.get(target, 0) + count
        if not counts[source]:
            del counts[source]


def _append(reading: Reading, segments: list[Segment], new: Segment) -> None:
    if len(segments) < MAX_SEGMENTS:
        segments.append(new)
        return
    reading.find("segments_merged")
    alike = [old for old in segments if old.model == new.model]
    add_counts((alike or segments)[-1].usage, new.usage)


def add_counts(into: dict[str, int], more: dict[str, int]) -> None:
    """Add counts unit by unit."""
    for unit, count in more.items():
        into[unit] = into.get(unit, 0) + count
