"""Reranking: search units or input tokens, told by the vendor or counted from the request."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading
from tests.wire.harness import assert_sane, exchange, read

COHERE = "https://api.cohere.com/v2/rerank"
URLS = {
    "cohere": COHERE,
    "together": "https://api.together.xyz/v1/rerank",
    "voyage": "https://api.voyageai.com/v1/rerank",
    "jina": "https://api.jina.ai/v1/rerank",
    "openrouter": "https://openrouter.ai/api/v1/rerank",
    "vllm": "http://gpu:8000/v1/rerank",
    "score": "http://gpu:8000/score",
}
HOSTS = {"gpu:8000": "vllm"}


def rerank(
    vendor: str, body: dict[str, Any], documents: Any = (), query: str = "12345678", **more: Any
) -> Reading:
    asked = {"model": "rerank-v3.5", "query": query, "documents": list(documents), **more}
    return read(exchange(URLS[vendor], asked, body, hosts=HOSTS))


def billed(**units: Any) -> dict[str, Any]:
    meta = {"api_version": {"version": "2"}, "billed_units": units}
    return {"id": "r-1", "results": [{"index": 0, "relevance_score": 0.9}], "meta": meta}


# -- told --------------------------------------------------------------------------------------


def test_cohere_tells_search_units_in_both_versions() -> None:
    reading = rerank("cohere", billed(search_units=2), ["a"])
    assert (reading.usage, reading.usage_source) == ({"search_units": 2}, "provider")
    assert (reading.provider, reading.surface) == ("cohere", "cohere.rerank")
    assert (reading.operation, reading.model_requested) == ("rerank", "rerank-v3.5")
    assert (reading.response_id, reading.findings) == ("r-1", [])
    v1 = read(exchange("https://api.cohere.ai/v1/rerank", {}, billed(search_units=1)))
    assert v1.usage == {"search_units": 1}


@pytest.mark.parametrize(
    ("vendor", "usage", "provider"),
    [
        (
            "together",
            {"prompt_tokens": 300, "completion_tokens": 0, "total_tokens": 300},
            "together",
        ),
        ("voyage", {"total_tokens": 300}, "voyageai"),
        ("jina", {"total_tokens": 300}, "jina"),
        ("jina", {"prompt_tokens": 300, "total_tokens": 300}, "jina"),
        ("vllm", {"prompt_tokens": 300, "total_tokens": 300}, "vllm"),
        ("vllm", {"total_tokens": 300}, "vllm"),
        ("score", {"prompt_tokens": 300, "completion_tokens": 0, "total_tokens": 300}, "vllm"),
        ("jina", {"input_tokens": 300, "total_tokens": 300}, "jina"),
    ],
)
def test_the_other_vendors_tell_input_tokens(
    vendor: str, usage: dict[str, int], provider: str
) -> None:
    reading = rerank(vendor, {"id": "r-2", "model": "m-2", "results": [], "usage": usage}, ["a"])
    assert (reading.usage, reading.usage_source) == ({"input": 300}, "provider")
    assert (reading.provider, reading.model_served) == (provider, "m-2")
    assert (reading.operation, reading.findings) == ("rerank", [])


def test_openrouter_tells_search_units_and_what_they_cost() -> None:
    usage = {"search_units": 3, "total_tokens": 700, "cost": 0.003}
    reading = rerank("openrouter", {"results": [], "usage": usage})
    assert reading.usage == {"search_units": 3}, "the tokens are not charged beside them"
    assert reading.provider_cost_nanos == 3_000_000
    assert (reading.usage_raw, reading.findings) == (usage, [])
    tokens = rerank("openrouter", {"usage": {"total_tokens": 700, "cost": 0.00007}})
    assert (tokens.usage, tokens.provider_cost_nanos) == ({"input": 700}, 70_000)


def test_a_told_zero_is_told_and_found() -> None:
    reading = rerank("voyage", {"usage": {"total_tokens": 0}}, ["a"])
    assert (reading.usage, reading.usage_source) == ({}, "provider")
    assert reading.findings == ["usage_zero"]


def test_a_key_that_is_not_known_is_found() -> None:
    assert rerank("voyage", {"usage": {"total_tokens": 5, "odd": 1}}).findings == ["drift:odd"]
    assert rerank("cohere", billed(search_units=1, odd=1)).findings == ["drift:billed_units.odd"]
    told = {"search_units": 1, "odd": 1}
    assert rerank("openrouter", {"usage": told}).findings == ["drift:odd"]


# -- counted -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "units"),
    [(1, 1), (100, 1), (101, 2), (200, 2), (201, 3), (1000, 10)],
)
def test_a_search_unit_is_a_query_with_up_to_100_documents(documents: int, units: int) -> None:
    reading = rerank("cohere", {"results": []}, ["short"] * documents)
    assert reading.usage == {"search_units": units}
    assert (reading.usage_source, reading.findings) == ("counted", ["usage_missing"])


@pytest.mark.parametrize(
    ("characters", "units"),
    # with the query's 8 characters: 500 tokens are one chunk, 501 are two
    [(1992, 1), (1993, 2), (3992, 2), (3993, 3)],
)
def test_a_long_document_counts_once_for_each_chunk(characters: int, units: int) -> None:
    reading = rerank("cohere", {"results": []}, ["x" * characters] * 100)
    assert reading.usage == {"search_units": units}
    assert reading.usage_source == ("counted" if units == 1 else "estimated")


def test_the_older_models_take_longer_chunks() -> None:
    documents = ["x" * 8000] * 100
    new = rerank("cohere", {}, documents)
    old = rerank("cohere", {}, documents, model="rerank-english-v3.0")
    assert (new.usage["search_units"], old.usage["search_units"]) == (5, 1)


def test_documents_of_several_fields_are_as_long_as_all_their_texts() -> None:
    fields = [{"title": "x" * 1000, "text": "x" * 1000, "id": 7}] * 100
    assert rerank("cohere", {}, fields).usage == {"search_units": 2}


def test_a_request_that_cannot_be_read_is_one_search_unit_and_an_estimate() -> None:
    reading = read(exchange(COHERE, None, {"results": []}))
    assert (reading.usage, reading.usage_source) == ({"search_units": 1}, "estimated")


def test_input_tokens_are_the_query_once_a_document_and_the_documents() -> None:
    # 8 characters of query for each of 3 documents, and 4 + 8 + 12 of their own
    reading = rerank("voyage", {"data": []}, ["x" * 4, "x" * 8, {"text": "x" * 12}])
    assert (reading.usage, reading.usage_source) == ({"input": 12}, "estimated")
    assert reading.findings == ["usage_missing", "input_estimated"]


def test_a_score_asks_for_pairs_of_texts() -> None:
    asked = {"model": "m", "text_1": "12345678", "text_2": ["1234", "1234"]}
    assert read(exchange(URLS["score"], asked, {}, hosts=HOSTS)).usage == {"input": 6}


# -- ends --------------------------------------------------------------------------------------


def test_an_error_costs_nothing() -> None:
    asked = {"model": "m", "query": "q", "documents": ["d"]}
    for vendor in ("cohere", "voyage"):
        failed = exchange(URLS[vendor], asked, {"message": "invalid"}, status=400)
        reading = read(failed)
        assert (reading.status, reading.billed, reading.usage) == ("error", "no", {})


def test_a_reply_that_is_cut_may_have_been_billed() -> None:
    whole = exchange(COHERE, {"query": "q", "documents": ["d"]}, billed(search_units=1))
    reading = read(whole, [whole.body[:9]], complete=False)
    assert_sane(reading)
    assert (reading.status, reading.billed) == ("aborted", "possible")
    assert reading.usage == {"search_units": 1}


def test_texts_never_reach_the_reading() -> None:
    body = {"results": [{"document": {"text": "secret"}}], "usage": {"total_tokens": 1}}
    assert "secret" not in repr(rerank("voyage", body, ["secret"], "secret"))
