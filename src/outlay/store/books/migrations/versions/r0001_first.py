"""The first tables: tenants, keys, prices, dead letters, audit log and revisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _tenants()
    _keys()
    _prices()
    _dead_letters()
    _audit()


def _tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenants"),
    )
    op.create_table(
        "tenant_versions",
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("valid_from", sa.BigInteger, nullable=False),
        sa.Column("valid_to", sa.BigInteger),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("plan", sa.String(256), nullable=False),
        sa.Column("tier", sa.String(256), nullable=False),
        sa.Column("contract_type", sa.String(256), nullable=False),
        sa.Column("contract_id", sa.String(256), nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "valid_from", name="pk_tenant_versions"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name="fk_tenant_versions_tenant_id"
        ),
    )


def _keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.String(128)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        sa.UniqueConstraint("secret_hash", name="uq_api_keys_secret_hash"),
    )


def _prices() -> None:
    op.create_table(
        "model_rows",
        sa.Column("row_id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("model_row_id", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("match", sa.Text, nullable=False),
        sa.Column("family", sa.String(256), nullable=False),
        sa.Column("layer", sa.String(32), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("superseded_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("row_id", name="pk_model_rows"),
    )
    op.create_index("ix_model_rows_layer_superseded_at", "model_rows", ["layer", "superseded_at"])
    op.create_table(
        "rate_rows",
        sa.Column("row_id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("rate_id", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("unit", sa.String(128), nullable=False),
        sa.Column("nanos_per_million", sa.BigInteger, nullable=False),
        sa.Column("host_class", sa.String(128), nullable=False),
        sa.Column("region_class", sa.String(128), nullable=False),
        sa.Column("tier", sa.String(128), nullable=False),
        sa.Column("batch", sa.Boolean, nullable=False),
        sa.Column("speed", sa.String(128), nullable=False),
        sa.Column("min_context", sa.BigInteger, nullable=False),
        sa.Column("window", sa.String(64), nullable=False),
        sa.Column("valid_from", sa.BigInteger),
        sa.Column("valid_to", sa.BigInteger),
        sa.Column("layer", sa.String(32), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("superseded_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("row_id", name="pk_rate_rows"),
    )
    op.create_index("ix_rate_rows_rate_id", "rate_rows", ["rate_id"])
    op.create_index("ix_rate_rows_layer_superseded_at", "rate_rows", ["layer", "superseded_at"])


def _dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("letter_id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(256), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("letter_id", name="pk_dead_letters"),
    )
    op.create_table(
        "dead_letter_counts",
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_dead_letter_counts"),
    )


def _audit() -> None:
    op.create_table(
        "audit_log",
        sa.Column("entry_id", _ROW_ID, nullable=False, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_audit_log"),
    )
    revisions = op.create_table(
        "revisions",
        sa.Column("topic", sa.String(32), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("topic", name="pk_revisions"),
    )
    op.bulk_insert(
        revisions, [{"topic": topic, "number": 0} for topic in ("keys", "prices", "tenants")]
    )
