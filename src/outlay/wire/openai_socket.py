"""The Responses API over a websocket: each response is one reading, as over HTTP.

Owns the lanes of a socket: requests of one `stream_id` are answered in order, and their events are
those of a stream of server-sent events. What the events mean is in `openai_responses`.
Source: openai-python 3.54 `types/responses/responses_client_event.py`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from outlay.wire.base import Endpoint, Request, as_dict, as_text
from outlay.wire.openai_responses import OpenAiResponsesReader
from outlay.wire.sessions import MAX_PENDING, MessageSession, SessionReading, as_session_reading

_ENVELOPE: Final = ("type", "event_id", "stream_id")
"""What a message holds beside the body of a request."""
_ANSWER: Final = {"content-type": "text/event-stream"}


@dataclass(slots=True)
class _Asked:
    """A request of one lane and the reader of its answer."""

    reader: OpenAiResponsesReader
    began: Any
    first: Any = None


class Lanes:
    """The responses under way on one socket, by lane and in order."""

    __slots__ = ("_endpoint", "_lanes")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = replace(endpoint, surface="openai.responses", operation="chat")
        self._lanes: dict[str, deque[_Asked]] = {}

    def ask(self, lane: str, body: dict[str, Any], mark: Any) -> list[SessionReading]:
        """Take a request; with too many under way, the oldest is ended and its reading given."""
        given = {key: value for key, value in body.items() if key not in _ENVELOPE}
        request = Request("POST", "", body=json.dumps(given).encode())
        reader = OpenAiResponsesReader(request, self._endpoint)
        reader.response(200, _ANSWER)
        ended = []
        if sum(map(len, self._lanes.values())) >= MAX_PENDING:
            ended.append(self._end(next(iter(self._lanes)), complete=False))
            ended[0].find("too_many_pending")
        self._lanes.setdefault(lane, deque()).append(_Asked(reader, mark))
        return ended

    def take(self, lane: str, event: dict[str, Any], mark: Any) -> list[SessionReading]:
        """Take an event of a lane and give the readings of the responses that it ends."""
        kind = as_text(event.get("type")) or ""
        ended = []
        if lane not in self._lanes:
            if kind != "response.created":
                return []
            # The server goes on by itself, as after steering.
            model = as_text(as_dict(event.get("response")).get("model"))
            ended = self.ask(lane, {"model": model}, mark)
        asked = self._lanes[lane][0]
        if asked.first is None and kind.endswith(".delta"):
            asked.first = mark
        asked.reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
        if asked.reader.terminal or kind == "error":
            ended.append(self._end(lane, complete=True))
        return ended

    @property
    def empty(self) -> bool:
        """Whether none is under way."""
        return not self._lanes

    def finish(self, error: str | None) -> list[SessionReading]:
        """End all that is under way."""
        left = []
        while self._lanes:
            left.append(self._end(next(iter(self._lanes)), complete=False, error=error))
        return left

    def _end(self, lane: str, *, complete: bool, error: str | None = None) -> SessionReading:
        waiting = self._lanes[lane]
        asked = waiting.popleft()
        if not waiting:
            del self._lanes[lane]
        reading = asked.reader.finish(complete=complete, error=error)
        reading.streamed = True
        reading.http_status = None
        return as_session_reading(reading, asked.began, asked.first)


class ResponsesSession(MessageSession):
    """Follows one connection of the Responses API."""

    __slots__ = ("_responses",)

    def __init__(self, endpoint: Endpoint, path: str, query: Mapping[str, str]) -> None:
        super().__init__(endpoint, path, query)
        self._responses = Lanes(endpoint)

    @property
    def under_way(self) -> bool:
        """Whether a response was asked for and is not done."""
        return not self._responses.empty

    def on_sent(self, body: dict[str, Any], mark: Any) -> None:
        """Read a request."""
        if body.get("type") == "response.create":
            self.give_all(self._responses.ask(_lane(body), body, mark))

    def on_received(self, body: dict[str, Any], mark: Any) -> None:
        """Read an event."""
        self.give_all(self._responses.take(_lane(body), body, mark))

    def on_finish(self, error: str | None) -> None:
        """Give the responses that were not done."""
        self.give_all(self._responses.finish(error))


def _lane(body: dict[str, Any]) -> str:
    return as_text(body.get("stream_id")) or ""


SESSIONS: Final[dict[str, type[MessageSession]]] = {"openai.responses": ResponsesSession}
"""The codec of each surface this module speaks."""
