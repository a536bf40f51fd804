"""Request bytes to validated events, and events to Arrow columns: the hot path of ingest.

It owns the event type that is derived from the field table, the checks that need a clock or the
whole batch, and the conversion to `CAPTURED_SCHEMA`. Types, lengths and closed vocabularies are
checked by the compiled decoder; only an item that it refuses goes through `explain`, one by one,
so that one bad item never spoils the rest. It must not read a clock, enrich or store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from outlay.core.event import (
    CAPTURED,
    MAX_COUNT,
    MAX_RAW_BYTES,
    MAX_STRING_BYTES,
    SCHEMA_VERSION,
    UNATTRIBUTED,
    VALUES,
    Field,
)
from outlay.errors import TooLargeError
from outlay.stream.explain import (
    MAX_FLOAT,
    MAX_TIME_US,
    UUID,
    Problem,
    Rejected,
    bounds,
    explain,
    max_items,
    raw_problem,
    summary,
)
from outlay.stream.judge import Limits, check_ids, check_texts, check_times, check_uuids
from outlay.stream.table import to_table

__all__ = ["CapturedEvent", "Decoded", "Limits", "Rejected", "decode_batch", "encode", "to_table"]

MAX_COMMAS_PER_EVENT: Final = 160
"""Bounds the items a body can hold before any is made: an event has fewer commas than this."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_OPENING: Final = b"{["
_QUOTE: Final = ord('"')
_ESCAPE: Final = re.compile(rb"\\u")
_NULL: Final = re.compile(rb'null(?<!\\":null)(?<!\\": null)')
"""A null outside of JSON that stands as text inside JSON, where quotes are escaped."""
_ABSENT: Final = msgspec.Raw(b"null")
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)

_Text = Annotated[str, msgspec.Meta(max_length=MAX_STRING_BYTES)]
_Uuid = Annotated[str, msgspec.Meta(min_length=36, max_length=36)]
_Time = (
    Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_US)] | Annotated[datetime, msgspec.Meta(tz=True)]
)
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
_PLAIN: Final[dict[str, Any]] = {
    "uuid": _Uuid,
    "timestamp": _Time,
    "bool": bool,
    "float32": Annotated[float, msgspec.Meta(ge=0, le=MAX_FLOAT)],
}
_ITEMS: Final[dict[str, Any]] = {
    "map_string": dict[_Text, _Text],
    "map_int64": dict[_Text, _Count],
    "list_string": list[_Text],
}


Screen = Callable[[Sequence[Any]], Mapping[int, Problem]]
"""A caller's own check of a batch: problems by the event's place in the given sequence."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a body held: valid events in order, refused items, and how many events came twice.

    `readable` is False when not even the items could be told apart; `rejected` then says why.
    Events that came twice in the batch are kept once and count as accepted.
    """

    events: list[Any] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    duplicates: int = 0
    readable: bool = True


def _annotation(spec: Field) -> Any:
    if spec.name == "schema_version":
        return Literal[SCHEMA_VERSION]
    if spec.type in _PLAIN:
        return _PLAIN[spec.type]
    if spec.type in _ITEMS:
        return Annotated[_ITEMS[spec.type], msgspec.Meta(max_length=max_items(spec))]
    if spec.type == "string":
        values = VALUES.get(spec.name)
        return _Text if values is None else Literal[values]
    low, high = bounds(spec)
    return Annotated[int, msgspec.Meta(ge=low, le=high)]


def _member(spec: Field) -> tuple[str, Any] | tuple[str, Any, Any]:
    if spec.type == "json":
        return spec.name, msgspec.Raw, _ABSENT
    if spec.required:
        return spec.name, _annotation(spec)
    return spec.name, _annotation(spec) | None, spec.default


CapturedEvent: Any = msgspec.defstruct(
    "CapturedEvent",
    [_member(spec) for spec in CAPTURED],
    module=__name__,
    kw_only=True,
    gc=False,
    forbid_unknown_fields=True,
    omit_defaults=True,
)
"""One event as a client sends it. After `decode_batch` times are integers and JSON is text."""


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    events: list[CapturedEvent]


class _RawEnvelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    events: list[msgspec.Raw]


