"""Every vendor's convention, on usage objects made at random by that convention and against it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.core import units
from outlay.wire.base import Reading
from outlay.wire.openai_usage import CHAT, RESPONSES, Shape, fill
from outlay.wire.vendors import VENDORS, Vendor

SPEAKERS = [vendor for vendor in VENDORS if vendor.openai]
COUNT = st.integers(0, 10**6)
PLACES = ("details", "anthropic_details", "top", "anthropic_top", "hit_miss")
"""Where vendors tell cached tokens."""


class Told:
    """What was used, from which a usage object is made as a vendor would tell it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.fresh, self.read, self.write = draw(COUNT), draw(COUNT), draw(COUNT)
        self.audio, self.visible, self.reasoning = draw(COUNT), draw(COUNT), draw(COUNT)
        self.searches = draw(st.integers(0, 20))
        self.cached_at = draw(st.sampled_from(PLACES))
        self.reasoning_at_top = draw(st.booleans())

    @property
    def input(self) -> int:
        return self.fresh + self.audio + self.read + self.write

    def usage(self, vendor: Vendor, shape: Shape) -> dict[str, Any]:
        additive = vendor.reasoning_additive and shape is CHAT
        output = self.visible + (0 if additive else self.reasoning)
        total = self.input + output
        if additive and not vendor.total_partial:
            total += self.reasoning
        details: dict[str, int] = {
            "audio_tokens": self.audio, "cache_write_tokens": self.write,
        }  # fmt: skip
        usage: dict[str, Any] = {
            shape.input: self.input, shape.output: output, "total_tokens": total,
            shape.input_details: details, "num_search_queries": self.searches,
        }  # fmt: skip
        if self.reasoning_at_top:
            usage["reasoning_tokens"] = self.reasoning
        else:
            usage[shape.output_details] = {"reasoning_tokens": self.reasoning}
        if self.cached_at == "details":
            details["cached_tokens"] = self.read
        elif self.cached_at == "anthropic_details":
            details["cache_read_input_tokens"] = self.read
        elif self.cached_at == "top":
            usage["cached_tokens"] = self.read
        elif self.cached_at == "anthropic_top" or shape is RESPONSES:
            usage["cache_read_input_tokens"] = self.read
        else:
            usage["prompt_cache_hit_tokens"] = self.read
            usage["prompt_cache_miss_tokens"] = self.input - self.read
        return usage


@st.composite
def told(draw: st.DrawFn) -> Told:
    return Told(draw)


@settings(max_examples=300)
@given(st.sampled_from(SPEAKERS), st.sampled_from([CHAT, RESPONSES]), told())
def test_buckets_add_up_to_what_the_convention_says_was_used(
    vendor: Vendor, shape: Shape, used: Told
) -> None:
    reading = Reading("p", "s", "v")
    fill(reading, used.usage(vendor, shape), shape, vendor)
    assert reading.findings == []
    expected = {
        "input": used.fresh, "input_audio": used.audio, "input_cache_read": used.read,
        "input_cache_write": used.write, "output": used.visible,
        "output_reasoning": used.reasoning, "web_search": used.searches,
    }  # fmt: skip
    assert reading.usage == {unit: count for unit, count in expected.items() if count}
    assert units.input_total(reading.usage) == used.input
    assert units.output_total(reading.usage) == used.visible + used.reasoning


ODD: st.SearchStrategy[Any] = st.integers(-3, 60) | st.sampled_from(
    [None, True, "5", 1.0, 2.5, [], {}, 10**30]
)
DETAIL_KEYS = (
    "cached_tokens", "cache_read_input_tokens", "cache_write_tokens", "audio_tokens",
    "cache_creation_input_tokens", "image_tokens", "video_tokens", "text_tokens", "file_tokens",
    "reasoning_tokens", "novel",
)  # fmt: skip
KEYS = (
    "cached_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "reasoning_tokens",
    "citation_tokens", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "total_tokens",
    "num_search_queries", "num_sources_used", "prompt_audio_seconds", "service_tier",
    "search_context_size", "cost", "novel",
)  # fmt: skip
TOOLS = st.dictionaries(
    st.sampled_from(["web_search_calls", "x_search_calls", "mcp_calls", "search_web", "novel"]),
    ODD | st.fixed_dictionaries({"invocation": ODD}),
    max_size=3,
)
NESTED = (
    "server_tool_use", "server_tool_use_details", "server_side_tool_usage_details",
    "tool_calls_details",
)  # fmt: skip


@settings(max_examples=400)
@given(
    st.sampled_from(SPEAKERS),
    st.sampled_from([CHAT, RESPONSES]),
    st.integers(0, 40),
    st.integers(0, 40),
    st.dictionaries(st.sampled_from(KEYS), ODD, max_size=5),
    st.dictionaries(st.sampled_from(NESTED), TOOLS | ODD, max_size=2),
    st.dictionaries(st.sampled_from(DETAIL_KEYS), ODD, max_size=5),
    st.dictionaries(st.sampled_from(DETAIL_KEYS), ODD, max_size=3),
)
def test_an_object_that_does_not_add_up_is_clamped_and_never_exceeds_its_totals(
    vendor: Vendor,
    shape: Shape,
    prompt: int,
    completion: int,
    more: dict[str, Any],
    nested: dict[str, Any],
    inside: dict[str, Any],
    outside: dict[str, Any],
) -> None:
    reading = Reading("p", "s", "v")
    usage = {
        **more, **nested, shape.input: prompt, shape.output: completion,
        shape.input_details: inside, shape.output_details: outside,
    }  # fmt: skip
    fill(reading, usage, shape, vendor)
    assert all(type(count) is int and count > 0 for count in reading.usage.values())
    assert units.input_total(reading.usage) == prompt
    beside = reading.usage.get("output_citation", 0)
    if vendor.reasoning_additive and shape is CHAT:
        beside += reading.usage.get(units.REASONING, 0)
    if "reasoning_from_total" in reading.findings:
        # Gemini's thoughts stand in no counter but the total: the rest of it is exactly them.
        assert vendor.reasoning_in_total
        # What is cited is in the total too, and is not counted twice.
        beside = more["total_tokens"] - prompt - completion
    assert units.output_total(reading.usage) == completion + beside
    unknown = any(d.get("novel") for d in (more, inside, outside))
    assert any(found.startswith("drift:") for found in reading.findings) or not unknown
