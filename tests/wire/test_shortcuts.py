"""What is read the short way, for speed, is read as the long way would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.event import MAX_COUNT
from outlay.wire import openai_usage
from outlay.wire.base import READ_HEADERS, Reading, Request, load_json
from outlay.wire.openai_usage import CHAT, RESPONSES, Shape, fill
from outlay.wire.registry import open_reader
from outlay.wire.usage_object import numbers_and_names
from outlay.wire.vendors import conventions

COUNT = st.integers(0, 5) | st.sampled_from(
    [100, MAX_COUNT, MAX_COUNT + 1, -1, True, None, 1.0, ""]
)
PARTS = (
    "cached_tokens", "audio_tokens", "text_tokens", "image_tokens", "reasoning_tokens",
    "cache_write_tokens", "cached_tokens_details", "accepted_prediction_tokens", "novel",
)  # fmt: skip
DETAILS = st.dictionaries(st.sampled_from(PARTS), COUNT, max_size=3) | COUNT
TOTALS = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens")
USAGE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TOTALS, COUNT),
        **{
            f"{side}_tokens_details": DETAILS
            for side in ("prompt", "completion", "input", "output")
        },
        "novel": COUNT,
    },
)


@given(USAGE, st.sampled_from([CHAT, RESPONSES]), st.sampled_from(["openai", "xai", "perplexity"]))
def test_a_plain_usage_object_gives_the_same_buckets_and_findings(
    usage: dict[str, Any], shape: Shape, vendor: str
) -> None:
    short, long = (Reading("p", "s", "v") for _ in range(2))
    plain = fill(short, usage, shape, conventions(vendor))
    with mock.patch.object(openai_usage, "_fill_plain", return_value=False):
        fill(long, usage, shape, conventions(vendor))
    assert short == long
    assert list(short.usage) == list(long.usage)
    if plain:
        assert usage == numbers_and_names(usage)


def test_the_usual_usage_object_is_plain() -> None:
    usage = {
        "prompt_tokens": 120, "completion_tokens": 48, "total_tokens": 168,
        "prompt_tokens_details": {"cached_tokens": 100, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 8, "rejected_prediction_tokens": 0},
    }  # fmt: skip
    assert fill(Reading("p", "s", "v"), usage, CHAT, conventions("openai"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(
    JSON,
    st.sampled_from(["", " ", "\n\t ", "x", "}", "\0", "\u00a0"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"]),
)
def test_json_is_read_as_the_standard_library_reads_it(
    value: Any, behind: str, encoding: str
) -> None:
    raw = (json.dumps(value, ensure_ascii=False) + behind).encode(encoding, "surrogatepass")
    try:
        expected = json.loads(raw)
    except ValueError:
        expected = None
    assert load_json(raw) == expected


@given(st.binary(max_size=20) | st.binary(max_size=20).map(lambda tail: b"{" + tail))
def test_any_bytes_are_json_or_nothing(raw: bytes) -> None:
    try:
        expected = json.loads(raw)
    except ValueError:
        expected = None
    assert load_json(raw) == expected


class Asked(Mapping[str, str]):
    """Empty headers that remember what was looked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1/chat/completions",
        "https://api.openai.com/v1/responses",
        "https://api.openai.com/v1/embeddings",
        "https://api.openai.com/v1/novel",
        "https://api.anthropic.com/v1/messages",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-x/invoke",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-x/invoke",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-x/converse",
        "https://bedrock-runtime.us-east-1.amazonaws.com/guardrail/g/version/1/apply",
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-flash:generateContent",
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding:embedContent",
        "https://api.cohere.com/v2/chat",
        "https://api.cohere.com/v2/rerank",
    ],
)
def test_readers_look_at_no_header_that_taps_leave_out(url: str) -> None:
    asked, answered = Asked(), Asked()
    reader = open_reader(Request("POST", url, asked, b"{}"))
    assert reader is not None
    reader.response(200, answered)
    reader.feed(b"{}")
    reader.finish()
    assert asked.names | answered.names <= READ_HEADERS
    assert "content-type" in answered.names
