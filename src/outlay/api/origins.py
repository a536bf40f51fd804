"""Where people reach the server, and which requests of their browsers are believed.

A browser sends the cookie of a session whichever page asks it to. So a request that changes
something must carry a header that other sites' pages cannot set, and come from our own pages.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from outlay.config import Settings
from outlay.errors import ConfigError, ForbiddenError

CLIENT_HEADER: Final = "x-outlay-client"
"""Any value will do: setting it makes browsers ask us first, and we never say yes."""
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")


def checked_url(settings: Settings) -> str:
    """Return the URL that people reach the server at, as far as settings tell.

    Raises:
        ConfigError: `public_url` is not `http(s)://host`, or `demo` is on where others reach it.
    """
    if settings.demo and not is_loopback(settings.host):
        raise ConfigError(
            f"`demo` lets anybody in, and `host` {settings.host} is reached from elsewhere.",
            where="demo",
            hint="Set `host` to 127.0.0.1, or leave `demo` off and sign in with a link.",
        )
    if not settings.public_url:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"http://{host}:{settings.port}"
    try:
        parts = urlsplit(settings.public_url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ConfigError(
            "`public_url` must be a scheme and a host, without a path.",
            where="public_url",
            hint="Write it like https://outlay.example.com.",
        )
    return f"{parts.scheme}://{parts.netloc}".lower()


def is_loopback(host: str) -> bool:
    """Tell whether a host's name or address is this machine's own, and nobody else's."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_loopback(request: Request) -> None:
    """Check that a request names this machine itself.

    A page elsewhere may let its own name lead here; a browser then says that name.

    Raises:
        ForbiddenError: it names something else.
    """
    try:
        named = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        named = ""
    if not is_loopback(named):
        raise ForbiddenError(
            "The demo is open on this machine only.", hint="Open it at http://127.0.0.1."
        )


def check_origin(request: Request) -> None:
    """Check that a page which asks is one of ours; without `Origin` it is no page of others.

    Raises:
        ForbiddenError: another site's page asks.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return
    here = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
    if origin.lower() not in (here.lower(), request.app.state.public_url):
        raise ForbiddenError(
            "The request comes from another site's page.",
            where="Origin",
            hint="Behind a proxy, set `public_url` to the address that people open.",
        )


def check_browser(request: Request) -> None:
    """Check that a request with a session's cookie was made by our own page.

    Raises:
        ForbiddenError: it changes something, and may come from another site.
    """
    if request.method in SAFE_METHODS:
        return
    check_origin(request)
    if CLIENT_HEADER not in request.headers:
        raise ForbiddenError(
            "A change with a session's cookie needs the header `X-Outlay-Client`.",
            where="X-Outlay-Client",
            hint="Send the header with any value, or use an API key.",
        )
