"""Bedrock's counts as disjoint buckets: Converse's usage object, count headers, guardrail units.

`inputTokens` leaves out what was read from and written to the cache; reasoning is inside of
`outputTokens`. Owns no request or reply: the readers hand in decoded objects. Nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import (
    BEDROCK_COUNT_HEADERS,
    Reading,
    Segment,
    Status,
    as_count,
    as_dict,
    as_list,
    as_text,
)
from outlay.wire.bedrock_names import is_anthropic
from outlay.wire.usage_object import count_of, drift, is_name, note_drift

GUARDRAIL_MODEL: Final = "amazon.bedrock-guardrails"
"""The name that guardrail units are priced under, whichever guardrail counted them."""
MAX_TRACE_DEPTH: Final = 6
"""Levels of a trace that are searched for what guardrails used."""
MAX_TRACE_ITEMS: Final = 256
"""Parts of a trace that are looked at."""
MAX_HEADER_DIGITS: Final = 15

STATUS_BY_STOP_REASON: Final[dict[str, Status]] = {
    "end_turn": "ok",
    "stop_sequence": "ok",
    "tool_use": "ok",
    "max_tokens": "incomplete",
    "model_context_window_exceeded": "incomplete",
    "malformed_model_output": "incomplete",
    "malformed_tool_use": "incomplete",
    "content_filtered": "refused",
    "guardrail_intervened": "blocked",
}

_TTL_UNITS: Final = {"5m": units.CACHE_WRITE_5M, "1h": units.CACHE_WRITE_1H}
_KNOWN_KEYS: Final = frozenset(
    (
        "inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens",
        "cacheWriteInputTokens", "inputTokenCount", "outputTokenCount", "totalTokenCount",
        "cacheReadInputTokenCount", "cacheWriteInputTokenCount", "cacheDetails",
        "serverToolUsage",
    )
)  # fmt: skip
_METRICS: Final = {
    "inputTokenCount": "input_tokens",
    "outputTokenCount": "output_tokens",
    "cacheReadInputTokenCount": "cache_read_input_tokens",
    "cacheWriteInputTokenCount": "cache_creation_input_tokens",
}
_POLICY_UNITS: Final = {
    "topicPolicyUnits": f"{units.TEXT_UNITS}_topic",
    "contentPolicyUnits": f"{units.TEXT_UNITS}_content",
    "sensitiveInformationPolicyUnits": f"{units.TEXT_UNITS}_sensitive",
    "contextualGroundingPolicyUnits": f"{units.TEXT_UNITS}_grounding",
    "automatedReasoningPolicyUnits": f"{units.TEXT_UNITS}_reasoning",
    "contentPolicyImageUnits": f"{units.TEXT_UNITS}_image",
}
_FREE_POLICY_KEYS: Final = frozenset(
    ("wordPolicyUnits", "sensitiveInformationPolicyFreeUnits", "automatedReasoningPolicies")
)
"""What a guardrail counts and does not charge, and how many policies it had."""
_CHECK_UNITS: Final = {
    "contentFilter": f"{units.TEXT_UNITS}_content",
    "promptAttack": f"{units.TEXT_UNITS}_prompt_attack",
    "sensitiveInformation": f"{units.TEXT_UNITS}_sensitive",
}


def header_counts(headers: Mapping[str, str]) -> dict[str, int]:
    """Return the counts in the reply's headers, by Anthropic's names for them."""
    found = {}
    for name, key in BEDROCK_COUNT_HEADERS.items():
        value = headers.get(name, "").strip()
        if value.isascii() and value.isdigit() and len(value) <= MAX_HEADER_DIGITS:
            found[key] = int(value)
    return found


def metric_counts(body: dict[str, Any]) -> dict[str, int]:
    """Return the counts that Bedrock adds to a stream's last chunk, by Anthropic's names."""
    metrics = as_dict(body.get("amazon-bedrock-invocationMetrics"))
    return {name: as_count(metrics[key]) for key, name in _METRICS.items() if key in metrics}


def put_counts(reading: Reading, counts: Mapping[str, int]) -> None:
    """Put the counts of headers or metrics, which leave out what was cached, into the reading."""
    reading.put(units.INPUT, counts.get("input_tokens", 0))
    reading.put(units.CACHE_READ, counts.get("cache_read_input_tokens", 0))
    reading.put(units.CACHE_WRITE, counts.get("cache_creation_input_tokens", 0))
    reading.put(units.OUTPUT, counts.get("output_tokens", 0))


def write_unit(body: dict[str, Any], model: str) -> str:
    """Return the cache-write unit that a Converse request's last cache point asks for.

    The last one decides since a prompt grows at its end. Without a lifetime, Anthropic's models
    keep it for five minutes; what other makers' caches do is theirs.
    """
    last: dict[str, Any] = {}
    for block in _blocks(body):
        last = as_dict(block.get("cachePoint")) or last
    default = units.CACHE_WRITE_5M if is_anthropic(model) else units.CACHE_WRITE
    return _TTL_UNITS.get(as_text(last.get("ttl")) or "", default)


def _blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from map(as_dict, as_list(as_dict(body.get("toolConfig")).get("tools")))
    yield from map(as_dict, as_list(body.get("system")))
    for message in map(as_dict, as_list(body.get("messages"))):
        yield from map(as_dict, as_list(message.get("content")))


def put_converse(
    reading: Reading, usage: dict[str, Any], *, ttl_unit: str, inclusive: bool = False
) -> None:
    """Put the buckets of a Converse usage object into the reading; oddities become findings.

    Args:
        reading: what to put them into.
        usage: the object, also in the shape that Nova's own API gives it.
        ttl_unit: the cache-write unit for writes whose lifetime is not stated.
        inclusive: the input counter may include what was cached. Measured of OpenAI's models on
            ConverseStream in September 2026 (maximhq/bifrost#6942): where it is at least as large
            as the cached counts, they are taken out of it.
    """
    note_drift(reading, usage, _KNOWN_KEYS)
    note_drift(reading, as_dict(usage.get("serverToolUsage")), frozenset(), "serverToolUsage.")
    tokens = _count(reading, usage, "input")
    output = _count(reading, usage, "output")
    read = _count(reading, usage, "cacheReadInput")
    writes = _cache_writes(reading, usage, ttl_unit)
    written = sum(max(0, count) for count in writes.values())
    total = _count(reading, usage, "total")
    if total and total not in (tokens + output, tokens + output + read + written):
        reading.find("identity:total")
    cached = max(0, read) + written
    if inclusive and 0 < cached <= tokens:
        tokens -= cached
        reading.find("input_included_cache")
    reading.put(units.INPUT, tokens)
    reading.put(units.CACHE_READ, read)
    for unit, count in writes.items():
        reading.put(unit, count)
    reading.put(units.OUTPUT, output)


def _count(reading: Reading, usage: dict[str, Any], name: str) -> int:
    """Return a counter under either of its two names; the larger one where they differ."""
    first, second = f"{name}Tokens", f"{name}TokenCount"
    counts = [count_of(reading, usage, key) for key in (first, second) if key in usage]
    if len(set(counts)) > 1:
        reading.find(f"identity:{first}")
    return max(counts, default=0)


def _cache_writes(reading: Reading, usage: dict[str, Any], ttl_unit: str) -> dict[str, int]:
    """Split cache writes by lifetime: the stated split prices its part, the rest the one in use."""
    counts: dict[str, int] = {}
    for detail in map(as_dict, as_list(usage.get("cacheDetails"))):
        ttl = as_text(detail.get("ttl")) or ""
        if ttl not in _TTL_UNITS:
            drift(reading, f"cacheDetails.{ttl}")
        unit = _TTL_UNITS.get(ttl, units.CACHE_WRITE)
        counts[unit] = counts.get(unit, 0) + count_of(reading, detail, "inputTokens")
    total = _count(reading, usage, "cacheWriteInput")
    rest = total - sum(max(0, count) for count in counts.values())
    if rest > 0:
        counts[ttl_unit] = counts.get(ttl_unit, 0) + rest
        if ttl_unit != units.CACHE_WRITE:
            reading.find("cache_ttl_assumed")
    elif rest < 0 and total:
        # The larger figure is kept: a clamp here would bill real tokens at nothing.
        reading.find("cache_split_exceeds_total")
    return counts


def guardrail_units(reading: Reading, usage: dict[str, Any]) -> dict[str, int]:
    """Return what one guardrail charges for, by policy; what it does for free is left out."""
    known = _POLICY_UNITS.keys() | _FREE_POLICY_KEYS
    note_drift(reading, usage, known, "guardrail.")
    counts = {unit: count_of(reading, usage, key) for key, unit in _POLICY_UNITS.items()}
    return {unit: count for unit, count in counts.items() if count > 0}


def check_units(reading: Reading, usage: dict[str, Any]) -> dict[str, int]:
    """Return what guardrail checks charge for, by check."""
    note_drift(reading, usage, _CHECK_UNITS.keys(), "guardrail.")
    counts: dict[str, int] = {}
    for key, unit in _CHECK_UNITS.items():
        counts[unit] = count_of(reading, as_dict(usage.get(key)), "textUnits")
    return {unit: count for unit, count in counts.items() if count > 0}


def trace_units(reading: Reading, trace: Any) -> dict[str, int]:
    """Sum what the guardrails in a trace charge for; a trace comes only if it was asked for."""
    total: dict[str, int] = {}
    level = [trace]
    left = MAX_TRACE_ITEMS
    for _ in range(MAX_TRACE_DEPTH):
        below: list[Any] = []
        for part in level[:left]:
            if isinstance(part, dict):
                usage = as_dict(as_dict(part.get("invocationMetrics")).get("usage"))
                for unit, count in guardrail_units(reading, usage).items():
                    total[unit] = total.get(unit, 0) + count
                below += part.values()
            elif isinstance(part, list):
                below += part
        left -= len(level)
        level = [part for part in below if isinstance(part, dict | list)]
        if left <= 0:
            reading.find("trace_too_large")
            break
    return total


def add_guardrail(reading: Reading, counts: dict[str, int]) -> None:
    """Add what guardrails used as a segment of its own: it has its own prices."""
    if not counts:
        return
    if not reading.segments and reading.usage:
        model = reading.model_served or reading.model_requested or ""
        reading.segments = [Segment(model, dict(reading.usage))]
    reading.segments.append(Segment(GUARDRAIL_MODEL, counts, "guardrail"))
    for unit, count in counts.items():
        reading.put(unit, count)


def note_block(reading: Reading, *, counted: bool) -> None:
    """Say of a blocked call without counts that nobody knows what it cost."""
    if reading.status == "blocked" and not counted:
        reading.find("usage_missing")
        reading.billed = "possible"


def error_name(found: str | None) -> str | None:
    """Return an error's class as AWS writes it, without its namespace and address."""
    name = (found or "").rpartition("#")[2].partition(":")[0]
    return name if name and is_name(name) else None
