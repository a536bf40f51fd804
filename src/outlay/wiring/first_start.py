"""What new books are given: prices, a first admin key, and a way into the dashboard."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from outlay.api.auth import new_secret
from outlay.api.session import LOCAL_ADMIN, local_user
from outlay.api.sign_in import LINK_LIFE_US, new_token
from outlay.store.base import Books
from outlay.store.books.catalogue import load_catalogue

ADMIN_SCOPES: Final = ("ingest", "read", "admin")


def seed_prices(books: Books, *, at: int, log: Any) -> None:
    """Load the catalogue of the installed package, unless a sync has brought newer prices."""
    source = f"genai-prices {version('genai-prices')}"
    last = books.audit(limit=1, action="prices.save")
    if last and last[0].subject.startswith(f"{source} "):
        return
    changed = books.save_catalogue(load_catalogue(), source=source, actor="server", at=at)
    if changed:
        log.info("prices_loaded", source=source, rows=changed)


def has_admin(books: Books, *, at: int) -> bool:
    """Tell whether any key can still manage the server; without one nobody gets back in."""
    return any(
        "admin" in key.scopes
        and key.revoked_at is None
        and (key.expires_at is None or key.expires_at > at)
        for key in books.keys()  # noqa: SIM118 - not a mapping
    )


def make_first_key(books: Books, *, at: int) -> str:
    """Make an admin key and return its secret, of which only the hash is kept."""
    secret = new_secret()
    books.create_key(
        name="first admin key",
        scopes=ADMIN_SCOPES,
        tenant_id=None,
        secret=secret,
        actor="server",
        at=at,
    )
    return secret


def make_first_link(books: Books, *, at: int) -> str | None:
    """Make a link that signs in once as the local admin and return its token.

    `None` when that user was disabled, or is no admin any more.
    """
    user = local_user(books, LOCAL_ADMIN, actor="server", at=at)
    if user.disabled or user.role != "admin":
        return None
    token = new_token()
    books.create_link(user.user_id, token=token, ends_at=at + LINK_LIFE_US, actor="server", at=at)
    return token
