"""The rules of what a user may be, as checks with clear errors. No I/O."""

from __future__ import annotations

import re
from typing import Any, Final

from outlay.errors import BadRequestError
from outlay.store.books.checks import MIN_SECRET_CHARACTERS, check_tenant_id, check_text
from outlay.store.people import MAX_EMAIL_CHARACTERS, ROLE_SCOPES, User, folded_email

_EMAIL: Final = re.compile(r"[!-?A-~]+@[!-?A-~]+")


def check_email(email: Any) -> str:
    """Return an e-mail as it is kept.

    Only plain ASCII is taken, so that no two that look alike are two people.

    Raises:
        BadRequestError: it is not one.
    """
    folded = folded_email(email) if isinstance(email, str) else ""
    if not _EMAIL.fullmatch(folded) or len(folded) > MAX_EMAIL_CHARACTERS:
        raise BadRequestError(
            f"An e-mail is `name@domain`, at most {MAX_EMAIL_CHARACTERS} ASCII characters.",
            where="email",
        )
    return folded


def check_user(user: User) -> None:
    """Check a user as he will be.

    Raises:
        BadRequestError: a part is not valid; `where` names it.
    """
    check_text(user.name, "name")
    if user.role not in ROLE_SCOPES:
        known = " or ".join(f"`{role}`" for role in ROLE_SCOPES)
        raise BadRequestError(f"`role` is {known}.", where="role")
    if user.role == "tenant":
        if user.tenant_id is None:
            raise BadRequestError("The role `tenant` needs a `tenant_id`.", where="tenant_id")
        check_tenant_id(user.tenant_id)
    elif user.tenant_id is not None:
        raise BadRequestError(
            f"The role `{user.role}` is for all tenants: leave `tenant_id` out.", where="tenant_id"
        )


def check_token(token: str) -> None:
    """Check that a token cannot be guessed."""
    if len(token) < MIN_SECRET_CHARACTERS:
        raise BadRequestError(
            f"A token has at least {MIN_SECRET_CHARACTERS} characters.", where="token"
        )
