"""The models that a socket's client asks for, where its key may ask for some only.

Realtime names its model in the URL, others in messages: each message is looked at until the end of
the socket. Only keys that name models pay for that. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from outlay.core.virtual_keys import VirtualKey

_MODELS: Final = (
    ("model",),
    ("setup", "model"),
    ("session", "model"),
    ("session", "input_audio_transcription", "model"),
    ("session", "audio", "input", "transcription", "model"),
    ("response", "model"),
)  # fmt: skip
"""Where messages of clients name models."""


class ModelRule:
    """Which models a key may ask for on one socket: one must be named before anything passes."""

    def __init__(self, key: VirtualKey) -> None:
        self._key = key
        self._named = False

    def take(self, models: Iterable[str]) -> bool:
        """Take the models that are asked for; tell whether all are allowed, and one is known."""
        for model in models:
            if not self._key.may_ask_for(model.rpartition("models/")[2]):
                return False
            self._named = True
        return self._named

    def allows(self, message: str | bytes) -> bool:
        """Tell whether a message of the client may go on."""
        try:
            body = json.loads(message)
        except ValueError:
            return self._named
        found = (_at(body, path) for path in _MODELS)
        return self.take(model for model in found if isinstance(model, str))


def _at(body: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body
