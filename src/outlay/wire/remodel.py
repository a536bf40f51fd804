"""Puts another model in a request's place of the model, and leaves all else as it is.

The model stands in the JSON body or in the path; nothing else of either changes, byte for byte,
where the body is plain UTF-8. What cannot be changed safely is left alone: a request signed by AWS,
a form, a body that was not handed over. Pure, and never raises on any request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from outlay.wire.base import MAX_BODY_BYTES, Endpoint, Request, as_dict, as_text, load_json

SIGNED_HEADER: Final = "x-amz-date"
"""On every request that AWS's signature covers, and on no other."""

_KEY: Final = "model"
_BLANK: Final = re.compile(r"[ \t\n\r]*")
_BEDROCK_PATH: Final = re.compile(r"(?P<head>.*/model/)(?P<model>.+)(?P<tail>/[a-z-]+)")
_decode = json.JSONDecoder().raw_decode


def with_model(request: Request, endpoint: Endpoint, model: str) -> Request | None:
    """Return the request with another model, or `None` where it cannot be changed.

    Headers stay as they are: whoever sends the request sets the length of the body.

    Args:
        request: the attempt as it leaves, its body in memory.
        endpoint: where it goes.
        model: the name to send, as the provider knows it.
    """
    if not model or SIGNED_HEADER in request.headers or "X-Amz-Signature=" in request.query:
        return None
    try:
        if endpoint.model is not None or endpoint.deployment is not None:
            return _in_path(request, endpoint, model)
        body = _in_body(request.body, model)
    except (ValueError, RecursionError):
        return None
    return None if body is None else replace(request, body=body)


def _in_path(request: Request, endpoint: Endpoint, model: str) -> Request | None:
    parts = urlsplit(request.url)
    path = _renamed(parts.path, endpoint.model or endpoint.deployment or "", model)
    if path is None:
        return None
    body = request.body
    if endpoint.deployment is not None and as_text(as_dict(load_json(body)).get(_KEY)):
        # Azure's SDKs repeat the deployment in the body.
        body = _in_body(body, model) or body
    return replace(request, url=urlunsplit(parts._replace(path=path)), body=body)


def _renamed(path: str, before: str, model: str) -> str | None:
    """Return the path, still percent-encoded, with the model's part replaced."""
    bedrock = _BEDROCK_PATH.fullmatch(path)
    if bedrock is not None and unquote(bedrock["model"]) == before:
        # The id of a model may be an ARN, whose slashes are encoded.
        return f"{bedrock['head']}{quote(model, safe='')}{bedrock['tail']}"
    if "/" in model:
        return None
    segments = path.split("/")
    for place in range(len(segments) - 1, -1, -1):
        named, colon, verb = segments[place].partition(":")
        if unquote(named) == before:
            segments[place] = quote(model, safe="") + colon + verb
            return "/".join(segments)
    return None


def _in_body(raw: bytes, model: str) -> bytes | None:
    if not raw or len(raw) > MAX_BODY_BYTES:
        return None
    named = json.dumps(model)
    if (text := _as_utf8(raw)) is not None:
        made, place = [], 0
        # Of a name that is given twice, every reader believes another one.
        for start, end in _places(text):
            made += [text[place:start], named]
            place = end
        if not made:
            return None
        made.append(text[place:])
        return "".join(made).encode("utf-8", "surrogatepass")
    body = load_json(raw)
    if not isinstance(body, dict) or _KEY not in body:
        return None
    return json.dumps({**body, _KEY: model}, separators=(",", ":")).encode("ascii")


def _as_utf8(raw: bytes) -> str | None:
    """Return the text of a body in UTF-8; `None` for what begins like another encoding."""
    if b"\0" in raw[:4] or raw[:1] in b"\xff\xfe\xef":
        return None
    return raw.decode("utf-8", "surrogatepass")


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the values of the outermost `model` stand; raises on what is no JSON object."""
    place = _past_blank(text, 0)
    if text[place : place + 1] != "{":
        raise ValueError("no object")
    place = _past_blank(text, place + 1)
    if text[place : place + 1] == "}":
        return
    while True:
        if text[place : place + 1] != '"':
            raise ValueError("no member")
        key, place = _decode(text, place)
        place = _past_blank(text, place)
        if text[place : place + 1] != ":":
            raise ValueError("no value")
        start = _past_blank(text, place + 1)
        value: Any
        value, end = _decode(text, start)
        if key == _KEY and isinstance(value, str):
            yield start, end
        place = _past_blank(text, end)
        sign = text[place : place + 1]
        if sign == "}":
            return
        if sign != ",":
            raise ValueError("no end")
        place = _past_blank(text, place + 1)


def _past_blank(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return place if found is None else found.end()
