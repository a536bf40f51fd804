"""A browser with cookies of its own, as our pages use it, and people to sign in with it."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from outlay.api.passwords import Passwords
from outlay.store.people import Role, User
from tests.unit.api.shaped import Shaped
from tests.unit.api.site import Site

PASSWORD = "correct horse battery"
CHEAP = Passwords(time_cost=1, memory_kib=8)
"""Hashes that cost nothing, so that tests are quick."""


def person(
    site: Site, role: Role, email: str = "", *, tenant: str | None = None, password: str = PASSWORD
) -> User:
    """Make a user with a password."""
    site.app.state.passwords = CHEAP
    email = email or f"{role}@example.com"
    return site.books.create_user(
        User(f"u-{email}", email, role.title(), role, tenant),
        actor="test", at=1, password_hash=CHEAP.hash(password),
    )  # fmt: skip


class Browser:
    """Sends what a page of ours sends; `cookie` is the session's token."""

    def __init__(self, site: Site, url: str = "http://testserver") -> None:
        self.client = TestClient(Shaped(site.app), base_url=url)

    def call(self, method: str, path: str, **parts: Any) -> Any:
        """Send a request as our page does."""
        headers = {"X-Outlay-Client": "web", **parts.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **parts)

    def bare(self, method: str, path: str, **parts: Any) -> Any:
        """Send a request without the header of our page."""
        return self.client.request(method, path, **parts)

    def enter(self, email: str, password: str = PASSWORD, **parts: Any) -> Any:
        """Sign in with a password."""
        body = {"email": email, "password": password}
        return self.call("POST", "/v1/session", json=body, **parts)

    @property
    def cookie(self) -> str:
        """The session's token, empty when there is none."""
        names = ("outlay_session", "__Host-outlay_session")
        return next(filter(None, map(self.client.cookies.get, names)), "")


def signed_in(site: Site, role: Role, *, tenant: str | None = None) -> Browser:
    """Return a browser in which a new user of a role is signed in."""
    user = person(site, role, tenant=tenant)
    browser = Browser(site)
    assert browser.enter(user.email).status_code == 200
    return browser
