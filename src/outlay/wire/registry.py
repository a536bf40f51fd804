"""Finds who is behind a request, by host and path, and opens the reader for it.

The SDK that made the request does not matter. Private hosts (gateways, simulators, self-hosted
servers) are recognised only through the `hosts` setting; a path that merely looks familiar on an
unlisted host is not. Runs on each call of host applications, so decisions are kept, bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final
from urllib.parse import unquote, urlsplit

from outlay.wire.base import Endpoint, Reader, Request
from outlay.wire.endpoints import find_on_vendor
from outlay.wire.reader import BodyReader
from outlay.wire.vendors import BY_NAME, by_host, unlisted

MAX_KEPT_DECISIONS: Final = 1024
"""Decisions kept by method, URL without query, and hosts; all are dropped when it is full."""
MAX_KEPT_URL: Final = 512
"""Longer URLs are decided anew each time."""

_MODULES: Final = {
    "openai.chat": "openai_chat",
    "openai.completions": "openai_chat",
    "openai.responses": "openai_responses",
    "openai.embeddings": "openai_embeddings",
    "anthropic.messages": "anthropic",
    "google.generate": "google",
    "google.embed": "google",
    "google.interactions": "google_interactions",
    "google.predict": "google_predict",
    "google.batch_results": "batches",
    "openai.images": "openai_images",
    "openai.speech": "openai_audio",
    "openai.transcription": "openai_audio",
    "openai.video": "openai_images",
    "openai.rerank": "rerank",
    "openai.batch_results": "batches",
    "openai.batch": "batches",
    "anthropic.batch": "batches",
    "anthropic.batch_results": "batches",
    "bedrock.converse": "bedrock_converse",
    "bedrock.invoke": "bedrock_invoke",
    "bedrock.guardrail": "bedrock_guardrail",
    "aws:anthropic.messages": "bedrock_anthropic",
    "cohere.chat": "cohere",
    "cohere.embed": "cohere",
    "cohere.rerank": "rerank",
    "mistral.ocr": "mistral",
    "mistral.chat": "mistral",
    "ollama.generate": "ollama",
    "ollama.embed": "ollama",
}
"""Where each surface's reader is; imported when it is first needed. One provider's own reader of
a surface stands under `provider:surface`."""


@dataclass(slots=True, eq=False)
class Route:
    """Where requests of one method and URL go, and what reads them once that is loaded."""

    endpoint: Endpoint
    finding: str = ""
    reader: Callable[[Request, Endpoint], Reader] | None = None
    """`None` until `load`, which imports the reader's module."""
    private: bool = False
    """Found through the `hosts` setting, and no provider's own host: what answers there may be a
    gateway of ours, and may be told what nobody outside should hear."""

    def load(self) -> Callable[[Request, Endpoint], Reader]:
        """Import the reader, once."""
        if self.reader is None:
            self.reader = _reader_of(self.endpoint)
        return self.reader


_kept: dict[tuple[str, str, tuple[tuple[str, str], ...]], Route | None] = {}


def find_endpoint(request: Request, *, hosts: Mapping[str, str] | None = None) -> Endpoint | None:
    """Return where the request goes, or `None` when it is no provider that we know.

    Args:
        request: the attempt as it leaves.
        hosts: private hosts, `"host[:port][/prefix]"` to vendor name. The longest prefix wins, and
            the vendor's own base path is then looked for under it.
    """
    route = find_route(request.method, request.url, hosts=hosts)
    return None if route is None else route.endpoint


def open_reader(
    request: Request, *, hosts: Mapping[str, str] | None = None, route: Route | None = None
) -> Reader | None:
    """Return a reader for the request, or `None` when it is no provider that we know.

    Who has the request's `route` already gives it, and `hosts` is not looked at again.

    The reading's surface is `<vendor>.free` for an endpoint known to cost nothing, and
    `<vendor>.unknown` (with the finding `unknown_endpoint`) for one of a known vendor that is not
    known. A vendor name in `hosts` that is not in the table is read as a vendor of common shape,
    with the finding `unknown_vendor`.
    """
    if route is None:
        route = find_route(request.method, request.url, hosts=hosts)
        if route is None:
            return None
    reader = (route.reader or route.load())(request, route.endpoint)
    if route.finding and isinstance(reader, BodyReader):
        reader.reading.find(route.finding)
    return reader


def find_route(method: str, url: str, *, hosts: Mapping[str, str] | None = None) -> Route | None:
    """Return the route of a request, or `None` when it goes to no provider that we know."""
    url = url.partition("?")[0]
    key = (method, url, tuple(hosts.items()) if hosts else ())
    try:
        return _kept[key]
    except KeyError:
        pass
    route = _find(method.upper(), url, hosts or {})
    if len(url) <= MAX_KEPT_URL:
        if len(_kept) >= MAX_KEPT_DECISIONS:
            _kept.clear()
        _kept[key] = route
    return route


def _reader_of(endpoint: Endpoint) -> Callable[[Request, Endpoint], Reader]:
    own = f"{endpoint.provider}:{endpoint.surface}"
    surface = own if own in _MODULES else endpoint.surface
    if surface in _MODULES:
        module = import_module(f"outlay.wire.{_MODULES[surface]}")
        found: Callable[[Request, Endpoint], Reader] = module.SURFACES[surface]
        return found
    fallback = import_module("outlay.wire.fallback")
    unknown: Callable[[Request, Endpoint], Reader] = (
        fallback.open_free if surface.endswith(".free") else fallback.UnknownReader
    )
    return unknown


def _find(method: str, url: str, hosts: Mapping[str, str]) -> Route | None:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    path = unquote(parts.path)
    private = _private(host, port, path, hosts)
    if private is not None:
        name, path = private
        vendor = BY_NAME.get(name) or unlisted(name)
        finding = "" if name in BY_NAME else "unknown_vendor"
        endpoint = find_on_vendor(method, host, path, vendor, private=True)
        return Route(endpoint, finding, private=by_host(host) is None)
    public = by_host(host)
    if public is None or (public.only and not any(part in path for part in public.only)):
        return None
    return Route(find_on_vendor(method, host, path, public, private=False))


def _private(
    host: str, port: int | None, path: str, hosts: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return the vendor name and the rest of the path of the longest matching entry."""
    best: tuple[int, bool] | None = None
    found = None
    for entry, name in hosts.items():
        where = entry.rpartition("://")[2].rstrip("/")
        authority, slash, prefix = where.partition("/")
        prefix = slash + prefix
        with_port = f"{host}:{port}" if port is not None else None
        exact = authority.lower() == with_port
        if not host or (not exact and authority.lower() != host):
            continue
        if prefix and path != prefix and not path.startswith(prefix + "/"):
            continue
        rank = (len(prefix), exact)
        if best is None or rank > best:
            best, found = rank, (name.strip().lower(), path[len(prefix) :])
    return found
