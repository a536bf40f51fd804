"""Whatever comes over the wire: no exception, disjoint and non-negative buckets."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.harness import assert_sane, exchange, read, split_at, sse, to_bytes

MODEL = "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro"
VERTEX = "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models"
URLS = (
    f"{MODEL}:generateContent",
    f"{MODEL}:streamGenerateContent",
    f"{MODEL}:batchEmbedContents",
    f"{VERTEX}/text-embedding-005:predict",
)
COUNTS = st.integers(0, 10**6)
DETAILS = st.lists(
    st.fixed_dictionaries(
        {
            "modality": st.sampled_from(["TEXT", "AUDIO", "IMAGE", "DOCUMENT", "VIDEO", "SMELL"]),
            "tokenCount": st.integers(-10, 10**6),
        }
    ),
    max_size=5,
)
ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["candidates", "content", "parts", "text", "finishReason", "usageMetadata", "functionCall",
     "promptTokenCount", "candidatesTokenCount", "cachedContentTokenCount", "thoughtsTokenCount",
     "promptTokensDetails", "modality", "tokenCount", "promptFeedback", "blockReason", "index",
     "groundingMetadata", "webSearchQueries", "error", "status", "predictions", "embeddings",
     "statistics", "token_count", "instances", "requests", "contents", "serviceTier", "args"]
)  # fmt: skip
BODIES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, ODD, max_size=5),
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, max_size=3), max_size=5),
    max_leaves=12,
)


@given(
    prompt=COUNTS, cached=COUNTS, tool=COUNTS, output=COUNTS, thoughts=COUNTS,
    details=st.tuples(DETAILS, DETAILS, DETAILS, DETAILS),
)  # fmt: skip
@settings(deadline=None)
def test_buckets_are_disjoint_and_cover_everything_whatever_the_details_say(
    prompt: int,
    cached: int,
    tool: int,
    output: int,
    thoughts: int,
    details: tuple[list[Any], list[Any], list[Any], list[Any]],
) -> None:
    usage = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": cached,
        "toolUsePromptTokenCount": tool,
        "candidatesTokenCount": output,
        "thoughtsTokenCount": thoughts,
        "promptTokensDetails": details[0],
        "cacheTokensDetails": details[1],
        "toolUsePromptTokensDetails": details[2],
        "candidatesTokensDetails": details[3],
    }
    body = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}
    reading = read(exchange(URLS[0], {}, body))
    assert_sane(reading)
    assert reading.input_total == max(prompt, cached) + tool
    assert reading.output_total == output + thoughts
    assert ("identity:cache_read" in reading.findings) == (cached > prompt)


@given(body=st.binary(max_size=300), cut=st.booleans())
@settings(deadline=None)
def test_arbitrary_bytes_never_raise(body: bytes, cut: bool) -> None:
    for url in URLS:
        for kind in ("application/json", "text/event-stream"):
            asked = exchange(url, {}, body, headers={"content-type": kind})
            assert_sane(read(asked, complete=not cut))
            assert_sane(read(asked.with_body(b"[" + body), complete=not cut))


@given(events=st.lists(BODIES, max_size=4), asked=BODIES, cut=st.booleans())
@settings(deadline=None)
def test_arbitrary_events_never_raise(
    events: list[dict[str, Any]], asked: dict[str, Any], cut: bool
) -> None:
    for url in URLS:
        replies: list[Any] = [sse(*map(json.dumps, events)), events, *events]
        for reply in replies:
            reading = read(exchange(url, asked, reply), complete=not cut)
            assert_sane(reading)
            assert not any(finding.startswith("codec_error") for finding in reading.findings)


@given(events=st.lists(BODIES, min_size=1, max_size=4), place=st.integers(0, 10**4))
@settings(deadline=None)
def test_an_array_stream_reads_the_same_wherever_it_is_split(
    events: list[dict[str, Any]], place: int
) -> None:
    body = to_bytes(events)
    whole = exchange(URLS[1], {}, events)
    assert read(whole, split_at(body, place % (len(body) + 1))) == read(whole)
