"""The simulator's tokenizer: one token for every four characters of text, rounded up.

It is written apart from `wire.base.estimate_tokens` on purpose, with the same rule: a stream that
is cut before its usage is told can then be compared to the nano-dollar.
"""

from __future__ import annotations

from collections.abc import Iterable

_CHARACTERS = 4


def tokens(characters: int) -> int:
    """Return the tokens of a text of so many characters (Unicode code points)."""
    return (characters + _CHARACTERS - 1) // _CHARACTERS


def characters(texts: Iterable[str]) -> int:
    """Return the length of all texts joined."""
    return sum(len(text) for text in texts)
