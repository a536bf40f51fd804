"""Shape of the answer when something is wrong, whatever was asked."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class Problem(Struct):
    """What is wrong and what to do about it; `where` names the part of the request."""

    code: str
    message: str
    hint: str
    where: str | UnsetType = UNSET


class Failure(Struct):
    """The answer of every status of 400 and more, but where another is said."""

    error: Problem
