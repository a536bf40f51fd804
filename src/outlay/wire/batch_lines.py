"""One line of a batch's results: whether it is one, whose codec reads its body, and who it is.

A line is told by its shape, its body by the `object` or the keys it has. Nothing is kept of a line
but the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from outlay.wire.base import Endpoint, Reader, Reading, Request, as_dict, as_list, as_text, as_time
from outlay.wire.reader import BodyReader
from outlay.wire.registry import Route
from outlay.wire.vendors import conventions

_BY_OBJECT: Final = {
    "chat.completion": ("openai.chat", "chat"),
    "text_completion": ("openai.completions", "text_completion"),
    "response": ("openai.responses", "chat"),
}
_BY_KEY: Final = (
    ("pages", ("mistral.ocr", "other")),
    ("data", ("openai.images", "image")),
    ("text", ("openai.transcription", "transcription")),
)
"""Bodies without an `object`, told by what they bring."""

_ANTHROPIC: Final = ("anthropic.messages", "chat")
_GEMINI: Final = ("google.generate", "chat")
_GEMINI_EMBED: Final = ("google.embed", "embeddings")

Surface = tuple[str, str]
Found = tuple[Surface | None, dict[str, Any], int]
"""Surface and operation of a line (`None`: it costs nothing), its body and its HTTP status."""

_NOTHING: Final[Found] = (None, {}, 0)


class BatchLines:
    """Gives each answered line to the codec of its surface."""

    def __init__(self, endpoint: Endpoint, job: str, ready: list[Reading]) -> None:
        self._endpoint = endpoint
        self._job = job
        self._ready = ready
        self._find = _FINDERS[endpoint.surface]
        self._routes: dict[Surface, Route] = {}

    def is_result(self, line: Mapping[str, Any]) -> bool:
        """Tell whether a line has the shape of this provider's results."""
        return _SHAPES[self._endpoint.surface](line)

    def take(self, line: dict[str, Any], number: int, created_at: int | None = None) -> None:
        """Read one line; `created_at` is the job's own time, where the line may have none."""
        surface, body, status = self._find(line, self._endpoint)
        if surface is None:
            return
        reader = self._open(surface)
        assert isinstance(reader, BodyReader), surface
        reading = reader.whole(status, body)
        reading.batch = True
        told = as_dict(line.get("response")).get("request_id")
        reading.provider_request_id = as_text(told) or reading.provider_request_id
        name = as_text(line.get("id")) or as_text(told) or f"{self._job}#{number}"
        reading.once = as_text(body.get("id")) or as_text(body.get("responseId")) or name
        reading.created_at = as_time(body.get("created_at", body.get("created"))) or created_at
        reading.job = self._job
        self._ready.append(reading)

    def _open(self, surface: Surface) -> Reader:
        route = self._routes.get(surface)
        if route is None:
            name, operation = surface
            route = Route(replace(self._endpoint, surface=name, operation=operation))
            self._routes[surface] = route
        return route.load()(Request("POST", ""), route.endpoint)


def _anthropic(line: Mapping[str, Any], _endpoint: Endpoint) -> Found:
    result = as_dict(line.get("result"))
    message = as_dict(result.get("message"))
    if result.get("type") != "succeeded" or not message:
        return _NOTHING
    return _ANTHROPIC, message, 200


def _openai(line: Mapping[str, Any], endpoint: Endpoint) -> Found:
    response = as_dict(line.get("response"))
    body = as_dict(response.get("body"))
    status = response.get("status_code", 200)
    if not body or not isinstance(status, int) or status >= 400:
        return _NOTHING
    return _surface_of(body, endpoint), body, status


def _surface_of(body: Mapping[str, Any], endpoint: Endpoint) -> Surface | None:
    kind = body.get("object")
    if isinstance(kind, str) and kind in _BY_OBJECT:
        return _BY_OBJECT[kind]
    if "results" in body and "/moderations" in conventions(endpoint.vendor).free:
        return None
    data = as_list(body.get("data"))
    if kind == "list" and (not data or "embedding" in as_dict(data[0])):
        return "openai.embeddings", "embeddings"
    if kind is None:
        for key, surface in _BY_KEY:
            if key in body:
                return surface
    return f"{endpoint.vendor}.unknown", "other"


def _gemini(line: Mapping[str, Any], _endpoint: Endpoint) -> Found:
    body = as_dict(line.get("response")) or (line if "usageMetadata" in line else {})
    if not body:
        return _NOTHING
    if "embedding" not in body:
        return _GEMINI, dict(body), 200
    told = {key: value for key, value in body.items() if key != "embedding"}
    count = told.pop("tokenCount", None)
    if count is not None and str(count).isdecimal():
        # A file line has its count beside the vector; elsewhere it is in the metadata.
        told.setdefault("usageMetadata", {"promptTokenCount": int(count)})
    return _GEMINI_EMBED, told, 200


_FINDERS: Final[dict[str, Callable[[Mapping[str, Any], Endpoint], Found]]] = {
    "anthropic.batch_results": _anthropic,
    "openai.batch_results": _openai,
    "google.batch_results": _gemini,
}
_SHAPES: Final[dict[str, Callable[[Mapping[str, Any]], bool]]] = {
    "anthropic.batch_results": lambda line: "type" in as_dict(line.get("result")),
    "openai.batch_results": lambda line: (
        "custom_id" in line and ("response" in line or "error" in line)
    ),
    "google.batch_results": lambda line: (
        bool(as_dict(line.get("response")) or as_dict(line.get("error"))) or "usageMetadata" in line
    ),
}
