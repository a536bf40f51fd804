"""Finds the endpoint of a vendor by method and path, in the tables of `paths` and `vendors`.

What stands in no table is not free: it is unknown, and said to be. Pure, and never raises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from outlay.wire import bedrock_names, paths
from outlay.wire.base import Endpoint
from outlay.wire.vendors import Vendor

_PRIVATE_BASES: Final = ("/v1", "")
"""Bases tried on a private host beside the vendor's own."""


def find_on_vendor(method: str, host: str, path: str, vendor: Vendor, *, private: bool) -> Endpoint:
    """Return the endpoint that a vendor has at a path, which may be free or unknown.

    Args:
        method: in capitals.
        host: lower case, without port.
        path: percent-decoded; on a private host, what follows the prefix of its setting.
        vendor: whose host it is.
        private: the host was found through the `hosts` setting.
    """
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
