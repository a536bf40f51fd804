"""The table of virtual keys, in portable types; the same rules as in `tables`.

`changed` is the revision of `virtual_keys` that touched a row last. Lists are JSON text.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from outlay.store.books.tables import METADATA


def _id(characters: int) -> Any:
    bytewise = String(characters, collation="C")
    return String(characters).with_variant(bytewise, "postgresql")


VIRTUAL_KEYS: Final = Table(
    "virtual_keys",
    METADATA,
    Column("key_id", _id(64), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("secret_hash", _id(64), nullable=False, unique=True),
    Column("tenant_id", _id(128)),
    Column("feature", String(256), nullable=False),
    Column("agent", String(256), nullable=False),
    Column("workspace", String(256), nullable=False),
    Column("initiator", String(16), nullable=False),
    Column("upstreams", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("priority", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("replaces", _id(64)),
    Column("changed", BigInteger, nullable=False),
    Index(None, "changed"),
    Index(None, "created_at"),
)
