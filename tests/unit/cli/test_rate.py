"""`outlay rate` on lines of any kind: each gives one JSON line, and none ends the run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.cli.rate import rate_line
from outlay.core.prices import PriceBook
from outlay.errors import BadRequestError

URL = "https://api.openai.com/v1/chat/completions"
BOOK = PriceBook(models=(), rates=())


def rated(**fields: Any) -> dict[str, Any]:
    return rate_line(json.dumps({"url": URL, **fields}), BOOK, {})


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        "[]",
        "null",
        '{"url": 5}',
        "[" * 100_000,
        '{"url": "x", "at": ' + "9" * 5000 + "}",
    ],
)
def test_a_line_that_is_no_call_is_said(line: str) -> None:
    with pytest.raises(BadRequestError):
        rate_line(line, BOOK, {})


@pytest.mark.parametrize("at", [float("inf"), float("nan"), 1e300, -5, [1], "never", True, {}])
def test_a_time_that_is_none_is_said(at: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        rated(at=at)
    assert caught.value.where == "at"


@pytest.mark.parametrize("at", [1_700_000_000, 1_700_000_000_000.0, "2026-01-01T00:00:00Z"])
def test_seconds_milliseconds_and_text_are_times(at: Any) -> None:
    assert rated(at=at)["provider"] == "openai"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["request", "response", "status", "headers", "response_headers", "method", "at"]
        ),
        json_values,
    )
)
def test_whatever_a_line_holds_it_is_rated_or_refused(fields: dict[str, Any]) -> None:
    try:
        row = rated(**fields)
    except BadRequestError:
        return
    assert row["url" if "url" in row else "provider"]
