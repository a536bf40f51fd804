"""The books' journal: an audit entry and a new revision for each mutation, in its transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from outlay.core.context import clip
from outlay.store.books.tables import AUDIT_LOG, REVISIONS


def changed(
    connection: sa.Connection,
    topic: str,
    actor: str,
    action: str,
    subject: str,
    at: int,
    details: Mapping[str, Any],
) -> None:
    """Write the audit entry of a mutation and raise its topic's revision."""
    note(connection, actor, action, subject, at, details)
    number = REVISIONS.c.number
    connection.execute(
        sa.update(REVISIONS).where(REVISIONS.c.topic == topic).values(number=number + 1)
    )


def note(
    connection: sa.Connection,
    actor: str,
    action: str,
    subject: str,
    at: int,
    details: Mapping[str, Any],
) -> None:
    """Write the audit entry of a mutation that no cache depends on."""
    entry = {
        "at": at,
        "actor": clip(storable(actor)),
        "action": action,
        "subject": clip(storable(subject)),
        "details": json.dumps(details, sort_keys=True, ensure_ascii=False),
    }
    connection.execute(sa.insert(AUDIT_LOG).values(entry))


def storable(text: str) -> str:
    """Return text as every database can keep it: without zero bytes and halves of characters."""
    whole = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return whole.replace("\0", "")
