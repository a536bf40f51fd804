"""Finds who is behind a request, by host and path, and opens the reader for it.

The SDK that made the request does not matter. Private hosts (gateways, simulators, self-hosted
servers) are recognised only through the `hosts` setting; a path that merely looks familiar on an
unlisted host is not. Runs on each call of host applications, so decisions are kept, bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Final
from urllib.parse import unquote, urlsplit

from outlay.wire import bedrock_names, paths
from outlay.wire.base import Endpoint, Reader, Request
from outlay.wire.reader import BodyReader
from outlay.wire.vendors import BY_NAME, Vendor, by_host, unlisted

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

_PRIVATE_BASES: Final = ("/v1", "")
"""Bases tried on a private host beside the vendor's own."""


@dataclass(slots=True, eq=False)
class Route:
    """Where requests of one method and URL go, and what reads them once that is loaded."""

    endpoint: Endpoint
    finding: str = ""
    reader: Callable[[Request, Endpoint], Reader] | None = None
    """`None` until `load`, which imports the reader's module."""
    private: bool = False
    """Found through the `hosts` setting: what answers there may be a gateway of ours."""

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
        return Route(_on_vendor(method, host, path, vendor, private=True), finding, private=True)
    public = by_host(host)
    if public is None or (public.only and not any(part in path for part in public.only)):
        return None
    return Route(_on_vendor(method, host, path, public, private=False))


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


def _on_vendor(method: str, host: str, path: str, vendor: Vendor, *, private: bool) -> Endpoint:
    path = path.rstrip("/")
    found = _billed(method, path, vendor, private=private)
    if found is None:
        free = _is_free(method, path, vendor, private=private)
        operation = "other"
        if not free:
            operation = next((op for part, op in paths.OPERATIONS if part in path), "other")
        found = Endpoint(
            provider=vendor.provider,
            vendor=vendor.name,
            surface=f"{vendor.name}.{'free' if free else 'unknown'}",
            operation=operation,
            host_class=vendor.host_class,
        )
    return replace(found, region_class=found.region_class or _region(host, vendor))


def _region(host: str, vendor: Vendor) -> str:
    """Return the residency named by the host; it decides the price of some vendors."""
    if vendor.name == "openai" and host.endswith(".api.openai.com"):
        region = host.removesuffix(".api.openai.com")
        return "" if region == "mtls" else region
    return bedrock_names.region_of(host) if vendor.name == "aws" else ""


def _is_free(method: str, path: str, vendor: Vendor, *, private: bool) -> bool:
    if method != "POST":
        return not paths.RESULTS.search(path)
    if vendor.google and (path.rpartition(":")[2] in paths.GOOGLE_FREE or "/upload/" in path):
        return True
    if paths.STORED.search(path) or (vendor.name == "aws" and paths.BEDROCK_FREE.search(path)):
        return True
    bases = (*vendor.openai, *vendor.anthropic, *vendor.native)
    if private:
        bases += _PRIVATE_BASES
    rests = [rest for base in bases if (rest := _below(path, base, {})) is not None]
    return any(
        rest == free or rest.startswith(free + "/")
        for rest in rests
        for free in (*paths.FREE, *vendor.free)
    )


def _billed(method: str, path: str, vendor: Vendor, *, private: bool) -> Endpoint | None:
    """Return the endpoint if it has a codec."""
    if vendor.google and (found := _google(method, path)) is not None:
        return found
    if (found := _native(method, path, vendor)) is not None:
        return found
    more = _PRIVATE_BASES if private else ()
    if vendor.anthropic and method == "POST":
        for base in (*vendor.anthropic, *more):
            if path.startswith(base) and (row := paths.ANTHROPIC.get(path[len(base) :])):
                dialect = vendor.anthropic_dialect or vendor.name
                return Endpoint(vendor.provider, dialect, *row, vendor.host_class)
    if vendor.openai:
        for base in (*vendor.openai, *more):
            if (found := _openai(method, path, base, vendor)) is not None:
                return found
    return None


