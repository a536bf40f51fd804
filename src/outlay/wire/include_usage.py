"""Asks an OpenAI-shaped chat stream to tell its usage, and hides the answer from the caller.

Without `stream_options.include_usage` a chat stream ends without counts. `add_include_usage` adds
the option for callers who did not set it; `UsageChunkFilter` then removes the one extra event (the
chunk with a usage object and no choices) from the bytes, so that the caller sees the stream it
asked for.
"""

from __future__ import annotations

import json
from typing import Final

from outlay.wire.base import MAX_BODY_BYTES, Endpoint, Request, as_dict, load_json
from outlay.wire.sse import BOM, LINES, MAX_EVENT_BYTES
from outlay.wire.vendors import conventions

_OPTION: Final = b'"stream_options":{"include_usage":true},'

_AZURE_SINCE: Final = "2024-09-01"
"""The first dated Azure API version that knows the option."""


def add_include_usage(request: Request, endpoint: Endpoint) -> bytes | None:
    """Return the request body with the option added, or `None` to leave the request alone.

    It is left alone unless it is a chat stream of a vendor known to take the option, and the
    caller did not set it either way. Only the option is added; the other bytes stay as they are.
    """
    if endpoint.surface != "openai.chat" or not conventions(endpoint.vendor).include_usage:
        return None
    if endpoint.deployment is not None and not _azure_knows(request.query):
        return None
    raw = request.body
    start = len(raw) - len(raw.lstrip(b" \t\r\n"))
    # A body in UTF-16 or compressed does not begin like this.
    if len(raw) > MAX_BODY_BYTES or raw[start : start + 1] != b"{" or b"\0" in raw[:4]:
        return None
    body = as_dict(load_json(raw))
    if body.get("stream") is not True:
        return None
    options = body.get("stream_options")
    if "stream_options" not in body:
        return raw[: start + 1] + _OPTION + raw[start + 1 :]
    if options is not None and (not isinstance(options, dict) or "include_usage" in options):
        return None
    body["stream_options"] = {**(options or {}), "include_usage": True}
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def _azure_knows(query: str) -> bool:
    """Tell whether the API version in the query is new enough; dates compare as text."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "api-version":
            return not value[:1].isdigit() or value >= _AZURE_SINCE
    return False


class UsageChunkFilter:
    """Removes the usage chunk from the bytes of an event stream, in any chunking.

    Bytes are held only until their event is whole; comments in front of an event pass at once. An
    event of more than `MAX_EVENT_BYTES` is passed through unseen.
    """

    __slots__ = ("_after_cr", "_dropped", "_held", "_line_is_new", "_passing")

    def __init__(self) -> None:
        self._held = bytearray()
        """The bytes of the event that is not whole yet."""
        self._line_is_new = True
        self._after_cr = False
        """The last byte taken was a CR: an LF next belongs to the same line end."""
        self._dropped = False
        """The last line taken ended an event that was removed."""
        self._passing = False
        """An event too large to hold is on its way through."""

    def feed(self, chunk: bytes) -> bytes:
        """Take decoded stream bytes and return those that the caller may see."""
        if not chunk:
            return b""
        out = bytearray()
        if self._after_cr and chunk.startswith(b"\n"):
            if not self._dropped:
                (self._held or out).append(0x0A)
            chunk = chunk[1:]
        for piece in LINES.findall(chunk):
            self._take(piece, out)
        # After the LF of a CRLF nothing may be left.
        self._after_cr = chunk.endswith(b"\r")
        return bytes(out)

    def flush(self) -> bytes:
        """Return the bytes still held when the stream ends."""
        held = bytes(self._held)
        self._held.clear()
        return b"" if _is_usage_chunk(held) else held

    def _take(self, piece: bytes, out: bytearray) -> None:
        """Take a line with its end, or the part of one."""
        ended = piece[-1] in b"\r\n"
        blank = self._line_is_new and piece[0] in b"\r\n"
        self._line_is_new = ended
        self._dropped = False
        self._held += piece
        if blank:
            self._dropped = not self._passing and _is_usage_chunk(bytes(self._held))
            self._passing = False
        elif len(self._held) > MAX_EVENT_BYTES:
            self._passing = True
        elif not self._passing and not (ended and self._held.startswith(b":")):
            return
        if not self._dropped:
            out += self._held
        self._held.clear()


def _is_usage_chunk(event: bytes) -> bool:
    """Tell whether an event is the chunk that exists only to carry the usage object."""
    if b'"usage"' not in event or b'"choices"' not in event:
        return False
    lines = event.removeprefix(BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    body = as_dict(load_json(b"\n".join(data)))
    return body.get("choices") == [] and isinstance(body.get("usage"), dict)
