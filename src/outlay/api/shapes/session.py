"""Shapes of signing in and out."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from outlay.api.session import LinkBody, PasswordBody, SignInBody
from outlay.api.shape import Shape
from outlay.api.shapes.units import Micros
from outlay.store.people import Role

SetPassword = Annotated[
    Literal["no", "new", "change"],
    Meta(description="May set a password: no; without saying the current one; or by saying it."),
]


class SessionUser(Struct):
    """Who is signed in; `tenant_id` is set for the role `tenant` only."""

    user_id: str
    email: str
    name: str
    role: Role
    tenant_id: str | None
    set_password: SetPassword


class SignInWays(Struct):
    """Ways to sign in beside links: `oidc` is the provider's name for people, or empty."""

    password: bool
    oidc: str
    demo: bool


class SessionAnswer(Struct):
    """Who is asking, and what for; `first_start`: no event has ever been stored."""

    user: SessionUser | None
    scopes: list[str]
    ways: SignInWays
    version: str
    demo: bool
    first_start: bool


class SignInLink(Struct):
    """A link that signs in once, as the user of the e-mail."""

    url: str
    expires_at: Micros
    email: str


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/session": Shape(SessionAnswer),
    "POST /v1/session": Shape(SessionAnswer, SignInBody),
    "DELETE /v1/session": Shape(None, status=204),
    "POST /v1/session/password": Shape(SessionAnswer, PasswordBody),
    "POST /v1/session/links": Shape(SignInLink, LinkBody, status=201),
}
