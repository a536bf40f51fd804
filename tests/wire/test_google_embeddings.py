"""Embeddings: counted where Google counts, estimated where it is silent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.harness import assert_sane, exchange, read

STUDIO = "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001"
VERTEX = (
    "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/"
    "publishers/google/models/gemini-embedding-001"
)
TEXT = {"parts": [{"text": "x" * 20}]}


@pytest.mark.parametrize(
    ("url", "asked", "reply"),
    [
        (f"{STUDIO}:embedContent", {"content": TEXT}, {"embedding": {"values": [0.1]}}),
        (
            f"{STUDIO}:batchEmbedContents",
            {"requests": [{"content": TEXT}, {"content": {"parts": [{"text": ""}]}}]},
            {"embeddings": [{"values": [0.1]}, {"values": [0.2]}]},
        ),
        (
            f"{VERTEX}:predict",
            {"instances": [{"content": "x" * 20}]},
            {"predictions": [{"embeddings": {"values": [0.1]}}]},
        ),
    ],
)
def test_without_usage_the_text_of_the_request_is_estimated(
    url: str, asked: dict[str, Any], reply: dict[str, Any]
) -> None:
    reading = read(exchange(url, asked, reply))
    assert_sane(reading)
    assert (reading.usage, reading.usage_source) == ({"input": 5}, "estimated")
    assert reading.findings == ["usage_missing", "input_estimated"]
    assert (reading.operation, reading.status) == ("embeddings", "ok")
    assert reading.model_requested == "gemini-embedding-001"


def test_vertex_counts_tokens_per_prediction() -> None:
    statistics = [{"token_count": n, "truncated": False} for n in (4, 6.0)]
    reply = {
        "predictions": [{"embeddings": {"statistics": item, "values": []}} for item in statistics],
        "metadata": {"billableCharacterCount": 31},
    }
    reading = read(exchange(f"{VERTEX}:predict", {"instances": [{"content": "x"}]}, reply))
    assert (reading.usage, reading.usage_source, reading.findings) == (
        {"input": 10}, "provider", [],
    )  # fmt: skip
    assert reading.usage_raw == {"token_count": 10, "billableCharacterCount": 31}


def test_usage_metadata_counts_when_it_is_there() -> None:
    usage = {"promptTokenCount": 9, "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 4}]}
    body = {"embedding": {"values": []}, "usageMetadata": usage}
    reading = read(exchange(f"{STUDIO}:embedContent", {"content": TEXT}, body))
    assert (reading.usage, reading.usage_source) == ({"input": 5, "input_image": 4}, "provider")


def test_statistics_on_some_predictions_only_are_found() -> None:
    predictions = [{"embeddings": {"statistics": {"token_count": 4}}}, {"embeddings": {}}]
    reading = read(exchange(f"{VERTEX}:predict", {}, {"predictions": predictions}))
    assert (reading.usage, reading.findings) == ({"input": 4}, ["statistics_incomplete"])


def test_an_error_costs_nothing() -> None:
    body = {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}
    reading = read(exchange(f"{STUDIO}:embedContent", {"content": TEXT}, body, status=400))
    assert (reading.error_type, reading.billed, reading.usage) == ("INVALID_ARGUMENT", "no", {})
