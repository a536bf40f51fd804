"""Checks every JSON answer of an application against the shape that its route is said to have."""

from __future__ import annotations

import gzip
from collections.abc import MutableMapping
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outlay.api.openapi import all_shapes
from outlay.api.shape import JSON, Shape


class Shaped:
    """ASGI middleware that fails the test whose answer has another shape than its route's.

    Errors (400 and more) are left alone where no shape of theirs is said.
    """

    def __init__(self, app: ASGIApp, shapes: dict[str, Shape] | None = None) -> None:
        self.app = app
        self._shapes = all_shapes() if shapes is None else shapes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        said: list[Message] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" or (said and _is_json(said[0])):
                said.append(message)
            await send(message)

        await self.app(scope, receive, sending)
        if said and _is_json(said[0]):
            self._check(scope, said[0], b"".join(part.get("body", b"") for part in said[1:]))

    def _check(self, scope: MutableMapping[str, Any], start: Message, body: bytes) -> None:
        pattern = getattr(scope.get("route"), "path", None) or scope.get("outlay.route")
        if not pattern or scope["method"] == "HEAD":
            return
        key, status = f"{scope['method']} {pattern}", start["status"]
        shape = self._shapes.get(key)
        kind = None if shape is None else shape.others.get(status)
        if status < 400:
            assert shape is not None, f"{key} has no shape in outlay.api.shapes"
            if kind is None:
                assert status == shape.status, f"{key} answers {status}, not {shape.status}"
                kind = shape.answer
        if kind is not None:
            encoded = Headers(raw=start["headers"]).get("content-encoding") == "gzip"
            check(gzip.decompress(body) if encoded else body, kind, key)


def check(body: bytes, kind: Any, key: str) -> None:
    """Check that an answer is of a type, and says nothing that the type does not know."""
    answer = msgspec.json.decode(body)
    try:
        read = msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise AssertionError(f"{key}: {error} in {body[:2000]!r}") from error
    more = unknown(answer, msgspec.json.decode(msgspec.json.encode(read)))
    assert not more, f"{key}: the shape does not know {more}"


def unknown(answer: Any, read: Any, where: str = "$") -> str:
    """Return the place of something that is in an answer and not in what was read of it."""
    if isinstance(answer, dict) and isinstance(read, dict):
        found = (
            unknown(value, read[name], f"{where}.{name}") if name in read else f"{where}.{name}"
            for name, value in answer.items()
        )
        return next(filter(None, found), "")
    if isinstance(answer, list) and isinstance(read, list):
        found = (
            unknown(*pair, f"{where}[{place}]")
            for place, pair in enumerate(zip(answer, read, strict=True))
        )
        return next(filter(None, found), "")
    return "" if answer == read else where


def _is_json(start: Message) -> bool:
    media = Headers(raw=start["headers"]).get("content-type", "")
    return media.partition(";")[0].strip() == JSON
