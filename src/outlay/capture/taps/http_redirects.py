"""Keeps a context from going along where an answer sends a request of `httpx` or `httpx2` on to.

The clients take every header along but credentials, and a signed context is for one host. It looks
at redirects only, and only at the one header.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from outlay.capture.carrying import HEADER, bare
from outlay.capture.guard import caught
from outlay.capture.taps.shared import MARK, mark, restore

_METHOD: Final = "_redirect_headers"
"""The clients have no public place where the headers of a redirect are made."""


def install(module: ModuleType) -> None:
    """Tap both clients of a module; a second time does nothing."""
    for client in (module.Client, module.AsyncClient):
        original = getattr(client, _METHOD, None)
        if original is not None and not hasattr(original, MARK):
            setattr(client, _METHOD, _tapped(original))


def remove(module: ModuleType) -> None:
    """Take the taps off again, where nobody wrapped them since."""
    for client in (module.Client, module.AsyncClient):
        if hasattr(client, _METHOD):
            restore(client, _METHOD)


def _tapped(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def redirect_headers(client: Any, request: Any, url: Any, *rest: Any, **more: Any) -> Any:
        headers = original(client, request, url, *rest, **more)
        try:
            if HEADER in headers and url.host != request.url.host:
                told = headers[HEADER]
                kept = bare(told)
                if not kept:
                    del headers[HEADER]
                elif kept != told:
                    headers[HEADER] = kept
        except Exception as error:
            caught("tap.redirect", error)
        return headers

    return mark(redirect_headers)  # type: ignore[no-any-return]
