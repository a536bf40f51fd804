"""Runs the migrations on the connection that the opener passes in; nothing else starts them."""

from __future__ import annotations

from alembic import context

from outlay.store.books.tables import METADATA

VERSION_TABLE = "books_version"

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
