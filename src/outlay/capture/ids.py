"""Identifiers of requests, traces, spans and events, from randomness drawn in blocks.

An id costs no system call of its own. A forked child drops what its parent drew, so that the two
never hand out the same id. `once_id` is the exception: made of what it names, with no randomness.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from typing import Final

from outlay.core.ids import RANDOM_BYTES, uuid7

UUID7: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)

PIECE_BYTES: Final = 16
"""Randomness of one id; shorter ids use the beginning of a piece."""
BLOCK_PIECES: Final = 64

_pieces: list[str] = []
"""Random hex digits that nobody has yet."""
_tails: list[str] = []
"""What follows the time in UUIDs that nobody has yet."""


def _block() -> list[bytes]:
    block = os.urandom(PIECE_BYTES * BLOCK_PIECES)
    return [block[at : at + PIECE_BYTES] for at in range(0, len(block), PIECE_BYTES)]


def _piece() -> str:
    """Take 32 random hex digits that nobody else gets."""
    try:
        return _pieces.pop()  # atomic, so threads need no lock
    except IndexError:
        first, *others = [piece.hex() for piece in _block()]
        _pieces.extend(others)
        return first


def _tail() -> str:
    """Take the random part of a UUID version 7 that nobody else gets."""
    try:
        return _tails.pop()
    except IndexError:
        first, *others = [_uuid_tail(piece) for piece in _block()]
        _tails.extend(others)
        return first


def _uuid_tail(piece: bytes) -> str:
    """Write version, variant and randomness of RFC 9562's version 7."""
    digits = piece.hex()
    return f"-7{digits[:3]}-{'89ab'[piece[-1] & 3]}{digits[3:6]}-{digits[6:18]}"


os.register_at_fork(after_in_child=_pieces.clear)
os.register_at_fork(after_in_child=_tails.clear)


def new_id() -> str:
    """Return a UUID version 7."""
    time_digits = f"{time.time_ns() // 1_000_000:012x}"
    return f"{time_digits[:8]}-{time_digits[8:]}{_tail()}"


def once_id(provider: str, once: str, unix_ms: int) -> str:
    """Return the UUID version 7 that every process makes for one response.

    Args:
        provider: who made the response.
        once: what tells the response from all others of that provider.
        unix_ms: the response's own time, alike for all who read it.
    """
    digest = hashlib.sha256(f"{provider}|{once}".encode("utf-8", "replace")).digest()
    return uuid7(unix_ms, digest[:RANDOM_BYTES])


def new_trace_id() -> str:
    """Return a W3C trace id: 32 hex digits."""
    return _piece()


def new_span_id() -> str:
    """Return a W3C span id: 16 hex digits."""
    return _piece()[:16]
