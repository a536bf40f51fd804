"""People who sign in: made, changed and disabled by admins. Nobody takes his own rights away.

Another role, tenant or password, or disabling, ends the user's sessions at once.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from outlay.api.auth import Caller, needs
from outlay.api.body import read_document
from outlay.api.passwords import Passwords, check_password
from outlay.api.services import Services
from outlay.api.session import new_user_id
from outlay.api.sign_in import INVITATION_LIFE_US, link_url, new_token
from outlay.errors import ForbiddenError
from outlay.store.people import Role, User, UserChange

MAX_BODY_BYTES: Final = 16 * 1024
MAX_LISTED: Final = 10_000

router = APIRouter()
Admin = Annotated[Caller, Depends(needs("admin"))]


class UserBody(msgspec.Struct, forbid_unknown_fields=True):
    """A user to make; without a password he gets a link to set one."""

    email: str
    role: Role
    name: str = ""
    tenant_id: str | None = None
    password: str | None = None


class UserChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    """What to change of a user; what is left out stays as it is."""

    name: str | None = None
    role: Role | None = None
    tenant_id: str | None = None
    disabled: bool | None = None
    password: str | None = None


@router.get("/v1/users")
async def users(
    request: Request, caller: Admin, limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 1000
) -> dict[str, Any]:
    """List the users, the newest first."""
    del caller
    services: Services = request.app.state.services
    found = await services.books_workers.run(services.books.users, limit=limit)
    return {"users": [asdict(user) for user in found]}


@router.post("/v1/users")
async def create(request: Request, caller: Admin) -> JSONResponse:
    """Make a user; without a password, with a link that signs him in once, to set one."""
    services: Services = request.app.state.services
    body = await read_document(request, UserBody, most=MAX_BODY_BYTES)
    hashed = await _hashed(request, body.password)
    token = new_token()

    def make() -> tuple[User, int | None]:
        now = services.clock()
        user = User(new_user_id(now), body.email, body.name, body.role, body.tenant_id)
        made = services.books.create_user(user, actor=caller.key_id, at=now, password_hash=hashed)
        if hashed is not None:
            return made, None
        ends_at = now + INVITATION_LIFE_US
        services.books.create_link(
            made.user_id, token=token, ends_at=ends_at, actor=caller.key_id, at=now
        )
        return made, ends_at

    made, ends_at = await services.books_workers.run(make)
    link = None if ends_at is None else link_url(request.app.state.public_url, token)
    return JSONResponse({"user": asdict(made), "link": link, "link_expires_at": ends_at}, 201)


@router.put("/v1/users/{user_id}")
async def change(request: Request, user_id: str, caller: Admin) -> dict[str, Any]:
    """Change a user; what takes rights from him ends his sessions."""
    services: Services = request.app.state.services
    body = await read_document(request, UserChangeBody, most=MAX_BODY_BYTES)
    hashed = await _hashed(request, body.password)
    wanted = UserChange(body.name, body.role, body.tenant_id, body.disabled, hashed)

    def write() -> User:
        _check_not_own(services.books.user(user_id), caller, wanted)
        return services.books.change_user(user_id, wanted, actor=caller.key_id, at=services.clock())

    return {"user": asdict(await services.books_workers.run(write))}


async def _hashed(request: Request, password: str | None) -> str | None:
    if password is None:
        return None
    check_password(password, "password")
    services: Services = request.app.state.services
    passwords: Passwords = request.app.state.passwords
    return await services.password_workers.run(passwords.hash, password)


def _check_not_own(user: User | None, caller: Caller, wanted: UserChange) -> None:
    """Check that nobody locks himself out, or sets his own password without the current one."""
    if user is None or caller.key_id != user.actor:
        return
    if wanted.disabled or wanted.role not in (None, user.role):
        raise ForbiddenError("Nobody disables or demotes himself.", hint="Let another admin do it.")
    if wanted.password_hash is not None:
        raise ForbiddenError(
            "Your own password is set with the current one.",
            where="password",
            hint="POST /v1/session/password.",
        )
