"""Signing in and out: with a password, a one-time link, or as anybody where it is a demo.

Whatever is wrong about a way in is answered alike, after the same time. No e-mail is ever logged.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from outlay import __version__
from outlay.api.auth import Caller, caller_of, cookie_name, needs, of_user, signed_in
from outlay.api.body import read_document
from outlay.api.origins import check_loopback, check_origin
from outlay.api.passwords import Passwords, check_password
from outlay.api.services import Services
from outlay.api.sign_in import (
    LINK_LIFE_US,
    Attempts,
    TooManyAttemptsError,
    give_cookie,
    link_url,
    new_token,
    refused,
    sign_in,
)
from outlay.core.ids import RANDOM_BYTES, uuid7
from outlay.errors import AuthError, BadRequestError, ConflictError, ForbiddenError, NotFoundError
from outlay.store.base import Books
from outlay.store.people import (
    MAX_EMAIL_CHARACTERS,
    Session,
    SessionWay,
    User,
    UserChange,
    folded_email,
)

MAX_BODY_BYTES: Final = 8 * 1024
MAX_LINK_CHARACTERS: Final = 128
LOCAL_ADMIN: Final = "admin@localhost"
"""Who signs in by the link that a key of the server makes."""
DEMO_ADMIN: Final = "demo@localhost"

router = APIRouter()
Admin = Annotated[Caller, Depends(needs("admin"))]
SignedIn = Annotated[tuple[User, Session], Depends(signed_in)]


class SignInBody(msgspec.Struct, forbid_unknown_fields=True):
    """One way in: an e-mail with its password, a link's token, or the demo."""

    email: str | None = None
    password: str | None = None
    link: str | None = None
    demo: bool = False


class PasswordBody(msgspec.Struct, forbid_unknown_fields=True):
    """A password to set; `current` is not asked of who has none, or came by a link."""

    new: str
    current: str = ""


class LinkBody(msgspec.Struct, forbid_unknown_fields=True):
    """Whom a link is for; by default whoever asks, and `admin@localhost` for a key."""

    email: str | None = None


@router.get("/v1/session")
async def show(request: Request) -> dict[str, Any]:
    """Say who is signed in, if anybody, and which ways there are to sign in."""
    if "authorization" in request.headers:
        caller = await _caller_if_any(request)
        return await _document(request, None, () if caller is None else caller.scopes)
    try:
        found = await signed_in(request)
    except AuthError:
        return await _document(request, None, ())
    return await _document(request, found, of_user(found[0]).scopes)


@router.post("/v1/session")
async def enter(request: Request) -> JSONResponse:
    """Sign in, one way or another; the answer has the cookie of the session."""
    check_origin(request)
    body = await read_document(request, SignInBody, most=MAX_BODY_BYTES)
    by_password = body.email is not None and body.password is not None
    halves = (body.email is None) != (body.password is None)
    if halves or [by_password, body.link is not None, body.demo].count(True) != 1:
        raise BadRequestError(
            "The body must be `email` with `password`, or `link`, or `demo`.", where="body"
        )
    way: SessionWay
    password_hash = None
    if body.demo:
        way, user = "demo", await _by_demo(request)
    elif body.link is not None:
        way, user = "link", await _by_link(request, body.link)
    else:
        way = "password"
        user, password_hash = await _by_password(request, body.email or "", body.password or "")
    session, token = await sign_in(request, user, way, password_hash=password_hash)
    if password_hash is not None:
        await _rehash(request, user, body.password or "", password_hash)
    return await _answer(request, user, session, token)


@router.delete("/v1/session", status_code=204)
async def leave(request: Request, found: SignedIn) -> Response:
    """Sign out: the session ends, also for whoever has copied its cookie."""
    del found
    services: Services = request.app.state.services
    token = request.cookies[cookie_name(request)]
    await services.books_workers.run(services.books.end_session, token)
    answer = Response(status_code=204)
    give_cookie(request, answer, "")
    return answer


@router.post("/v1/session/password")
async def set_password(request: Request, found: SignedIn) -> JSONResponse:
    """Set one's own password; every session ends, and this browser gets a new one."""
    user, session = found
    services: Services = request.app.state.services
    passwords: Passwords = request.app.state.passwords
    body = await read_document(request, PasswordBody, most=MAX_BODY_BYTES)
    kind = _password_change(user, session)
    if kind == "no":
        raise ForbiddenError(
            "This user signs in without a password of this server.",
            hint="An admin can give the user a password.",
        )
    check_password(body.new, "new")
    if kind == "change":
        try:
            await _by_password(request, user.email, body.current)
        except AuthError as error:
            # Not 401: who asks is signed in.
            raise ForbiddenError(
                "The current password is another one.",
                where="current",
                hint="Try again, or ask an admin for a sign-in link.",
            ) from error
    hashed = await services.password_workers.run(passwords.hash, body.new)
    changed = await services.books_workers.run(
        services.books.change_user,
        user.user_id,
        UserChange(password_hash=hashed),
        actor=user.actor,
        at=services.clock(),
    )
    opened, token = await sign_in(request, changed, "password", password_hash=hashed)
    return await _answer(request, changed, opened, token)


