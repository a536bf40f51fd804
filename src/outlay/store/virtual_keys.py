"""The contract of where virtual keys are kept; part of the books.

A key is never deleted and its tenant never changes. Each change gives the keys that it touched the
new revision of the topic `virtual_keys`, so that gateways ask for what changed since the one they
know. Thread-safe; times are microseconds UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from outlay.core.virtual_keys import Priority, VirtualKey

TOPIC: Final = "virtual_keys"
MAX_GRACE_S: Final = 90 * 86_400
"""How long a key may go on working after it was rotated."""


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a key is for and may be used for; see `core.virtual_keys.VirtualKey`."""

    name: str
    tenant_id: str | None = None
    feature: str = ""
    agent: str = ""
    workspace: str = ""
    initiator: str = ""
    upstreams: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    priority: Priority = ""
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """The keys that changed after a revision, in the order of their changes.

    `after` is the revision that they follow: 0 when the one that was asked for is unknown, as in
    books that were restored; then the keys are all there are. `revision` is the one to ask for
    next. `complete` tells whether there is nothing more.
    """

    after: int
    revision: int
    keys: tuple[VirtualKey, ...]
    complete: bool


class VirtualKeyBooks(Protocol):
    """Keys by id; their secrets are seen as hashes only."""

    def create_virtual_key(
        self, terms: KeyTerms, *, secret: str, actor: str, at: int
    ) -> VirtualKey:
        """Store the hash of a secret with its terms.

        Raises `BadRequestError` for terms that are not valid, `ConflictError` for a secret that was
        used before, `TooLargeError` when `MAX_KEYS` keys are of use already.
        """

    def rotate_virtual_key(
        self, key_id: str, *, secret: str, grace_us: int, actor: str, at: int,
        expires_at: int | None = None,
    ) -> tuple[VirtualKey, VirtualKey]:  # fmt: skip
        """Make a key of the same terms in the place of one that ends after a grace time.

        Returns the new key and the old one. `expires_at` is the new one's, by default the same.
        Raises `NotFoundError`, and `ConflictError` for a key that is of no use or ends already.
        """

    def revoke_virtual_key(
        self, key_id: str, *, actor: str, at: int, revoked_at: int | None = None
    ) -> VirtualKey:
        """End a key now or at a time ahead; its end never moves to a later time.

        Raises `NotFoundError`.
        """

    def virtual_key(self, key_id: str) -> VirtualKey | None:
        """Return a key by its id."""

    def virtual_keys(
        self, *, tenant_id: str | None = None, usable_at: int | None = None, limit: int = 1000
    ) -> list[VirtualKey]:
        """Return keys, the newest first: of a tenant, and those of use at a time, if said."""

    def virtual_key_changes(
        self, after: int, *, limit: int, tenant_id: str | None = None
    ) -> KeyChanges:
        """Return about so many keys that changed after a revision, of one tenant if named."""
