"""Virtual keys: what a client of the gateway shows, and what it may do with it.

A key is bound to a tenant, or it is a service's: that one says the tenant in a signed context. Only
the hash of its secret is kept. Pure: the time is passed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

PREFIX: Final = "ov_"
"""How every secret begins."""
MAX_SECRET_CHARACTERS: Final = 128
MAX_KEYS: Final = 200_000
"""Keys of use at the same time, and the most that a gateway knows."""

Priority = Literal["", "interactive", "background"]
"""Empty: background for work that the system began, else interactive."""
PRIORITIES: Final[tuple[Priority, ...]] = ("", "interactive", "background")


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """One key; times are microseconds UTC, empty text and empty lists mean any or not said."""

    key_id: str
    name: str
    secret_hash: str
    tenant_id: str | None = None
    """`None`: a service's key."""
    feature: str = ""
    agent: str = ""
    workspace: str = ""
    initiator: str = ""
    upstreams: tuple[str, ...] = ()
    """Names of the gateway's upstreams that it may use."""
    models: tuple[str, ...] = ()
    """Models and aliases that it may ask for; `*` stands for any text."""
    priority: Priority = ""
    created_at: int = 0
    expires_at: int | None = None
    revoked_at: int | None = None
    replaces: str | None = None
    """The key that this one was rotated from."""
    prefix: str = ""
    """The first characters of the secret, to recognise it by."""

    def problem(self, at: int) -> Literal["", "revoked", "expired"]:
        """Return why the key is of no use at a time; empty if it is of use.

        `revoked_at` may lie ahead: a rotated key works until then.
        """
        if self.revoked_at is not None and self.revoked_at <= at:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= at:
            return "expired"
        return ""

    def may_use(self, upstream: str) -> bool:
        """Tell whether it may use an upstream."""
        return not self.upstreams or upstream in self.upstreams

    def may_ask_for(self, model: str) -> bool:
        """Tell whether it may ask for a model; a key that names models needs one to be named."""
        return not self.models or any(_matches(model, allowed) for allowed in self.models)


def secret_hash(secret: str) -> str:
    """Return what is kept of a secret: it is random and long, so a plain hash hides it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _matches(model: str, allowed: str) -> bool:
    """Tell whether a model is one that `allowed` stands for; only `*` has a meaning of its own."""
    begin, *rest = allowed.split("*")
    if not rest:
        return model == allowed
    if not model.startswith(begin):
        return False
    *middle, end = rest
    at = len(begin)
    for part in middle:
        at = model.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(model) - at >= len(end) and model.endswith(end)


def key_document(key: VirtualKey) -> dict[str, Any]:
    """Return a key as gateways are told it: its hash, and only what is said of it."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in _FIELDS
        if (value := getattr(key, name)) not in ("", (), None)
    }


def read_key(document: Mapping[str, Any]) -> VirtualKey:
    """Read what `key_document` made; names that a newer server added are left alone.

    Raises:
        ValueError: it is no key.
    """
    found: dict[str, Any] = {}
    for name in _FIELDS:
        value: Any = document.get(name)
        if value is None:
            continue
        kind: type[Any] = int if name in _TIMES else list if name in _LISTS else str
        if type(value) is not kind:
            raise ValueError(f"`{name}` of a virtual key is not {kind.__name__}")
        found[name] = tuple(str(one) for one in value) if name in _LISTS else value
    if not (found.get("key_id") and found.get("secret_hash")):
        raise ValueError("a virtual key has an id and a hash")
    if found.get("priority", "") not in PRIORITIES:
        raise ValueError("the priority of a virtual key is unknown")
    return VirtualKey(**{"name": "", **found})


_FIELDS: Final = tuple(one.name for one in fields(VirtualKey))
_TIMES: Final = frozenset(("created_at", "expires_at", "revoked_at"))
_LISTS: Final = frozenset(("upstreams", "models"))
