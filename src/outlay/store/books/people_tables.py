"""The tables of people, in portable types; the same rules as in `tables`.

`email` is in small letters. Tokens are there as SHA-256, passwords as argon2id.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table

from outlay.store.books.tables import METADATA


def _id(characters: int) -> Any:
    bytewise = String(characters, collation="C")
    return String(characters).with_variant(bytewise, "postgresql")


USERS: Final = Table(
    "users",
    METADATA,
    Column("user_id", _id(64), primary_key=True),
    Column("email", _id(256), nullable=False, unique=True),
    Column("name", String(256), nullable=False),
    Column("role", String(16), nullable=False),
    Column("tenant_id", _id(128)),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger),
    Column("way", String(16), nullable=False),
    Column("password_hash", String(256)),
    Index(None, "created_at"),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("token_hash", _id(64), primary_key=True),
    Column("user_id", _id(64), ForeignKey("users.user_id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("way", String(16), nullable=False),
    Index(None, "user_id"),
    Index(None, "ends_at"),
)

SIGN_IN_LINKS: Final = Table(
    "sign_in_links",
    METADATA,
    Column("token_hash", _id(64), primary_key=True),
    Column("user_id", _id(64), ForeignKey("users.user_id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Index(None, "user_id"),
    Index(None, "ends_at"),
)
