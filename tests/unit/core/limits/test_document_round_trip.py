"""What was read is written back the same, for every limit that can be said."""

from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.core.limits.document import check_limit, limit_document, read_limit
from outlay.core.limits.limit import (
    MAX_AMOUNT,
    MAX_DELAY_MS,
    MAX_SPAN_US,
    MAX_THRESHOLD_PPM,
    METRICS,
    MIN_SPAN_US,
    PPM,
    SCOPES,
    WINDOWS,
    Limit,
    Match,
    Threshold,
)

words = st.text("abcXYZ-_.:é ", min_size=1, max_size=8).filter(lambda s: s == s.strip())
values = {
    "billing_unit": words.map(lambda w: f"team:{w}"),
    "initiator": st.sampled_from(("user", "system", "*")),
    "model": words.map(str.lower),
    "provider": st.sampled_from(("openai", "azure", "aws", "goo*")),
}


@st.composite
def matches(draw: st.DrawFn) -> tuple[Match, ...]:
    fields = draw(st.sets(st.sampled_from(SCOPES), max_size=4))
    parts = []
    for field in (one for one in SCOPES if one in fields):
        listed = draw(st.lists(values.get(field, words), unique=True, max_size=3))
        each = draw(st.booleans()) or not listed
        parts.append(Match(field, tuple(listed), each))
    return tuple(parts)


plain_rungs = st.builds(
    Threshold, st.integers(1, MAX_THRESHOLD_PPM), st.sampled_from(("warn", "partial"))
)
ladders = st.lists(
    st.one_of(
        plain_rungs,
        st.builds(
            Threshold,
            st.integers(1, MAX_THRESHOLD_PPM),
            st.just("throttle"),
            delay_ms=st.integers(1, MAX_DELAY_MS),
        ),
        st.builds(
            Threshold,
            st.integers(1, MAX_THRESHOLD_PPM),
            st.just("escalate"),
            url=st.just("https://example.org/a?b=c"),
        ),
        st.builds(
            Threshold,
            st.integers(1, MAX_THRESHOLD_PPM),
            st.just("downgrade"),
            models=st.sampled_from(((("a*", "b"),), (("a", "c"), ("b", "c")))),
        ),
        st.just(Threshold(PPM, "block")),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda t: (t.at_ppm, t.action),
).map(tuple)


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    metric = draw(st.sampled_from(METRICS))
    window = "none" if metric == "concurrent_calls" else draw(st.sampled_from(WINDOWS))
    spans = window in ("rolling", "rate")
    amounts = st.integers(1, MAX_AMOUNT)
    calendar = window in ("hour", "day", "week", "month")
    return Limit(
        draw(st.text("abcz019._-", min_size=1, max_size=64).filter(lambda s: s != "credits")),
        metric,
        window,
        draw(amounts),
        scope=draw(matches()),
        thresholds=draw(ladders),
        span_us=draw(st.integers(1, MAX_SPAN_US // MIN_SPAN_US)) * MIN_SPAN_US if spans else 0,
        burst=draw(st.just(0) | amounts) if window == "rate" else 0,
        zone=draw(st.sampled_from(("UTC", "Europe/Berlin"))) if calendar else "UTC",
        anchor_day=draw(st.integers(1, 31)) if window == "month" else 1,
        priority=draw(st.integers(0, 1_000_000)),
        mode=draw(st.sampled_from(("enforce", "shadow", "off"))),
        on_unreachable=draw(st.sampled_from(("open", "closed"))),
        strict=draw(st.booleans()),
        name=draw(st.just("") | words),
    )


@settings(max_examples=300, deadline=None)
@given(limits())
def test_what_was_read_is_written_back_the_same(limit: Limit) -> None:
    said = limit_document(limit)
    assert read_limit(said) == limit
    assert read_limit(yaml.safe_load(yaml.safe_dump(said))) == limit
    check_limit(limit)