_EVENT: Final = msgspec.json.Decoder(CapturedEvent)
_EVENTS: Final = msgspec.json.Decoder(list[CapturedEvent])
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_RAW_EVENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_ENVELOPE: Final = msgspec.json.Decoder(_RawEnvelope)
_STRING: Final = msgspec.json.Decoder(str)

_JSON_NAMES: Final = tuple(f.name for f in CAPTURED if f.type == "json")
_DEFAULTS: Final = tuple(
    (f.name, f.default) for f in CAPTURED if not f.required and f.default is not None
)


def decode_batch(
    body: bytes, *, ndjson: bool, now: int, limits: Limits, screen: Screen | None = None
) -> Decoded:
    """Decode and check one request body; `now` is microseconds UTC.

    A JSON body is an array of events or `{"events": [...]}`; with `ndjson` it is one event a line
    and an index counts lines that are not blank. Bad items become `rejected` and never raise.
    `screen` sees the well-formed events before duplicates are dropped; it may change them.

    Raises:
        TooLargeError: if there are more than `limits.max_events` items.
    """
    events = _decode_whole(body, ndjson)
    rejected: list[Rejected] = []
    if events is not None:
        if len(events) > limits.max_events:
            raise _too_many(limits)
        kept = events
        indexes: Sequence[int] = range(len(events))
    else:
        _check_number(body, ndjson, limits)
        items = _items(body, ndjson)
        if isinstance(items, Problem):
            refusal = Rejected(0, items.code, items.message, "", f"{len(body)} bytes")
            return Decoded(rejected=[refusal], readable=False)
        if len(items) > limits.max_events:
            raise _too_many(limits)
        kept, indexes, rejected = _decode_each(items)
    if not kept:
        return Decoded(rejected=rejected)
    return _judged(kept, indexes, rejected, _Hints.of(body), now, limits, screen)


def encode(events: Iterable[Any]) -> bytes:
    """Return events as a JSON array that `decode_batch` reads back equal."""
    return msgspec.json.encode(list(events))


@dataclass(frozen=True, slots=True)
class _Hints:
    """What one scan of the body rules out, so that the per-event checks can be skipped."""

    plain: bool  # no byte above ASCII, no escape: characters are bytes, and there is no NUL
    said: bool  # no null: nothing has to be replaced by a default

    @classmethod
    def of(cls, body: bytes) -> _Hints:
        # A compiled pattern scans for more than one byte faster than `in` does; for one, `in` wins.
        escaped = b"\\" in body and _ESCAPE.search(body)
        return cls(body.isascii() and not escaped, not _NULL.search(body))


def _too_many(limits: Limits) -> TooLargeError:
    return TooLargeError(
        f"the batch holds more than {limits.max_events} events", where="the request body"
    )


def _check_number(body: bytes, ndjson: bool, limits: Limits) -> None:
    items = body.count(b"\n") if ndjson else body.count(b",") // MAX_COMMAS_PER_EVENT
    if items > limits.max_events:
        raise _too_many(limits)


def _decode_whole(body: bytes, ndjson: bool) -> list[Any] | None:
    try:
        if ndjson:
            return _EVENT.decode_lines(body)
        if body.lstrip()[:1] == b"[":
            return _EVENTS.decode(body)
        return _ENVELOPE.decode(body).events
    except _UNREADABLE:
        return None


def _items(body: bytes, ndjson: bool) -> Sequence[bytes | msgspec.Raw] | Problem:
    if ndjson:
        return [line for line in body.split(b"\n") if line.strip()]
    try:
        if body.lstrip()[:1] == b"[":
            return _RAW_EVENTS.decode(body)
        return _RAW_ENVELOPE.decode(body).events
    except msgspec.ValidationError:
        forms = 'an array of events, {"events": [...]}, or lines as application/x-ndjson'
        return Problem("malformed", f"the body must be {forms}")
    except _UNREADABLE:
        return _lenient_items(body)


def _lenient_items(body: bytes) -> Sequence[bytes] | Problem:
    """Take a body apart that holds what only some writers call JSON: NaN, lone surrogates.

    The items that hold such a thing are refused later, by themselves.
    """
    unreadable = Problem("malformed", "the body is not valid JSON: nothing of it was read")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return unreadable
    if isinstance(value, dict):
        value = value.get("events")
    return [json.dumps(i).encode() for i in value] if isinstance(value, list) else unreadable


