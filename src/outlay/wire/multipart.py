"""Reads the few short fields of a multipart form that say what is asked: model, size, count.

Source: RFC 7578. Files are passed over by their boundaries and never copied. Bounded: only the
first and last `MAX_SCANNED_BYTES` of a form are looked at, for at most `MAX_PARTS` parts.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Final

MAX_SCANNED_BYTES: Final = 256 * 1024
"""How much of a form's head, and of its tail, is looked at; clients put fields at either end."""
MAX_PARTS: Final = 64
MAX_PART_HEADER_BYTES: Final = 1024
MAX_VALUE_BYTES: Final = 256

_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_NAME: Final = re.compile(rb'[;\s]name="?([^";\r\n]{1,64})', re.IGNORECASE)
_FILE: Final = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)


def form_fields(content_type: str, body: bytes, names: AbstractSet[str]) -> dict[str, str]:
    """Return the named fields of a form; of several with one name, the first.

    Args:
        content_type: the request's header, which states the boundary.
        body: the whole form, as far as it is known.
        names: the fields wanted; all others, and all files, are passed over.

    Anything that is no multipart form gives no fields.
    """
    if not content_type.lower().startswith("multipart/form-data"):
        return {}
    stated = _BOUNDARY.search(content_type)
    if stated is None:
        return {}
    delimiter = b"--" + (stated[1] or stated[2]).encode("latin-1", "replace")
    fields: dict[str, str] = {}
    ends = [(0, min(len(body), MAX_SCANNED_BYTES))]
    if len(body) > MAX_SCANNED_BYTES:
        ends.append((max(MAX_SCANNED_BYTES, len(body) - MAX_SCANNED_BYTES), len(body)))
    parts = 0
    for start, end in ends:
        at = body.find(delimiter, start, end)
        while at >= 0 and parts < MAX_PARTS:
            parts += 1
            at += len(delimiter)
            if (field := _field(body, at, delimiter)) is not None and field[0] in names:
                fields.setdefault(*field)
            at = body.find(delimiter, at, end)
    return fields


def _field(body: bytes, start: int, delimiter: bytes) -> tuple[str, str] | None:
    """Return the name and value of the part that starts here, unless it is a file or too long."""
    blank = body.find(b"\r\n\r\n", start, start + MAX_PART_HEADER_BYTES)
    if blank < 0:
        return None
    header = body[start:blank]
    name = _NAME.search(header)
    if name is None or _FILE.search(header):
        return None
    value = blank + 4
    end = body.find(b"\r\n" + delimiter, value, value + MAX_VALUE_BYTES + 2 + len(delimiter))
    if end < 0:
        return None
    return name[1].decode("utf-8", "replace"), body[value:end].decode("utf-8", "replace")
