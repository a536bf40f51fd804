"""The Realtime API of OpenAI, Azure (Voice Live too) and xAI: each `response.done` is one reading.

Input transcription is a model call of its own and read as one. A response that was begun and never
done is aborted, and estimated. xAI charges by the second of audio and by the text message: there
its token counts stay in `usage_raw`.
Sources: openai-python 3.54 `types/realtime`; recorded sessions of all four.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import Endpoint, Status, as_count, as_dict, as_list, as_text, estimate_tokens
from outlay.wire.openai_cost import stated_cost
from outlay.wire.openai_reader import text_length
from outlay.wire.openai_usage import RESPONSES, fill, has_counts
from outlay.wire.reader import error_type_of
from outlay.wire.sessions import (
    MAX_PENDING,
    PCM16_24K,
    MessageSession,
    SessionReading,
    base64_bytes,
    whole_seconds,
)
from outlay.wire.usage_object import drift, is_name, numbers_and_names
from outlay.wire.vendors import conventions

INPUT_AUDIO_PER_S: Final = 10
OUTPUT_AUDIO_PER_S: Final = 20
"""Tokens of a second of audio, for estimates: one for 100 ms heard, one for 50 ms spoken."""

TEXT_MESSAGES: Final = "text_messages"
_BY_TEXT_MESSAGE: Final = ("xai",)
"""Vendors that charge each text message that is sent."""

_STATUS: Final[dict[str, Status]] = {
    "completed": "ok",
    "cancelled": "aborted",
    "incomplete": "incomplete",
    "failed": "error",
}
_AUDIO_DELTAS: Final = ("response.output_audio.delta", "response.audio.delta")
_TEXT_DELTAS: Final = (
    "response.output_text.delta", "response.text.delta", "response.output_audio_transcript.delta",
    "response.audio_transcript.delta", "response.function_call_arguments.delta",
)  # fmt: skip
_TRANSCRIBED: Final = "conversation.item.input_audio_transcription.completed"
_SESSION: Final = (
    "session.created", "session.updated", "transcription_session.created",
    "transcription_session.updated",
)  # fmt: skip
_G711: Final = ("audio/pcmu", "audio/pcma", "g711_ulaw", "g711_alaw")
_DETAILS: Final = {
    "input_token_details": RESPONSES.input_details,
    "output_token_details": RESPONSES.output_details,
}
"""How the details of this API are called elsewhere."""
_BY_TIME: Final = ("billable_audio_seconds", "output_audio_seconds")


@dataclass(slots=True)
class _Pending:
    """A response under way."""

    began: Any
    first: Any = None
    audio_bytes: int = 0
    characters: int = 0


class RealtimeSession(MessageSession):
    """Follows one Realtime connection."""

    __slots__ = (
        "_asked", "_audio_bytes", "_bytes_per_s", "_characters", "_context", "_listens", "_pending",
        "_served", "_text_messages", "_transcriber", "_vendor",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, path: str, query: Mapping[str, str]) -> None:
        model = query.get("model")
        deployment = None
        if endpoint.provider == "azure" and not path.endswith("/voice-live/realtime"):
            deployment = query.get("deployment") or model
        super().__init__(replace(endpoint, model=model, deployment=deployment), path, query)
        self._vendor = conventions(endpoint.vendor)
        self._listens = "call_id" in query
        """Whether it listens to a call that others may listen to as well."""
        self._served: str | None = None
        self._transcriber: str | None = None
        self._pending: dict[str, _Pending] = {}
        self._asked: deque[tuple[str | None, Any]] = deque(maxlen=MAX_PENDING)
        """Responses asked for and not begun yet: the client's event id, and the mark."""
        self._context = 0
        """Tokens of the conversation when the last response was done."""
        self._characters = 0
        """Characters of text sent since."""
        self._audio_bytes = 0
        """Bytes of audio sent since."""
        self._bytes_per_s = PCM16_24K
        self._text_messages = 0
        """Text messages sent that no reading has counted yet."""

    @property
    def under_way(self) -> bool:
        """Whether a response was asked for or begun, and is not done."""
        return bool(self._pending or self._asked)

    def on_sent(self, body: dict[str, Any], mark: Any) -> None:
        """Read what the client asks for and adds to the conversation."""
        kind = body.get("type")
        if kind == "input_audio_buffer.append":
            self._audio_bytes += base64_bytes(body.get("audio"))
        elif kind == "response.create":
            self._asked.append((as_text(body.get("event_id")), mark))
            self._characters += text_length(as_dict(body.get("response")).get("instructions"))
        elif kind == "conversation.item.create":
            self._item(as_dict(body.get("item")))
        elif kind == "session.update":
            session = as_dict(body.get("session"))
            self._session(session)
            self._characters += text_length(session.get("instructions"))

    def on_received(self, body: dict[str, Any], mark: Any) -> None:
        """Read what the server tells."""
        kind = as_text(body.get("type")) or ""
        if kind.endswith(".delta"):
            self._delta(kind, body, mark)
        elif kind == "response.created":
            self._begin(as_text(as_dict(body.get("response")).get("id")) or "", mark)
        elif kind == "response.done":
            self._done(body, mark)
        elif kind == _TRANSCRIBED:
            self._transcribed(body, mark)
        elif kind in _SESSION:
            session = as_dict(body.get("session"))
            self._served = as_text(session.get("model")) or self._served
            self._session(session)
        elif kind == "error":
            self._refused(as_text(as_dict(body.get("error")).get("event_id")))

    def on_finish(self, error: str | None) -> None:
        """Give the responses that were never done, and text messages that nothing answered."""
        for response_id in list(self._pending):
            self._abort(response_id, error)
        if self._text_messages:
            reading = self.new_reading("realtime", None)
            self._put_text_messages(reading)
            self.give(reading)

    # -- inside --------------------------------------------------------------------------------

    def _session(self, session: dict[str, Any]) -> None:
        audio = as_dict(session.get("audio"))
        heard = as_dict(audio.get("input")).get("transcription")
        heard = as_dict(heard or session.get("input_audio_transcription"))
        self._transcriber = as_text(heard.get("model")) or self._transcriber
        spoken = as_dict(audio.get("output")).get("format", session.get("output_audio_format"))
        name = as_dict(spoken).get("type") if isinstance(spoken, dict) else spoken
        if name is not None:
            self._bytes_per_s = 8000 if name in _G711 else PCM16_24K

    def _item(self, item: dict[str, Any]) -> None:
        self._characters += text_length(item.get("content"))
        self._characters += len(as_text(item.get("output")) or "")
        parts = [as_dict(part) for part in as_list(item.get("content"))]
        self._audio_bytes += sum(base64_bytes(part.get("audio")) for part in parts)
        if self._vendor.name in _BY_TEXT_MESSAGE:
            self._text_messages += any(part.get("type") == "input_text" for part in parts)

    def _refused(self, event_id: str | None) -> None:
        """Forget the request that an error answers; without an id it was the latest."""
        for asked in self._asked:
            if asked[0] == event_id is not None:
                self._asked.remove(asked)
                return
        if event_id is None and self._asked:
            self._asked.pop()

    def _asked_at(self, mark: Any) -> Any:
        return self._asked.popleft()[1] if self._asked else mark

    def _begin(self, response_id: str, mark: Any) -> None:
        if len(self._pending) >= MAX_PENDING:
            self.note("too_many_pending")
            self._abort(next(iter(self._pending)), None)
        self._pending[response_id] = _Pending(self._asked_at(mark))

    def _delta(self, kind: str, body: dict[str, Any], mark: Any) -> None:
        pending = self._pending.get(as_text(body.get("response_id")) or "")
        if pending is None:
            return
        if kind in _AUDIO_DELTAS:
            pending.audio_bytes += base64_bytes(body.get("delta"))
        elif kind in _TEXT_DELTAS:
            pending.characters += text_length(body.get("delta"))
        else:
            return
        if pending.first is None:
            pending.first = mark

    def _done(self, body: dict[str, Any], mark: Any) -> None:
        response = as_dict(body.get("response"))
        response_id = as_text(response.get("id")) or ""
        pending = self._pending.pop(response_id, None) or _Pending(self._asked_at(mark))
        reading = self._reading(response_id, pending)
        reading.max_tokens = as_count(response.get("max_output_tokens")) or None
        reading.tool_calls = sum(
            as_dict(item).get("type") == "function_call" for item in as_list(response.get("output"))
        )
        self._settle_status(reading, response)
        usage = as_dict(response.get("usage")) or as_dict(body.get("usage"))
        if has_counts(usage):
            self._settle(reading, usage)
            self._context = as_count(usage.get("input_tokens"))
            self._context += as_count(usage.get("output_tokens"))
        elif reading.status == "error" and not (pending.audio_bytes or pending.characters):
            reading.billed = "no"
        else:
            if reading.status in ("ok", "incomplete", "refused"):
                reading.find("usage_missing")
            self._estimate(reading, pending)
        self._characters = self._audio_bytes = 0
        self._put_text_messages(reading)
        self.give(reading)

    def _reading(self, response_id: str, pending: _Pending) -> SessionReading:
        reading = self.new_reading("realtime", pending.began)
        reading.first = pending.first
        reading.model_served = self._served
        reading.response_id = response_id or None
        if self._listens and response_id:
            reading.once = response_id
        return reading

    def _settle_status(self, reading: SessionReading, response: dict[str, Any]) -> None:
        status, details = as_text(response.get("status")), as_dict(response.get("status_details"))
        if status not in _STATUS:
            drift(reading, f"status.{status}")
        reading.status = _STATUS.get(status or "", "ok")
        reason = as_text(details.get("reason")) or status
        if reason is not None:
            reading.finish_reason = reason if is_name(reason) else "unreadable"
        if reason == "content_filter":
            reading.status = "refused"
        if reading.status == "error":
            reading.error_type = error_type_of(details) or "error"

    def _settle(self, reading: SessionReading, usage: dict[str, Any]) -> None:
        """Put the counts, or the seconds where those are what is charged."""
        reading.usage_raw = numbers_and_names(usage)
        reading.provider_cost_nanos = stated_cost(reading, usage, self._vendor)
        seconds = whole_seconds(usage.get(_BY_TIME[0]))
        if seconds is not None:
            reading.put(units.AUDIO_SECONDS, seconds)
        else:
            plain = {_DETAILS.get(k, k): v for k, v in usage.items() if k not in _BY_TIME}
            fill(reading, plain, RESPONSES, self._vendor)
        reading.usage_source = "provider"
        if not reading.usage:
            reading.find("usage_zero")

    def _abort(self, response_id: str, error: str | None) -> None:
        pending = self._pending.pop(response_id)
        reading = self._reading(response_id, pending)
        reading.status = "timeout" if error == "timeout" else "aborted"
        reading.error_type = error
        self._estimate(reading, pending)
        self._put_text_messages(reading)
        self.give(reading)

    def _estimate(self, reading: SessionReading, pending: _Pending) -> None:
        """Fill in what the wire did not tell, from what passed, and say so."""
        seconds = self._audio_bytes / PCM16_24K
        reading.put(f"{units.INPUT}_audio", round(seconds * INPUT_AUDIO_PER_S))
        text = self._context + estimate_tokens(self._characters)
        reading.put(units.INPUT, text or (0 if reading.usage else 1))
        spoken = round(pending.audio_bytes / self._bytes_per_s * OUTPUT_AUDIO_PER_S)
        written = estimate_tokens(pending.characters)
        reading.put(f"{units.OUTPUT}_audio", spoken)
        reading.put(units.OUTPUT, written or (0 if spoken else 1))
        reading.find("input_estimated")
        reading.find("output_estimated")
        reading.usage_source = "estimated"
        reading.billed = "possible"

    def _put_text_messages(self, reading: SessionReading) -> None:
        reading.put(TEXT_MESSAGES, self._text_messages)
        self._text_messages = 0

    def _transcribed(self, body: dict[str, Any], mark: Any) -> None:
        """Read the transcription of what was heard: its own model's call."""
        usage = as_dict(body.get("usage"))
        if not usage and self._vendor.name in _BY_TEXT_MESSAGE:
            return  # charged with the audio
        reading = self.new_reading("transcription", mark)
        reading.deployment = None
        reading.model_requested = self._transcriber
        reading.response_id = item_id = as_text(body.get("item_id"))
        if self._listens and item_id:
            reading.once = f"{item_id}/{as_count(body.get('content_index'))}"
        reading.usage_raw = numbers_and_names(usage) or None
        seconds = whole_seconds(usage.get("seconds"))
        if seconds is not None:
            reading.put(units.AUDIO_SECONDS, seconds)
        elif has_counts(usage):
            plain = {_DETAILS.get(k, k): v for k, v in usage.items() if k != "type"}
            fill(reading, plain, RESPONSES, self._vendor)
        else:
            reading.billed = "possible"
            reading.find("usage_missing")
        if self._transcriber is None:
            reading.find("transcriber_unknown")
        self.give(reading)


SESSIONS: Final[dict[str, type[MessageSession]]] = {"openai.realtime": RealtimeSession}
"""The codec of each surface this module speaks."""
