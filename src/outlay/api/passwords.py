"""Passwords: what one must be, and its hash (argon2id).

Hashing costs time on purpose: it is never done on the event loop.
"""

from __future__ import annotations

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from outlay.errors import BadRequestError

MIN_PASSWORD_CHARACTERS: Final = 12
MAX_PASSWORD_CHARACTERS: Final = 256
TIME_COST: Final = 3
MEMORY_KIB: Final = 64 * 1024
LANES: Final = 1
"""Costs of a hash: the second choice of RFC 9106, on one processor."""


def check_password(password: str, where: str) -> str:
    """Return a password that may be set.

    Raises:
        BadRequestError: it is too short or too long.
    """
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise BadRequestError(
            f"A password has {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters.",
            where=where,
        )
    return password


class Passwords:
    """Hashes and compares passwords, at a cost that anybody who guesses has to pay as well."""

    def __init__(
        self, *, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB, lanes: int = LANES
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=lanes
        )

    def hash(self, password: str) -> str:
        """Return a new hash of a password, with its salt and costs."""
        return self._hasher.hash(_bytes(password))

    def matches(self, hashed: str | None, password: str) -> bool:
        """Tell whether a hash is of a password; without one it takes as long and is false."""
        if len(password) > MAX_PASSWORD_CHARACTERS:
            return False
        if hashed is None:
            self.hash(password)
            return False
        try:
            return self._hasher.verify(hashed, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    def stale(self, hashed: str) -> bool:
        """Tell whether a hash was made at other costs than today's."""
        return self._hasher.check_needs_rehash(hashed)


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
