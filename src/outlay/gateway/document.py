"""Reads a gateway's document from YAML, whole and strictly, into `config` values.

Owns the form of the document and its checks: what is unknown, contradicts itself or is out of
bounds is refused with its place, and nothing of the document is taken. It opens no file, and no
secret is read or repeated here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from outlay.core.limits import document_values as values
from outlay.core.limits.document_values import wrong
from outlay.errors import BadRequestError, ConfigError
from outlay.gateway import document_parts as parts
from outlay.gateway import routing
from outlay.gateway.config import (
    CAUSES,
    MIB,
    Alias,
    Cause,
    Credential,
    GatewayConfig,
    Strategy,
    Target,
    TenantRule,
    Upstream,
)
from outlay.gateway.document_upstreams import known_upstream, read_upstream, upstream_name
from outlay.gateway.known_upstreams import KNOWN
from outlay.gateway.known_upstreams import of_vendor as known_of_vendor
from outlay.store.limitfile import read_yaml

MAX_UPSTREAMS: Final = 256
MAX_ALIASES: Final = 1000
MAX_TARGETS: Final = 16
MAX_TENANTS: Final = 10_000
MAX_WEIGHT: Final = 1000
MAX_ATTEMPTS: Final = 10
MAX_MODEL_BYTES: Final = 256
MAX_DRAIN_S: Final = 3600.0
MAX_DRAIN_BYTES: Final = 1024 * MIB
MIN_BODY_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 4096 * MIB
MAX_BUFFER_BYTES: Final = 1024 * MIB

STRATEGIES: Final[tuple[Strategy, ...]] = ("ordered", "weighted", "cheapest")

_TOP: Final = tuple(item.name for item in fields(GatewayConfig) if item.name != "revision")
_ALIAS: Final = tuple(item.name for item in fields(Alias) if item.name != "name")
_TARGET: Final = tuple(item.name for item in fields(Target))
_TENANT: Final = ("weight", "credentials")


def read_config(text: str, *, where: str, env: Mapping[str, str] | None = None) -> GatewayConfig:
    """Read a whole document.

    Args:
        text: the YAML.
        where: what the document is called in errors, such as the file's name.
        env: environment variables, for addresses and regions of well-known providers; `None`
            reads the process's own. Secrets are not read from it.

    Raises:
        ConfigError: something is wrong with it; `where` says what, as
            `gateway.yaml: upstreams.openai.url`.
    """
    content = text.encode("utf-8", "surrogatepass")
    try:
        document = read_yaml(content, "file of a gateway")
        return _config(document, os.environ if env is None else env, _revision(content))
    except BadRequestError as error:
        hint = error.hint if error.hint != BadRequestError.hint else _HINT
        place = f"{where}: {error.where}" if error.where else where
        raise ConfigError(error.message, where=place, hint=hint) from None


def default_config(env: Mapping[str, str]) -> GatewayConfig:
    """Return what a gateway without a document serves: the providers that are well known.

    Every one is declared, also while its credential is not there; those whose address is one's own
    (Azure, Bedrock) if the environment says it.

    Raises:
        ConfigError: an address in the environment is none; `where` says which.
    """
    try:
        upstreams = _known(env)
    except BadRequestError as error:
        raise ConfigError(
            error.message, where=f"environment: {error.where}", hint=error.hint
        ) from None
    return GatewayConfig(upstreams, revision=_revision(repr(upstreams).encode()))


_SHAPES_HINT: Final = "An alias names upstreams that speak one API; make one alias for each."
_HINT: Final = "examples/gateway.yaml has every part of such a file."


def _config(document: object, env: Mapping[str, str], revision: str) -> GatewayConfig:
    if document is None:
        raise wrong("The document is empty.", "upstreams", "Declare upstreams under `upstreams`.")
    found = values.mapping(document, _TOP, "")
    upstreams = _upstreams(found["upstreams"], env) if "upstreams" in found else _known(env)
    read: dict[str, Any] = {}
    if "aliases" in found:
        read["aliases"] = _aliases(found["aliases"], upstreams)
    if "tenants" in found:
        read["tenants"] = _tenants(found["tenants"], upstreams)
    for name, words in (
        ("unknown_tenant", ("refuse", "unattributed")),
        ("on_disconnect", ("drain", "hang_up")),
    ):
        if name in found:
            read[name] = values.word(found[name], words, name)
    if "cost_headers" in found:
        read["cost_headers"] = values.boolean(found["cost_headers"], "cost_headers")
    if "drain_s" in found:
        read["drain_s"] = parts.number(found["drain_s"], "drain_s", low=0, high=MAX_DRAIN_S)
    for name, low, high in (
        ("drain_bytes", 0, MAX_DRAIN_BYTES),
        ("max_body_bytes", MIN_BODY_BYTES, MAX_BODY_BYTES),
        ("buffer_bytes", MIN_BODY_BYTES, MAX_BUFFER_BYTES),
    ):
        if name in found:
            read[name] = parts.size(found[name], name, low=low, high=high)
    usual = GatewayConfig({})
    most = read.get("max_body_bytes", usual.max_body_bytes)
    if read.setdefault("buffer_bytes", min(most, usual.buffer_bytes)) > most:
        raise wrong(
            f"More is held than a body may have: max_body_bytes is {most:,}.", "buffer_bytes"
        )
    config = GatewayConfig(upstreams, revision=revision, **read)
    for said in routing.problems(config):
        place, _, problem = said.partition(": ")
        raise wrong(f"It can never go on: {problem}", f"{place}.targets", _SHAPES_HINT)
    return config


def _known(env: Mapping[str, str]) -> Mapping[str, Upstream]:
    found = (known_upstream(row, env) for row in KNOWN.values())
    return MappingProxyType({one.name: one for one in found if one is not None})


def _upstreams(value: object, env: Mapping[str, str]) -> Mapping[str, Upstream]:
    found = _named(value, "upstreams", at_most=MAX_UPSTREAMS)
    read: dict[str, Upstream] = {}
    spoken: dict[str, Upstream] = {}
    for name, said in found.items():
        where = f"upstreams.{name}"
        one = read_upstream(upstream_name(name, where), said, env, where)
        other = spoken.setdefault(one.url, one)
        if other.vendor != one.vendor:
            raise wrong(
                f"`{other.name}` has the same address, but the vendor {other.vendor}.",
                f"{where}.vendor",
                "One address speaks one vendor's API.",
            )
        read[name] = one
    return MappingProxyType(read)


def _aliases(value: object, upstreams: Mapping[str, Upstream]) -> Mapping[str, Alias]:
    found = _named(value, "aliases", at_most=MAX_ALIASES)
    read = {}
    for name, said in found.items():
        where = f"aliases.{name}"
        values.text(name, where, at_most=MAX_MODEL_BYTES)
        read[name] = _alias(name, said, upstreams, where)
    return MappingProxyType(read)


def _alias(name: str, value: object, upstreams: Mapping[str, Upstream], where: str) -> Alias:
    found = values.mapping(value, _ALIAS, where)
    if "targets" not in found:
        raise wrong("It has no targets.", f"{where}.targets", "List {upstream: …, model: …}.")
    read: dict[str, Any] = {}
    if "strategy" in found:
        read["strategy"] = values.word(found["strategy"], STRATEGIES, f"{where}.strategy")
    if "on" in found:
        listed = values.sequence(found["on"], f"{where}.on", at_most=len(CAUSES))
        on: set[Cause] = {
            values.word(one, CAUSES, f"{where}.on[{index}]") for index, one in enumerate(listed)
        }
        read["on"] = frozenset(on)
    if "max_attempts" in found:
        read["max_attempts"] = values.integer(
            found["max_attempts"], f"{where}.max_attempts", low=1, high=MAX_ATTEMPTS
        )
    weighted = read.get("strategy") == "weighted"
    targets: list[Target] = []
    listed = values.sequence(found["targets"], f"{where}.targets", at_most=MAX_TARGETS)
    for index, one in enumerate(listed):
        place = f"{where}.targets[{index}]"
        target = _target(one, upstreams, place, weighted=weighted)
        if any((target.upstream, target.model) == (it.upstream, it.model) for it in targets):
            raise wrong(f"`{target.upstream}` with `{target.model}` is listed twice.", place)
        targets.append(target)
    return Alias(name, tuple(targets), **read)


def _target(
    value: object, upstreams: Mapping[str, Upstream], where: str, *, weighted: bool
) -> Target:
    found = values.mapping(value, _TARGET, where)
    for name in ("upstream", "model"):
        if name not in found:
            raise wrong(f"It says no `{name}`.", f"{where}.{name}")
    upstream = _declared(found["upstream"], upstreams, f"{where}.upstream")
    model = values.text(found["model"], f"{where}.model", at_most=MAX_MODEL_BYTES)
    if "weight" not in found:
        return Target(upstream, model)
    if not weighted:
        raise wrong(
            "A weight counts with `strategy: weighted` only.",
            f"{where}.weight",
            "Say that strategy, or leave the weight out.",
        )
    weight = values.integer(found["weight"], f"{where}.weight", low=1, high=MAX_WEIGHT)
    return Target(upstream, model, weight)


def _tenants(value: object, upstreams: Mapping[str, Upstream]) -> Mapping[str, TenantRule]:
    found = _named(value, "tenants", at_most=MAX_TENANTS)
    read = {}
    for tenant, said in found.items():
        where = f"tenants.{tenant}"
        values.text(tenant, where)
        rule = values.mapping(said, _TENANT, where)
        weight = 1
        if "weight" in rule:
            weight = values.integer(rule["weight"], f"{where}.weight", low=1, high=MAX_WEIGHT)
        own = rule.get("credentials")
        credentials = {} if own is None else _own_credentials(own, upstreams, where)
        read[tenant] = TenantRule(tenant, weight, MappingProxyType(credentials))
    return MappingProxyType(read)


def _own_credentials(
    value: object, upstreams: Mapping[str, Upstream], where: str
) -> dict[str, Credential]:
    where = f"{where}.credentials"
    read = {}
    for name, said in _named(value, where, at_most=MAX_UPSTREAMS).items():
        place = f"{where}.{name}"
        upstream = upstreams[_declared(name, upstreams, place)]
        if upstream.credential is not None:
            usual = upstream.credential.place
        else:
            row = known_of_vendor(upstream.vendor)
            usual = "bearer" if row is None else row.place
        credential = parts.credential(said, place, place=usual)
        if credential.place == "aws" and not upstream.region:
            raise wrong(
                "A signature needs a region.", place, f"Say `region` of the upstream `{name}`."
            )
        read[name] = credential
    return read


def _declared(value: object, upstreams: Mapping[str, Upstream], where: str) -> str:
    name = values.text(value, where)
    if name not in upstreams:
        close = get_close_matches(name, list(upstreams), n=1, cutoff=0.5)
        near = f" Did you mean `{close[0]}`?" if close else ""
        raise wrong(
            f"No upstream {values.shown(name)} is declared.{near}",
            where,
            "Declare it under `upstreams`.",
        )
    return name


def _named(value: object, where: str, *, at_most: int) -> Mapping[str, Any]:
    """Return a mapping by names of one's own, neither empty nor too large."""
    if not isinstance(value, Mapping):
        raise wrong("This is not a mapping.", where, "Write `name:` and below it what it is.")
    if not value:
        raise wrong("The mapping is empty.", where, "Leave it out, or name something.")
    if len(value) > at_most:
        raise wrong(f"There are {len(value):,}; at most {at_most:,} may be listed.", where)
    return value


def _revision(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
