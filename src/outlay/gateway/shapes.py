"""Which API shapes an upstream speaks and at which paths: one request's way at another upstream.

A path is translated only between vendors that serve the same shape, by the base paths in the table
of `wire.vendors`; what a shape says is never translated. Pure; decisions are kept, bounded.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from outlay.gateway.config import Upstream
from outlay.wire import paths
from outlay.wire.base import Endpoint
from outlay.wire.endpoints import find_on_vendor
from outlay.wire.vendor_rows import Vendor
from outlay.wire.vendors import BY_NAME, unlisted

MAX_KEPT_WAYS: Final = 1024
"""Translations that are remembered, by method, path and both upstreams."""

_COMMON: Final = ("anthropic", "openai")
"""The shapes that many vendors serve; the first whose table has the path is the path's."""
_BILLED: Final = {"anthropic": paths.ANTHROPIC, "openai": paths.OPENAI}
_FREE: Final = {
    "anthropic": ("/messages/count_tokens",),
    "openai": ("/responses/input_tokens", "/moderations"),
}
"""What costs nothing and names a model all the same."""
_PRIVATE_BASES: Final = ("/v1", "")
"""Where a shape may be on a host of one's own, whatever its vendor's base is."""
_OPENAPI: Final = "/endpoints/openapi"
_GOOGLE_BASES: Final = {"openai": ("/v1beta/openai", "/v1/openai", _OPENAPI)}
"""AI Studio documents the first; the last is Vertex's, behind the project in the upstream's URL."""
_VERTEX: Final = re.compile(
    r"(?:(?P<before>[a-z0-9-]+)-)?aiplatform\.(?:(?P<inside>[a-z0-9-]+)\.rep\.)?googleapis\.com"
)
_AI_STUDIO: Final = "generativelanguage.googleapis.com"
_LOCATION: Final = re.compile(r"(?<=/locations/)[^/]+")
_NAMED_IN_PATH: Final = {
    "google": re.compile(r".*/(?:models|tunedModels|endpoints)/(?P<model>[^/:]+):[A-Za-z]+"),
    "aws": re.compile(r".*/model/(?P<model>.+)/[a-z-]+"),
    "azure": re.compile(r".*/openai/deployments/(?P<model>[^/]+)/.+"),
}
"""Where vendors have the model in the path, also at endpoints that cost nothing."""


class Way(NamedTuple):
    """Where a request goes at another upstream; `path` is `None` if it cannot, for a `reason`."""

    path: str | None
    reason: str = ""


def vendor_of(upstream: Upstream) -> Vendor:
    """Return the row of an upstream's vendor."""
    return BY_NAME.get(upstream.vendor) or unlisted(upstream.vendor)


def model_in_path(upstream: Upstream, path: str, endpoint: Endpoint) -> str:
    """Return the model that a path names; empty where the API has it in the body."""
    found = endpoint.model or endpoint.deployment
    if found:
        return found
    pattern = _NAMED_IN_PATH.get(vendor_of(upstream).name)
    match = None if pattern is None else pattern.fullmatch(unquote(path))
    return "" if match is None else match["model"]


def shapes_of(upstream: Upstream) -> frozenset[str]:
    """Return the API shapes that an upstream speaks, by names that equal shapes share."""
    row = vendor_of(upstream)
    if row.name == "aws":
        return frozenset(("aws",))
    found = {shape for shape in _COMMON if _bases(row, shape)}
    if row.google:
        location = _location(upstream.url)
        # Of a host of one's own nobody can tell which of the two is behind it.
        found |= {"vertex"} if location else {"google"} if location == "" else {"google", "vertex"}
        if location and not _names_openapi(upstream.url):
            found.discard("openai")  # its path names a project, which no other vendor's path has
    if row.name in paths.NATIVE and not row.google:
        found.add(row.name)
    return frozenset(found)


def way(method: str, path: str, here: Upstream, there: Upstream) -> Way:
    """Return where a request to one upstream goes at another.

    Args:
        method: in capitals.
        path: behind the URL of `here`, still percent-encoded.
        here: where the client addressed it.
        there: where it is to go.
    """
    if here is there or (here.vendor == there.vendor and here.url == there.url):
        return Way(path)
    return _way(method, path, (here.vendor, here.url), (there.vendor, there.url))


