"""The tables of saved views and exchange rates, in portable types; as in `tables`."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, Text

from outlay.store.books.tables import METADATA


def _id(characters: int) -> Any:
    bytewise = String(characters, collation="C")
    return String(characters).with_variant(bytewise, "postgresql")


SAVED_VIEWS: Final = Table(
    "saved_views",
    METADATA,
    Column("view_id", _id(64), primary_key=True),
    Column("name", _id(256), nullable=False),
    Column("path", String(256), nullable=False),
    Column("search", Text, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("owner", _id(256), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index(None, "owner"),
)

EXCHANGE_RATES: Final = Table(
    "exchange_rates",
    METADATA,
    Column("currency", _id(3), primary_key=True),
    Column("valid_from", BigInteger, primary_key=True, autoincrement=False),
    Column("per_usd_ppb", BigInteger, nullable=False),
    Column("source", String(256), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)
