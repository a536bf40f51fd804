"""Who may show the customer portal in a frame: the setting `portal_frame_ancestors`, read."""

from __future__ import annotations

import re
from typing import Final

from outlay.config_values import parts
from outlay.errors import ConfigError

MAX_ORIGINS: Final = 50
_ORIGIN: Final = re.compile(
    r"https?://(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
    r"(:[0-9]{1,5})?",
    re.ASCII,
)


def origins(text: str) -> tuple[str, ...]:
    """Return the origins of a list by commas, in small letters.

    Raises:
        ConfigError: one is no origin, or there are too many.
    """
    found = tuple(dict.fromkeys(part.lower() for part in parts(text)))
    for one in found:
        if not _ORIGIN.fullmatch(one):
            raise ConfigError(
                f"`{one[:100]}` is no origin.",
                where="portal_frame_ancestors",
                hint="Write `https://app.example.com` or `https://*.example.com`, without a path.",
            )
    if len(found) > MAX_ORIGINS:
        raise ConfigError(
            f"At most {MAX_ORIGINS} origins may show the portal.", where="portal_frame_ancestors"
        )
    return found
