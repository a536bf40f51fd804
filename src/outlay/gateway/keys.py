"""The virtual keys that a gateway knows, by the hash of their secrets.

Requests look up, one thread changes; `feed` is what brings the changes. It keeps no secret, and
does not judge whether a key is of use: `VirtualKey.problem` tells it at the time of a call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from outlay.core.virtual_keys import MAX_KEYS, MAX_SECRET_CHARACTERS, VirtualKey, secret_hash


class KeyTable:
    """Keys by secret. Any thread may ask; one thread may change it.

    Args:
        most: how many keys it holds; those of no use make room for others.
        ticks: seconds that only grow.
    """

    def __init__(
        self, *, most: int = MAX_KEYS, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._ticks = ticks
        self._keys: dict[str, VirtualKey] = {}
        self._heard_at = float("-inf")
        self.left_out = 0
        """Keys of use that there was no room for, since the beginning."""

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, secret: str) -> VirtualKey | None:
        """Return the key of a secret, be it of use or not."""
        if len(secret) > MAX_SECRET_CHARACTERS:
            return None
        return self._keys.get(secret_hash(secret))

    def keys(self) -> list[VirtualKey]:
        """Return every key; for the thread that changes them."""
        return list(self._keys.values())

    def apply(self, keys: Iterable[VirtualKey], *, at: int = 0) -> None:
        """Take keys that are new or have changed; `at` tells which are of use, microseconds UTC."""
        known = self._keys
        known.update((key.secret_hash, key) for key in keys)
        if len(known) > self._most:
            self._make_room(at)

    def forget(self, hashed: str) -> None:
        """Know a key no longer, by the hash of its secret."""
        self._keys.pop(hashed, None)

    def replace(self, other: KeyTable) -> None:
        """Hold what another table holds from now on, in one step for those who ask.

        A key that says the same stays the same object, so that what was made of it stays good.
        """
        before = self._keys
        self._keys = {
            hashed: old if (old := before.get(hashed)) == key and old is not None else key
            for hashed, key in other._keys.items()
        }
        self.left_out += other.left_out

    def heard(self, ago_s: float = 0.0) -> None:
        """Note that the server was heard, so many seconds ago: these are its keys."""
        self._heard_at = self._ticks() - ago_s

    @property
    def age_s(self) -> float:
        """Seconds since the server was heard; infinite if it never was."""
        return self._ticks() - self._heard_at

    def _make_room(self, at: int) -> None:
        known = self._keys
        for hashed in [hashed for hashed, key in known.items() if key.problem(at)]:
            del known[hashed]
        while len(known) > self._most:
            known.popitem()
            self.left_out += 1
