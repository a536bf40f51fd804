"""Who is asking: keys in, callers out. A revoked key stops working with the next request.

Secrets are looked up by their hash and cached by it; the cache is dropped when the books' `keys`
revision moves. A secret is never logged or kept in clear.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from outlay.errors import AuthError, ForbiddenError
from outlay.store.base import Books, Key

KEY_PREFIX: Final = "ok_"
SECRET_BYTES: Final = 32
MAX_HEADER_CHARACTERS: Final = 256
MAX_CACHED_KEYS: Final = 10_000


def new_secret() -> str:
    """Return a new key: 32 random bytes as text."""
    return KEY_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated key. `tenant`, if set, is the only tenant it may see and write."""

    key_id: str
    scopes: tuple[str, ...]
    tenant: str | None

    def need(self, *scopes: str) -> None:
        """Check that the key has one of the scopes.

        Raises:
            ForbiddenError: it has none of them.
        """
        if not any(scope in self.scopes for scope in scopes):
            wanted = " or ".join(f"`{scope}`" for scope in scopes)
            raise ForbiddenError(f"This needs a key with the scope {wanted}.")


OWN: Final = Caller("gateway", ("ingest", "gateway"), None)
"""The gateway in the server's own process."""


class Authenticator:
    """Turns an `Authorization` header into a caller. Thread-safe; blocks on the books."""

    def __init__(self, books: Books, clock: Callable[[], int], *, own_key: str = "") -> None:
        self._books = books
        self._clock = clock
        self._own_key = own_key.encode()
        self._lock = threading.Lock()
        self._revision = -1
        self._keys: dict[str, Key] = {}
        self._used: dict[str, int] = {}

    def caller(self, header: str | None) -> Caller:
        """Return the caller of a header; the process's own gateway among them.

        Raises:
            AuthError: there is no key, or it is unknown, revoked or expired.
        """
        secret = _secret(header)
        if self._own_key and hmac.compare_digest(
            secret.encode("utf-8", "surrogatepass"), self._own_key
        ):
            return OWN
        key = self._key(secret)
        now = self._clock()
        if key is None:
            raise AuthError("The key is unknown.")
        if key.revoked_at is not None:
            raise AuthError("The key has been revoked.")
        if key.expires_at is not None and key.expires_at <= now:
            raise AuthError("The key has expired.")
        with self._lock:
            if key.key_id in self._used or len(self._used) < MAX_CACHED_KEYS:
                self._used[key.key_id] = now
        return Caller(key.key_id, key.scopes, key.tenant_id)

    def take_used(self) -> dict[str, int]:
        """Return when keys were last used since the last call, and forget it."""
        with self._lock:
            used, self._used = self._used, {}
        return used

    def _key(self, secret: str) -> Key | None:
        # The revision is read before the key: a change in between is seen the next time.
        revision = self._books.revision("keys")
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            if revision != self._revision:
                self._keys, self._revision = {}, revision
            key = self._keys.get(digest)
        if key is None:
            key = self._books.key_by_secret(secret)
            with self._lock:
                room = len(self._keys) < MAX_CACHED_KEYS
                if key is not None and room and revision == self._revision:
                    self._keys[digest] = key
        return key


def _secret(header: str | None) -> str:
    if not header:
        raise AuthError("There is no key in the request.")
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    if (
        scheme.lower() != "bearer"
        or not secret.startswith(KEY_PREFIX)
        or len(header) > MAX_HEADER_CHARACTERS
    ):
        raise AuthError("The `Authorization` header is not `Bearer ok_…`.")
    return secret


def needs(*scopes: str) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that lets only keys with one of the scopes through."""

    async def authorised(request: Request) -> Caller:
        state = request.app.state
        header = request.headers.get("authorization")
        caller: Caller = await state.services.books_workers.run(state.auth.caller, header)
        caller.need(*scopes)
        return caller

    return authorised
