"""Reasoning inside or beside the output, and tokens that are not text, each at its own price.

P13's storage and the spans of frameworks are elsewhere: see `test_cache` and `test_duplication`.
"""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core.ceiling import ceiling_nanos
from tests.pitfalls.calls import (
    CHAT,
    GEMINI,
    MESSAGES,
    OPENAI,
    bases,
    candidate,
    chat,
    lines,
    message,
    nanos,
    rated,
)
from tests.wire.harness import exchange, read
from tests.wire.pricing import call, catalogue
from tests.wire.sockets import REALTIME

REASONED = {"prompt_tokens": 165, "completion_tokens": 40, "total_tokens": 205,
            "completion_tokens_details": {"reasoning_tokens": 30}}  # fmt: skip
AUGUST_S = 1_785_542_400


def test_p14_geminis_thoughts_are_beside_its_candidates() -> None:
    """Thoughts are charged as output on top of the candidates, which do not contain them."""
    usage = {"promptTokenCount": 18, "candidatesTokenCount": 5, "thoughtsTokenCount": 995,
             "totalTokenCount": 1018}  # fmt: skip
    row = rated(GEMINI, {"contents": []}, candidate(usage))
    assert row["output_total"] == 1000
    assert row["cost_nanos"] == nanos((18, "0.30"), (5, "2.50"), (995, "2.50"))


def test_p14_reasoning_of_openai_and_anthropic_is_inside_the_output() -> None:
    """A reasoning count that is part of the output is split off, never added."""
    row = rated(CHAT, {"model": "gpt-5.6-sol"}, chat(REASONED))
    assert (row["usage"]["output"], row["usage"]["output_reasoning"]) == (10, 30)
    assert row["cost_nanos"] == nanos((165, "5"), (10, "30"), (30, "30"))
    usage = {"input_tokens": 9, "output_tokens": 40,
             "output_tokens_details": {"thinking_tokens": 30}}  # fmt: skip
    row = rated(MESSAGES, {"model": "claude-sonnet-4-5"}, message(usage))
    assert row["cost_nanos"] == nanos((9, "3"), (10, "15"), (30, "15"))


def test_p14_reasoning_of_xai_comes_on_top() -> None:
    """In xAI's chat API the completion count leaves reasoning out, and the total tells so."""
    usage = {**REASONED, "completion_tokens_details": {"reasoning_tokens": 121},
             "total_tokens": 326}  # fmt: skip
    url = "https://api.x.ai/v1/chat/completions"
    row = rated(url, {"model": "grok-4.3"}, chat(usage, "grok-4.3"))
    assert row["output_total"] == 161
    assert row["cost_nanos"] == nanos((165, "1.25"), (40, "2.50"), (121, "2.50"))


def heard(model: str) -> dict[str, Any]:
    usage = {"prompt_tokens": 1_000_100, "completion_tokens": 10, "total_tokens": 1_000_110,
             "prompt_tokens_details": {"audio_tokens": 1_000_000, "cached_tokens": 0}}  # fmt: skip
    return rated(CHAT, {"model": model}, chat(usage, model))


def test_p15_audio_without_a_rate_is_unpriced_and_never_text() -> None:
    """A million audio tokens of a model without an audio price are not sold at the text price."""
    row = heard("gpt-4o-audio-preview")
    assert row["usage"] == {"input": 100, "input_audio": 1_000_000, "output": 10}
    assert bases(row)["input_audio"] == "unpriced"
    assert row["price_basis"] == "unpriced"
    assert "modality_at_text_rate" not in row["findings"]


def test_p15_audio_with_a_rate_is_priced_by_it() -> None:
    """Where the catalogue tells the price of audio, audio costs that."""
    row = heard("gpt-realtime")
    assert lines(row)["input_audio"] == nanos((1_000_000, "32"))


