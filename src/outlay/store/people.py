"""The contract of where people, their sessions and their sign-in links are kept; part of the books.

A user is never deleted, and his e-mail never changes. Tokens of sessions and links come in clear
and are kept as SHA-256 only; passwords come hashed already. Thread-safe; times are microseconds
UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, Protocol

Role = Literal["admin", "engineer", "finance", "tenant"]
Way = Literal["password", "oidc", "link"]
"""How a user signs in; `link` is somebody who has no password yet."""
SessionWay = Literal["password", "oidc", "link", "demo"]

ROLE_SCOPES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "admin": ("read", "operate", "admin"),
        "engineer": ("read", "operate"),
        "finance": ("read",),
        "tenant": ("portal",),
    }
)
"""What a user of each role may do, as scopes of keys."""

MAX_USERS: Final = 10_000
MAX_SESSIONS_PER_USER: Final = 20
"""Of the same user at the same time; one more ends the oldest."""
MAX_LINKS_PER_USER: Final = 10
"""Unused ones; one more drops the oldest."""
MAX_EMAIL_CHARACTERS: Final = 250
"""`user:` and an e-mail are together the name of a caller, of at most 256 bytes."""
SESSION_LIFE_US: Final = 7 * 86_400_000_000
"""The longest that a session lasts, however much it is used."""
SEEN_STEP_US: Final = 60_000_000
"""How exactly it is written down when a session was last used."""


def folded_email(email: str) -> str:
    """Return an e-mail as it is kept and compared: without blanks around it, in small letters."""
    return email.strip().lower()


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who signs in. `tenant_id` is set for the role `tenant`, and for no other."""

    user_id: str
    email: str
    name: str
    role: Role
    tenant_id: str | None = None
    disabled: bool = False
    created_at: int = 0
    last_seen_at: int | None = None
    way: Way = "link"

    @property
    def actor(self) -> str:
        """What he is called in the audit log, and as a caller."""
        return f"user:{self.email}"


@dataclass(frozen=True, slots=True)
class UserChange:
    """What to change of a user; `None` is left as it is.

    A tenant goes with the role: one who is no `tenant` any more loses it.
    """

    name: str | None = None
    role: Role | None = None
    tenant_id: str | None = None
    disabled: bool | None = None
    password_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is signed in. It ends at `ends_at`, or when it is not used for a time."""

    user_id: str
    created_at: int
    seen_at: int
    ends_at: int
    way: SessionWay


class PeopleBooks(Protocol):
    """Users by id and e-mail, and what they sign in with."""

    def create_user(
        self, user: User, *, actor: str, at: int, password_hash: str | None = None
    ) -> User:
        """Add a user, who is created `at`, not disabled, and was never seen.

        Raises `BadRequestError` for a part that is not valid, `ConflictError` for an id or e-mail
        that is taken, `TooLargeError` when there are `MAX_USERS`.
        """

    def change_user(self, user_id: str, change: UserChange, *, actor: str, at: int) -> User:
        """Change a user; another role, tenant or password, or disabling, ends what he has open.

        That is his sessions, and his links that are not used yet. Raises `NotFoundError` and
        `BadRequestError`.
        """

    def user(self, user_id: str) -> User | None:
        """Return a user by id."""

    def user_by_email(self, email: str) -> tuple[User, str | None] | None:
        """Return a user by e-mail, however it is written, with the hash of his password."""

    def users(self, *, limit: int = 1000) -> list[User]:
        """Return users, the newest first."""

    def has_passwords(self) -> bool:
        """Tell whether anybody can sign in with a password."""

    def rehash(self, user_id: str, *, old: str, new: str) -> None:
        """Keep another hash of the same password, unless the password changed since."""

    def open_session(
        self, user_id: str, *, token: str, way: SessionWay, at: int, instead: str = "",
        password_hash: str | None = None,
    ) -> Session | None:  # fmt: skip
        """Sign a user in, in the place of the session `instead`, with an audit entry.

        `None` when there is no such user, when he is disabled, or when his password is another one
        than that of the hash, if said.
        """

    def session(self, token: str, *, at: int, idle_us: int) -> tuple[User, Session] | None:
        """Return whose session it is; `None` if it ended, was not used for long, or never was."""

    def session_seen(self, token: str, *, at: int) -> None:
        """Note when a session and its user were last seen; not a mutation, so not audited."""

    def end_session(self, token: str) -> None:
        """End a session; one that is not there is ended already."""

    def create_link(self, user_id: str, *, token: str, ends_at: int, actor: str, at: int) -> None:
        """Let whoever brings the token once, before it ends, sign in as a user.

        Raises `NotFoundError`, and `ConflictError` for a disabled user.
        """

    def use_link(self, token: str, *, at: int) -> User | None:
        """Use up a link and return whose it is; `None` if it is used, over, or never was."""
