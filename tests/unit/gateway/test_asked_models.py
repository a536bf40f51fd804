"""A key that names models is held to them in what a socket's client says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlay.gateway.asked_models import ModelRule
from tests.unit.gateway.socket_rig import virtual_key

AUDIO = json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA"})


def rule(*models: str) -> ModelRule:
    return ModelRule(virtual_key(models=models))


def test_a_model_named_in_the_url_holds_for_the_messages_behind_it() -> None:
    known = rule("gpt-realtime*")
    assert known.take(["gpt-realtime-2026"])
    assert known.allows(AUDIO)
    assert known.allows(b"\x00\xff")
    assert known.allows(json.dumps({"type": "response.create"}))


def test_nothing_passes_before_a_model_is_named() -> None:
    for message in (AUDIO, b"\x00\xff", "no json", "[]", json.dumps({"model": 7})):
        assert not rule("gpt-realtime").allows(message)


@pytest.mark.parametrize(
    "asks",
    [
        lambda model: {"type": "response.create", "model": model},
        lambda model: {"type": "response.create", "response": {"model": model}},
        lambda model: {"type": "session.update", "session": {"model": model}},
        lambda model: {"setup": {"model": f"models/{model}"}},
        lambda model: {"setup": {"model": f"projects/p/locations/l/publishers/g/models/{model}"}},
        lambda model: {"session": {"input_audio_transcription": {"model": model}}},
        lambda model: {"session": {"audio": {"input": {"transcription": {"model": model}}}}},
    ],
)
def test_messages_name_models_in_many_places(asks: Any) -> None:
    known = rule("good*")
    assert known.allows(json.dumps(asks("good-1")))
    assert not known.allows(json.dumps(asks("bad-1")))


def test_every_model_of_a_message_must_be_allowed() -> None:
    both = {"session": {"model": "good", "input_audio_transcription": {"model": "bad"}}}
    assert not rule("good").allows(json.dumps(both))
    assert rule("good", "bad").allows(json.dumps(both))