def painted(model: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    usage = {"input_tokens": 362, "output_tokens": 4160, "total_tokens": 4522,
             "input_tokens_details": {"text_tokens": 39, "image_tokens": 323}}  # fmt: skip
    reply = {"created": 1_785_000_000, "data": [{"b64_json": "aGk="}], "usage": usage}
    return f"{OPENAI}/images/generations", {"model": model, "prompt": "x"}, reply


@pytest.mark.parametrize(
    ("model", "rates"), [("gpt-image-1", ("5", "10", "40")), ("gpt-image-1.5", ("5", "8", "32"))]
)
def test_p16_what_an_image_model_writes_are_image_tokens(
    model: str, rates: tuple[str, str, str]
) -> None:
    """Image input has its own price, and output without details is image output, not text."""
    row = rated(*painted(model))
    assert row["usage"] == {"input": 39, "input_image": 323, "output_image": 4160}
    assert row["cost_nanos"] == nanos((39, rates[0]), (323, rates[1]), (4160, rates[2]))


def test_p16_an_image_without_a_price_is_held_at_more_than_text() -> None:
    """Where nobody tells the price of an image's tokens they are unpriced, and held above zero."""
    url, ask, reply = painted("gpt-5-image")
    row = rated(url, ask, reply)
    assert bases(row)["output_image"] == "unpriced"
    reading = read(exchange(url, ask, reply))
    text = nanos((4160, "10"))
    assert ceiling_nanos(catalogue(), call(reading, AUGUST_S)) > text


DONE = {
    "type": "response.done",
    "response": {
        "id": "resp_1", "status": "completed", "output": [],
        "usage": {
            "total_tokens": 100_060, "input_tokens": 100_000, "output_tokens": 60,
            "input_token_details": {
                "text_tokens": 1000, "audio_tokens": 99_000, "cached_tokens": 98_000,
                "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 98_000},
            },
            "output_token_details": {"text_tokens": 20, "audio_tokens": 40},
        },
    },
}  # fmt: skip
SESSION = {"type": "session.updated", "session": {
    "type": "realtime", "model": "gpt-realtime",
    "audio": {"input": {"transcription": {"model": "whisper-1"}}}}}  # fmt: skip
TRANSCRIBED = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i",
               "transcript": "hi", "usage": {"type": "duration", "seconds": 3}}  # fmt: skip


def socket(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    told = [{"direction": "received", "data": one} for one in messages]
    rows: list[dict[str, Any]] = rated(REALTIME, None, None, messages=told)["readings"]
    return rows


def test_p17_cached_audio_of_a_realtime_answer_costs_the_cached_price() -> None:
    """Cached audio is taken out of the audio it is part of and costs a hundredth of it."""
    (row,) = socket(SESSION, DONE)
    assert row["usage"] == {
        "input": 1000, "input_audio": 1000, "input_cache_read_audio": 98_000, "output": 20,
        "output_audio": 40,
    }  # fmt: skip
    assert row["cost_nanos"] == nanos(
        (1000, "4"), (1000, "32"), (98_000, "0.40"), (20, "16"), (40, "64")
    )


def test_p17_transcription_is_a_call_of_its_own_model() -> None:
    """What listens along is charged by its own price list, beside the answer."""
    heard_row, answer = socket(SESSION, TRANSCRIBED, DONE)
    assert (heard_row["operation"], heard_row["price_model"]) == ("transcription", "whisper-1")
    assert heard_row["cost_nanos"] == nanos((3, "100"))
    assert answer["operation"] == "realtime"


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_p17_every_answer_of_a_socket_is_counted_once(status: str) -> None:
    """Each `response.done` is one call, and no other message repeats its counts."""
    second = {**DONE, "response": {**DONE["response"], "id": "resp_2", "status": status}}  # type: ignore[dict-item]
    created = {"type": "response.created", "response": {"id": "resp_2", "usage": None}}
    rows = socket(SESSION, DONE, created, second)
    assert [row["response_id"] for row in rows] == ["resp_1", "resp_2"]
    assert len({row["cost_nanos"] for row in rows}) == 1
