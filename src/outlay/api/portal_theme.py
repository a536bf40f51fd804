"""How a customer portal looks: a few bounded values that a link carries. Pure.

What we sign is checked. What somebody else signed is cut to what is valid, and nothing of the rest
is ever repeated: the values end up in a page's style.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from outlay.errors import BadRequestError

SCHEMES: Final = ("light", "dark", "auto")
MAX_FONT_CHARACTERS: Final = 100
MAX_RADIUS: Final = 32
"""Of corners, in pixels."""
MAX_NAME_CHARACTERS: Final = 64

_ACCENT: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_FONT: Final = re.compile(r"[A-Za-z0-9 ,'\"_-]+")


def _scheme(value: Any) -> bool:
    return isinstance(value, str) and value in SCHEMES


def _accent(value: Any) -> bool:
    return isinstance(value, str) and _ACCENT.fullmatch(value) is not None


def _font(value: Any) -> bool:
    short = isinstance(value, str) and len(value) <= MAX_FONT_CHARACTERS
    return short and _FONT.fullmatch(value) is not None


def _radius(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_RADIUS


def _name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_NAME_CHARACTERS and value.isprintable()


_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "scheme": (_scheme, "`light`, `dark` or `auto`"),
    "accent": (_accent, "a colour such as `#0f62fe`"),
    "font": (
        _font,
        f"a CSS font family of at most {MAX_FONT_CHARACTERS} letters, digits or `, ' \" _ -`",
    ),
    "radius": (_radius, f"a whole number of pixels from 0 to {MAX_RADIUS}"),
    "name": (_name, f"printable text of at most {MAX_NAME_CHARACTERS} characters"),
}  # fmt: skip


def checked_theme(theme: Mapping[str, Any]) -> dict[str, Any]:
    """Return a theme that is to be signed.

    Raises:
        BadRequestError: a part is unknown or not valid; `where` names it.
    """
    for name, value in theme.items():
        if name not in _RULES:
            raise BadRequestError(
                f"A theme has no such part; it has {', '.join(_RULES)}.", where="theme"
            )
        good, meaning = _RULES[name]
        if not good(value):
            raise BadRequestError(f"`theme.{name}` must be {meaning}.", where=f"theme.{name}")
    return dict(theme)


def valid_theme(theme: object) -> dict[str, Any]:
    """Return what is valid of a theme that somebody else signed."""
    if not isinstance(theme, Mapping):
        return {}
    given = {name: theme[name] for name in _RULES if name in theme}
    return {name: value for name, value in given.items() if _RULES[name][0](value)}
