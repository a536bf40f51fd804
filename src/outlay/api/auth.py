"""Who is asking: keys, sessions and portal tokens in, callers out.

What is revoked stops working with the next request. Secrets of keys are looked up by their hash and
cached by it; the cache is dropped when the books' `keys` revision moves. Sessions are looked up
each time. A secret is never logged or kept in clear.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from outlay.api.origins import check_browser
from outlay.errors import AuthError, ForbiddenError, UnavailableError
from outlay.store.base import Books, Key
from outlay.store.people import ROLE_SCOPES, SEEN_STEP_US, Session, User

KEY_PREFIX: Final = "ok_"
SECRET_BYTES: Final = 32
MAX_HEADER_CHARACTERS: Final = 256
MAX_PORTAL_CHARACTERS: Final = 4200
"""Of a header with a portal's token, which says how the portal is to look."""
MAX_CACHED_KEYS: Final = 10_000
COOKIE: Final = "outlay_session"
HOST_PREFIX: Final = "__Host-"
"""A browser takes a cookie of such a name from this very host and HTTPS only: a site beside it
cannot plant a session of its own."""
IDLE_US: Final = 12 * 3_600_000_000
"""How long a session lasts without use, where settings say no other."""

Portal = Callable[[str], "Caller | None"]
"""Tells who a portal's token is for; `None` or an `AuthError` when it is of no use."""


def new_secret() -> str:
    """Return a new key: 32 random bytes as text."""
    return KEY_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated key, user or portal; `tenant`, if set, is all it may see and write.

    `key_id` is `user:<e-mail>` for who is signed in, `portal:<tenant>` for a portal.
    """

    key_id: str
    scopes: tuple[str, ...]
    tenant: str | None

    def need(self, *scopes: str) -> None:
        """Check that the caller has one of the scopes.

        Raises:
            ForbiddenError: it has none of them.
        """
        if not any(scope in self.scopes for scope in scopes):
            wanted = " or ".join(f"`{scope}`" for scope in scopes)
            raise ForbiddenError(f"This needs a key or a user with the scope {wanted}.")


OWN: Final = Caller("gateway", ("ingest", "gateway"), None)
"""The gateway in the server's own process."""


class Authenticator:
    """Turns a header or a cookie into a caller. Thread-safe; blocks on the books.

    Args:
        books: where keys and sessions are.
        clock: microseconds UTC.
        own_key: what the gateway in this process shows.
        idle_us: how long a session lasts without use.
        demo: whether sessions of the demo are believed.
        portal: is asked about bearers that have two dots, as signed tokens do.
    """

    def __init__(
        self,
        books: Books,
        clock: Callable[[], int],
        *,
        own_key: str = "",
        idle_us: int = IDLE_US,
        demo: bool = False,
        portal: Portal | None = None,
    ) -> None:
        self._books = books
        self._clock = clock
        self._idle_us = idle_us
        self._demo = demo
        self._portal = portal
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
        token = signed_bearer(header)
        if self._portal is not None and token:
            found = self._portal(token)
            if found is None:
                raise AuthError("The token of the portal is not valid.")
            return found
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

    def signed_in(self, token: str) -> tuple[User, Session]:
        """Return who a session's token is of, and the session; note that it was used.

        Raises:
            AuthError: the session ended, or there was none.
        """
        now = self._clock()
        found = None
        if len(token) <= MAX_HEADER_CHARACTERS:
            found = self._books.session(token, at=now, idle_us=self._idle_us)
        # Books of a demo may be served in earnest later.
        if found is None or (found[1].way == "demo" and not self._demo):
            raise AuthError("The session has ended.", hint="Sign in again.")
        if now - found[1].seen_at >= SEEN_STEP_US:
            # What was not noted is noted by the next request: this one is none the worse for it.
            with suppress(UnavailableError):
                self._books.session_seen(token, at=now)
        return found

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


def signed_bearer(header: str | None) -> str:
    """Return the bearer of a header if it is a signed token; a key has no dots."""
    scheme, _, token = (header or "").partition(" ")
    token = token.strip()
    signed = scheme.lower() == "bearer" and token.count(".") == 2
    if not signed or token.startswith(KEY_PREFIX) or len(header or "") > MAX_PORTAL_CHARACTERS:
        return ""
    return token


def of_user(user: User) -> Caller:
    """Return a user who is signed in as a caller."""
    return Caller(user.actor, ROLE_SCOPES.get(user.role, ()), user.tenant_id)


def cookie_name(request: Request) -> str:
    """Return the name of a session's cookie where people reach the server."""
    secure = request.app.state.public_url.startswith("https:")
    return HOST_PREFIX + COOKIE if secure else COOKIE


async def signed_in(request: Request) -> tuple[User, Session]:
    """Return who is signed in by the cookie of a request; a bearer wins, and is nobody's session.

    Raises:
        AuthError: nobody is.
        ForbiddenError: the request changes something, and may come from another site.
    """
    token = request.cookies.get(cookie_name(request))
    if token is None or "authorization" in request.headers:
        raise AuthError("Nobody is signed in.", hint="Sign in first.")
    check_browser(request)
    state = request.app.state
    found: tuple[User, Session] = await state.services.books_workers.run(
        state.auth.signed_in, token
    )
    return found


async def caller_of(request: Request) -> Caller:
    """Return the caller of a request, by its bearer or else by its cookie.

    Raises:
        AuthError: there is none, or it is of no use.
        ForbiddenError: the request changes something, and may come from another site.
    """
    header = request.headers.get("authorization")
    if header is None and cookie_name(request) in request.cookies:
        return of_user((await signed_in(request))[0])
    state = request.app.state
    caller: Caller = await state.services.books_workers.run(state.auth.caller, header)
    return caller


def needs(*scopes: str) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that lets only callers with one of the scopes through."""

    async def authorised(request: Request) -> Caller:
        caller = await caller_of(request)
        caller.need(*scopes)
        return caller

    return authorised