def _native(method: str, path: str, vendor: Vendor) -> Endpoint | None:
    """Return the endpoint if it is one of the vendor's own shapes."""
    for row in paths.NATIVE.get(vendor.name, ()):
        if row.method == method and (match := row.path.fullmatch(path)) is not None:
            found = Endpoint(
                vendor.provider, vendor.name, row.surface, row.operation, vendor.host_class,
                model=match.groupdict().get("model"),
            )  # fmt: skip
            return bedrock_names.invoked(found) if row.surface == "bedrock.invoke" else found
    return None


def _openai(method: str, path: str, base: str, vendor: Vendor) -> Endpoint | None:
    named: dict[str, str] = {}
    rest = _below(path, base, named)
    if rest is None:
        return None
    if (row := _openai_row(method, rest)) is None:
        return None
    provider = vendor.provider
    if "provider" in named:
        provider = f"{provider}_{named['provider']}"
    return Endpoint(
        provider,
        vendor.openai_dialect or vendor.name,
        *row,
        vendor.host_class,
        deployment=named.get("deployment"),
    )


def _openai_row(method: str, rest: str) -> tuple[str, str] | None:
    if method == "POST" and (row := paths.OPENAI.get(rest)) is not None:
        return row
    if method == "GET":
        for pattern, row in paths.LOOKS:
            if pattern.fullmatch(rest):
                return row
    if rest.startswith("/responses/"):
        from outlay.wire.openai_responses import stored_response_id

        if stored_response_id(method, rest) is not None:
            return paths.OPENAI["/responses"]
    return None


def _below(path: str, base: str, named: dict[str, str]) -> str | None:
    """Return what follows the base in the path; `{name}` in the base takes one segment."""
    if "{" not in base:
        return path[len(base) :] if path.startswith(base) else None
    segments = path.split("/")
    wanted = base.split("/")
    if len(segments) <= len(wanted):
        return None
    for want, segment in zip(wanted, segments, strict=False):
        if want.startswith("{"):
            if not segment:
                return None
            named[want[1:-1]] = segment
        elif want != segment:
            return None
    return "/" + "/".join(segments[len(wanted) :])


def _google(method: str, path: str) -> Endpoint | None:
    known = paths.GOOGLE_INTERACTIONS.get(method)
    if known is not None and (match := known.match(path)):
        found = Endpoint("google", "google", "google.interactions", "chat", "ai_studio")
        if (location := match["location"]) is None:
            return found
        return replace(found, host_class="vertex", region_class=_google_region(location))
    if method != "POST":
        return None
    if match := paths.GOOGLE_CHAT.match(path):
        row = paths.OPENAI.get(match["rest"])
        region = _google_region(match["location"])
        return row and Endpoint("google", "google", *row, "vertex", region)
    match = paths.GOOGLE.match(path)
    if match is None:
        return None
    vertex = bool(match["location"] or match["publisher"] or match["kind"] == "endpoints")
    model, verb = match["model"], match["verb"]
    surface, operation = paths.GOOGLE_VERBS.get(verb, ("", ""))
    dialect = "google"
    if verb == "predict" and "embedding" in model:
        surface, operation = "google.embed", "embeddings"
    elif surface == "google.predict" and match["kind"] == "endpoints":
        return None  # somebody's own model, charged by the machines it runs on
    elif surface == "raw":
        surface, dialect = paths.RAW.get(match["publisher"] or "", ("", ""))
    if not surface:
        return None
    return Endpoint(
        "google",
        dialect,
        surface,
        operation,
        host_class="vertex" if vertex else "ai_studio",
        region_class=_google_region(match["location"]) if vertex else "",
        model=model,
    )


def _google_region(location: str | None) -> str:
    return "global" if location in (None, "global") else "regional"
