"""The rules of what a virtual key may say, as checks with clear errors. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from outlay.core.event import VALUES
from outlay.core.virtual_keys import MAX_SECRET_CHARACTERS, PREFIX, PRIORITIES
from outlay.errors import BadRequestError
from outlay.store.books.checks import (
    MIN_SECRET_CHARACTERS,
    check_tenant_id,
    check_text,
    check_time,
)
from outlay.store.virtual_keys import MAX_GRACE_S, KeyTerms

MAX_UPSTREAMS: Final = 64
MAX_MODELS: Final = 64

_TEXTS: Final = ("feature", "agent", "workspace")
_UPSTREAM: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]+")


def check_terms(terms: KeyTerms, *, at: int) -> None:
    """Check what a new key says.

    Raises:
        BadRequestError: a part is not valid; `where` names it.
    """
    check_text(terms.name, "name", required=True)
    if terms.tenant_id is not None:
        check_tenant_id(terms.tenant_id)
    for name in _TEXTS:
        check_text(getattr(terms, name), name)
    _one_of(terms.initiator, ("", *VALUES["initiator"]), "initiator")
    _one_of(terms.priority, PRIORITIES, "priority")
    _check_number(terms.upstreams, MAX_UPSTREAMS, "upstreams")
    for upstream in terms.upstreams:
        if not _UPSTREAM.fullmatch(upstream):
            raise BadRequestError(
                "An upstream's name is 1 to 32 small letters, digits or `-`.", where="upstreams"
            )
    _check_number(terms.models, MAX_MODELS, "models")
    for model in terms.models:
        check_text(model, "models", required=True)
    if terms.expires_at is not None and check_time(terms.expires_at, "expires_at") <= at:
        raise BadRequestError("`expires_at` must lie in the future.", where="expires_at")


def check_secret(secret: str) -> None:
    """Check that a secret is one that clients can show wherever keys of providers stand."""
    if not (
        secret.startswith(PREFIX)
        and MIN_SECRET_CHARACTERS <= len(secret) <= MAX_SECRET_CHARACTERS
        and _SECRET.fullmatch(secret)
    ):
        raise BadRequestError(
            f"A secret is `{PREFIX}…`, {MIN_SECRET_CHARACTERS} to {MAX_SECRET_CHARACTERS} letters, "
            "digits or `_ -`.",
            where="secret",
        )


def check_grace(grace_us: int) -> None:
    """Check how long a key goes on working after its rotation."""
    if not 0 <= grace_us <= MAX_GRACE_S * 1_000_000:
        days = MAX_GRACE_S // 86_400
        raise BadRequestError(f"A grace time is 0 seconds to {days} days.", where="grace_s")


def _one_of(value: Any, known: Sequence[str], where: str) -> None:
    if value not in known:
        names = " or ".join(f"`{name}`" for name in known if name)
        raise BadRequestError(f"`{where}` is {names}, or left out.", where=where)


def _check_number(values: Sequence[str], most: int, where: str) -> None:
    if len(values) > most:
        raise BadRequestError(f"There may be at most {most} {where}.", where=where)
