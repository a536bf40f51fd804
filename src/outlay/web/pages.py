"""Serves the pages of the dashboard and the portal, and the files that they are made of.

The pages look their own way up in the path, so each is given for every path below its own that
names no file. Every page says which scripts it may run and who may show it in a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from outlay.config import Settings
from outlay.errors import NotFoundError
from outlay.web.files import DIST, ENCODINGS, File, read_dist
from outlay.web.frames import origins

ASSETS: Final = "assets/"
"""Files below it have a hash of their content in their names, so they never change."""
FOREVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
"""Browsers keep it, and ask each time whether it is still so."""
_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors "
)
_NOT_BUILT: Final = (
    "<!doctype html><html lang='en'><title>outlay</title><h1>The dashboard is not built</h1>"
    "<p>This server runs from sources, and its pages are not there yet. Build them with"
    " <code>make web</code> (Node.js 20.19 or newer), then start the server again."
    " The API works without them.</p></html>"
)


def routes(settings: Settings, *, files: Mapping[str, File] | None = None) -> list[BaseRoute]:
    """Return the routes of the pages, and `/`, which leads to the dashboard.

    Args:
        settings: who may show the portal in a frame.
        files: what was built; by default what is in `dist`.

    Raises:
        ConfigError: a setting is wrong.
    """
    built = read_dist(DIST) if files is None else files
    allowed = " ".join(origins(settings.portal_frame_ancestors)) or "'none'"
    app = Pages("/app/", "index.html", "'none'", built)
    # The portal's files are the dashboard's: both are built together.
    portal = Pages("/portal/", "portal.html", allowed, built, files=False)
    return [
        *(_redirect(path, to) for path, to in _REDIRECTS),
        *(
            Route(pages.pattern, pages, methods=["GET"], include_in_schema=False)
            for pages in (app, portal)
        ),
    ]


_REDIRECTS: Final = (("/", "/app/"), ("/app", "/app/"), ("/portal", "/portal/"))


def _redirect(path: str, to: str) -> Route:
    async def redirect(request: Request) -> Response:
        request.scope["outlay.route"] = path
        return RedirectResponse(to, 307)

    return Route(path, redirect, methods=["GET"], include_in_schema=False)


class Pages:
    """One page for all paths below `base`, and the built files, as an ASGI endpoint.

    Args:
        base: path that everything here begins with.
        page: name of the file that is the page.
        ancestors: who may show the page in a frame, as the policy has it.
        built: the files.
        files: whether files are served here, too.
    """

    def __init__(
        self, base: str, page: str, ancestors: str, built: Mapping[str, File], *, files: bool = True
    ) -> None:
        self.pattern = f"{base}{{path:path}}"
        self._base = base
        self._page = built.get(page)
        self._built = built if files else {}
        self._headers = {"cache-control": ASK_AGAIN, "content-security-policy": _POLICY + ancestors}
        if ancestors == "'none'":
            self._headers["x-frame-options"] = "DENY"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD."""
        scope["outlay.route"] = self.pattern
        answer = self._answer(str(scope["path"]).removeprefix(self._base), Headers(scope=scope))
        if scope["method"] == "HEAD":
            # What would be sent is told by its length only.
            answer.body = b""
        await answer(scope, receive, send)

    def _answer(self, name: str, headers: Headers) -> Response:
        found = self._built.get(name)
        if found is not None and not name.endswith(".html"):
            cache = FOREVER if name.startswith(ASSETS) else ASK_AGAIN
            return _file(found, headers, {"cache-control": cache})
        if "." in name.rpartition("/")[2]:
            raise NotFoundError("There is no such file.", hint="The dashboard is at /app/.")
        if self._page is None:
            return Response(_NOT_BUILT, 503, self._headers, "text/html")
        return _file(self._page, headers, self._headers)


def _file(found: File, asked: Headers, headers: Mapping[str, str]) -> Response:
    """Return a file in the best form that is taken, or that nothing has changed."""
    encoding = next((one for one in _accepted(asked) if one in found.encoded), "")
    tag = f'"{found.digest}{"-" if encoding else ""}{encoding}"'
    said = {**headers, "etag": tag}
    if found.encoded:
        said["vary"] = "accept-encoding"
    if _matches(asked.get("if-none-match", ""), tag):
        return Response(None, 304, said)
    if encoding:
        said["content-encoding"] = encoding
    body = found.encoded[encoding] if encoding else found.body
    return Response(body, 200, {**said, "content-type": found.media})


def _accepted(headers: Headers) -> list[str]:
    """Return the encodings that are taken, the best for us first."""
    taken: dict[str, bool] = {}
    for part in headers.get("accept-encoding", "").split(","):
        name, _, weight = part.partition(";")
        taken[name.strip().lower()] = weight.replace(" ", "").rstrip("0.") != "q="
    return [name for name in ENCODINGS if taken.get(name, taken.get("*", False))]


def _matches(header: str, tag: str) -> bool:
    known = {one.strip().removeprefix("W/") for one in header.split(",")}
    return tag in known or "*" in known
