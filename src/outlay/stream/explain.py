"""The slow path of ingest: says what is wrong with one refused event, and what to do about it.

It owns the bounds of single values (`bounds`), the refusal record and its words. It runs only for
items the fast decoder refused. It must not quote values: a client may have put text there that
does not belong in errors or logs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from outlay.core.event import (
    BY_NAME,
    CAPTURED,
    MAX_COUNT,
    MAX_FLAGS,
    MAX_LABELS,
    MAX_OTHER_UNITS,
    MAX_RAW_BYTES,
    MAX_STRING_BYTES,
    SCHEMA_VERSION,
    VALUES,
    Field,
)

MAX_TIME_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
MAX_FLOAT: Final = 1e12
MAX_MESSAGE_NAME: Final = 64
"""Characters of an unknown field's name that a message repeats."""
MAX_SUMMARY_BYTES: Final = 4 * 1024
UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
UUID7: Final = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
)

_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_ITEM_LIMITS: Final = {
    "map_string": MAX_LABELS,
    "map_int64": MAX_OTHER_UNITS,
    "list_string": MAX_FLAGS,
}
_INT_MAX: Final = {"uint8": 255, "int16": 32_767, "int32": 2**31 - 1, "int64": 2**63 - 1}


@dataclass(frozen=True, slots=True)
class Rejected:
    """One refused item: its 0-based place in the batch, a stable code and words for people.

    `raw` is a bounded JSON summary of the item's own known short fields, never its free text.
    """

    index: int
    code: str
    message: str
    event_id: str
    raw: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an event is refused."""

    code: str
    message: str


def bounds(field: Field) -> tuple[int, int]:
    """Return the smallest and largest value of an integer field."""
    high = _INT_MAX[field.type]
    if field.group == "usage" or field.name == "max_tokens":
        high = MAX_COUNT
    return 0, high


def max_items(field: Field) -> int:
    """Return how many entries a map or list field may have."""
    return _ITEM_LIMITS[field.type]


def explain(item: bytes) -> tuple[Problem, str, str]:
    """Return the problem of an item the fast decoder refused, its event id and its summary."""
    try:
        value = msgspec.json.decode(item)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        message = (
            "the item is not valid JSON (NaN, Infinity and lone surrogates are not): correct it"
        )
        return Problem("malformed", message), "", f"{len(item)} bytes that are not JSON"
    if not isinstance(value, dict):
        message = "the item is not an object: send one JSON object per event"
        return Problem("malformed", message), "", f"a JSON {type(value).__name__}"
    event_id = value.get("event_id")
    known_id = event_id if isinstance(event_id, str) and UUID.fullmatch(event_id) else ""
    return _problem(value), known_id, summary(value)


def summary(values: Mapping[str, Any]) -> str:
    """Return known short fields of an event as bounded JSON text, without raw provider objects."""
    kept: dict[str, Any] = {}
    for field in CAPTURED:
        value = values.get(field.name)
        if value is None or value == field.default or field.type == "json":
            continue
        if isinstance(value, str):
            if len(value) <= MAX_STRING_BYTES:
                kept[field.name] = value
        elif isinstance(value, (bool, int, float)):
            kept[field.name] = value
    text = _encode(kept)
    while len(text) > MAX_SUMMARY_BYTES and kept:
        kept.popitem()
        text = _encode(kept)
    return text


def _encode(values: Mapping[str, Any]) -> str:
    try:
        return msgspec.json.encode(values).decode()
    except (msgspec.MsgspecError, UnicodeError, OverflowError):
        return ""


def _problem(value: Mapping[str, Any]) -> Problem:
    version = value.get("schema_version")
    if version is not None and (version != SCHEMA_VERSION or isinstance(version, (bool, float))):
        return Problem(
            "wrong_version",
            f"schema_version is not {SCHEMA_VERSION}: this server reads version {SCHEMA_VERSION} "
            "only; update the client or the server",
        )
    for name in value:
        if name not in BY_NAME or BY_NAME[name].enriched:
            return _unknown(name)
    for field in CAPTURED:
        if field.required and value.get(field.name) is None:
            return Problem("missing_field", f"{field.name} is missing: it is required")
    for field in CAPTURED:
        given = value.get(field.name)
        problem = None if given is None else field_problem(field, given)
        if problem is not None:
            return problem
    return Problem("malformed", "the event does not fit CostEvent version 1: check field types")


def _unknown(name: str) -> Problem:
    if name in BY_NAME:
        return Problem("unknown_field", f"{name} is added by the server: leave it out")
    near = difflib.get_close_matches(name[:MAX_MESSAGE_NAME], [f.name for f in CAPTURED], n=1)
    advice = f"did you mean {near[0]}?" if near else "put your own values into labels"
    shown = name[:MAX_MESSAGE_NAME].encode("ascii", "replace").decode()
    return Problem("unknown_field", f"there is no field {shown!r}: {advice}")


def field_problem(field: Field, value: Any) -> Problem | None:
    """Return what is wrong with one given value of a field, or None."""
    name = field.name
    match field.type:
        case "uuid":
            return _uuid_problem(name, value)
        case "string":
            return _string_problem(name, value)
        case "timestamp":
            return _time_problem(name, value)
        case "json":
            return _json_problem(name, value)
        case "bool":
            return None if isinstance(value, bool) else _type(name, "true or false")
        case "float32":
            return _float_problem(name, value)
        case "map_string" | "map_int64" | "list_string":
            return _items_problem(field, value)
        case _:
            low, high = bounds(field)
            return _int_problem(name, value, low, high)


def _type(name: str, wanted: str) -> Problem:
    return Problem("bad_value", f"{name} must be {wanted}")


def _uuid_problem(name: str, value: Any) -> Problem | None:
    pattern, wanted = (UUID7, "a version 7 UUID") if name == "event_id" else (UUID, "a UUID")
    if isinstance(value, str) and pattern.fullmatch(value):
        return None
    return Problem("bad_uuid", f"{name} must be {wanted} in its usual 36-character text form")


def _text_problem(where: str, value: Any) -> Problem | None:
    if not isinstance(value, str):
        return _type(where, "text")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return _type(where, "valid Unicode text, without lone surrogates")
    if size > MAX_STRING_BYTES:
        return Problem(
            "too_long", f"{where} is {size} bytes: at most {MAX_STRING_BYTES} are allowed"
        )
    return _type(where, "text without NUL characters") if "\0" in value else None


def _string_problem(name: str, value: Any) -> Problem | None:
    allowed = VALUES.get(name)
    if allowed is not None and value not in allowed:
        return _type(name, "one of " + ", ".join(allowed))
    return _text_problem(name, value)


def _int_problem(where: str, value: Any, low: int, high: int) -> Problem | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return _type(where, "a whole number")
    if value < low:
        return Problem("negative", f"{where} is below {low}: counts are never negative")
    return Problem("too_big", f"{where} is above the bound of {high}") if value > high else None


def _float_problem(where: str, value: Any) -> Problem | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _type(where, "a number")
    if value < 0:
        return Problem("negative", f"{where} is below 0")
    return Problem("too_big", f"{where} is above {MAX_FLOAT:g}") if value > MAX_FLOAT else None


def _time_problem(name: str, value: Any) -> Problem | None:
    wanted = "microseconds since 1970 UTC, or RFC 3339 text with a zone"
    if isinstance(value, str):
        try:
            zone = datetime.fromisoformat(value).tzinfo
        except ValueError:
            return _type(name, wanted)
        return _type(name, wanted) if zone is None else None
    if isinstance(value, bool) or not isinstance(value, int):
        return _type(name, wanted)
    return None if 0 <= value <= MAX_TIME_US else _type(name, wanted)


def _json_problem(name: str, value: Any) -> Problem | None:
    text = value if isinstance(value, str) else _encode(value) if value is not None else ""
    return raw_problem(name, text)


def raw_problem(name: str, text: str) -> Problem | None:
    """Return what is wrong with the JSON text of `usage_raw` or `segments`, or None."""
    size = len(text)
    if size * 4 > MAX_RAW_BYTES:
        size = len(text.encode("utf-8", "replace"))
    if size > MAX_RAW_BYTES:
        return Problem("too_long", f"{name} is above {MAX_RAW_BYTES} bytes: leave it out")
    wanted = "a JSON object or array, or the text of one"
    if text.lstrip()[:1] not in ("{", "["):
        return _type(name, wanted)
    try:
        _RAW.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _type(name, wanted)
    return None


def _items_problem(field: Field, value: Any) -> Problem | None:
    name, limit = field.name, max_items(field)
    if not isinstance(value, list if field.type == "list_string" else dict):
        return _type(name, "an array" if field.type == "list_string" else "an object")
    if len(value) > limit:
        return Problem("too_many", f"{name} has {len(value)} entries: at most {limit} are allowed")
    for item in value:
        problem = _text_problem(f"an entry of {name}", item)
        if problem is None and field.type == "map_string":
            problem = _text_problem(f"a value in {name}", value[item])
        elif problem is None and field.type == "map_int64":
            problem = _int_problem(f"a count in {name}", value[item], 0, MAX_COUNT)
        if problem is not None:
            return problem
    return None
