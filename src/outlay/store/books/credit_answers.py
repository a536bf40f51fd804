"""What was answered under an idempotency key, so that the same request is answered the same.

Answers are kept for ever: a key that is forgotten would grant twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from outlay.errors import ConflictError
from outlay.store.books.credit_tables import CREDIT_KEYS


def answered(
    connection: sa.Connection, tenant: str, key: str, request: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the answer that the same request had, `None` if the key is new.

    Raises:
        ConflictError: the key was used for another request.
    """
    this = sa.and_(CREDIT_KEYS.c.tenant == tenant, CREDIT_KEYS.c.key == key)
    row = connection.execute(sa.select(CREDIT_KEYS).where(this)).one_or_none()
    if row is None:
        return None
    if row.request_hash != _hash(request):
        raise ConflictError(
            f"The key {key!r} was used for something else.",
            where="key",
            hint="Use a new key, or send exactly the same content.",
        )
    answer: dict[str, Any] = json.loads(row.answer)
    return answer


def remember(
    connection: sa.Connection,
    tenant: str,
    key: str,
    request: Mapping[str, Any],
    answer: Mapping[str, Any],
    *,
    at: int,
) -> None:
    """Keep an answer; its key must be new."""
    row = {
        "tenant": tenant,
        "key": key,
        "request_hash": _hash(request),
        "answer": json.dumps(answer, sort_keys=True, ensure_ascii=False),
        "at": at,
    }
    connection.execute(sa.insert(CREDIT_KEYS).values(row))


def _hash(request: Mapping[str, Any]) -> str:
    text = json.dumps(request, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
