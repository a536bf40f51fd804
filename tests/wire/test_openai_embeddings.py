"""Embeddings: input tokens told, counted or estimated."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading
from tests.wire.harness import exchange, read

URL = "https://api.openai.com/v1/embeddings"
DATA = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]


def embed(given: Any, usage: dict[str, Any] | None = None, url: str = URL) -> Reading:
    body: dict[str, Any] = {"object": "list", "model": "e-1", "data": DATA}
    if usage is not None:
        body["usage"] = usage
    return read(exchange(url, {"model": "e", "input": given}, body))


def test_the_told_prompt_is_the_input() -> None:
    reading = embed("hello", {"prompt_tokens": 3, "total_tokens": 3})
    assert (reading.usage, reading.usage_source) == ({"input": 3}, "provider")
    assert (reading.operation, reading.model_served) == ("embeddings", "e-1")
    assert reading.findings == []


def test_a_vendor_that_tells_only_a_total_means_the_input() -> None:
    reading = embed("hello", {"total_tokens": 3}, "https://api.voyageai.com/v1/embeddings")
    assert (reading.usage, reading.findings) == ({"input": 3}, [])


def test_a_told_zero_is_told_and_found() -> None:
    reading = embed("hi", {"total_tokens": 0}, "https://api.voyageai.com/v1/embeddings")
    assert (reading.usage, reading.usage_source) == ({}, "provider")
    assert reading.findings == ["usage_zero"]


@pytest.mark.parametrize(("given", "tokens"), [("12345678", 2), (["1234", "12345"], 3)])
def test_untold_texts_are_estimated(given: Any, tokens: int) -> None:
    reading = embed(given)
    assert (reading.usage, reading.usage_source) == ({"input": tokens}, "estimated")
    assert reading.findings == ["usage_missing", "input_estimated"]


@pytest.mark.parametrize("given", [[5, 6, 7], [[5, 6], [7]]])
def test_untold_token_ids_are_counted_exactly(given: Any) -> None:
    reading = embed(given)
    assert (reading.usage, reading.usage_source) == ({"input": 3}, "counted")
    assert reading.findings == ["usage_missing"]


def test_an_error_costs_nothing() -> None:
    body = {"error": {"type": "invalid_request_error"}}
    reading = read(exchange(URL, {"model": "e", "input": [1]}, body, status=400))
    assert (reading.status, reading.billed, reading.usage) == ("error", "no", {})


def test_a_cut_reply_may_have_been_billed() -> None:
    whole = exchange(URL, {"model": "e", "input": "12345678"}, {"data": DATA})
    reading = read(whole, [whole.body[:10]], complete=False)
    assert (reading.status, reading.billed) == ("aborted", "possible")
    assert reading.usage == {"input": 2}
