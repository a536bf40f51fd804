"""The tables of the books, in portable types.

Times are microseconds UTC in BIGINT, money is nano-dollars in BIGINT, documents are JSON text. The
migrations build exactly these tables; a test compares the two. No statement lives here.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ROW_ID = BigInteger().with_variant(Integer, "sqlite")
"""Rows that number themselves; SQLite does so only for INTEGER."""

TENANTS = Table(
    "tenants",
    METADATA,
    Column("tenant_id", String(128), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
)

TENANT_VERSIONS = Table(
    "tenant_versions",
    METADATA,
    Column("tenant_id", String(128), ForeignKey("tenants.tenant_id"), primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger),
    Column("name", String(256), nullable=False),
    Column("plan", String(256), nullable=False),
    Column("tier", String(256), nullable=False),
    Column("contract_type", String(256), nullable=False),
    Column("contract_id", String(256), nullable=False),
    Column("labels", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("key_id", String(64), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("tenant_id", String(128)),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)

MODEL_ROWS = Table(
    "model_rows",
    METADATA,
    Column("row_id", ROW_ID, primary_key=True, autoincrement=True),
    Column("model_row_id", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("provider", String(128), nullable=False),
    Column("model", String(256), nullable=False),
    Column("match", Text, nullable=False),
    Column("family", String(256), nullable=False),
    Column("layer", String(32), nullable=False),
    Column("source", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("superseded_at", BigInteger),
    Column("region_class", String(128), nullable=False, server_default=""),
    Column("by_hand", Boolean, nullable=False, server_default=false()),
    Index(None, "layer", "superseded_at"),
)
"""`by_hand`: written by a change of prices, so that no catalogue may supersede it."""

RATE_ROWS = Table(
    "rate_rows",
    METADATA,
    Column("row_id", ROW_ID, primary_key=True, autoincrement=True),
    Column("rate_id", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("provider", String(128), nullable=False),
    Column("model", String(256), nullable=False),
    Column("unit", String(128), nullable=False),
    Column("nanos_per_million", BigInteger, nullable=False),
    Column("host_class", String(128), nullable=False),
    Column("region_class", String(128), nullable=False),
    Column("tier", String(128), nullable=False),
    Column("batch", Boolean, nullable=False),
    Column("speed", String(128), nullable=False),
    Column("min_context", BigInteger, nullable=False),
    Column("window", String(64), nullable=False),
    Column("valid_from", BigInteger),
    Column("valid_to", BigInteger),
    Column("layer", String(32), nullable=False),
    Column("source", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("superseded_at", BigInteger),
    Column("tenant", String(128), nullable=False, server_default=""),
    Column("min_quantity", BigInteger, nullable=False, server_default="0"),
    Column("by_hand", Boolean, nullable=False, server_default=false()),
    Index(None, "rate_id"),
    Index(None, "layer", "superseded_at"),
    Index(None, "provider", "model"),
)

SELL_ROWS = Table(
    "sell_rows",
    METADATA,
    Column("row_id", ROW_ID, primary_key=True, autoincrement=True),
    Column("sell_id", String(64), nullable=False),
    Column("unit", String(128), nullable=False),
    Column("out", String(16), nullable=False),
    Column("per_million", BigInteger, nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("plan", String(256), nullable=False),
    Column("feature", String(256), nullable=False),
    Column("provider", String(128), nullable=False),
    Column("model", String(256), nullable=False),
    Column("valid_from", BigInteger),
    Column("valid_to", BigInteger),
    Column("source", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("superseded_at", BigInteger),
    Index(None, "sell_id"),
)

PRICE_FINDINGS = Table(
    "price_findings",
    METADATA,
    Column("kind", String(64), primary_key=True),
    Column("subject", String(512), primary_key=True),
    Column("details", Text, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Index(None, "last_at"),
)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("letter_id", ROW_ID, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("source", String(256), nullable=False),
    Column("code", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("payload", Text, nullable=False),
)

DEAD_LETTER_COUNTS = Table(
    "dead_letter_counts",
    METADATA,
    Column("code", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
)

AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("entry_id", ROW_ID, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(256), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("details", Text, nullable=False),
)

REVISIONS = Table(
    "revisions",
    METADATA,
    Column("topic", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
