"""The rules of what may be asked of prepaid credits, as checks with clear errors. No I/O."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from outlay.core.limits.limit import PPM
from outlay.errors import BadRequestError, ConflictError
from outlay.store.books.checks import MAX_TIME, check_tenant_id, check_text, check_time
from outlay.store.books.credit_rows import Account
from outlay.store.credits import CATEGORIES, MAX_MICROS, MICROS

MAX_KEY_BYTES: Final = 128
MAX_URL_BYTES: Final = 2048
MAX_PRIORITY: Final = 1_000_000
MAX_BALANCE: Final = 4 * MAX_MICROS
"""What a tenant may have, grants that wait included; far below what a column holds."""
MAX_OPEN_GRANTS: Final = 1000
"""Grants of a tenant that are not spent."""


def check_asked(tenant: Any, *, key: Any, reason: Any, actor: Any, at: Any) -> None:
    """Check what every mutation must say: whose, under which key, why, who and when."""
    check_tenant_id(tenant)
    check_text(key, "key", required=True)
    if len(key.encode()) > MAX_KEY_BYTES:
        raise BadRequestError(
            f"An idempotency key has at most {MAX_KEY_BYTES} bytes.",
            where="key",
            hint="Use a UUID, or the hash of what makes the request one of its kind.",
        )
    check_why(reason=reason, actor=actor, at=at)


def check_why(*, reason: Any, actor: Any, at: Any) -> None:
    """Check why, who and when."""
    check_text(reason, "reason", required=True)
    check_text(actor, "actor")
    check_time(at, "at")


def check_amount(amount: Any, *, signed: bool = False) -> int:
    """Return an amount of micro-credits, above zero unless it is signed, never zero."""
    whole = isinstance(amount, int) and not isinstance(amount, bool)
    if not whole or amount == 0 or (amount < 0 and not signed) or abs(amount) > MAX_MICROS:
        raise BadRequestError(
            f"An amount is a whole number of micro-credits {'other than' if signed else 'above'} "
            f"0, and at most {MAX_MICROS:,}.",
            where="amount",
            hint=f"A credit is {MICROS:,} micro-credits; fractions of those do not exist.",
        )
    return int(amount)


def check_grant(
    *,
    category: Any,
    priority: Any,
    effective_at: Any,
    expires_at: Any,
    rollover_ppm: Any,
    rollover_us: Any,
) -> None:
    """Check what holds of a grant whenever it is made; `check_grant_times` checks the rest."""
    if category not in CATEGORIES:
        raise BadRequestError(f"A category is {' or '.join(CATEGORIES)}.", where="category")
    _within(priority, "priority", 0, MAX_PRIORITY)
    _within(rollover_ppm, "rollover_ppm", 0, PPM, "1000000 rolls everything over.")
    _within(rollover_us, "rollover_us", 0, MAX_TIME, "In microseconds; 0 is for ever.")
    for name, value in (("effective_at", effective_at), ("expires_at", expires_at)):
        if value is not None:
            check_time(value, name)
    if rollover_ppm and expires_at is None:
        raise BadRequestError(
            "What never expires cannot roll over.",
            where="rollover_ppm",
            hint="Give `expires_at`, or leave `rollover_ppm` out.",
        )
    if rollover_us and not rollover_ppm:
        raise BadRequestError(
            "`rollover_us` needs `rollover_ppm`, the part that rolls over.", where="rollover_us"
        )
    if expires_at is not None and expires_at + rollover_us > MAX_TIME:
        raise BadRequestError("The rollover would last past the year 9999.", where="rollover_us")


def check_grant_times(*, effective_at: int | None, expires_at: int | None, at: int) -> None:
    """Check that a grant made now is of use to anybody."""
    if expires_at is None:
        return
    if expires_at <= at:
        raise BadRequestError(
            "`expires_at` must lie in the future.",
            where="expires_at",
            hint="Leave it out for credits that do not expire.",
        )
    if effective_at is not None and expires_at <= effective_at:
        raise BadRequestError("`expires_at` must come after `effective_at`.", where="expires_at")


def check_account(
    *, floor: Any, top_up_below: Any, top_up_amount: Any, top_up_url: Any, enforce: Any
) -> None:
    """Check the settings of an account."""
    _within(
        floor, "floor", -MAX_MICROS, 0,
        "0 allows no overdraft; -5000000 lets a balance fall to five credits below zero.",
    )  # fmt: skip
    if top_up_below is None and (top_up_amount is not None or top_up_url):
        raise BadRequestError(
            "A top-up needs `top_up_below`, the balance that it is asked for at.",
            where="top_up_below",
            hint="Give neither an amount nor a URL to switch it off.",
        )
    for name, value in (("top_up_below", top_up_below), ("top_up_amount", top_up_amount)):
        if value is not None:
            _within(value, name, 1, MAX_MICROS)
    if not isinstance(enforce, bool):
        raise BadRequestError("`enforce` is true or false.", where="enforce")
    if not isinstance(top_up_url, str) or not _is_url(top_up_url):
        raise BadRequestError(
            f"`top_up_url` must be an http or https URL of at most {MAX_URL_BYTES} bytes.",
            where="top_up_url",
        )


def check_available(account: Account, amount: int, *, what: str, have: int | None = None) -> None:
    """Raise `ConflictError` unless so much of a balance is free; `have` if not all of it is."""
    free = account.available if have is None else have
    if amount > free:
        raise ConflictError(
            f"{account.tenant} has {credits_text(max(0, free))} credits available, "
            f"and {credits_text(amount)} are to {what}.",
            where="amount",
            hint="Take less, grant credits first, or wait until what is held is free again.",
        )


def credits_text(micros: int) -> str:
    """Write micro-credits as credits, exactly."""
    whole, rest = divmod(abs(micros), MICROS)
    digits = f"{rest:06}".rstrip("0")
    return f"{'-' if micros < 0 else ''}{whole:,}{'.' if digits else ''}{digits}"


def _within(value: Any, where: str, least: int, most: int, hint: str | None = None) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadRequestError(
            f"`{where}` is a whole number from {least} to {most}.", where=where, hint=hint
        )


def _is_url(url: str) -> bool:
    if not url:
        return True
    if not url.isprintable() or " " in url or len(url.encode("utf-8", "replace")) > MAX_URL_BYTES:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
