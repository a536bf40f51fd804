"""Reads one upstream of a gateway's document, with the defaults of the provider that it is.

A provider's usual credential is taken only for the provider's own address: no key goes to a host
that somebody else runs without the document saying so. Raises `BadRequestError` with `where`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urlsplit

from outlay.core.limits import document_values as values
from outlay.core.limits.document_values import wrong
from outlay.gateway import document_parts as parts
from outlay.gateway import known_upstreams as known
from outlay.gateway.config import BreakerRule, Credential, Timeouts, Upstream
from outlay.gateway.known_upstreams import KNOWN, Known
from outlay.wire import bedrock_names
from outlay.wire.vendors import BY_NAME, Vendor, by_host, conventions

RESERVED: Final = ("v1", "healthz", "readyz", "metrics", "assets", "app", "portal")
"""First segments of paths that the API and the pages have themselves."""
MAX_TIMEOUT_S: Final = 3600.0
MIN_TIMEOUT_S: Final = 0.05
MAX_FAILURES: Final = 1000
MAX_RETRIES: Final = 5
MAX_CONCURRENCY: Final = 100_000
MAX_REQUESTS_PER_MINUTE: Final = 10_000_000
MAX_WAITING: Final = 100_000
MAX_WAIT_S: Final = 600.0

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_FIELDS: Final = tuple(item.name for item in fields(Upstream) if item.name != "name")
_LIKE: Final = 0.75
"""How near an unknown vendor's name is to a known one to be taken for a slip."""


def upstream_name(value: str, where: str) -> str:
    """Return the name of an upstream: the first segment of the paths that lead to it."""
    if not _NAME.fullmatch(value):
        raise wrong(
            f"{values.shown(value)} is no name of an upstream.",
            where,
            "A name is 1 to 32 small letters, digits and dashes, and begins with no dash.",
        )
    if value in RESERVED:
        raise wrong(
            f"`{value}` is the first part of paths of outlay's own.", where, "Take another name."
        )
    return value


def read_upstream(name: str, value: object, env: Mapping[str, str], where: str) -> Upstream:
    """Read one upstream.

    Args:
        name: what it is called.
        value: its part of the document; nothing at all takes every default.
        env: environment variables, for addresses and regions that stand there.
        where: its place in the document.
    """
    found = values.mapping({} if value is None else value, _FIELDS, where)
    said_url = parts.url(found["url"], f"{where}.url") if "url" in found else ""
    vendor, row = _vendor(name, found, said_url, where)
    region = parts.region(found["region"], f"{where}.region") if "region" in found else ""
    if region and vendor != "aws":
        raise wrong("A region is said for AWS only.", f"{where}.region")
    if said_url:
        _check_base(said_url, vendor, f"{where}.url", name)
    url = said_url or _default_url(row, env, region, where)
    public = by_host(urlsplit(url).hostname or "")
    if public is not None and public.name != vendor:
        raise wrong(
            f"{urlsplit(url).hostname} is {public.name}'s own address, not {vendor}'s.",
            f"{where}.{'url' if said_url else 'vendor'}",
            f"Say `vendor: {public.name}`, or leave `vendor` out.",
        )
    rest = _rest(found, where)
    credential = _credential(
        found, row, env, where, public=public, own=not said_url or public is not None
    )
    if vendor == "aws":
        region = region or bedrock_names.region_of(urlsplit(url).hostname or "")
        region = region or known.region_of(env)
        if region:
            parts.region(region, f"{where}.region")
        elif credential is not None and credential.place == "aws":
            raise wrong("A signature needs a region.", f"{where}.region", "Say it: eu-west-1.")
    elif credential is not None and credential.place == "aws":
        raise wrong("Only AWS is shown a signature.", f"{where}.credential.place")
    return Upstream(name=name, vendor=vendor, url=url, credential=credential, region=region, **rest)


def known_upstream(row: Known, env: Mapping[str, str]) -> Upstream | None:
    """Return a well-known provider as the environment has it; `None`: it does not say where."""
    if not known.url_of(row, env):
        return None
    return read_upstream(row.name, None, env, row.name)


def _vendor(name: str, found: Mapping[str, Any], url: str, where: str) -> tuple[str, Known | None]:
    """Return whose API it is, and the row whose defaults it takes."""
    row = KNOWN.get(name)
    if "vendor" in found:
        vendor = _said_vendor(found["vendor"], f"{where}.vendor")
    elif row is not None:
        vendor = row.vendor
    elif (listed := BY_NAME.get(name)) is not None:
        vendor = listed.name
    elif (public := by_host(urlsplit(url).hostname or "")) is not None:
        vendor = public.name
    else:
        close = get_close_matches(name, list(KNOWN), n=1, cutoff=_LIKE)
        near = f" Did you mean `{close[0]}`?" if close else ""
        raise wrong(
            f"`{name}` is no provider that is known.{near}",
            f"{where}.vendor",
            "Say `vendor`: whose API it speaks, such as openai, anthropic or vllm; and `url`.",
        )
    if vendor == "google" and "aiplatform" in url:
        row = KNOWN["vertex"]  # the same API, shown another credential
    elif row is None or row.vendor != vendor:
        row = known.of_vendor(vendor)
    return vendor, row


