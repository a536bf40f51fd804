"""`outlay rate` on lines of any kind: each gives one JSON line, and none ends the run."""

from __future__ import annotations

import base64
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


# -- more than one call, and bodies that are no text ----------------------------------------------


def test_the_messages_of_a_socket_give_one_reading_for_each_answer() -> None:
    usage = {
        "total_tokens": 30, "input_tokens": 20, "output_tokens": 10,
        "input_token_details": {"text_tokens": 5, "audio_tokens": 15, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 4, "audio_tokens": 6},
    }  # fmt: skip
    done = [
        {"direction": "sent", "data": {"type": "response.create"}},
        *(
            {
                "direction": "received",
                "data": {
                    "type": "response.done",
                    "response": {"id": f"resp_{n}", "status": "completed", "usage": usage},
                },
            }
            for n in range(2)
        ),
    ]
    row = rated(url="wss://api.openai.com/v1/realtime?model=gpt-realtime", messages=done)
    first, second = row["readings"]
    assert first["usage"] == {"input": 5, "input_audio": 15, "output": 4, "output_audio": 6}
    assert second["response_id"] == "resp_1"
    assert row["findings"] == ["unknown_model", "unpriced"]
    assert (row["input_total"], row["output_total"]) == (40, 20)


@pytest.mark.parametrize(
    ("messages", "where"),
    [
        ("x", "messages"),
        ([1], "messages[0]"),
        ([{"data": {}}, {"direction": "sent"}], "messages[1]"),
    ],
)
def test_messages_of_another_form_are_named(messages: Any, where: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        rated(url="wss://api.openai.com/v1/realtime?model=m", messages=messages)
    assert refused.value.where == where


def test_a_binary_body_comes_as_base64() -> None:
    body = b'{"model": "gpt-4o", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}'
    row = rated(
        url="https://api.openai.com/v1/chat/completions",
        request={"model": "gpt-4o"},
        response_base64=base64.b64encode(body).decode(),
    )
    assert row["usage"] == {"input": 3, "output": 2}


def test_a_body_that_is_no_base64_is_named() -> None:
    with pytest.raises(BadRequestError) as refused:
        rated(url="https://api.openai.com/v1/chat/completions", response_base64="***")
    assert refused.value.where == "response_base64"


def test_the_results_of_a_batch_give_one_reading_for_each_line() -> None:
    def line(number: int) -> str:
        usage = {"prompt_tokens": 100 * number, "completion_tokens": 10}
        body = {"id": f"c{number}", "object": "chat.completion", "created": 1_790_000_000,
                "model": "gpt-4.1-mini", "usage": usage}  # fmt: skip
        return json.dumps(
            {"id": f"b{number}", "custom_id": "x", "response": {"status_code": 200, "body": body}}
        )

    row = rated(
        url="https://api.openai.com/v1/files/file-1/content",
        method="GET",
        response="\n".join(map(line, (1, 2))),
    )
    assert [reading["usage"]["input"] for reading in row["readings"]] == [100, 200]
    assert all(reading["batch"] for reading in row["readings"])