def _decode_each(
    items: Sequence[bytes | msgspec.Raw],
) -> tuple[list[Any], list[int], list[Rejected]]:
    kept: list[Any] = []
    indexes: list[int] = []
    rejected: list[Rejected] = []
    for index, item in enumerate(items):
        try:
            kept.append(_EVENT.decode(item))
            indexes.append(index)
        except _UNREADABLE:
            problem, event_id, text = explain(bytes(item))
            rejected.append(Rejected(index, problem.code, problem.message, event_id, text))
    return kept, indexes, rejected


def _judged(
    events: list[Any],
    indexes: Sequence[int],
    rejected: list[Rejected],
    hints: _Hints,
    now: int,
    limits: Limits,
    screen: Screen | None,
) -> Decoded:
    problems: dict[int, Problem] = {}
    if not hints.said:
        _fill_defaults(events)
    _settle_json(events, problems)
    if not hints.plain:
        check_texts(events, problems)
    ids = [event.event_id for event in events]
    if "" in [event.tenant_id for event in events]:
        for event in events:
            event.tenant_id = event.tenant_id or UNATTRIBUTED
    id_ms = check_ids(ids, problems)
    check_uuids("call_id", [event.call_id for event in events], problems)
    check_uuids("adjusts_event_id", [event.adjusts_event_id for event in events], problems)
    starts = _times(events, "started_at", [event.started_at for event in events])
    ends = _times(events, "ended_at", [event.ended_at for event in events])
    check_times(id_ms, starts, ends, problems, now, limits)
    if screen is not None:
        for row, found in screen(events).items():
            problems.setdefault(row, found)
    duplicates = 0
    if problems or len(set(ids)) != len(ids) or not "".join(ids).islower():
        seen: set[str] = set()
        good: list[Any] = []
        for row, event in enumerate(events):
            problem = problems.get(row)
            if problem is not None:
                rejected.append(_rejected(indexes[row], problem, event))
            elif (key := event.event_id.lower()) in seen:
                duplicates += 1
            else:
                seen.add(key)
                good.append(event)
        rejected.sort(key=lambda refusal: refusal.index)
        events = good
    return Decoded(events, rejected, duplicates)


def _rejected(index: int, problem: Problem, event: Any) -> Rejected:
    known_id = event.event_id if UUID.fullmatch(event.event_id) else ""
    values = {spec.name: getattr(event, spec.name) for spec in CAPTURED}
    return Rejected(index, problem.code, problem.message, known_id, summary(values))


def _fill_defaults(events: list[Any]) -> None:
    """Read null as not said: it means the field's default."""
    for event in events:
        for name, default in _DEFAULTS:
            if getattr(event, name) is None:
                setattr(event, name, default)


def _settle_json(events: list[Any], problems: dict[int, Problem]) -> None:
    """Turn each JSON field, given as an object or as the text of one, into checked text."""
    for name in _JSON_NAMES:
        for row, event in enumerate(events):
            raw = getattr(event, name)
            text: str | None = None
            if raw is not _ABSENT:
                part = bytes(raw)
                try:
                    text = _json_text(part)
                except _UNREADABLE:
                    problems.setdefault(row, Problem("bad_value", f"{name} is not valid JSON"))
                # What came as an object was parsed with the body; only its size is left to check.
                known = part[0] in _OPENING and len(part) <= MAX_RAW_BYTES
                if text is not None and not known:
                    problem = raw_problem(name, text)
                    if problem is not None:
                        problems.setdefault(row, problem)
            setattr(event, name, text)


def _json_text(raw: bytes) -> str | None:
    if raw[0] == _QUOTE:
        return _STRING.decode(raw)
    return None if raw == b"null" else raw.decode()


def _times(events: list[Any], name: str, column: Sequence[Any]) -> npt.NDArray[np.int64]:
    try:
        return np.fromiter(column, np.int64, len(column))
    except TypeError:
        for event in events:
            value = getattr(event, name)
            if isinstance(value, datetime):
                setattr(event, name, (value - _EPOCH) // _MICROSECOND)
        return np.fromiter((getattr(event, name) for event in events), np.int64, len(events))
