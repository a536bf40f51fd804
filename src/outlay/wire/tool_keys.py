"""Short keys of tool calls, by which a loop of the same calls is seen without keeping any of them.

A key is 64 bits of a hash over the tool's name and its arguments' text, white space outside of
strings left out, so that a call that came in pieces has the key of the same call that came whole.
Text is hashed as it passes and never kept. Pure, and never raises on what a provider may send.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from hashlib import blake2b
from typing import Any, Final

MAX_TOOL_KEYS: Final = 64
"""Tool calls of one reply that get a key; further ones get none."""
KEY_BYTES: Final = 8

_QUOTED: Final = re.compile(r'["\\]')
_SPACE: Final = {ord(sign): None for sign in " \t\r\n"}


class _Call:
    """The hash of one call while its arguments come."""

    __slots__ = ("_escaped", "_hash", "_quoted")

    def __init__(self, name: str) -> None:
        self._hash = blake2b(_bytes(name) + b"\0", digest_size=KEY_BYTES)
        self._quoted = False
        self._escaped = False
        """The last character was a backslash inside a string."""

    def add(self, text: str) -> None:
        """Take the next piece of the arguments' text."""
        kept: list[str] = []
        place = 0
        while place < len(text):
            if self._escaped:
                self._escaped = False
                kept.append(text[place])
                place += 1
            elif self._quoted:
                found = _QUOTED.search(text, place)
                end = len(text) if found is None else found.end()
                kept.append(text[place:end])
                if found is not None:
                    self._quoted = self._escaped = found.group() == "\\"
                place = end
            else:
                end = text.find('"', place) + 1
                self._quoted = end > 0
                end = end or len(text)
                kept.append(text[place:end].translate(_SPACE))
                place = end
        self._hash.update(_bytes("".join(kept)))

    def key(self) -> int:
        """Return the key of what has come so far."""
        return int.from_bytes(self._hash.digest(), "big")


class ToolKeys:
    """The keys of one reply's tool calls, each known by its place in the reply."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[Hashable, _Call] = {}

    def add(self, place: Hashable, name: str | None, arguments: Any = None) -> None:
        """Take a call, or a piece of one that has begun.

        Args:
            place: which call of the reply it is; any hashable.
            name: the tool's name; a call begins with its first piece that has one.
            arguments: JSON text, a piece of it, or the value that it would be.
        """
        call = self._calls.get(place)
        if call is None:
            if not name or len(self._calls) >= MAX_TOOL_KEYS:
                return
            call = self._calls[place] = _Call(name)
        if isinstance(arguments, str):
            call.add(arguments)
        elif arguments:  # a call without arguments comes as an empty object, or with nothing
            call.add(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")))

    def whole(self, place: Hashable, name: str | None, arguments: Any) -> None:
        """Take a call that is told whole, and may be told again."""
        if place not in self._calls:
            self.add(place, name, arguments)

    def keys(self) -> tuple[int, ...]:
        """Return the keys in the order in which the calls began."""
        return tuple(call.key() for call in self._calls.values())


def tool_key(name: str, arguments: Any) -> int:
    """Return the key of one call that is whole; see `ToolKeys.add` for what arguments may be."""
    keys = ToolKeys()
    keys.add(0, name or "-", arguments)
    return keys.keys()[0]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
