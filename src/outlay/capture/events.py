"""Makes the event's JSON text: from a `Reading`, and from what `record` was told.

Only fields that differ from their default are written; attribution is encoded once per scope and
pasted in. It owns the bounds of what leaves the process, and that no prompt, completion or header
is ever in it. It does no I/O.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from outlay.capture.scope import VERIFIED_BY, Scope, text
from outlay.core.event import (
    MAX_COUNT,
    MAX_FLAGS,
    MAX_OTHER_UNITS,
    MAX_RAW_BYTES,
    UNATTRIBUTED,
    VALUES,
)
from outlay.core.money import MAX_NANOS
from outlay.core.units import EVENT_UNITS
from outlay.wire.base import Reading

_COLUMNS: Final = frozenset(EVENT_UNITS)
_OPERATIONS: Final = frozenset(VALUES["operation"])
_MAX_INT16: Final = 2**15 - 1
_MAX_INT32: Final = 2**31 - 1

quoted: Final[Callable[[str], str]] = json.encoder.encode_basestring_ascii
"""A text as JSON: much cheaper than an encoder where it is known to be a text."""


def _encoder() -> Callable[[Any], str]:
    """Make an encoder once; `JSONEncoder.encode` makes its own on every call."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
    # markers, default, text encoder, indent, separators, sort_keys, skipkeys, allow_nan
    chunks = make(None, _unknown, quoted, None, ":", ",", False, False, False)
    join = "".join
    return lambda value: join(chunks(value, 0))


def _unknown(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is not JSON")


dumps: Final = _encoder()


_WORDS: Final = (
    "operation", "status", "billed", "usage_source", "batch", "streamed", "provider", "vendor",
    "surface", "host_class", "region_class", "model_requested", "model_served", "deployment",
    "tier_requested", "tier_served", "speed", "error_type", "finish_reason",
)  # fmt: skip
"""What has few different values in one process: encoded once for each combination."""
_words_of: Final = attrgetter(*_WORDS)
_word: Final = lru_cache(maxsize=1024)(text)


class Defaults:
    """What settings say about events whose context does not; a new object when they change."""

    __slots__ = ("fields",)

    def __init__(self, *, tenant: str = "", service: str = "", environment: str = "") -> None:
        self.fields = {
            "tenant_id": text(tenant) if tenant else UNATTRIBUTED,
            "tenant_source": "default" if tenant else "none",
        }
        if service:
            self.fields["service"] = text(service)
        if environment:
            self.fields["environment"] = text(environment)


def attribution(scope: Scope, defaults: Defaults) -> str:
    """Return the scope's attribution as the inside of a JSON object; encoded once per scope."""
    kept = scope.fragment
    if kept is not None and kept[0] is defaults:
        return kept[1]
    values = {**defaults.fields, **scope.values}
    made = ",".join([f'"{name}":{quoted(value)}' for name, value in values.items()])
    if VERIFIED_BY in values:
        made = f'{made},"context_verified":true'
    if scope.labels:
        made = f'{made},"labels":{dumps(dict(scope.labels))}'
    scope.fragment = (defaults, made)
    return made


def encode(fields: dict[str, Any], fragment: str) -> str:
    """Join an event's own fields, and text from `words` and `attribution`, into one object."""
    try:
        made = dumps(fields)
    except ValueError:  # NaN or infinity, which JSON does not have
        fields.pop("usage_raw", None)
        made = dumps(fields)
    if len(made) > MAX_RAW_BYTES:
        made = dumps(_without_oversize(fields))
    return f"{made[:-1]},{fragment}}}" if fields else f"{{{fragment}}}"


def _without_oversize(fields: dict[str, Any]) -> dict[str, Any]:
    for name in ("usage_raw", "segments"):
        if name in fields and len(dumps(fields[name])) > MAX_RAW_BYTES:
            del fields[name]
            found = [*fields.get("findings", ()), f"{name}_too_large"]
            fields["findings"] = found[-MAX_FLAGS:]
    return fields


def head(event_id: str, call_id: str, started_at: int, elapsed_ns: int) -> str:
    """Return an attempt's ids and times as the inside of a JSON object; the ids are UUIDs."""
    rounded = (elapsed_ns + 500) // 1000
    return (
        f'"event_id":"{event_id}","call_id":"{call_id}","started_at":{started_at},'
        f'"ended_at":{started_at + elapsed_ns // 1000},"latency_ms":{rounded / 1000}'
    )


def words(reading: Reading) -> str:
    """Return what has few different values as the inside of a JSON object."""
    return _encoded_words(_words_of(reading))


@lru_cache(maxsize=1024)
def _encoded_words(values: tuple[Any, ...]) -> str:
    fields = {
        name: value if value is True else text(value)
        for name, value in zip(_WORDS, values, strict=True)
        if value
    }
    if fields.get("operation") not in _OPERATIONS:
        fields["operation"] = "other"
    for name, usual in (("billed", "yes"), ("usage_source", "provider")):
        if fields.get(name) == usual:
            del fields[name]
    return dumps(fields)[1:-1]


def fill(fields: dict[str, Any], reading: Reading) -> None:
    """Add what the reading says, beside its `words`, to an event's fields."""
    if reading.provider_request_id:
        fields["provider_request_id"] = text(reading.provider_request_id)
    if reading.response_id:
        fields["response_id"] = text(reading.response_id)
    if reading.http_status is not None:
        fields["http_status"] = min(max(reading.http_status, 0), _MAX_INT16)
    if reading.tool_calls:
        fields["tool_calls"] = min(reading.tool_calls, _MAX_INT32)
    if reading.max_tokens is not None:
        fields["max_tokens"] = min(max(reading.max_tokens, 0), MAX_COUNT)
    if reading.provider_cost_nanos is not None:
        fields["provider_cost_nanos"] = min(max(reading.provider_cost_nanos, 0), MAX_NANOS)
    put_usage(fields, reading.usage)
    if reading.usage_raw:
        fields["usage_raw"] = reading.usage_raw
    if reading.segments:
        fields["segments"] = [
            {"model": _word(s.model), "usage": s.usage, "kind": _word(s.kind)}
            for s in reading.segments
        ]
    if reading.findings:
        fields["findings"] = [text(finding, 128) for finding in reading.findings[:MAX_FLAGS]]


def put_usage(fields: dict[str, Any], usage: Mapping[str, int]) -> None:
    """Put counts into their columns, and the rest into `other_units`."""
    other: dict[str, int] = {}
    for unit, count in usage.items():
        bounded = count if 0 < count <= MAX_COUNT else min(max(count, 0), MAX_COUNT)
        if unit in _COLUMNS:
            fields[unit] = bounded
        elif len(other) < MAX_OTHER_UNITS:
            other[text(unit, 64)] = bounded
    if other:
        fields["other_units"] = other
