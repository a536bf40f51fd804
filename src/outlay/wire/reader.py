"""What every HTTP codec shares: collecting a body, splitting a stream, and ending honestly.

A codec subclasses `BodyReader` and fills the reading in four hooks. The end states are decided
here, once for all providers: a stream without its terminal event is `aborted`, its input side is
what the wire told (or is estimated from the request), and its output is estimated from what was
seen, marked `estimated` and never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from outlay.core import units
from outlay.wire.base import (
    MAX_BODY_BYTES,
    REQUEST_ID_HEADERS,
    Endpoint,
    Reading,
    Request,
    as_dict,
    as_text,
    estimate_tokens,
    load_json,
)
from outlay.wire.long_values import HELD_WHOLE_BYTES, Held
from outlay.wire.splitters import Splitter, splitter_of
from outlay.wire.tool_keys import ToolKeys
from outlay.wire.usage_object import is_name

if TYPE_CHECKING:
    from outlay.wire.frames import Echo

MAX_FINDING_CHARACTERS = 120

_ENDED = ("ok", "incomplete", "refused")
"""Ways that generation ends with output, which is billed."""


class BodyReader:
    """Follows one attempt of one HTTP API; subclasses give meaning to its bodies.

    Hooks, all optional to override and guarded against whatever they meet:
    `on_request(body)` once with the request's JSON, `on_json(body)` with a whole JSON reply of
    status < 400, `on_other(size)` with the size of one that is no JSON object,
    `on_event(name, body)` for each stream event, `on_error(body)` with the JSON of a reply of
    status >= 400 or `None`, and `on_end()` before the reading is judged.
    """

    __slots__ = (
        "_body", "_closed", "_echo", "_held", "_parsed", "_size", "_sse", "_tools", "complete",
        "output_characters", "reading", "ready", "request_body", "streamed", "terminal",
        "usage_final", "usage_input",
    )  # fmt: skip

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self.reading = Reading(
            provider=endpoint.provider,
            surface=endpoint.surface,
            vendor=endpoint.vendor,
            operation=endpoint.operation,
            host_class=endpoint.host_class,
            region_class=endpoint.region_class,
            model_requested=endpoint.model,
            deployment=endpoint.deployment,
        )
        self.streamed = False
        self.terminal = False
        """The wire said that generation ended."""
        self.usage_final = False
        """The provider's own final counts were read."""
        self.usage_input = False
        """The input side was told by the wire, though the output may not be."""
        self.output_characters = 0
        """Characters of output seen: the base of an estimate; the text itself is not kept."""
        self.complete = False
        """The body was read to its end without a failure; known from `on_end` on."""
        self.ready: list[Reading] = []
        """Readings of calls that this reply tells of beside its own, such as those of a batch.

        Whoever feeds the reader takes them out after each `feed` and after `finish`.
        """
        self._echo: Echo | None = None
        self._sse: Splitter | None = None
        self._body = b""
        self._held: Held | None = None
        """The body, if it came in pieces or is large."""
        self._parsed: dict[str, Any] | None = None
        self._size = 0
        self._tools: ToolKeys | None = None
        self._closed = False
        self.request_body = as_dict(load_json(request.body))
        try:
            self.on_request(self.request_body)
        except Exception as problem:
            self._tripped("request", problem)
        self.reading.streamed = self.streamed

    # -- hooks ---------------------------------------------------------------------------------

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked: model, tier, stream flag, bounds."""

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole successful reply."""

    def on_other(self, size: int) -> None:
        """Take note of a whole successful reply that is no JSON object, of so many bytes."""
        self.reading.find("malformed_body" if size else "empty_body")

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one event of a stream."""

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read the body of an HTTP error."""

    def on_end(self) -> None:
        """Settle what only the end tells, e.g. turn the last usage object into buckets."""

    def parse(self, data: bytes) -> Any:
        """Parse one JSON text of the reply; `None` when it is not JSON."""
        return load_json(data)

    def count_request_characters(self) -> int:
        """Count the characters of prompt text in `request_body`, for an estimate of the input."""
        return 0

    def tools(self) -> ToolKeys:
        """Return where the tool calls of the reply are noted."""
        if self._tools is None:
            self._tools = ToolKeys()
        return self._tools

    # -- the Reader protocol -------------------------------------------------------------------

    def response(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the response line and headers (names lower case)."""
        self.reading.http_status = status
        if not all(map(str.islower, headers)):
            headers = {name.lower(): value for name, value in headers.items()}
        for name in REQUEST_ID_HEADERS:
            if name in headers:
                self.reading.provider_request_id = headers[name]
                break
        try:
            self.on_headers(headers)
        except Exception as problem:
            self._tripped("headers", problem)
        kind = headers.get("content-type", "")
        if kind != "application/json" and (make := splitter_of(kind)) is not None:
            self.reading.streamed = True
            self._sse = make()

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Read facts that travel in response headers."""

    def feed(self, chunk: bytes) -> None:
        """Take decoded body bytes; any chunking gives the same reading."""
        if self._sse is None:
            self._size += len(chunk)
            if self._size == len(chunk) <= HELD_WHOLE_BYTES:
                self._body = chunk  # nearly always the whole of it
            else:
                self._hold(chunk)
            return
        try:
            for event in self._sse.feed(chunk):
                self._take(event.event, event.data)
        except Exception as problem:
            self._tripped("stream", problem)

    def echo_to(self, echo: Echo | None) -> None:
        """Leave the events of a stream, parsed, for who relays it; `None`: nobody does any more."""
        self._echo = echo

    def whole(self, status: int, body: dict[str, Any]) -> Reading:
        """Read a reply that somebody has parsed already, such as a line of a batch, and end."""
        self.reading.http_status = status
        self._parsed = body
        return self.finish()

    def finish(self, *, complete: bool = True, error: str | None = None) -> Reading:
        """End the attempt and give its reading; a second call gives the same one."""
        if self._closed:
            return self.reading
        self._closed = True
        self.complete = complete and error is None
        try:
            if self._sse is not None:
                self._end_stream()
            elif self.reading.http_status is not None:
                self._end_body()
        except Exception as problem:
            self._tripped("end", problem)
        try:
            self.on_end()
        except Exception as problem:
            self._tripped("end", problem)
        if self._tools is not None:
            self.reading.tool_keys = self._tools.keys()
        self._judge(error)
        return self.reading

    # -- inside --------------------------------------------------------------------------------

    def _tripped(self, where: str, problem: Exception) -> None:
        """Turn whatever a hook tripped over into a finding: a reader never raises."""
        finding = f"codec_error:{where}:{type(problem).__name__}"
        self.reading.find(finding[:MAX_FINDING_CHARACTERS])

    def _hold(self, chunk: bytes) -> None:
        held = self._held
        if held is None:
            held = self._held = Held()
            held.add(self._body)
            self._body = b""
        if len(held) <= MAX_BODY_BYTES:
            held.add(chunk)

    def _take(self, name: str, data: bytes) -> None:
        if data == b"[DONE]":
            self.terminal = True
            return
        body = self.parse(data)
        if self._echo is not None:
            self._echo.append((data, body))
        if not isinstance(body, dict):
            self.reading.find("malformed_event")
            return
        try:
            self.on_event(name, body)
        except Exception as problem:
            self._tripped("event", problem)

    def _end_stream(self) -> None:
        assert self._sse is not None
        for event in self._sse.close():
            # An event without its blank line counts only if it is whole.
            if load_json(event.data) is not None or event.data == b"[DONE]":
                self._take(event.event, event.data)
        if self._sse.dropped:
            self.reading.find("event_too_large")

    def _end_body(self) -> None:
        status = self.reading.http_status or 0
        raw = self._body if self._held is None else self._held.take()
        self._body = b""
        body = self.parse(raw) if self._parsed is None else self._parsed
        if status >= 400:
            self.on_error(body if isinstance(body, dict) else None)
            return
        if isinstance(body, dict):
            self.on_json(body)
            self.terminal = True
        elif len(raw) > MAX_BODY_BYTES:
            self.reading.find("body_too_large")
        elif self._size or self.complete:
            self.on_other(self._size)

    def _judge(self, error: str | None) -> None:
        reading = self.reading
        status = reading.http_status
        if error is not None and status is None:
            reading.status = "timeout" if error == "timeout" else "error"
            reading.error_type = reading.error_type or error
            # Past the connect, the provider may have started to generate.
            reading.billed = "no" if error == "connect" else "possible"
            self._set_source()
            return
        if status is not None and status >= 400:
            reading.status = "error"
            reading.error_type = reading.error_type or f"http_{status}"
            if not reading.usage:
                reading.billed = "no"
            self._set_source()
            return
        cut = not self.complete
        if not self.terminal and not self.usage_final and (cut or self._sse is not None):
            if reading.status in ("ok", "incomplete"):
                reading.status = "timeout" if error == "timeout" else "aborted"
            reading.error_type = reading.error_type or error
            reading.billed = "possible"
            if self._is_generation():
                self._estimate()
        elif not self.usage_final and reading.status in _ENDED and self._is_generation():
            reading.find("usage_missing")
            self._estimate()
        elif cut and not self.terminal and reading.status == "ok":
            reading.status = "aborted"
        self._set_source()

    def _is_generation(self) -> bool:
        return self.reading.operation in ("chat", "text_completion", "embeddings")

    def _estimate(self) -> None:
        """Fill in what the wire did not tell, and say so."""
        reading = self.reading
        if not self.usage_input and not reading.input_total:
            try:
                count = max(1, estimate_tokens(self.count_request_characters()))
                reading.put(units.INPUT, count)
            except Exception as problem:
                self._tripped("estimate", problem)
            reading.find("input_estimated")
        if reading.operation != "embeddings":
            seen = estimate_tokens(self.output_characters)
            told = reading.output_total
            if seen > told or told == 0:
                reading.put(units.OUTPUT, max(1, seen) - told)
            reading.find("output_estimated")
        reading.usage_source = "estimated"

    def _set_source(self) -> None:
        if self.reading.usage_source == "none" and self.reading.usage:
            self.reading.usage_source = "provider"


def error_type_of(body: dict[str, Any] | None) -> str | None:
    """Return the error's type or code from the usual shapes of error bodies.

    Only a short name is one: anything longer may repeat the prompt.
    """
    if body is None:
        return None
    error = body.get("error")
    if isinstance(error, str):
        return error if is_name(error) else None
    detail = as_dict(error) or body
    for key in ("type", "code", "status"):
        value = as_text(detail.get(key))
        if value is not None and value != "error" and is_name(value):
            return value
    code = detail.get("code")
    return str(code)[:64] if isinstance(code, int) and not isinstance(code, bool) else None
