"""OpenAI's Live and translation sockets: one reading for a session's audio, at its end.

Live tells its seconds as it goes, cumulative: the last count is taken. A translation tells none:
there the seconds are those of the audio that was sent. Answers of a Responses model that a Live
session delegates to are readings of their own.
Sources: openai-python 3.54 `types/live`, `types/realtime/realtime_translation_*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import Endpoint, as_count, as_dict, as_text
from outlay.wire.openai_socket import Lanes
from outlay.wire.sessions import (
    PCM16_24K,
    MessageSession,
    base64_bytes,
    whole_seconds,
)
from outlay.wire.usage_object import is_name, note_drift, numbers_and_names

_APPENDS: Final = ("session.input_audio.append", "session.input_audio_buffer.append")
_TIMES: Final = ("end_ms", "offset_ms", "elapsed_ms")
"""Where messages tell how far the session's own timeline has come."""
_BYTES_PER_S: Final = {"audio/pcmu": 8000, "audio/pcma": 8000}


class LiveSession(MessageSession):
    """Follows one Live session, as its owner or from the side, or one translation."""

    __slots__ = (
        "_began", "_bytes_per_s", "_first", "_heard_bytes", "_reached_ms", "_reason", "_responses",
        "_served", "_session_id", "_usage",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, path: str, query: Mapping[str, str]) -> None:
        super().__init__(replace(endpoint, model=query.get("model")), path, query)
        self._responses = Lanes(endpoint)
        self._began: list[Any] = []
        """The mark of the first message, once there was one."""
        self._first: Any = None
        self._served: str | None = None
        self._session_id: str | None = None
        self._usage: dict[str, Any] = {}
        self._reason: str | None = None
        """Why the session ended, as told by its last message."""
        self._heard_bytes = 0
        self._bytes_per_s = PCM16_24K
        self._reached_ms = 0

    def on_sent(self, body: dict[str, Any], mark: Any) -> None:
        """Read how the session is started, and count the audio it is sent."""
        kind = body.get("type")
        if kind in _APPENDS:
            self._begin(mark)
            self._heard_bytes += base64_bytes(body.get("audio"))
        elif kind == "session.start":
            self._begin(mark)
            self._session(as_dict(body.get("session")))

    def on_received(self, body: dict[str, Any], mark: Any) -> None:
        """Read what the server tells."""
        kind = as_text(body.get("type")) or ""
        self._reached_ms = max(self._reached_ms, *(as_count(body.get(key)) for key in _TIMES))
        if kind == "response.event":
            lane = as_text(body.get("delegation_id")) or ""
            self.give_all(self._responses.take(lane, as_dict(body.get("event")), mark))
            return
        if kind == "session.output_audio.delta" and self._first is None:
            self._first = mark
        if kind.startswith("session."):
            self._begin(mark)
            self._session(as_dict(body.get("session")))
            self._usage = as_dict(body.get("usage")) or self._usage
        if kind == "session.closed":
            self._reason = as_text(body.get("reason")) or "closed"

    def on_finish(self, error: str | None) -> None:
        """Give the answers under way, then the session itself."""
        self.give_all(self._responses.finish(error))
        for began in self._began:
            self._settle(began, error)

    # -- inside --------------------------------------------------------------------------------

    def _begin(self, mark: Any) -> None:
        if not self._began:
            self._began.append(mark)

    def _session(self, session: dict[str, Any]) -> None:
        self._served = as_text(session.get("model")) or self._served
        self._session_id = as_text(session.get("id")) or self._session_id
        spoken = as_dict(as_dict(session.get("audio")).get("format"))
        if spoken:
            rate = min(as_count(spoken.get("rate")), 192_000) * 2
            kind = as_text(spoken.get("type")) or ""
            self._bytes_per_s = _BYTES_PER_S.get(kind) or rate or PCM16_24K

    def _settle(self, began: Any, error: str | None) -> None:
        reading = self.new_reading("realtime", began)
        reading.first = self._first
        reading.model_served = self._served
        reading.response_id = self._session_id
        reading.finish_reason = self._reason if self._reason and is_name(self._reason) else None
        if self._reason is None:
            reading.status = "timeout" if error == "timeout" else "aborted"
            reading.error_type = error
        elif self._session_id and self.endpoint.surface == "openai.live":
            # Its owner and whoever listens from the side are told the same final seconds.
            reading.once = self._session_id
        note_drift(reading, self._usage, frozenset(("seconds",)))
        reading.usage_raw = numbers_and_names(self._usage) or None
        told = whole_seconds(self._usage.get("seconds"))
        passed = max(self._reached_ms / 1000, self._heard_bytes / self._bytes_per_s)
        if told is not None and (self._reason is not None or told >= passed):
            reading.put(units.AUDIO_SECONDS, told)
            reading.usage_source = "provider"
        elif passed:
            reading.put(units.AUDIO_SECONDS, whole_seconds(passed) or 0)
            reading.usage_source = "counted"
            reading.find("seconds_counted")
        else:
            reading.find("usage_missing")
            reading.billed = "possible"
        self.give(reading)


SESSIONS: Final[dict[str, type[MessageSession]]] = {
    "openai.live": LiveSession,
    "openai.translation": LiveSession,
}
"""The codec of each surface this module speaks."""
