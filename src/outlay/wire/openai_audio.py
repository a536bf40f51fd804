"""Speech and transcription of the OpenAI shape, as OpenAI, Groq, Mistral and others serve them.

Speech is charged by characters of the request or by tokens, which only the event stream tells; a
transcription by tokens or by seconds of audio, which some reply formats do not tell. What is not
told is said to be missing and never free. Audio is passed over as it comes, and no text is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import Endpoint, Request, as_dict, as_text, estimate_tokens
from outlay.wire.modality import unnamed_as
from outlay.wire.openai_cost import stated_cost, without_decimals
from outlay.wire.openai_media import MediaReader, rounded_up
from outlay.wire.openai_usage import RESPONSES, has_counts, shape_of
from outlay.wire.reader import BodyReader

_SPOKEN: Final = ("speech.audio.done",)
_TRANSCRIBED: Final = ("transcript.text.done", "transcription.done")
"""What OpenAI and Mistral call the event that ends a transcription."""

_BY_TOKEN: Final = "gpt-"  # noqa: S105 - a prefix of model names
"""OpenAI's speech models of this name are charged by tokens, its older ones by characters."""

_BY_CHARACTER: Final = frozenset(("mistral",))
"""Vendors that charge speech by characters although their streams tell tokens."""

_PLAIN_FORMATS: Final = ("text", "srt", "vtt")


class OpenAiSpeechReader(MediaReader):
    """Reads one attempt of `/audio/speech`."""

    __slots__ = ("_characters", "_heard", "_passing")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._characters = 0
        self._heard = False
        self._passing = False
        """The body is audio: its bytes are let go as they come."""
        super().__init__(request, endpoint)

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked; of the text, only its length."""
        super().on_request(body)
        self._characters = len(as_text(body.get("input")) or "")

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Tell audio from JSON and events."""
        kind = headers.get("content-type", "")
        failed = (self.reading.http_status or 0) >= 400
        self._passing = not failed and "json" not in kind and "event-stream" not in kind

    def feed(self, chunk: bytes) -> None:
        """Take decoded body bytes; audio is not kept."""
        if self._passing:
            self._heard = self._heard or bool(chunk)
        else:
            super().feed(chunk)

    def on_other(self, size: int) -> None:
        """Take note of a reply that is audio."""
        if self._heard:
            self.terminal = True
        else:
            super().on_other(size)

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply with the audio in base64."""
        self.take_facts(body)
        self.take_usage(body.get("usage"))
        if body.get("error"):
            self.fail(body["error"])

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one event: a piece of audio, the end, or an error."""
        kind = as_text(body.get("type")) or name
        self.take_facts(body)
        if kind in _SPOKEN:
            self.take_usage(body.get("usage"))
            self.terminal = True
        elif body.get("error") or kind == "error":
            self.fail(body.get("error"))
        else:
            self.output_characters += 1

    def count(self) -> None:
        """Put tokens where they are told and charged, else characters."""
        reading, usage = self.reading, self.usage or {}
        if has_counts(usage) and reading.vendor not in _BY_CHARACTER:
            shape = shape_of(usage)
            self.settle(unnamed_as("audio", usage, shape.output, shape.output_details), shape)
            self.usage_final = self.terminal
        elif self._characters:
            self._count_characters()
            if usage:
                reading.provider_cost_nanos = stated_cost(reading, usage, self.vendor)
        else:
            self.missing()
        self.keep_raw(without_decimals(usage))

    def _count_characters(self) -> None:
        reading = self.reading
        reading.put(units.CHARACTERS, self._characters)
        reading.usage_source = "counted"
        if (reading.model_requested or "").startswith(_BY_TOKEN):
            # The audio's tokens are not known. No token rate prices the characters, so the event
            # is seen to be unpriced, where the input alone would look like the whole of it.
            reading.put(units.INPUT, estimate_tokens(self._characters))
            reading.usage_source = "estimated"
            reading.find("usage_missing")
            reading.find("input_estimated")


class OpenAiTranscriptionReader(MediaReader):
    """Reads one attempt of `/audio/transcriptions` or `/audio/translations`."""

    __slots__ = ("_duration", "_plain")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._duration = 0
        self._plain = False
        super().__init__(request, endpoint)
        self._plain = self.asked.get("response_format") in _PLAIN_FORMATS

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Tell plain text from JSON."""
        self._plain = self._plain or headers.get("content-type", "").startswith("text/")

    def on_other(self, size: int) -> None:
        """Take note of a reply that is plain text or subtitles, which tells no usage."""
        if self._plain and size:
            self.terminal = True
        else:
            super().on_other(size)

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply."""
        self._read(body)
        if body.get("error"):
            self.fail(body["error"])

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one event: a piece of text, the end with its usage, or an error."""
        kind = as_text(body.get("type")) or name
        self._read(body)
        if kind in _TRANSCRIBED:
            self.terminal = True
        elif body.get("error") or kind == "error":
            self.fail(body.get("error"))
        else:
            self.output_characters += 1

    def count(self) -> None:
        """Put tokens or seconds, by what the usage says; else the duration that was told."""
        reading, usage = self.reading, self.usage or {}
        seconds = rounded_up(usage.get("prompt_audio_seconds"))
        tokens = has_counts(usage) and usage.get("type") != "duration" and not seconds
        if tokens:
            self._settle_tokens(usage)
        else:
            if usage:
                reading.provider_cost_nanos = stated_cost(reading, usage, self.vendor)
            seconds = seconds or rounded_up(usage.get("seconds")) or self._duration
            reading.put(units.AUDIO_SECONDS, seconds)
        self.keep_raw(without_decimals(usage))
        if reading.usage:
            self.usage_final = self.terminal
        elif reading.provider_cost_nanos is None:
            self.missing()

    # -- inside --------------------------------------------------------------------------------

    def _read(self, body: dict[str, Any]) -> None:
        reading = self.reading
        self.take_facts(body)
        reading.response_id = as_text(as_dict(body.get("x_groq")).get("id")) or reading.response_id
        self._duration = rounded_up(body.get("duration")) or self._duration
        self.take_usage(body.get("usage"))

    def _settle_tokens(self, usage: dict[str, Any]) -> None:
        """Put tokens: what is read is audio, unless the details say otherwise."""
        shape = shape_of(usage)
        plain = {key: value for key, value in usage.items() if key not in ("type", "seconds")}
        if shape is RESPONSES and "input_token_details" in plain:
            plain[shape.input_details] = plain.pop("input_token_details")
        self.settle(unnamed_as("audio", plain, shape.input, shape.input_details), shape)


SURFACES: Final[dict[str, type[BodyReader]]] = {
    "openai.speech": OpenAiSpeechReader,
    "openai.transcription": OpenAiTranscriptionReader,
}
"""The reader of each surface this module speaks."""
