"""OpenAI's Responses API: created, streamed, run in the background, compacted, or fetched again.

Counts come from the whole response object or the terminal event. A background response is billed
by whatever shows it done first: the stream, a later look, or a cancel that tells what was used.
Each of these says `once`, so they are one event however many there are; `retrieved` marks a reading
that did not create the response. All other looks at stored responses are free. The characters of a
request are those of `instructions` and of `input`: a string, or the contents of its items.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from outlay.core import units
from outlay.wire.base import (
    Endpoint,
    Reading,
    Request,
    Segment,
    Status,
    as_count,
    as_dict,
    as_list,
    as_text,
    as_time,
)
from outlay.wire.modality import unnamed_as
from outlay.wire.openai_reader import OpenAiReader, first_count, messages_length, text_length
from outlay.wire.openai_usage import RESPONSES, Shape, fill
from outlay.wire.reader import BodyReader
from outlay.wire.usage_object import drift, is_name, numbers_and_names

_TERMINAL: Final = frozenset(
    ("response.completed", "response.failed", "response.incomplete", "response.cancelled")
)
_STATUS: Final[dict[str, Status]] = {
    "completed": "ok",
    "incomplete": "incomplete",
    "failed": "error",
    "cancelled": "aborted",
}
_PENDING: Final = ("queued", "in_progress")

_SERVER_TOOLS: Final = frozenset(
    (
        "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call",
        "mcp_call", "tool_search_call",
    )
)  # fmt: skip
"""Calls that the provider runs itself: not tool calls asked of the caller."""

_UNPRICED_TOOLS: Final = ("code_interpreter_call", "image_generation_call")
"""Server tools charged by something that the response does not count."""

FILE_SEARCH: Final = "file_search"

MAX_ITEM_KINDS: Final = 32
"""Different kinds of output items counted in one response."""

_STORED: Final = re.compile(r"/responses/(?!compact$|input_tokens$)([^/]+)(/cancel)?$")


def stored_response_id(method: str, path: str) -> str | None:
    """Return the id when the request looks at (or cancels) a stored response."""
    match = _STORED.search(path)
    if match is None or method.upper() != ("POST" if match[2] else "GET"):
        return None
    return match[1]


class OpenAiResponsesReader(OpenAiReader):
    """Reads one attempt of `/responses`, or of a later look at a stored response."""

    __slots__ = ("_background", "_items", "_refusal", "_response", "_stored")

    shape: ClassVar[Shape] = RESPONSES

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._response: dict[str, Any] = {}
        """The response object of the terminal event or of the body, without its output."""
        self._items: dict[str, int] = {}
        """Output items by kind."""
        self._background = False
        self._refusal = False
        self._stored = stored_response_id(request.method, request.path)
        super().__init__(request, endpoint)
        if self._stored is not None:
            self.reading.response_id = self._stored
            self.reading.find("retrieved")

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked."""
        super().on_request(body)
        self.reading.max_tokens = first_count(body, ("max_output_tokens",))
        self._background = body.get("background") is True

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole response object."""
        self._take_response(body)
        for item in map(as_dict, as_list(body.get("output"))):
            self.output_characters += text_length(item.get("content"))
            self.output_characters += len(as_text(item.get("arguments")) or "")
        if body.get("error") and body.get("object") != "response":
            self.fail(body["error"])

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one stream event."""
        kind = as_text(body.get("type")) or name
        if kind.endswith(".delta"):
            # Audio deltas are bytes in base64, not text.
            if kind != "response.audio.delta":
                self.output_characters += len(as_text(body.get("delta")) or "")
            self._refusal = self._refusal or kind == "response.refusal.delta"
        elif kind in _TERMINAL:
            self._take_response(as_dict(body.get("response")))
            self.terminal = True
        elif kind == "response.output_item.done":
            self._take_item(as_dict(body.get("item")))
        elif kind == "error":
            self.fail(body.get("error") or {"code": body.get("code")})
        elif isinstance(body.get("response"), dict):
            self.take_facts(body["response"])

    def on_end(self) -> None:
        """Settle how it ended, then the counts and what is charged beside them."""
        self._settle_status(self._response)
        if self._is_billed_elsewhere():
            self._pass_over()
            return
        if self._background:
            self.reading.once = self.reading.response_id or ""
        self.reading.tool_calls = sum(
            count
            for kind, count in self._items.items()
            if kind.endswith("_call") and kind not in _SERVER_TOOLS
        )
        status = self.reading.http_status
        if status is not None and status < 400:
            self._settle_tools(as_dict(self._response.get("tool_usage")))
        self.usage_final = self.usage_final or self.usage is not None
        super().on_end()
        if self.reading.status == "aborted" and self.usage is None:
            # Cancelled while it ran: what it had made may be billed.
            self.terminal = False

    def finish(self, *, complete: bool = True, error: str | None = None) -> Reading:
        """End the attempt; a look at a stored response that bills nothing is free."""
        reading = super().finish(complete=complete, error=error)
        if self._is_billed_elsewhere():
            reading.billed = "no"
            if self._stored is not None:
                reading.surface = f"{reading.vendor}.free"
        return reading

    def take_facts(self, body: dict[str, Any]) -> None:
        """Read what a response object states; it may be one that is still being made."""
        super().take_facts(body)
        self.reading.created_at = as_time(body.get("created_at")) or self.reading.created_at
        if body.get("background") is True:
            self._background = True

    def count_request_characters(self) -> int:
        """Count the text of the instructions and of the input."""
        given = self.request_body.get("input")
        asked = len(given) if isinstance(given, str) else messages_length(given)
        return text_length(self.request_body.get("instructions")) + asked

    # -- inside --------------------------------------------------------------------------------

    def _is_billed_elsewhere(self) -> bool:
        """Tell whether the response was billed when it was made, or is billed once it is done."""
        http = self.reading.http_status
        if self._stored is None and (not self._background or http is None or http >= 400):
            return False
        status = self._response.get("status")
        # A cancelled response may get its counts a moment later.
        done = status in _STATUS and (status != "cancelled" or self.usage is not None)
        return not (self._background and done)

    def _pass_over(self) -> None:
        """Count nothing: another reading does."""
        if self.usage is not None:
            self.reading.usage_raw = numbers_and_names(self.usage)
        self.usage = None
        self.usage_final = True
        if self._stored is not None:
            self.reading.operation = "other"
        elif self._response.get("status") not in _PENDING:
            # It goes on without us; whoever looks for it later tells what it cost.
            self.reading.find("background_unfinished")

    def _take_response(self, response: dict[str, Any]) -> None:
        self.take_facts(response)
        self.take_usage(response.get("usage"))
        if output := as_list(response.get("output")):
            self._items.clear()
            for item in map(as_dict, output):
                self._take_item(item)
        self._response = {key: value for key, value in response.items() if key != "output"}

    def _take_item(self, item: dict[str, Any]) -> None:
        kind = as_text(item.get("type")) or ""
        action = as_dict(item.get("action")).get("type")
        if kind == "web_search_call" and action not in (None, "search"):
            # Opening a page that was found is not charged.
            return
        if any(as_dict(part).get("type") == "refusal" for part in as_list(item.get("content"))):
            self._refusal = True
        if (name := as_text(item.get("name"))) is not None and kind.endswith("_call"):
            place = as_text(item.get("call_id")) or as_text(item.get("id"))
            self.tools().whole(place, name, item.get("arguments") or item.get("input"))
        if kind in self._items or len(self._items) < MAX_ITEM_KINDS:
            self._items[kind] = self._items.get(kind, 0) + 1

    def _settle_status(self, response: dict[str, Any]) -> None:
        reading, status = self.reading, as_text(response.get("status"))
        if self._background:
            reading.find("background")
        if status in _PENDING:
            # Nothing is charged yet: the reading that shows it done is.
            reading.billed = "no"
            self.usage_final = True
        elif status in _STATUS:
            reading.status = _STATUS[status]
        elif status is not None:
            drift(reading, f"status.{status}")
        if status == "failed":
            self.fail(response.get("error"))
        reason = as_text(as_dict(response.get("incomplete_details")).get("reason")) or status
        if reason is not None:
            reading.finish_reason = reason if is_name(reason) else "unreadable"
        refused = (self._refusal and self.terminal) or reason == "content_filter"
        if refused and reading.status in ("ok", "incomplete"):
            reading.status = "refused"

    def _settle_tools(self, told: dict[str, Any]) -> None:
        """Put server tools, which are charged in addition to `usage`."""
        reading, items = self.reading, self._items
        searches = items.get("web_search_call", 0)
        if (count := as_dict(told.get("web_search")).get("num_requests")) is not None:
            searches = as_count(count)
        reading.put(units.WEB_SEARCH, searches)
        reading.put(FILE_SEARCH, items.get("file_search_call", 0))
        images = as_dict(told.get("image_gen"))
        if any(as_count(images.get(key)) for key in (RESPONSES.input, RESPONSES.output)):
            self._settle_images(images)
        for kind in _UNPRICED_TOOLS:
            if kind in items and not (images and kind.startswith("image")):
                reading.find(f"unpriced_tool:{kind.removesuffix('_call')}")
        if searches or images:
            self.evidence["tool_usage"] = told

    def _settle_images(self, told: dict[str, Any]) -> None:
        """Put what the image tool used: calls of its own, with the image model's prices.

        Without that model's name, its tokens are units that no price of the main model fits.
        """
        reading = self.reading
        own = Reading(reading.provider, reading.surface, reading.vendor)
        read = {
            **as_dict(told.get(RESPONSES.input_details)),
            "cached_tokens": told.get("cached_tokens"),
            "cached_tokens_details": {
                key.removeprefix("cached_"): count
                for key, count in as_dict(told.get("cached_tokens_details")).items()
            },
        }
        beside = ("cached_tokens", "cached_tokens_details")
        usage = {key: count for key, count in told.items() if key not in beside}
        usage = unnamed_as("image", usage, RESPONSES.output, RESPONSES.output_details)
        fill(own, {**usage, RESPONSES.input_details: read}, RESPONSES, self.vendor)
        for finding in own.findings:
            reading.find(finding)
        if (model := self._image_model()) is not None:
            reading.add_part(Segment(model, own.usage, "image_gen"))
            return
        for unit, count in own.usage.items():
            reading.put(f"image_gen_{unit}", count)
        reading.find("unpriced_tool:image_gen")

    def _image_model(self) -> str | None:
        """Return the model of the image tool as the response repeats it, or as it was asked for."""
        for told in (self._response, self.request_body):
            models = {
                as_text(tool.get("model"))
                for tool in map(as_dict, as_list(told.get("tools")))
                if tool.get("type") == "image_generation"
            }
            if len(models) == 1 and (model := models.pop()) is not None:
                return model
        return None


SURFACES: Final[dict[str, type[BodyReader]]] = {"openai.responses": OpenAiResponsesReader}
"""The reader of each surface this module speaks."""
