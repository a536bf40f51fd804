"""What follows a socket: messages in, one reading for each billed piece of work out.

Owns the protocol of session codecs, what they share, and the choice of the codec by URL. A codec
does no I/O, knows no clock and never raises: what it cannot read it says in the findings of the
next reading. No prompt or completion text is kept beyond counting it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from outlay.core.event import MAX_COUNT
from outlay.wire.base import MAX_BODY_BYTES, Endpoint, Reading, load_json
from outlay.wire.reader import MAX_FINDING_CHARACTERS
from outlay.wire.registry import find_route
from outlay.wire.vendors import conventions

Message = str | bytes | bytearray | memoryview

MAX_MESSAGE_BYTES: Final = MAX_BODY_BYTES
"""A longer message is not parsed; the next reading says `message_too_large`."""
MAX_PENDING: Final = 64
"""Pieces of work under way in one session; one more ends the oldest as aborted."""
MAX_NOTES: Final = 16
"""Findings that wait for a reading."""
MAX_QUERY_FIELDS: Final = 64
"""A URL with more query fields is read as one without any."""

PCM16_24K: Final = 48_000
"""Bytes in a second of 16-bit mono audio at 24 kHz, the usual format of these APIs."""


@dataclass(slots=True)
class SessionReading(Reading):
    """The reading of one piece of work, with the marks of the messages that began it.

    Marks are whatever the follower gave along with a message; the codec only hands them back.
    """

    began: Any = None
    """The mark of the message that asked for the work, else of the first that told of it."""
    first: Any = None
    """The mark of the first message with output."""


class Session(Protocol):
    """Follows one connection. Messages go in as they pass, `finish` is called once."""

    endpoint: Endpoint

    @property
    def under_way(self) -> bool:
        """Whether the server is at work that a message of its own will end and count."""

    def sent(self, message: Message, mark: Any = None) -> None:
        """Take a message that the client sends; what it completes is given with the next one."""

    def received(self, message: Message, mark: Any = None) -> list[SessionReading]:
        """Take a message of the server and give the readings that it completes."""

    def finish(self, *, error: str | None = None) -> list[SessionReading]:
        """End the session and give the readings of what was still under way.

        Args:
            error: the class of the failure that ended it; `None` when it was closed in order.
        """


class MessageSession:
    """Base of the codecs: parses JSON messages and guards the hooks against whatever they meet."""

    __slots__ = ("_closed", "_notes", "_ready", "endpoint", "path", "query")

    def __init__(self, endpoint: Endpoint, path: str, query: Mapping[str, str]) -> None:
        self.endpoint = endpoint
        self.path = path
        self.query = query
        self._ready: list[SessionReading] = []
        self._notes: list[str] = []
        self._closed = False

    @property
    def under_way(self) -> bool:
        """Whether the server is at work that a message of its own will end and count."""
        return False

    # -- hooks ---------------------------------------------------------------------------------

    def on_sent(self, body: dict[str, Any], mark: Any) -> None:
        """Read a message of the client."""

    def on_received(self, body: dict[str, Any], mark: Any) -> None:
        """Read a message of the server; `give` the readings it completes."""

    def on_finish(self, error: str | None) -> None:
        """Give the readings of what is still under way."""

    # -- the Session protocol ------------------------------------------------------------------

    def sent(self, message: Message, mark: Any = None) -> None:
        """Take a message that the client sends."""
        if self._closed:
            return
        try:
            if (body := self._load(message)) is not None:
                self.on_sent(body, mark)
        except Exception as problem:
            self._tripped("sent", problem)

    def received(self, message: Message, mark: Any = None) -> list[SessionReading]:
        """Take a message of the server and give the readings that it completes."""
        if self._closed:
            return []
        try:
            body = self._load(message)
            if body is None:
                self.note("malformed_message")
            else:
                self.on_received(body, mark)
        except Exception as problem:
            self._tripped("received", problem)
        ready, self._ready = self._ready, []
        return ready

    def finish(self, *, error: str | None = None) -> list[SessionReading]:
        """End the session and give the readings of what was still under way."""
        if self._closed:
            return []
        self._closed = True
        try:
            self.on_finish(error)
        except Exception as problem:
            self._tripped("finish", problem)
        ready, self._ready = self._ready, []
        return ready

    # -- for subclasses ------------------------------------------------------------------------

    def give(self, reading: SessionReading) -> None:
        """Hand out a reading, together with the findings that wait."""
        for note in self._notes:
            reading.find(note)
        self._notes.clear()
        if reading.usage_source == "none" and reading.usage:
            reading.usage_source = "provider"
        self._ready.append(reading)

    def give_all(self, readings: Iterable[SessionReading]) -> None:
        """Hand out readings in order."""
        for reading in readings:
            self.give(reading)

    def note(self, finding: str) -> None:
        """Keep a finding for the next reading."""
        if finding not in self._notes and len(self._notes) < MAX_NOTES:
            self._notes.append(finding)

    def new_reading(self, operation: str, began: Any) -> SessionReading:
        """Return an empty reading of this connection."""
        endpoint = self.endpoint
        return SessionReading(
            provider=endpoint.provider,
            surface=endpoint.surface,
            vendor=endpoint.vendor,
            operation=operation,
            host_class=endpoint.host_class,
            region_class=endpoint.region_class,
            model_requested=endpoint.model or endpoint.deployment,
            deployment=endpoint.deployment,
            streamed=True,
            began=began,
        )

    def _load(self, message: Message) -> dict[str, Any] | None:
        if len(message) > MAX_MESSAGE_BYTES:
            self.note("message_too_large")
            return {}
        raw = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
        body = load_json(bytes(raw))
        return body if isinstance(body, dict) else None

    def _tripped(self, where: str, problem: Exception) -> None:
        self.note(f"codec_error:{where}:{type(problem).__name__}"[:MAX_FINDING_CHARACTERS])


class UnknownSession(MessageSession):
    """Follows a socket of a known vendor that is not known: nobody can say what it costs."""

    __slots__ = ("_began",)

    def __init__(self, endpoint: Endpoint, path: str, query: Mapping[str, str]) -> None:
        super().__init__(endpoint, path, query)
        self._began: list[Any] = []

    def received(self, message: Message, mark: Any = None) -> list[SessionReading]:  # noqa: ARG002
        """Note that the server said something."""
        if not self._began:
            self._began.append(mark)
        return []

    def sent(self, message: Message, mark: Any = None) -> None:
        """Pass over what the client says."""

    def on_finish(self, error: str | None) -> None:
        """Give one reading if the server said anything."""
        for mark in self._began:
            reading = self.new_reading("other", mark)
            reading.billed = "possible"
            reading.find("unknown_endpoint")
            reading.error_type = error
            self.give(reading)


class Shape(NamedTuple):
    """One kind of socket: how its path ends, and what reads it. `google` sockets are Google's."""

    path: re.Pattern[str]
    surface: str
    module: str
    google: bool = False


