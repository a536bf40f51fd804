"""Whatever comes over the wire of a media call: no exception, sane buckets, in any chunking."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.wire.base import Request
from tests.wire.harness import Exchange, assert_sane, in_chunks, read, sse, to_bytes
from tests.wire.media_payloads import form_request

GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
URLS = (
    "https://api.openai.com/v1/images/generations",
    "https://api.x.ai/v1/images/generations",
    "https://openrouter.ai/api/v1/images",
    "https://api.openai.com/v1/videos",
    "https://api.openai.com/v1/videos/extensions",
    "https://api.openai.com/v1/audio/speech",
    "https://api.mistral.ai/v1/audio/speech",
    "https://api.openai.com/v1/audio/transcriptions",
    "https://api.groq.com/openai/v1/audio/translations",
    "https://openrouter.ai/api/v1/audio/transcriptions",
    "https://api.mistral.ai/v1/ocr",
    "https://api.mistral.ai/v1/conversations",
    f"{GOOGLE}/interactions",
    f"{GOOGLE}/models/imagen-4:predict",
    f"{GOOGLE}/models/veo-3:predictLongRunning",
)
KINDS = ("application/json", "text/event-stream", "audio/mpeg", "text/plain", "")
ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(0, 50) | st.floats() | st.text("1.e9a"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["usage", "data", "b64_json", "svg_usage", "model", "input_tokens", "output_tokens",
     "total_tokens", "prompt_tokens", "completion_tokens", "input_tokens_details",
     "output_tokens_details", "input_token_details", "image_tokens", "text_tokens", "audio_tokens",
     "cached_tokens", "type", "seconds", "duration", "prompt_audio_seconds", "cost",
     "cost_in_usd_ticks", "id", "status", "error", "code", "n", "input", "response_format",
     "usage_info", "pages_processed", "pages", "bbox_annotation_format", "connector_tokens",
     "connectors", "outputs", "content", "conversation_id", "interaction", "event_type", "delta",
     "steps", "arguments", "created", "total_input_tokens", "total_cached_tokens",
     "total_output_tokens", "total_thought_tokens", "total_tool_use_tokens",
     "input_tokens_by_modality", "modality", "tokens", "grounding_tool_count", "count",
     "predictions", "bytesBase64Encoded", "mimeType", "parameters", "instances", "sampleCount",
     "durationSeconds", "resolution", "name", "x_groq"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["tokens", "duration", "image_generation.completed", "speech.audio.done", "error", "failed",
     "transcript.text.done", "conversation.response.done", "message.output.delta", "completed",
     "interaction.completed", "in_progress", "google_search", "audio", "text"]
)  # fmt: skip
BODIES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, ODD | NAMES, max_size=5),
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, max_size=3) | NAMES, max_size=6),
    max_leaves=12,
)
WHERE = st.tuples(st.sampled_from(URLS), st.sampled_from(KINDS), st.sampled_from([200, 400]))


@given(
    where=WHERE, ask=st.binary(max_size=80), chunks=st.lists(st.binary(max_size=80), max_size=5),
    whole=st.booleans(),
)  # fmt: skip
@settings(deadline=None)
def test_any_bytes_give_a_sane_reading(
    where: tuple[str, str, int], ask: bytes, chunks: list[bytes], whole: bool
) -> None:
    url, kind, status = where
    wild = Exchange(Request("POST", url, {}, ask), status, {"content-type": kind})
    assert_sane(read(wild, chunks, complete=whole))


@given(
    where=WHERE, ask=BODIES, events=st.lists(BODIES, max_size=4), as_form=st.booleans(),
    whole=st.booleans(), size=st.integers(1, 60),
)  # fmt: skip
@settings(deadline=None, max_examples=200)
def test_any_json_gives_a_sane_reading_in_any_chunking(
    where: tuple[str, str, int],
    ask: dict[str, Any],
    events: list[dict[str, Any]],
    as_form: bool,
    whole: bool,
    size: int,
) -> None:
    url, kind, status = where
    fields = {key: str(value)[:300] for key, value in ask.items()}
    asked = Request("POST", url, {"content-type": "application/json"}, to_bytes(ask))
    body = sse(*events) if "event" in kind else to_bytes(events[0] if events else {})
    wild = Exchange(
        form_request(url, fields) if as_form else asked, status, {"content-type": kind}, body
    )
    reading = read(wild, complete=whole)
    assert_sane(reading)
    assert not [found for found in reading.findings if found.startswith("codec_error")]
    # NaN differs from itself, so the readings are compared as they print
    assert repr(read(wild, in_chunks(body, size), complete=whole)) == repr(reading)
    if status == 200 and not reading.usage and reading.provider_cost_nanos is None:
        said = reading.billed != "yes" or reading.findings
        assert said, "free by silence"


DETAILS = st.dictionaries(
    st.sampled_from(["text_tokens", "image_tokens", "audio_tokens", "cached_tokens"]),
    st.integers(-3, 60) | ODD,
)


@given(st.integers(1, 50), st.integers(1, 50), DETAILS, DETAILS)
@settings(deadline=None)
def test_buckets_add_up_to_what_was_told_whatever_the_details_say(
    given_in: int, given_out: int, inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    told = {"input_tokens": given_in, "output_tokens": given_out}
    images = {**told, "input_tokens_details": inputs, "output_tokens_details": outputs}
    heard = {**told, "type": "tokens", "input_token_details": inputs}
    for url, body in (
        (URLS[0], {"data": [{}], "usage": images}),
        ("https://api.openai.com/v1/audio/transcriptions", {"text": "a", "usage": heard}),
    ):
        reading = read(Exchange(Request("POST", url), 200, {}, to_bytes(body)))
        assert_sane(reading)
        assert (reading.input_total, reading.output_total) == (given_in, given_out)
