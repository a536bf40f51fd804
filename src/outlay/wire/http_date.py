"""The date of an HTTP answer, as RFC 9110 (5.6.7) writes it. Pure: the time is passed in."""

from __future__ import annotations

import functools
from email.utils import formatdate


@functools.lru_cache(maxsize=2)
def http_date(second: int) -> bytes:
    """Return a second since 1970 UTC as the value of a `Date` header."""
    return formatdate(second, usegmt=True).encode("ascii")
