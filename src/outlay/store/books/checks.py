"""The rules of what may go into the books, as checks with clear errors. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from outlay.core.event import MAX_LABELS, MAX_STRING_BYTES, UNATTRIBUTED
from outlay.errors import BadRequestError
from outlay.store.base import Tenant

TENANT_ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
SCOPES: Final = ("ingest", "read", "operate", "admin", "gateway", "portal")
_ALL_TENANTS: Final = ("operate", "admin")
"""Scopes that are never bound to one tenant."""
MIN_SECRET_CHARACTERS: Final = 32
MAX_TIME: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

_TEXTS: Final = ("name", "plan", "tier", "contract_type", "contract_id")


def check_tenant_id(tenant_id: Any) -> str:
    """Return a tenant id, or say why it is not one.

    Raises:
        BadRequestError: it does not match the pattern, or is reserved.
    """
    if not isinstance(tenant_id, str) or not TENANT_ID.fullmatch(tenant_id):
        raise BadRequestError(
            "A tenant id is 1 to 128 letters, digits or `. _ : @ -`.", where="tenant_id"
        )
    if tenant_id == UNATTRIBUTED:
        raise BadRequestError(
            f"`{UNATTRIBUTED}` is reserved for work without a tenant.", where="tenant_id"
        )
    return tenant_id


def check_tenant(tenant: Tenant) -> None:
    """Check a tenant version.

    Raises:
        BadRequestError: a part of it is not valid; `where` names the part.
    """
    check_tenant_id(tenant.tenant_id)
    for name in _TEXTS:
        check_text(getattr(tenant, name), name)
    check_time(tenant.valid_from, "valid_from")
    check_labels(tenant.labels)


def check_text(value: Any, where: str, *, required: bool = False) -> str:
    """Return text of at most 256 bytes without control characters."""
    if not isinstance(value, str):
        raise BadRequestError(f"`{where}` must be text.", where=where)
    if len(value.encode("utf-8", "surrogatepass")) > MAX_STRING_BYTES:
        raise BadRequestError(
            f"`{where}` must be at most {MAX_STRING_BYTES} bytes of UTF-8.", where=where
        )
    if not value.isprintable():
        raise BadRequestError(f"`{where}` must not hold control characters.", where=where)
    if required and not value.strip():
        raise BadRequestError(f"`{where}` must not be empty.", where=where)
    return value


def check_labels(labels: Mapping[Any, Any]) -> None:
    """Check labels: a bounded number of texts by non-empty name."""
    if len(labels) > MAX_LABELS:
        raise BadRequestError(f"There may be at most {MAX_LABELS} labels.", where="labels")
    for name, value in labels.items():
        check_text(name, "labels", required=True)
        check_text(value, "labels")


def check_time(value: Any, where: str) -> int:
    """Return a time in microseconds UTC between 1970 and 9999."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_TIME:
        raise BadRequestError(f"`{where}` must be microseconds UTC from 1970 to 9999.", where=where)
    return value


def check_scopes(scopes: Sequence[str], *, tenant_id: str | None) -> tuple[str, ...]:
    """Return the scopes in the usual order, each once.

    Raises:
        BadRequestError: there is none, one is unknown, a tenant's key asks for one that sees all
            tenants, or a key of no tenant for `portal`.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise BadRequestError(f"Scopes are one or more of {', '.join(SCOPES)}.", where="scopes")
    wide = next((scope for scope in _ALL_TENANTS if scope in scopes), None)
    if tenant_id is not None and wide is not None:
        raise BadRequestError(
            f"A key of one tenant cannot have the scope `{wide}`, which sees all tenants.",
            where="scopes",
        )
    if tenant_id is None and "portal" in scopes:
        raise BadRequestError(
            "A key with the scope `portal` shows what one tenant may see: name the tenant.",
            where="tenant_id",
        )
    return tuple(scope for scope in SCOPES if scope in scopes)
