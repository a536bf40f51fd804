"""Images by tokens or by number, videos by the second: buckets worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading, Segment
from outlay.wire.reader import BodyReader
from tests.wire.harness import (
    assert_same_in_any_chunking,
    cut_after_events,
    exchange,
    read,
    reader_for,
    sse,
)
from tests.wire.media_payloads import form_request, replied

URL = "https://api.openai.com/v1/images/generations"
EDITS = "https://api.openai.com/v1/images/edits"
ASK = {"model": "gpt-image-2", "prompt": "a cat", "n": 1, "size": "1024x1024", "quality": "high"}
IMAGE = {"b64_json": "iVBORw0KGgo" * 200}
DETAILS = {"text_tokens": 12, "image_tokens": 300}
USAGE = {
    "input_tokens": 312, "input_tokens_details": DETAILS, "output_tokens": 4160,
    "output_tokens_details": {"image_tokens": 4160, "text_tokens": 0}, "total_tokens": 4472,
}  # fmt: skip


def made(usage: dict[str, Any] | None = None, images: int = 1, **more: Any) -> dict[str, Any]:
    body = {"created": 1790000000, "data": [IMAGE] * images, "output_format": "png", **more}
    return body if usage is None else {**body, "usage": usage}


def asked(reply: Any, url: str = URL, **more: Any) -> Reading:
    return read(exchange(url, {**ASK, **more}, reply))


# -- tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "buckets"),
    [
        # text in, images in, images out
        (USAGE, {"input": 12, "input_image": 300, "output_image": 4160}),
        # the model wrote text, too
        (
            {**USAGE, "output_tokens_details": {"image_tokens": 4000, "text_tokens": 160}},
            {"input": 12, "input_image": 300, "output_image": 4000, "output": 160},
        ),
        # details that name the text alone leave the rest to images
        (
            {**USAGE, "output_tokens_details": {"text_tokens": 160}},
            {"input": 12, "input_image": 300, "output_image": 4000, "output": 160},
        ),
        # cached input, by modality
        (
            {
                **USAGE,
                "input_tokens_details": {
                    **DETAILS, "cached_tokens": 110,
                    "cached_tokens_details": {"text_tokens": 10, "image_tokens": 100},
                },
            },
            {
                "input": 2, "input_image": 200, "input_cache_read": 10,
                "input_cache_read_image": 100, "output_image": 4160,
            },
        ),
    ],
)  # fmt: skip
def test_told_tokens_are_split_by_modality(usage: dict[str, Any], buckets: dict[str, int]) -> None:
    reading = asked(made(usage, size="1024x1024", quality="high"))
    assert (reading.usage, reading.usage_source, reading.findings) == (buckets, "provider", [])
    assert (reading.surface, reading.operation) == ("openai.images", "image")
    assert (reading.model_requested, reading.model_served) == ("gpt-image-2", None)
    assert reading.usage_raw == {**usage, "size": "1024x1024", "quality": "high"}


@pytest.mark.parametrize("details", [None, {}, "gone"])
def test_p16_output_of_an_image_model_without_details_is_image_tokens(details: Any) -> None:
    usage = {**USAGE, "output_tokens_details": details}
    assert asked(made(usage)).usage == {"input": 12, "input_image": 300, "output_image": 4160}


def test_the_author_of_a_vector_image_is_a_model_call_of_its_own() -> None:
    svg = {
        "model": "gpt-6", "input_tokens": 40, "output_tokens": 500, "reasoning_tokens": 200,
        "total_tokens": 540,
    }  # fmt: skip
    reading = asked(made(USAGE, svg_usage=svg))
    own = {"input": 40, "output": 300, "output_reasoning": 200}
    assert reading.segments == [Segment("gpt-6", own, "svg")]
    assert reading.usage == {**own, "input": 52, "input_image": 300, "output_image": 4160}
    assert reading.findings == []


def test_a_counter_that_is_not_known_is_drift() -> None:
    assert asked(made({**USAGE, "frames": 3})).findings == ["drift:frames"]


# -- images ------------------------------------------------------------------------------------


def test_without_tokens_images_are_counted_and_what_decides_their_price_is_kept() -> None:
    reading = asked(made(images=3), model="dall-e-3", n=3)
    assert (reading.usage, reading.usage_source) == ({"images": 3}, "provider")
    assert reading.usage_raw == {"size": "1024x1024", "quality": "high"}
    assert (reading.billed, reading.findings) == ("yes", [])


def test_together_names_the_model_it_served() -> None:
    reply = {"id": "req_1", "model": "black-forest-labs/FLUX.1", "object": "list",
             "data": [{"index": 0, "type": "url", "url": "https://x.example/1"}]}  # fmt: skip
    reading = asked(reply, "https://api.together.xyz/v1/images/generations")
    assert (reading.usage, reading.response_id) == ({"images": 1}, "req_1")
    assert reading.model_served == "black-forest-labs/FLUX.1"


def test_xai_states_the_cost_of_its_images_in_ticks() -> None:
    reply = {"data": [{"url": "x"}, {"url": "y"}], "usage": {"cost_in_usd_ticks": 400_000_000}}
    reading = asked(reply, "https://api.x.ai/v1/images/generations", model="grok-imagine-image")
    assert (reading.usage, reading.provider_cost_nanos) == ({"images": 2}, 40_000_000)
    assert reading.findings == []


def test_openrouter_counts_as_chat_does_and_states_dollars() -> None:
    usage = {
        "prompt_tokens": 9, "completion_tokens": 1290, "total_tokens": 1299, "cost": 0.0387,
        "is_byok": False, "completion_tokens_details": {"image_tokens": 1290},
    }  # fmt: skip
    reading = asked(made(usage), "https://openrouter.ai/api/v1/images")
    assert reading.usage == {"input": 9, "output_image": 1290}
    assert (reading.provider_cost_nanos, reading.findings) == (38_700_000, [])


def test_nothing_told_and_nothing_made_is_not_free() -> None:
    for reply in ({"created": 1, "data": []}, {}, {"data": None, "usage": None}):
        reading = asked(reply)
        assert (reading.usage, reading.billed) == ({}, "possible")
        assert reading.findings == ["usage_missing"]


def test_an_error_costs_nothing() -> None:
    body = {"error": {"code": "moderation_blocked", "message": "no"}}
    reading = read(exchange(URL, ASK, body, status=400))
    assert (reading.status, reading.billed, reading.usage) == ("error", "no", {})
    assert reading.error_type == "moderation_blocked"


def test_a_reply_of_many_megabytes_is_counted_and_not_held() -> None:
    body = made(USAGE)
    body["data"] = [{"b64_json": "A" * (3 << 20)}] * 8
    whole = exchange(URL, ASK, body)
    reader = reader_for(whole)
    assert isinstance(reader, BodyReader)
    reader.response(200, whole.headers)
    for place in range(0, len(whole.body), 1 << 16):
        reader.feed(whole.body[place : place + (1 << 16)])
        assert len(reader._held or reader._body) < 4096
    assert reader.finish().usage == {"input": 12, "input_image": 300, "output_image": 4160}


def test_any_chunking_reads_the_same() -> None:
    assert_same_in_any_chunking(exchange(URL, ASK, made(USAGE, svg_usage={"model": "m"})), most=80)


# -- forms -------------------------------------------------------------------------------------


def test_what_a_form_asks_is_read_and_its_files_are_not() -> None:
    fields = {"model": "dall-e-2", "n": "2", "size": "256x256", "prompt": "secret"}
    request = form_request(EDITS, fields, {"image": b"\x89PNG" * 50_000})
    reading = read(replied(request, made(images=2)))
    assert (reading.model_requested, reading.usage) == ("dall-e-2", {"images": 2})
    assert reading.usage_raw == {"size": "256x256"}


def test_a_request_is_not_held_while_its_reply_is_read() -> None:
    whole = exchange(EDITS, {**ASK, "images": ["A" * 9999]}, made(USAGE))
    reader = reader_for(whole)
    assert isinstance(reader, BodyReader)
    assert reader.request_body == {}


# -- streams -----------------------------------------------------------------------------------


def partial(kind: str, number: int) -> dict[str, Any]:
    return {"type": f"{kind}.partial_image", "partial_image_index": number, **IMAGE}


def completed(kind: str, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    body = {"type": f"{kind}.completed", "created_at": 1, "size": "1024x1024", **IMAGE}
    return body if usage is None else {**body, "usage": usage}


@pytest.mark.parametrize(
    ("url", "kind"), [(URL, "image_generation"), (EDITS, "image_edit")]
)  # fmt: skip
def test_the_finished_image_carries_the_counts(url: str, kind: str) -> None:
    # streams do not detail the output
    usage = {key: value for key, value in USAGE.items() if key != "output_tokens_details"}
    events = [partial(kind, 0), partial(kind, 1), completed(kind, usage)]
    stream = exchange(url, {**ASK, "stream": True}, sse(*events, names=True))
    reading = assert_same_in_any_chunking(stream, most=40)
    assert reading.usage == {"input": 12, "input_image": 300, "output_image": 4160}
    assert (reading.status, reading.streamed, reading.findings) == ("ok", True, [])
    for count, cut in cut_after_events(stream):
        assert count < 3
        assert (cut.status, cut.billed, cut.usage) == ("aborted", "possible", {})
        assert cut.findings == ["usage_missing"]


def test_a_stream_without_counts_counts_its_images() -> None:
    body = sse(completed("image_generation"), completed("image_generation"))
    reading = read(exchange(URL, {**ASK, "n": 2, "stream": True}, body))
    assert (reading.usage, reading.status) == ({"images": 2}, "ok")


def test_of_several_counts_in_a_stream_the_last_counts_and_that_is_said() -> None:
    more = {**USAGE, "output_tokens": 8320, "output_tokens_details": None, "total_tokens": 8632}
    events = [completed("image_generation", USAGE), completed("image_generation", more)]
    reading = read(exchange(URL, {**ASK, "n": 2, "stream": True}, sse(*events)))
    assert reading.usage["output_image"] == 8320
    assert reading.findings == ["several_usages"]


def test_a_stream_cut_before_its_last_image_may_cost_more_than_is_known() -> None:
    body = sse(completed("image_generation", USAGE), completed("image_generation", USAGE))
    stream = exchange(URL, {**ASK, "n": 2, "stream": True}, body)
    cut = read(stream, stream.events[:1], complete=False)
    assert (cut.status, cut.billed, cut.usage["output_image"]) == ("aborted", "possible", 4160)


@pytest.mark.parametrize(("begun", "billed"), [(True, "possible"), (False, "no")])
def test_a_failed_stream_may_be_billed_once_a_part_was_made(begun: bool, billed: str) -> None:
    error = {"type": "error", "error": {"type": "server_error", "message": "no"}}
    events = [partial("image_generation", 0), error][0 if begun else 1 :]
    reading = read(exchange(URL, {**ASK, "stream": True}, sse(*events)))
    assert (reading.error_type, reading.billed, reading.usage) == ("server_error", billed, {})


# -- videos ------------------------------------------------------------------------------------

VIDEOS = "https://api.openai.com/v1/videos"
JOB = {
    "id": "video_1", "object": "video", "model": "sora-2", "seconds": "8", "size": "1280x720",
    "status": "queued", "progress": 0, "created_at": 1790000000,
}  # fmt: skip


def test_an_accepted_job_counts_its_seconds_and_may_be_billed() -> None:
    request = form_request(VIDEOS, {"model": "sora-2", "seconds": "8"}, {"input_reference": b"x"})
    reading = read(replied(request, JOB))
    assert (reading.usage, reading.billed) == ({"video_seconds": 8}, "possible")
    assert (reading.findings, reading.response_id) == (["job_accepted"], "video_1")
    assert (reading.operation, reading.usage_source) == ("other", "provider")
    assert reading.usage_raw == {"seconds": 8, "size": "1280x720"}


def test_a_job_that_is_done_is_billed_and_a_failed_one_is_not() -> None:
    done = read(replied(VIDEOS, {**JOB, "status": "completed"}, ask={"model": "sora-2"}))
    assert (done.billed, done.findings) == ("yes", [])
    failed = {**JOB, "status": "failed", "error": {"code": "moderation", "message": "no"}}
    reading = read(replied(VIDEOS, failed, ask={"model": "sora-2"}))
    assert (reading.status, reading.error_type) == ("error", "moderation")
    assert (reading.billed, reading.usage) == ("no", {})


def test_an_extension_counts_the_seconds_asked_for_and_not_the_whole_length() -> None:
    request = form_request(f"{VIDEOS}/extensions", {"seconds": "4"})
    reading = read(replied(request, {**JOB, "seconds": "12"}))
    assert (reading.usage, reading.usage_source) == ({"video_seconds": 4}, "counted")


def looked(url: str, job: dict[str, Any], **more: Any) -> Reading:
    return read(exchange(url, None, job, method="GET", **more))


def test_a_look_at_a_job_that_states_no_cost_is_free() -> None:
    for state in ("queued", "completed", "failed"):
        reading = looked(f"{VIDEOS}/video_1", {**JOB, "status": state})
        assert (reading.surface, reading.billed, reading.once) == ("openai.free", "no", "")


def test_a_vendor_that_states_the_cost_is_billed_by_the_look_that_shows_it_done() -> None:
    url = "https://api.x.ai/v1/videos"
    ask = {"model": "grok-imagine-video", "duration": 10, "resolution": "720p"}
    begun = read(replied(f"{url}/generations", {"request_id": "req_1"}, ask=ask))
    assert (begun.usage, begun.billed, begun.response_id) == ({}, "no", "req_1")
    assert begun.usage_raw == {"seconds": 10, "resolution": "720p"}
    assert (begun.findings, begun.once) == (["job_accepted"], "")
    waiting = looked(f"{url}/req_1", {"status": "pending"})
    assert (waiting.surface, waiting.billed) == ("xai.free", "no")
    job = {
        "status": "done", "model": "grok-imagine-video", "video": {"url": "u", "duration": 10},
        "usage": {"cost_in_usd_ticks": 5_000_000_000},
    }  # fmt: skip
    done = looked(f"{url}/req_1", job)
    assert (done.usage, done.provider_cost_nanos) == ({"video_seconds": 10}, 500_000_000)
    assert (done.billed, done.once, done.findings) == ("yes", "req_1", ["retrieved"])
    assert (done.surface, done.model_served) == ("openai.video", "grok-imagine-video")
    failed = looked(f"{url}/req_1", {"status": "expired"})
    assert (failed.status, failed.billed, failed.once) == ("error", "no", "req_1")
    assert looked(f"{url}/req_2", {}, status=404).surface == "xai.free"


def test_openrouter_tells_of_a_video_that_is_done_no_more_than_its_cost() -> None:
    url = "https://openrouter.ai/api/v1/videos"
    begun = read(replied(url, {"id": "job-1", "status": "pending"}, ask={"model": "a/veo"}))
    assert (begun.billed, begun.once) == ("no", "")
    job = {"id": "job-1", "status": "completed", "usage": {"cost": 0.5, "is_byok": False}}
    done = looked(f"{url}/job-1", job)
    assert (done.provider_cost_nanos, done.usage) == (500_000_000, {})
    assert (done.billed, done.once, done.findings) == ("yes", "job-1", ["retrieved"])
