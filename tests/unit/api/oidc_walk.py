"""A server that signs people in by the issuer of the tests, and a browser that walks there."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from outlay.api.oidc import CALLBACK, START
from outlay.config import Settings
from outlay.store.people import Role, User
from tests.unit.api.oidc_issuer import CLIENT, SECRET, Issuer
from tests.unit.api.served import Served
from tests.unit.api.site import NOW, Site

COOKIE = "outlay_sign_on"


class Walker:
    """A browser: keeps cookies, and follows only where a test lets it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(trust_env=False, timeout=20)

    def start(self, after: str | None = "/app/") -> httpx.Response:
        """Ask to sign in."""
        params = {} if after is None else {"next": after}
        return self.client.get(self.url + START, params=params)

    def follow(self, answer: httpx.Response) -> httpx.Response:
        """Go where an answer sends the browser."""
        assert answer.status_code == 302, answer.text
        return self.client.get(str(answer.url.join(answer.headers["location"])))

    def way_back(self, after: str | None = "/app/") -> str:
        """Sign in at the provider; return the address that leads back to the server."""
        to_provider = self.start(after)
        assert to_provider.headers["location"].startswith("http://localhost:"), to_provider.headers
        at_provider = self.follow(to_provider)
        assert at_provider.status_code == 302, at_provider.text
        back: str = at_provider.headers["location"]
        assert back.startswith(self.url + CALLBACK)
        return back

    def sign_in(self, after: str | None = "/app/") -> httpx.Response:
        """Walk the whole way; return the last answer, which leads to a page."""
        return self.client.get(self.way_back(after))

    def user(self) -> dict[str, Any] | None:
        """Return who the server says is signed in."""
        found: dict[str, Any] | None = self.client.get(f"{self.url}/v1/session").json()["user"]
        return found

    def close(self) -> None:
        self.client.close()


class Stage:
    """A site that listens, and its issuer; both end with it."""

    def __init__(self, folder: Path, *, algorithm: str = "RS256", **settings: Any) -> None:
        self.issuer = Issuer(lambda: self.site.now if hasattr(self, "site") else NOW,
                             algorithm=algorithm)  # fmt: skip
        chosen = {
            "oidc_issuer": self.issuer.url, "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET, **settings,
        }  # fmt: skip
        folder.mkdir(exist_ok=True)
        self.site = Site(folder, Settings(**chosen))
        self.served = Served(self.site)
        self.url = self.served.url
        # As wiring does, where no `public_url` is set.
        self.site.app.state.public_url = self.url
        self.issuer.redirects.add(self.url + CALLBACK)
        self._walkers: list[Walker] = []

    def walker(self) -> Walker:
        """Return a new browser."""
        made = Walker(self.url)
        self._walkers.append(made)
        return made

    def person(self, role: Role = "finance", email: str = "ann@example.com", **more: Any) -> User:
        """Make a user who has not signed in yet."""
        user = User(f"u-{email}", email, "Ann", role, **more)
        return self.site.books.create_user(user, actor="test", at=1)

    def reasons(self) -> list[tuple[str, str]]:
        """Return what the log says of who was not let in: codes and reasons."""
        lines = map(json.loads, self.site.log_text.getvalue().splitlines())
        return [(one["code"], one["reason"]) for one in lines if one["event"] == "sign_on"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for walker in self._walkers:
            walker.close()
        self.served.end()
        self.site.close()
        self.issuer.close()


def refused(answer: httpx.Response) -> str:
    """Return the code that the sign-in page is told."""
    assert answer.status_code == 302, answer.text
    where, _, code = answer.headers["location"].partition("?error=")
    assert where == "/app/login", answer.headers["location"]
    assert "outlay_session" not in answer.headers.get("set-cookie", "")
    return code
