"""`record`: one event for anything that costs money and is no HTTP call to a model.

Tools, retrieval, GPU seconds, storage. What is wrong with the arguments is said in the log once
and left out; the event is made all the same.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from outlay.capture.events import put_usage
from outlay.capture.guard import warn_once
from outlay.capture.ids import UUID7, new_id
from outlay.capture.runtime import Runtime
from outlay.capture.scope import Scope, label_map, text, working_scope
from outlay.core.event import MAX_COUNT, MAX_LABELS, VALUES
from outlay.core.ids import RANDOM_BYTES, uuid7
from outlay.core.money import MAX_NANOS, nanos_from_usd

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Time = int | datetime
"""Microseconds since 1970 UTC, or a datetime with a zone."""


def make(
    runtime: Runtime,
    operation: str,
    *,
    name: str,
    units: Mapping[str, int] | None,
    provider: str | None,
    model: str | None,
    cost_nanos: int | None,
    cost_usd: str | Decimal | None,
    status: str,
    started_at: Time | None,
    ended_at: Time | None,
    labels: Mapping[str, Any] | None,
    event_id: str | uuid.UUID | None,
    response_id: str | None,
    provider_request_id: str | None,
    arguments: Any,
) -> str:
    """Make and store one event and return its id; arguments as in `outlay.record`."""
    now = time.time_ns() // 1000
    ended = _time(ended_at, "ended_at")
    started = _time(started_at, "started_at")
    start = started if started is not None else ended if ended is not None else now
    end = max(start, ended if ended is not None else now if started is not None else start)
    made_id = _event_id(event_id, started)
    names = (_name(response_id), _name(provider_request_id))
    if provider and any(names):
        known = runtime.once.told(text(provider), names, made_id)
        if known != made_id:
            return known
    usage = _usage(units)
    fields: dict[str, Any] = {
        "event_id": made_id,
        "call_id": made_id,
        "started_at": start,
        "ended_at": end,
        "operation": _choice("operation", operation, "other"),
        "name": text(name),
        "status": _choice("status", status, "ok"),
        "usage_source": "counted" if usage else "none",
    }
    if end > start:
        fields["latency_ms"] = round((end - start) / 1000, 3)
    if provider:
        fields["provider"] = text(provider)
    if model:
        fields["model_requested"] = text(model)
    if names[0]:
        fields["response_id"] = names[0]
    if names[1]:
        fields["provider_request_id"] = names[1]
    put_usage(fields, usage)
    stated = _stated(cost_nanos, cost_usd)
    if stated is not None:
        fields["provider_cost_nanos"] = stated
    scope = _labelled(working_scope(), labels)
    runtime.submit(fields, scope)
    if event_id is not None and not runtime.once.first(made_id):
        return made_id  # the same thing again, which has been counted
    tenant = runtime.tenant(scope)
    runtime.tally.add(scope.counters, fields, start, tenant=tenant)
    if scope.run is not None:
        from outlay.capture.limits import runs  # loaded only by those who have rules

        runs.spend(scope, runtime.rates.cost_of_fields(fields, start, tenant))
        if arguments is not None:
            runs.used_tool(scope, name, arguments)
    return made_id


def _name(value: str | None) -> str | None:
    return text(value) if value else None


def _choice(name: str, value: str, instead: str) -> str:
    if value in VALUES[name]:
        return value
    warn_once(
        f"record.{name}",
        "outlay.record: %s must be one of %s; recorded as `%s`",
        name, ", ".join(VALUES[name]), instead,
    )  # fmt: skip
    return instead


def _time(value: Any, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return (value - _EPOCH) // _MICROSECOND
    elif isinstance(value, int) and value >= 0:
        return value
    warn_once(
        f"record.{name}",
        "outlay.record: %s must be microseconds UTC or a datetime with a zone; now is used", name,
    )  # fmt: skip
    return None


def _event_id(value: str | uuid.UUID | None, started: int | None) -> str:
    """Return a UUID version 7: the caller's own, or one made of the caller's id and start time."""
    if value is None:
        return new_id()
    given = str(value)
    if UUID7.fullmatch(given):
        return given.lower()
    if started is not None:
        digest = hashlib.sha256(given.encode("utf-8", "replace")).digest()
        return uuid7(started // 1000, digest[:RANDOM_BYTES])
    warn_once(
        "record.event_id",
        "outlay.record: event_id must be a UUID version 7, or be given together with started_at; "
        "a new id is used, so a repeated record counts twice",
    )
    return new_id()


def _usage(units: Mapping[str, Any] | None) -> dict[str, int]:
    usage: dict[str, int] = {}
    for unit, count in (units or {}).items():
        whole = isinstance(count, int) or (isinstance(count, float) and count.is_integer())
        if whole and 0 <= count <= MAX_COUNT:
            if count:
                usage[str(unit)] = int(count)
        else:
            warn_once(
                "record.units",
                "outlay.record: a unit's count must be a whole number from 0; one is left out",
            )
    return usage


def _stated(cost_nanos: int | None, cost_usd: str | Decimal | None) -> int | None:
    try:
        nanos = cost_nanos if cost_usd is None else nanos_from_usd(cost_usd)
    except (TypeError, ValueError):
        nanos = -1
    if nanos is None:
        return None
    if type(nanos) is int and 0 <= nanos <= MAX_NANOS:
        return nanos
    warn_once(
        "record.cost",
        "outlay.record: cost_usd must be a string or a Decimal, cost_nanos an integer, from 0; "
        "the cost is left out",
    )
    return None


def _labelled(scope: Scope, labels: Mapping[str, Any] | None) -> Scope:
    """Return the scope with an event's own labels, which win over the context's."""
    if not labels:
        return scope
    own = label_map(labels)
    merged = dict(list({**own, **scope.labels, **own}.items())[:MAX_LABELS])
    return Scope(scope.values, merged, outer=scope, counters=scope.counters)
