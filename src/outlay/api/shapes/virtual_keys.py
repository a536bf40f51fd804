"""Shapes of virtual keys."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from outlay.api.shape import Shape
from outlay.api.shapes.units import Micros
from outlay.api.virtual_keys import RotateBody, VirtualKeyBody
from outlay.core.virtual_keys import Priority


class VirtualKey(Struct):
    """A key of the gateway without its secret; empty texts and lists mean any, or not said."""

    key_id: str
    name: str
    tenant_id: str | None
    feature: str
    agent: str
    workspace: str
    initiator: str
    upstreams: list[str]
    models: list[str]
    priority: Priority
    created_at: Micros
    expires_at: Micros | None
    revoked_at: Micros | None
    replaces: str | None
    prefix: str


class VirtualKeyList(Struct):
    """The keys, the newest first."""

    virtual_keys: list[VirtualKey]


class VirtualKeyAnswer(Struct):
    """One key."""

    virtual_key: VirtualKey


class NewVirtualKey(Struct):
    """A key that was made; `secret` is shown this once."""

    virtual_key: VirtualKey
    secret: str


class RotatedVirtualKey(Struct):
    """The new key, and the one that it replaces, which works until its `revoked_at`."""

    virtual_key: VirtualKey
    replaced: VirtualKey
    secret: str


class FeedKey(Struct):
    """A key as gateways are told it: its hash, and only what is said of it."""

    key_id: str
    secret_hash: str
    created_at: Micros
    name: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET
    feature: str | UnsetType = UNSET
    agent: str | UnsetType = UNSET
    workspace: str | UnsetType = UNSET
    initiator: str | UnsetType = UNSET
    upstreams: list[str] | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    expires_at: Micros | UnsetType = UNSET
    revoked_at: Micros | UnsetType = UNSET
    replaces: str | UnsetType = UNSET
    prefix: str | UnsetType = UNSET


class VirtualKeyFeed(Struct):
    """Keys that changed after `after`; ask again with `revision`. `complete`: no more follow."""

    now: Micros
    after: int
    revision: int
    keys: list[FeedKey]
    complete: bool


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/virtual-keys": Shape(VirtualKeyList),
    "POST /v1/virtual-keys": Shape(NewVirtualKey, VirtualKeyBody, status=201),
    "DELETE /v1/virtual-keys/{key_id}": Shape(VirtualKeyAnswer),
    "POST /v1/virtual-keys/{key_id}/rotate": Shape(RotatedVirtualKey, RotateBody, status=201),
    "GET /v1/virtual-keys/feed": Shape(VirtualKeyFeed),
}