@lru_cache(MAX_KEPT_WAYS)
def _way(method: str, path: str, here: tuple[str, str], there: tuple[str, str]) -> Way:
    mine = BY_NAME.get(here[0]) or unlisted(here[0])
    other = BY_NAME.get(there[0]) or unlisted(there[0])
    if mine.name == other.name:
        found = _same_vendor(path, mine, here[1], there[1])
    elif "aws" in (mine.name, other.name):
        return Way(None, "AWS and other vendors do not serve each other's requests")
    else:
        found = _other_vendor(path, mine, here[1], other, there[1])
    if found.path is None or (found.path == path and mine.name == other.name):
        return found
    kind = _kind(method, other, found.path)
    if kind == "unknown" or kind != _kind(method, mine, path):
        return Way(None, f"{other.name} is not known to serve this API")
    return found


def _same_vendor(path: str, row: Vendor, here: str, there: str) -> Way:
    if row.google:
        return _google(path, here, there)
    if urlsplit(here).path == urlsplit(there).path:
        return Way(path)
    found = _split(path, row, urlsplit(here).path)
    # A path of the vendor's own shape does not stand below a base.
    return Way(path) if found is None else Way(_left(found.base, urlsplit(there).path) + found.rest)


def _other_vendor(path: str, mine: Vendor, here: str, other: Vendor, there: str) -> Way:
    found = _split(path, mine, urlsplit(here).path)
    if found is None:
        return Way(None, f"only {mine.name} serves this API")
    bases = [base for base in _bases(other, found.shape) if "{" not in base]
    if not bases:
        return Way(None, f"{other.name} does not speak {found.shape}'s API")
    if other.google and _location(there) and not _names_openapi(there):
        return Way(None, "the upstream's URL does not name a project of Vertex's")
    prefix = urlsplit(there).path
    # The upstream's URL may hold a part of the base, or all of it.
    best = max(bases, key=lambda base: len(base) - len(_left(base, prefix)))
    return Way(_left(best, prefix) + found.rest)


def _google(path: str, here: str, there: str) -> Way:
    """Return a path of Google's at another of its hosts; Vertex's paths name the location."""
    mine, other = _location(here), _location(there)
    if mine is None or other is None or mine == other:
        return Way(path)
    if not mine or not other:
        return Way(None, "AI Studio and Vertex have different paths")
    return Way(_LOCATION.sub(other, path, count=1))


def _location(url: str) -> str | None:
    """Return the location of a host of Vertex's; empty for AI Studio, `None` for another host."""
    host = (urlsplit(url).hostname or "").lower()
    if host == _AI_STUDIO:
        return ""
    found = _VERTEX.fullmatch(host)
    return None if found is None else found["before"] or found["inside"] or "global"


def _names_openapi(url: str) -> bool:
    return urlsplit(url).path.endswith(_OPENAPI)


class _Split(NamedTuple):
    shape: str
    base: str
    rest: str


def _split(path: str, row: Vendor, prefix: str) -> _Split | None:
    """Return a path's shape, its base in full, and what follows it, where the tables have that."""
    if row.google and (match := paths.GOOGLE_CHAT.match(path)):
        rest = match["rest"]
        return _Split("openai", path.removesuffix(rest), rest) if rest in paths.OPENAI else None
    for shape in _COMMON:
        for base in (*_bases(row, shape), *(_PRIVATE_BASES if _bases(row, shape) else ())):
            left = _left(base, prefix)
            rest = _below(path, left)
            if rest in _BILLED[shape] or rest in _FREE[shape]:
                written = path.removesuffix(rest)
                return _Split(shape, base.removesuffix(left) + written, rest)
    return None


def _bases(row: Vendor, shape: str) -> tuple[str, ...]:
    bases = row.anthropic if shape == "anthropic" else row.openai
    return _GOOGLE_BASES.get(shape, bases) if row.google else bases


def _left(base: str, prefix: str) -> str:
    """Return what of a base is left to say when a URL's own path is said before it."""
    segments = base.split("/")[1:]
    said = prefix.split("/")[1:]
    for count in range(min(len(segments), len(said)), 0, -1):
        if said[-count:] == segments[:count]:
            return "".join("/" + segment for segment in segments[count:])
    return base


def _below(path: str, base: str) -> str:
    """Return what follows a base in a path, or nothing; `{name}` takes one segment."""
    wanted = base.split("/")
    segments = path.split("/")
    if len(segments) <= len(wanted):
        return ""
    for want, segment in zip(wanted, segments, strict=False):
        if want != segment and not (want.startswith("{") and segment):
            return ""
    return "/" + "/".join(segments[len(wanted) :])


def _kind(method: str, row: Vendor, path: str) -> str:
    """Return what a vendor has at a path: an API's surface, `free`, or `unknown`."""
    surface = find_on_vendor(method, "", unquote(path), row, private=True).surface
    kind = surface.removeprefix(f"{row.name}.")
    return kind if kind in ("free", "unknown") else surface