def _check_base(url: str, vendor: str, where: str, name: str) -> None:
    """Refuse an address that ends with what the paths of clients begin with."""
    about = conventions(vendor)
    path = urlsplit(url).path
    bases = {*about.openai, *about.anthropic, *about.native} - {""}
    base = max((one for one in bases if path.endswith(one)), key=len, default="")
    if base:
        raise wrong(
            f"`{base}` at the end of the address is the first part of clients' own paths.",
            where,
            f"Leave it out here: clients have it in their base URL, as …/{name}{base}.",
        )


def _said_vendor(value: object, where: str) -> str:
    said = values.identifier(value, where)
    if (listed := BY_NAME.get(said)) is not None:
        return listed.name
    close = get_close_matches(said, list(BY_NAME), n=1, cutoff=_LIKE)
    if close:
        raise wrong(
            f"There is no vendor `{said}`. Did you mean `{close[0]}`?",
            where,
            "A vendor of your own needs a name that is less alike.",
        )
    return said


def _default_url(row: Known | None, env: Mapping[str, str], region: str, where: str) -> str:
    found = "" if row is None else known.url_of(row, env, region)
    if not found:
        hint = "Say it." if row is None else known.missing_url(row)
        raise wrong("Where this upstream is, is not said.", f"{where}.url", hint)
    return parts.url(found, f"{where}.url")


def _credential(
    found: Mapping[str, Any],
    row: Known | None,
    env: Mapping[str, str],
    where: str,
    *,
    public: Vendor | None,
    own: bool,
) -> Credential | None:
    """Return what is said, or what is usual at the provider's own address."""
    usual = None if row is None else known.credential_of(row, env)
    place = f"{where}.credential"
    if "credential" in found:
        if found["credential"] == "none":
            return None
        default = "bearer" if row is None else row.place
        return parts.credential(found["credential"], place, place=default)
    if usual is not None and own:
        return usual
    if found.get("client_credentials") is True or (usual is None and public is None):
        return None
    if usual is None:
        raise wrong("What this provider asks to see is not said.", place, parts.ENV_HINT)
    raise wrong(
        f"The usual credential of {row.name if row else where} goes to its own address only.",
        place,
        "Say the credential of this address, or `none`.",
    )


def _rest(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what is said of the rest; what is not said keeps its default."""
    read: dict[str, Any] = {}
    for name, low, high in (
        ("retries", 0, MAX_RETRIES),
        ("max_concurrency", 1, MAX_CONCURRENCY),
        ("requests_per_minute", 0, MAX_REQUESTS_PER_MINUTE),
        ("max_waiting", 0, MAX_WAITING),
        ("max_waiting_per_tenant", 0, MAX_WAITING),
    ):
        if name in found:
            read[name] = values.integer(found[name], f"{where}.{name}", low=low, high=high)
    waiting = read.get("max_waiting", Upstream("", "", "").max_waiting)
    if read.get("max_waiting_per_tenant", 0) > waiting:
        raise wrong(
            f"One tenant may not have more waiting than all: {waiting:,}.",
            f"{where}.max_waiting_per_tenant",
        )
    read.setdefault(
        "max_waiting_per_tenant", min(waiting, Upstream("", "", "").max_waiting_per_tenant)
    )
    if "max_wait_s" in found:
        read["max_wait_s"] = parts.number(
            found["max_wait_s"], f"{where}.max_wait_s", low=0, high=MAX_WAIT_S
        )
    if "client_credentials" in found:
        read["client_credentials"] = values.boolean(
            found["client_credentials"], f"{where}.client_credentials"
        )
    if "ca_file" in found:
        read["ca_file"] = values.text(found["ca_file"], f"{where}.ca_file", at_most=parts.MAX_PATH)
    if "timeouts" in found:
        read["timeouts"] = _timeouts(found["timeouts"], f"{where}.timeouts")
    if "breaker" in found:
        read["breaker"] = _breaker(found["breaker"], f"{where}.breaker")
    if "set_headers" in found:
        read["set_headers"] = parts.set_headers(found["set_headers"], f"{where}.set_headers")
    if "drop_headers" in found:
        read["drop_headers"] = parts.drop_headers(found["drop_headers"], f"{where}.drop_headers")
    return read


def _timeouts(value: object, where: str) -> Timeouts:
    names = tuple(item.name for item in fields(Timeouts))
    found = values.mapping(value, names, where)
    return Timeouts(
        **{
            name: parts.number(said, f"{where}.{name}", low=MIN_TIMEOUT_S, high=MAX_TIMEOUT_S)
            for name, said in found.items()
        }
    )


def _breaker(value: object, where: str) -> BreakerRule:
    found = dict(values.mapping(value, tuple(item.name for item in fields(BreakerRule)), where))
    read: dict[str, Any] = {}
    if "failures" in found:
        read["failures"] = values.integer(
            found.pop("failures"), f"{where}.failures", low=1, high=MAX_FAILURES
        )
    for name, said in found.items():
        read[name] = parts.number(said, f"{where}.{name}", low=MIN_TIMEOUT_S, high=MAX_TIMEOUT_S)
    return BreakerRule(**read)
