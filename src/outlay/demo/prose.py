"""Deterministic filler text and numbers, made from a seed text and nothing else.

It holds characters outside ASCII, so that counting bytes instead of characters shows up as a
wrong bill. It knows no clock and no global randomness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

_CORPUS = (
    "The quarterly figures show a steady rise in usage, while the cost of each answer fell. "
    "A customer asked why the invoice differs from the estimate; the agent compared both. "
    "Die Prüfung der Verträge ergab drei offene Punkte, und zwei davon sind dringend. "
    "Section 4.2 obliges the supplier to give notice within thirty days of any change. "
    "El informe resume los hallazgos más importantes y señala qué falta por confirmar. "
    "The function returns early when the cache is warm — otherwise it reads the index. "
    "要点をまとめると、次の三つになります。 Retrieval found seven passages; five agree. "
    "The reviewer suggests a smaller change first: rename the field, then move the check. "
    "Les délais sont tenus, sauf pour la livraison du module de facturation. ✅ "
    "No source contradicts the claim, yet only one of them is newer than last year. "
)
_PIECE_LIMITS = (3, 40)


def fraction(*parts: object) -> float:
    """Return a number in [0, 1) that depends on the parts only."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def prose(seed: str, characters: int) -> str:
    """Return text of exactly so many characters; another seed starts at another place."""
    start = int(fraction("prose", seed) * len(_CORPUS))
    rounds = (start + characters) // len(_CORPUS) + 1
    return (_CORPUS * rounds)[start : start + characters]


def pieces(text: str) -> Iterator[str]:
    """Split text into stream deltas of uneven lengths; the same text splits the same way."""
    low, high = _PIECE_LIMITS
    step = int(fraction("pieces", text) * 97) + 1
    start = 0
    while start < len(text):
        length = low + step % (high - low + 1)
        yield text[start : start + length]
        start += length
        step = (step * 31 + 17) % 9973
