"""Letting somebody in: how often it may be tried, and the session that it opens.

`sign_in` is the one place where a session begins, whichever way somebody proved who he is.
"""

from __future__ import annotations

import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from outlay.api.auth import SECRET_BYTES, cookie_name
from outlay.api.services import Services
from outlay.errors import AuthError, OutlayError
from outlay.store.people import SESSION_LIFE_US, Session, SessionWay, User

MAX_ATTEMPTS_PER_EMAIL: Final = 10
"""Tries to sign in as one person in one minute; a good one forgets those before it."""
MAX_ATTEMPTS: Final = 120
"""Tries of everybody together in one minute."""
LINK_LIFE_US: Final = 10 * 60_000_000
INVITATION_LIFE_US: Final = 24 * 3_600_000_000
"""How long the first link of a new user works: he has to find his mail."""
MINUTE_US: Final = 60_000_000


class TooManyAttemptsError(OutlayError):
    """Too many have tried to sign in."""

    code = "too_many_attempts"
    status = 429
    hint = "Wait a minute and try again."

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Attempts:
    """How often it was tried in this minute. Used on one event loop only.

    It knows at most `total` e-mails, since no more are tried in a minute.
    """

    def __init__(
        self, *, per_email: int = MAX_ATTEMPTS_PER_EMAIL, total: int = MAX_ATTEMPTS
    ) -> None:
        self._per_email = per_email
        self._total = total
        self._minute = -1
        self._tried = 0
        self._by_email: dict[str, int] = {}

    def take(self, email: str | None, *, at: int) -> None:
        """Count a try; `None` when it names nobody.

        Raises:
            TooManyAttemptsError: there were too many already.
        """
        if at // MINUTE_US != self._minute:
            self._minute, self._tried, self._by_email = at // MINUTE_US, 0, {}
        mine = 0 if email is None else self._by_email.get(email, 0)
        if self._tried >= self._total or mine >= self._per_email:
            wait_s = (MINUTE_US - at % MINUTE_US) // 1_000_000 + 1
            raise TooManyAttemptsError(
                "Somebody has tried to sign in too often.", retry_after_s=wait_s
            )
        self._tried += 1
        if email is not None:
            self._by_email[email] = mine + 1

    def forget(self, email: str) -> None:
        """Let somebody who proved who he is begin anew."""
        self._by_email.pop(email, None)

    def __len__(self) -> int:
        return len(self._by_email)


def new_token() -> str:
    """Return a new token of a session or a link: 32 random bytes as text."""
    return secrets.token_urlsafe(SECRET_BYTES)


def link_url(public_url: str, token: str) -> str:
    """Return the address of a sign-in link; what is behind `#` is not sent to any server."""
    return f"{public_url}/app/login#link={token}"


def refused() -> AuthError:
    """Return the one answer to whoever proves nothing, whatever was wrong."""
    return AuthError(
        "That is not right, or it works no more.",
        hint="Try again, or ask an admin for a sign-in link.",
    )


async def sign_in(
    request: Request, user: User, way: SessionWay, *, password_hash: str | None = None
) -> tuple[Session, str]:
    """Open a session of a user; the one that the browser had ends. Give its token by `give_cookie`.

    Args:
        request: what the browser sent.
        user: who has proved who he is.
        way: how he proved it.
        password_hash: what the password was compared with, if it was one.

    Returns:
        The session and its token.

    Raises:
        AuthError: he is disabled, or the password was changed in the meantime.
    """
    state = request.app.state
    services: Services = state.services
    token = new_token()
    opened = await services.books_workers.run(
        services.books.open_session,
        user.user_id,
        token=token,
        way=way,
        at=services.clock(),
        instead=request.cookies.get(cookie_name(request), ""),
        password_hash=password_hash,
    )
    state.metrics.sign_ins.labels(way, "refused" if opened is None else "ok").inc()
    if opened is None:
        raise refused()
    return opened, token


def give_cookie(request: Request, answer: Response, token: str) -> None:
    """Put a session's cookie on an answer; without a token, take it away."""
    public_url: str = request.app.state.public_url
    answer.set_cookie(
        cookie_name(request),
        token,
        max_age=SESSION_LIFE_US // 1_000_000 if token else 0,
        path="/",
        httponly=True,
        samesite="strict",
        secure=public_url.startswith("https:"),
    )