SHAPES: Final = (
    Shape(re.compile(r"/realtime/translations$"), "openai.translation", "openai_live"),
    Shape(
        re.compile(r"/live/sessions(?:/[^/]+/(?:fork|attach))?$"), "openai.live", "openai_live"
    ),
    Shape(re.compile(r"/realtime$"), "openai.realtime", "openai_realtime"),
    Shape(re.compile(r"/responses$"), "openai.responses", "openai_socket"),
    Shape(
        re.compile(r"BidiGenerateContent(?:Constrained)?$"), "google.live", "google_live",
        google=True,
    ),
)  # fmt: skip
"""Sockets that have a codec; the first whose path fits is taken."""


def open_session(url: str, *, hosts: Mapping[str, str] | None = None) -> Session | None:
    """Return the codec for a socket, or `None` when it goes to no provider that we know.

    Args:
        url: where the socket connects to, with its query.
        hosts: private hosts, as for `registry.open_reader`.
    """
    route = find_route("GET", url, hosts=hosts)
    if route is None:
        return None
    parts = urlsplit(url)
    path = unquote(parts.path).rstrip("/")
    endpoint = route.endpoint
    vendor = conventions(endpoint.vendor)
    session: MessageSession
    for shape in SHAPES:
        speaks = vendor.google if shape.google else vendor.openai
        if speaks and shape.path.search(path) is not None:
            dialect = "google" if shape.google else vendor.openai_dialect or vendor.name
            endpoint = replace(
                endpoint, surface=shape.surface, vendor=dialect, operation="realtime", model=None
            )
            module = import_module(f"outlay.wire.{shape.module}")
            session = module.SESSIONS[shape.surface](endpoint, path, _query(parts.query))
            break
    else:
        unknown = replace(endpoint, surface=f"{vendor.name}.unknown", operation="other")
        session = UnknownSession(unknown, path, {})
    if route.finding:
        session.note(route.finding)
    return session


def as_session_reading(reading: Reading, began: Any, first: Any = None) -> SessionReading:
    """Return a reading made by a codec of HTTP bodies as one of a session."""
    values = {field.name: getattr(reading, field.name) for field in fields(Reading)}
    return SessionReading(**values, began=began, first=first)


def whole_seconds(value: Any) -> int | None:
    """Return a duration in whole seconds, rounded up; `None` when it is no duration."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return math.ceil(value) if 0 <= value <= MAX_COUNT else None


def base64_bytes(text: Any) -> int:
    """Return about how many bytes a base64 text stands for."""
    return len(text) * 3 // 4 if isinstance(text, str) else 0


def _query(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, max_num_fields=MAX_QUERY_FIELDS))
    except ValueError:
        return {}
