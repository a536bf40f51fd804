"""Identifiers of requests, traces, spans and events, from randomness drawn in blocks.

An id costs no system call of its own. A forked child drops what its parent drew, so that the two
never hand out the same id.
"""

from __future__ import annotations

import os
import time
from typing import Final

from outlay.core.ids import RANDOM_BYTES, uuid7

PIECE_BYTES: Final = 16
"""Randomness of one id; shorter ids use the beginning of a piece."""
BLOCK_PIECES: Final = 64

_pieces: list[bytes] = []


def _piece() -> bytes:
    """Take 16 random bytes that nobody else gets."""
    try:
        return _pieces.pop()  # atomic, so threads need no lock
    except IndexError:
        block = os.urandom(PIECE_BYTES * BLOCK_PIECES)
        starts = range(PIECE_BYTES, len(block), PIECE_BYTES)
        _pieces.extend([block[at : at + PIECE_BYTES] for at in starts])
        return block[:PIECE_BYTES]


os.register_at_fork(after_in_child=_pieces.clear)


def new_id() -> str:
    """Return a UUID version 7."""
    return uuid7(time.time_ns() // 1_000_000, _piece()[:RANDOM_BYTES])


def new_trace_id() -> str:
    """Return a W3C trace id: 32 hex digits."""
    return _piece().hex()


def new_span_id() -> str:
    """Return a W3C span id: 16 hex digits."""
    return _piece()[:8].hex()
