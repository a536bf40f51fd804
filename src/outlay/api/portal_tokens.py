"""Signed links into the customer portal: JSON Web Tokens (HS256) that name one tenant.

A host's own backend may sign them by the same secret, so that nothing in a token is believed before
it is checked, whoever made it. A token cannot be revoked: it lives a day at most.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt

from outlay.api.auth import Caller, signed_bearer
from outlay.api.portal_theme import valid_theme
from outlay.config import Settings
from outlay.errors import AuthError, BadRequestError, ConfigError
from outlay.store.books.checks import MAX_TIME, check_tenant_id

AUDIENCE: Final = "outlay-portal"
MAX_LIFE_S: Final = 86_400
"""From `iat` to `exp`, also of tokens that others sign."""
LEEWAY_S: Final = 5
"""How far the clock of who signs may be from ours."""
MAX_TOKEN_CHARACTERS: Final = 4096
SECRET_FILE: Final = "portal-secret"  # noqa: S105 - where it is, not what it is
MIN_SECRET_CHARACTERS: Final = 32

_ALGORITHM: Final = "HS256"
_SECRET_BYTES: Final = 32
_HINT: Final = "Open the page from the product again: it has a fresh link. See docs/portal.md."
_OPTIONS: Final[Any] = {
    "require": ["exp", "iat", "aud", "sub"],
    "strict_aud": True,
    # Times are checked here, by the clock of the server.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


@dataclass(frozen=True, slots=True)
class PortalPass:
    """What a valid token says; `expires_at` is microseconds UTC."""

    tenant: str
    expires_at: int
    theme: Mapping[str, Any]


class PortalTokens:
    """Signs and reads tokens. Thread-safe.

    Args:
        keys: the secrets; the first signs, all are believed.
        clock: microseconds UTC.
    """

    def __init__(self, keys: Sequence[str], clock: Callable[[], int]) -> None:
        self._keys = tuple(keys)
        self._clock = clock

    def sign(
        self, tenant: str, *, life_s: int, theme: Mapping[str, Any], user: str = ""
    ) -> tuple[str, int, str]:
        """Return a token, when it expires in microseconds UTC, and its id.

        What is signed must have been checked: `life_s` is at most `MAX_LIFE_S`.
        """
        issued = self._clock() // 1_000_000
        token_id = secrets.token_urlsafe(12)
        claims: dict[str, Any] = {
            "aud": AUDIENCE,
            "sub": tenant,
            "iat": issued,
            "exp": issued + life_s,
            "jti": token_id,
        }
        claims |= {"theme": dict(theme)} if theme else {}
        claims |= {"user": user} if user else {}
        token = jwt.encode(claims, self._keys[0], algorithm=_ALGORITHM)
        return token, claims["exp"] * 1_000_000, token_id

    def caller(self, token: str) -> Caller:
        """Return who shows a token.

        Raises:
            AuthError: it is not valid.
        """
        tenant = self.read(token).tenant
        return Caller(f"portal:{tenant}", ("portal",), tenant)

    def of_header(self, header: str | None) -> PortalPass | None:
        """Return what the token of an `Authorization` header says; `None` where it holds none.

        Raises:
            AuthError: the token is not valid.
        """
        token = signed_bearer(header)
        return self.read(token) if token else None

    def read(self, token: str) -> PortalPass:
        """Return what a token says.

        Raises:
            AuthError: it was not signed by our secret, has expired, lives too long, or does not say
                what it must.
        """
        claims = self._claims(token)
        issued, expires = (_seconds(claims[name], name) for name in ("iat", "exp"))
        now = self._clock() / 1_000_000
        if expires + LEEWAY_S <= now:
            raise AuthError("The link has expired.", hint=_HINT)
        begins = max(issued, _seconds(claims["nbf"], "nbf") if "nbf" in claims else issued)
        if begins - LEEWAY_S > now:
            raise _bad("is not valid yet: the clock of who signed it is ahead")
        if not 0 < expires - issued <= MAX_LIFE_S:
            raise _bad(f"must live more than 0 and at most {MAX_LIFE_S} seconds")
        try:
            tenant = check_tenant_id(claims["sub"])
        except BadRequestError as error:
            raise _bad("names no tenant in `sub`") from error
        return PortalPass(tenant, int(expires * 1_000_000), valid_theme(claims.get("theme")))

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise _bad(f"is longer than {MAX_TOKEN_CHARACTERS} characters")
        for key in self._keys:
            try:
                found = jwt.decode_complete(
                    token, key, algorithms=[_ALGORITHM], audience=AUDIENCE, options=_OPTIONS
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError) as error:
                # Checked behind the signature: who reads this knows the secret.
                raise _bad(f"must say `exp`, `iat`, `sub`, and `aud` as {AUDIENCE!r}") from error
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
                raise _bad("is not one of ours") from error
            if "crit" in found["header"]:  # it asks for rules that are not kept here
                raise _bad("is not one of ours")
            payload: dict[str, Any] = found["payload"]
            return payload
        raise _bad("is not one of ours")


def portal_secrets(settings: Settings, folder: Path) -> tuple[str, ...]:
    """Return the secrets of the setting, or one that is kept in the data folder.

    Raises:
        ConfigError: the file cannot be used.
    """
    return settings.portal_secrets or (_kept_secret(folder / SECRET_FILE),)


def _kept_secret(path: Path) -> str:
    try:
        if not path.exists():
            _write_secret(path, secrets.token_urlsafe(_SECRET_BYTES))
        path.chmod(0o600)
        kept = path.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"The secret of the portal's links cannot be kept: {type(error).__name__}.",
            where=str(path),
            hint="Make the file readable and writable, or set `portal_secret`.",
        ) from error
    if len(kept) < MIN_SECRET_CHARACTERS:
        raise ConfigError(
            f"The secret of the portal's links has fewer than {MIN_SECRET_CHARACTERS} characters.",
            where=str(path),
            hint="Delete the file: a new one is made, and links given out before end.",
        )
    return kept


def _write_secret(path: Path, secret: str) -> None:
    # Whole or not at all, and never readable by others, not even for a moment.
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(descriptor, 0o600)
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(descriptor)
    new.replace(path)


def _seconds(value: Any, name: str) -> float:
    """Return a time of a token in seconds since 1970; signers write whole and broken ones."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= MAX_TIME // 1_000_000:
        raise _bad(f"must say in `{name}` seconds since 1970")
    return float(value)


def _bad(problem: str) -> AuthError:
    return AuthError(f"The link's token {problem}.", hint=_HINT)
