"""Ends a stream in the middle so that its client takes it for one that reached its bound.

A `Closing` sees what is relayed to the caller, hands on whole events only, and knows the bytes that
end the stream well-formed: the finish reason of an output that reached its length, in the dialect's
own words. It keeps no text, but where the dialect's last event repeats the output it keeps that for
as long as the stream lasts, bounded. Pure, and never raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from outlay.wire.base import Endpoint
from outlay.wire.frames import Echo, Frames, SseFrames

SSE: Final = "text/event-stream"
EVENT_STREAM: Final = "application/vnd.amazon.eventstream"


@dataclass(frozen=True, slots=True)
class Ending:
    """What the end of a cut stream says: what is thought to have been used, and why it ends."""

    input_tokens: int = 0
    output_tokens: int = 0
    reason: str = "length"


class Closing:
    """Follows one stream. The base ends it between two events and adds nothing."""

    def __init__(self, frames: Frames, body: dict[str, Any]) -> None:
        self._frames = frames
        self.asked = body
        """The request as the caller made it."""
        self.finished = False
        """The provider has ended the output itself: there is nothing to cut."""

    @property
    def echo(self) -> Echo | None:
        """Where a reader of the same stream may leave what `load_json` gave it of each piece.

        It must read a piece before `pass_on` has it, and what is left of it then is dropped.
        `None`: this one has no use for it.
        """
        return self._frames.echo

    def pass_on(self, chunk: bytes) -> bytes:
        """Take relayed bytes and return those that the caller may see: whole events."""
        whole = self._frames.feed(chunk)
        for event in whole:
            if self._frames.lost:
                break
            try:
                name, body = self._frames.read(event)
                if body == "[DONE]":
                    self.finished = True
                elif isinstance(body, dict):
                    self.see(name, body)
            except Exception:  # noqa: S112 - an odd event passes as it is
                continue
        if self._frames.echo:
            self._frames.echo.clear()
        return b"".join(whole)

    def flush(self) -> bytes:
        """Return what is held when the stream ends by itself."""
        return self._frames.flush()

    def end(
        self, input_tokens: int = 0, output_tokens: int = 0, *, reason: str = "length"
    ) -> bytes:
        """Return the bytes that end the stream here; what is held of a next event is dropped.

        Args:
            input_tokens: what is thought to have been read, for dialects whose end has counts.
            output_tokens: what is thought to have been produced.
            reason: `length` is put in the dialect's own word; any other stands as it is.
        """
        self._frames.flush()
        if self._frames.lost or self.finished:
            return b""
        self.finished = True
        try:
            return b"".join(self.close(Ending(input_tokens, output_tokens, reason)))
        except Exception:
            return b""  # an end without a last word is better than none

    # -- for the dialects ----------------------------------------------------------------------

    def see(self, name: str, body: dict[str, Any]) -> None:
        """Take note of an event that the caller sees."""

    def close(self, ending: Ending) -> list[bytes]:  # noqa: ARG002 - a hook
        """Return the events of the end."""
        return []

    def event(self, name: str, body: Any) -> bytes:
        """Return the bytes of an event of this stream."""
        return self._frames.write(name, body)


_KNOWN: Final = {
    "openai.chat": "closing_openai",
    "openai.completions": "closing_openai",
    "openai.responses": "closing_responses",
    "anthropic.messages": "closing_anthropic",
    "google.generate": "closing_google",
    "bedrock.converse": "closing_bedrock",
    "cohere.chat": "closing_others",
    "ollama.generate": "closing_others",
}
"""Modules of the surfaces whose streams can be ended in their own words; each has `make`."""

_BARE: Final = ("google.interactions", "mistral.chat", "bedrock.invoke")
"""Surfaces whose streams end between two events, without a last word."""


def closing_of(
    endpoint: Endpoint, request_body: dict[str, Any], content_type: str
) -> Closing | None:
    """Return what can end a reply's stream; `None` for a reply that is not to be cut.

    Args:
        endpoint: where the call went.
        request_body: the JSON as the caller made it.
        content_type: of the reply, with or without parameters.
    """
    kind = content_type.partition(";")[0].strip().lower()
    body = request_body
    if (module := _KNOWN.get(endpoint.surface)) is not None:
        made: Closing | None = import_module(f"outlay.wire.{module}").make(endpoint, body, kind)
        return made
    if endpoint.surface in _BARE:
        if kind == SSE:
            return Closing(SseFrames(), body)
        if kind == EVENT_STREAM:
            from outlay.wire.frames import MessageFrames

            return Closing(MessageFrames(), body)
    return None
