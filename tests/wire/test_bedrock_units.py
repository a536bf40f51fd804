"""InvokeModel of models that charge for other things than a chat: embeddings, searches, images."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading
from tests.wire.bedrock_payloads import bedrock, counted
from tests.wire.harness import read


def invoke(
    reply: dict[str, Any],
    *,
    model: str,
    ask: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Reading:
    return read(bedrock(model, "invoke", ask or {}, reply, headers=headers))


def test_embeddings_are_counted_by_header_or_body_or_estimated() -> None:
    ask = {"inputText": "Hello, world!"}
    titan = "amazon.titan-embed-text-v2:0"
    body = {"embedding": [0.1], "inputTextTokenCount": 5}
    assert invoke(body, model=titan, ask=ask, headers=counted(4)).usage == {"input": 4}
    assert invoke(body, model=titan, ask=ask).usage == {"input": 5}
    nova = {"embeddings": [{"embedding": [0.1]}], "inputTokenCount": 19}
    assert invoke(nova, model="amazon.nova-2-multimodal-embeddings-v1:0", ask=ask).usage == {
        "input": 19
    }
    missing = invoke({"embeddings": [[0.1]]}, model="cohere.embed-v4:0", ask={"texts": ["x" * 13]})
    assert (missing.usage, missing.usage_source) == ({"input": 4}, "estimated")
    assert missing.operation == "embeddings"


def test_media_that_nothing_counts_is_said() -> None:
    titan = "amazon.titan-embed-image-v1"
    picture = invoke({"embedding": [0.1], "inputTextTokenCount": 0}, model=titan,
                     ask={"inputImage": "AAAA"})  # fmt: skip
    assert (picture.usage, picture.findings) == ({"images": 1}, [])
    nova = "amazon.nova-2-multimodal-embeddings-v1:0"
    video = invoke(
        {"embeddings": []}, model=nova, headers=counted(3),
        ask={"singleEmbeddingParams": {"video": {"source": {}}}},
    )  # fmt: skip
    assert (video.usage, video.findings) == ({"input": 3}, ["media_uncounted"])


@pytest.mark.parametrize(
    ("documents", "units"),
    [
        (["x"], 1), (["x"] * 100, 1), (["x"] * 101, 2), (["x"] * 350, 4),
        # 513 tokens with the query: two documents each
        (["x" * 2047] * 60, 2), ([{"title": "t", "text": "x"}] * 3, 1),
    ],
)  # fmt: skip
def test_reranking_counts_searches_of_a_hundred_documents(documents: list[Any], units: int) -> None:
    ask = {"query": "capital", "documents": documents, "api_version": 2}
    for model in ("cohere.rerank-v3-5:0", "amazon.rerank-v1:0"):
        reading = invoke({"results": [{"index": 0}]}, model=model, ask=ask, headers=counted(99))
        assert reading.usage == {"search_units": units}
        assert (reading.operation, reading.usage_source) == ("rerank", "counted")


def test_searches_that_the_reply_counts_come_first() -> None:
    body = {"results": [], "meta": {"billed_units": {"search_units": 3}}}
    ask = {"query": "q", "documents": ["x"]}
    reading = invoke(body, model="cohere.rerank-v3-5:0", ask=ask)
    assert (reading.usage, reading.usage_source) == ({"search_units": 3}, "provider")


def test_reranking_of_nothing_that_can_be_counted_is_not_free() -> None:
    reading = invoke({"results": []}, model="cohere.rerank-v3-5:0", ask={})
    assert (reading.usage, reading.billed) == ({}, "possible")
    assert reading.findings == ["usage_missing"]


@pytest.mark.parametrize(
    ("model", "body", "count"),
    [
        ("amazon.titan-image-generator-v2:0", {"images": ["AAAA", "AAAA"]}, 2),
        ("amazon.nova-canvas-v1:0", {"images": ["AAAA"], "error": None}, 1),
        ("stability.sd3-5-v1:0", {"images": ["A", "A"], "finish_reasons": [None, "Filter"]}, 1),
        ("stability.stable-diffusion-xl-v1", {"artifacts": [{"base64": "AAAA"}]}, 1),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/a1", {"images": ["AAAA"]}, 1),
    ],
)  # fmt: skip
def test_image_models_count_the_images_that_came(
    model: str, body: dict[str, Any], count: int
) -> None:
    reading = invoke(body, model=model, headers=counted(30))
    assert (reading.operation, reading.usage) == ("image", {"images": count})
    assert (reading.usage_source, reading.status) == ("provider", "ok")


def test_images_that_were_cut_are_those_asked_for() -> None:
    ask = {"imageGenerationConfig": {"numberOfImages": 3}}
    call = bedrock("amazon.nova-canvas-v1:0", "invoke", ask, {"images": ["AAAA"]})
    reading = read(call, [call.body[:5]], complete=False)
    assert (reading.status, reading.billed) == ("aborted", "possible")
    assert (reading.usage, reading.usage_source) == ({"images": 3}, "estimated")
