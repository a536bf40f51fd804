"""Requests and replies of image, audio and video calls, in the shapes the providers document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.wire.base import Request
from tests.wire.harness import Exchange, to_bytes

BOUNDARY = "b0unda-ry"
JSON = "application/json"


def form(fields: Mapping[str, str], files: Mapping[str, bytes] | None = None) -> bytes:
    """Write a multipart form, the fields first, as the SDKs do."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts += [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in (files or {}).items()
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def form_request(
    url: str, fields: Mapping[str, str], files: Mapping[str, bytes] | None = None
) -> Request:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return Request("POST", url, {"content-type": kind}, form(fields, files))


def replied(
    request: Request | str,
    body: Any,
    *,
    kind: str = JSON,
    status: int = 200,
    ask: Mapping[str, Any] | None = None,
) -> Exchange:
    """Make an exchange whose reply is of any content type; a URL is asked in JSON."""
    if isinstance(request, str):
        request = Request("POST", request, {"content-type": JSON}, to_bytes(dict(ask or {})))
    raw = body if isinstance(body, bytes) else to_bytes(body)
    return Exchange(request, status, {"content-type": kind} if kind else {}, raw)
