"""Shapes of people who sign in."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from outlay.api.shape import Shape
from outlay.api.shapes.units import Micros
from outlay.api.users import UserBody, UserChangeBody
from outlay.store.people import Role, Way


class User(Struct):
    """Somebody who signs in; `tenant_id` is set for the role `tenant` only."""

    user_id: str
    email: str
    name: str
    role: Role
    tenant_id: str | None
    disabled: bool
    created_at: Micros
    last_seen_at: Micros | None
    way: Way


class UserList(Struct):
    """The users, the newest first."""

    users: list[User]


class UserAnswer(Struct):
    """One user."""

    user: User


class NewUser(Struct):
    """A user that was made; without a password, with a link that signs him in once."""

    user: User
    link: str | None
    link_expires_at: Micros | None


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/users": Shape(UserList),
    "POST /v1/users": Shape(NewUser, UserBody, status=201),
    "PUT /v1/users/{user_id}": Shape(UserAnswer, UserChangeBody),
}