@router.post("/v1/session/links")
async def make_link(request: Request, caller: Admin) -> JSONResponse:
    """Make a link that signs in once; whoever has it is that user."""
    services: Services = request.app.state.services
    body = LinkBody()
    if "content-type" in request.headers:
        body = await read_document(request, LinkBody, most=MAX_BODY_BYTES)
    email = body.email
    if email is None:
        mine = caller.key_id.startswith("user:")
        email = caller.key_id.removeprefix("user:") if mine else LOCAL_ADMIN

    def make() -> tuple[str, int]:
        now = services.clock()
        found = services.books.user_by_email(email)
        if found is None and email != LOCAL_ADMIN:
            raise NotFoundError("There is no such user.", where="email")
        user = found[0] if found else local_user(
            services.books, LOCAL_ADMIN, actor=caller.key_id, at=now
        )  # fmt: skip
        token, ends_at = new_token(), now + LINK_LIFE_US
        services.books.create_link(
            user.user_id, token=token, ends_at=ends_at, actor=caller.key_id, at=now
        )
        return token, ends_at

    token, ends_at = await services.books_workers.run(make)
    url = link_url(request.app.state.public_url, token)
    return JSONResponse({"url": url, "expires_at": ends_at, "email": folded_email(email)}, 201)


def new_user_id(at: int) -> str:
    """Return the id of a new user."""
    return uuid7(at // 1000, secrets.token_bytes(RANDOM_BYTES))


def local_user(books: Books, email: str, *, actor: str, at: int) -> User:
    """Return the admin of this machine with an e-mail, made if there is none yet."""
    found = books.user_by_email(email)
    if found is None:
        user = User(new_user_id(at), email, "", "admin")
        try:
            return books.create_user(user, actor=actor, at=at)
        except ConflictError:  # somebody else has just made him
            found = books.user_by_email(email)
            assert found is not None
    return found[0]


async def _by_password(request: Request, email: str, password: str) -> tuple[User, str]:
    """Return whose password it is, with its hash.

    Raises:
        AuthError: it is nobody's.
        TooManyAttemptsError: it was tried too often.
    """
    state = request.app.state
    services: Services = state.services
    key = folded_email(email)[:MAX_EMAIL_CHARACTERS]
    _take(request, "password", key)
    found = await services.books_workers.run(services.books.user_by_email, email)
    usable = found is not None and not found[0].disabled
    hashed = found[1] if found is not None and usable else None
    passwords: Passwords = state.passwords
    right = await services.password_workers.run(passwords.matches, hashed, password)
    if found is None or hashed is None or not right:
        raise _wrong(request, "password")
    state.attempts.forget(key)
    return found[0], hashed


async def _by_link(request: Request, token: str) -> User:
    # Not counted: nobody guesses a link, and who is locked out by others' tries comes in by one.
    services: Services = request.app.state.services
    user = None
    if len(token) <= MAX_LINK_CHARACTERS:
        use = services.books.use_link
        user = await services.books_workers.run(use, token, at=services.clock())
    if user is None:
        raise _wrong(request, "link")
    return user


async def _by_demo(request: Request) -> User:
    services: Services = request.app.state.services
    if not services.settings.demo:
        raise ForbiddenError("This is no demo.", hint="Sign in with a password or a link.")
    check_loopback(request)
    _take(request, "demo", None)
    return await services.books_workers.run(
        local_user, services.books, DEMO_ADMIN, actor="demo", at=services.clock()
    )


def _take(request: Request, way: SessionWay, email: str | None) -> None:
    """Count a try to sign in, while there are not too many."""
    state = request.app.state
    attempts: Attempts = state.attempts
    try:
        attempts.take(email, at=state.services.clock())
    except TooManyAttemptsError:
        state.metrics.sign_ins.labels(way, "too_many").inc()
        raise


def _wrong(request: Request, way: SessionWay) -> AuthError:
    request.app.state.metrics.sign_ins.labels(way, "refused").inc()
    return refused()


async def _rehash(request: Request, user: User, password: str, hashed: str) -> None:
    """Keep a password at today's costs, now that it is known."""
    services: Services = request.app.state.services
    passwords: Passwords = request.app.state.passwords
    if passwords.stale(hashed):
        new = await services.password_workers.run(passwords.hash, password)
        await services.books_workers.run(services.books.rehash, user.user_id, old=hashed, new=new)


async def _caller_if_any(request: Request) -> Caller | None:
    try:
        return await caller_of(request)
    except AuthError:
        return None


async def _answer(request: Request, user: User, session: Session, token: str) -> JSONResponse:
    """Return what `GET` says from now on, with the cookie of a session that has begun."""
    told = await _document(request, (user, session), of_user(user).scopes)
    answer = JSONResponse(told)
    give_cookie(request, answer, token)
    return answer


async def _document(
    request: Request, found: tuple[User, Session] | None, scopes: tuple[str, ...]
) -> dict[str, Any]:
    services: Services = request.app.state.services
    settings = services.settings

    def read() -> tuple[bool, bool]:
        return services.books.has_passwords(), services.captured.head() == 0

    passwords, first_start = await services.books_workers.run(read)
    return {
        "user": None if found is None else _shown(*found),
        "scopes": list(scopes),
        "ways": {
            "password": passwords,
            "oidc": settings.oidc_name if settings.oidc_issuer else "",
            "demo": settings.demo,
        },
        "version": __version__,
        "demo": settings.demo,
        "first_start": first_start,
    }


def _shown(user: User, session: Session) -> dict[str, Any]:
    return {
        "user_id": user.user_id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "tenant_id": user.tenant_id,
        "set_password": _password_change(user, session),
    }


def _password_change(user: User, session: Session) -> str:
    """Tell how a user may set his password: `no`, `new`, or `change` with the current one."""
    if user.way == "oidc" or session.way in ("oidc", "demo"):
        return "no"
    return "new" if user.way == "link" or session.way == "link" else "change"
