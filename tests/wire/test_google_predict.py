"""Imagen by the image, Veo by the second: counted by us, since nothing is told."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading
from outlay.wire.reader import BodyReader
from tests.wire.harness import assert_same_in_any_chunking, exchange, read, reader_for

STUDIO = "https://generativelanguage.googleapis.com/v1beta/models"
VERTEX = (
    "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
    "/publishers/google/models"
)
IMAGE = {"mimeType": "image/png", "bytesBase64Encoded": "iVBORw0KGgo" * 300}
STORED = {"mimeType": "image/png", "gcsUri": "gs://bucket/1.png"}
FILTERED = {"raiFilteredReason": "blocked"}
ASK: dict[str, Any] = {"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 2}}


def predicted(*made: Any, url: str = f"{STUDIO}/imagen-4:predict", **parameters: Any) -> Reading:
    ask = {**ASK, "parameters": {**ASK["parameters"], **parameters}}
    return read(exchange(url, ask, {"predictions": list(made)}))


@pytest.mark.parametrize(
    ("made", "images", "findings"),
    [
        ((IMAGE,), 1, []),
        ((IMAGE, STORED), 2, []),
        ((IMAGE, FILTERED), 1, ["filtered"]),
        (({"bytesBase64Encoded": "AAAA"},), 1, []),
    ],
)
def test_the_images_made_are_counted(made: tuple[Any, ...], images: int, findings: Any) -> None:
    reading = predicted(*made)
    assert (reading.usage, reading.usage_source) == ({"images": images}, "provider")
    assert (reading.billed, reading.findings) == ("yes", findings)
    assert (reading.model_requested, reading.operation) == ("imagen-4", "image")
    assert (reading.host_class, reading.region_class) == ("ai_studio", "")


def test_vertex_tells_its_region_and_the_request_what_decides_the_price() -> None:
    reading = predicted(IMAGE, url=f"{VERTEX}/imagen-4:predict", sampleImageSize="2K")
    assert (reading.host_class, reading.region_class) == ("vertex", "regional")
    assert reading.usage_raw == {"predictions": 1, "sampleImageSize": "2K"}


@pytest.mark.parametrize(
    ("made", "status"),
    [
        ((FILTERED,), "refused"),
        ((), "ok"),
        ((["a caption"],), "ok"),
        (({"mimeType": "audio/wav", "bytesBase64Encoded": "AAAA"},), "ok"),
    ],
)
def test_a_prediction_that_is_no_image_is_not_free(made: tuple[Any, ...], status: str) -> None:
    reading = predicted(*made)
    assert (reading.usage, reading.billed, reading.status) == ({}, "possible", status)
    assert "usage_missing" in reading.findings


def test_any_chunking_reads_the_same_and_images_are_not_held() -> None:
    whole = exchange(f"{STUDIO}/imagen-4:predict", ASK, {"predictions": [IMAGE, IMAGE]})
    assert assert_same_in_any_chunking(whole, most=60).usage == {"images": 2}
    reader = reader_for(whole)
    assert isinstance(reader, BodyReader)
    reader.response(200, whole.headers)
    reader.feed(whole.body)
    assert (reader.request_body, len(reader._body) < 300) == ({}, True)


def test_embeddings_keep_their_own_reader() -> None:
    reply = {"predictions": [{"embeddings": {"statistics": {"token_count": 7}}}]}
    ask = {"instances": [{"content": "x"}]}
    reading = read(exchange(f"{VERTEX}/text-embedding-005:predict", ask, reply))
    assert (reading.surface, reading.usage) == ("google.embed", {"input": 7})


def test_an_error_costs_nothing() -> None:
    body = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}
    reading = read(exchange(f"{STUDIO}/imagen-4:predict", ASK, body, status=400))
    assert (reading.status, reading.error_type) == ("error", "INVALID_ARGUMENT")
    assert (reading.billed, reading.usage) == ("no", {})


# -- videos ------------------------------------------------------------------------------------

JOB = {"name": "models/veo-3/operations/op_1"}


@pytest.mark.parametrize(
    ("parameters", "seconds", "findings"),
    [
        ({"durationSeconds": 6}, 6, ["job_accepted"]),
        ({"durationSeconds": 6, "sampleCount": 2}, 12, ["job_accepted"]),
        ({}, 8, ["duration_assumed", "job_accepted"]),
        ({"sampleCount": 3}, 24, ["duration_assumed", "job_accepted"]),
        ({"durationSeconds": 10**400}, 0, ["job_accepted", "usage_missing"]),
    ],
)
def test_an_accepted_job_counts_the_seconds_asked_for(
    parameters: dict[str, Any], seconds: int, findings: list[str]
) -> None:
    ask = {"instances": [{"prompt": "a cat"}], "parameters": parameters}
    reading = read(exchange(f"{STUDIO}/veo-3:predictLongRunning", ask, JOB))
    assert reading.usage == ({"video_seconds": seconds} if seconds else {})
    assert (reading.usage_source, reading.billed) == ("counted", "possible")
    assert (reading.findings, reading.response_id) == (findings, "op_1")
    assert reading.operation == "other"


def test_what_decides_the_price_of_a_video_is_kept() -> None:
    parameters = {"durationSeconds": 8, "resolution": "4k", "generateAudio": True, "seed": 7}
    ask = {"instances": [{"prompt": "a cat"}], "parameters": parameters}
    reading = read(exchange(f"{VERTEX}/veo-3:predictLongRunning", ask, JOB))
    assert reading.usage_raw == {
        "durationSeconds": 8, "videos": 1, "resolution": "4k", "generateAudio": True,
    }  # fmt: skip
