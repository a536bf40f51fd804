"""Shapes of tenants, keys, dead letters, the audit log and the server's state."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from outlay.api.admin import KeyBody, TenantBody
from outlay.api.shape import Shape
from outlay.api.shapes.units import Micros


class Tenant(Struct):
    """One version of a tenant, from `valid_from` on; `valid_to` is null while it holds."""

    tenant_id: str
    name: str
    plan: str
    tier: str
    contract_type: str
    contract_id: str
    labels: dict[str, str]
    valid_from: Micros
    valid_to: Micros | None


class TenantList(Struct):
    """The tenants in force now."""

    tenants: list[Tenant]


class TenantAnswer(Struct):
    """One tenant."""

    tenant: Tenant


class TenantHistory(Struct):
    """A tenant as it is now, and all its versions, the oldest first."""

    tenant: Tenant
    history: list[Tenant]


class Key(Struct):
    """An API key without its secret; `tenant_id` null: it is bound to no tenant."""

    key_id: str
    name: str
    scopes: list[str]
    tenant_id: str | None
    created_at: Micros
    expires_at: Micros | None
    revoked_at: Micros | None
    last_used_at: Micros | None
    prefix: str


class KeyList(Struct):
    """The keys, the newest first."""

    keys: list[Key]


class KeyAnswer(Struct):
    """One key."""

    key: Key


class NewKey(Struct):
    """A key that was made; `secret` is shown this once."""

    key: Key
    secret: str


class DeadLetter(Struct):
    """An item that could not be stored; `payload` is the beginning of it."""

    at: Micros
    source: str
    code: str
    message: str
    payload: str


class DeadLetters(Struct):
    """The newest of them, and counts by code since the beginning."""

    dead_letters: list[DeadLetter]
    counts: dict[str, int]


class AuditEntry(Struct):
    """One change: who did what to what."""

    at: Micros
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


class AuditLog(Struct):
    """The newest changes first."""

    audit: list[AuditEntry]


class Versions(Struct):
    """Of the server."""

    outlay: str
    python: str


class LogState(Struct):
    """A log: its last offset and its size."""

    head: int
    bytes: int


class Consumer(Struct):
    """One running part; `offset` and `lag_events` are null where they mean nothing."""

    ok: bool
    offset: int | None
    lag_events: int | None
    last_error: str | None
    counts: dict[str, int]


class Disk(Struct):
    """Of the data folder."""

    free_bytes: int
    total_bytes: int


class Status(Struct):
    """How the server is."""

    versions: Versions
    platform: str
    now: Micros
    backends: dict[str, str]
    logs: dict[str, LogState]
    consumers: dict[str, Consumer]
    events: int
    disk: Disk
    dead_letters: dict[str, int]


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/tenants": Shape(TenantList),
    "POST /v1/tenants": Shape(TenantAnswer, TenantBody, status=201),
    "GET /v1/tenants/{tenant_id:path}": Shape(TenantHistory),
    "PUT /v1/tenants/{tenant_id:path}": Shape(TenantAnswer, TenantBody),
    "GET /v1/keys": Shape(KeyList),
    "POST /v1/keys": Shape(NewKey, KeyBody, status=201),
    "DELETE /v1/keys/{key_id}": Shape(KeyAnswer),
    "GET /v1/dead-letters": Shape(DeadLetters),
    "GET /v1/audit": Shape(AuditLog),
    "GET /v1/status": Shape(Status),
}
