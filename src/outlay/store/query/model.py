"""The logical query: one question, the same for every engine. `parse_query` reads and bounds it.

A question is metrics by dimensions over a window, filtered, in time buckets if asked. The tenant
scope of a key is a part of the question of its own, outside everything the caller can write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from outlay.core.event import MAX_STRING_BYTES
from outlay.errors import QueryError
from outlay.store.query import parse
from outlay.store.query.dimensions import (
    DIMENSIONS,
    FILTER_FIELDS,
    GRAINS,
    LABEL_PREFIX,
    METRICS,
    OPERATORS,
    TIME_COLUMN,
    field_type,
    label_key,
)

QUERY_VERSION: Final = 1
MAX_METRICS: Final = 20
MAX_DIMENSIONS: Final = 8
MAX_FILTERS: Final = 32
MAX_IN_VALUES: Final = 1_000
MAX_ORDER: Final = 8
MAX_LIMIT: Final = 10_000
DEFAULT_LIMIT: Final = 100
DAY_US: Final = 86_400_000_000
MAX_WINDOW_US: Final = 800 * DAY_US
DEFAULT_LAST_US: Final = DAY_US
MAX_BUCKETS: Final = 50_000
"""Bound of time buckets in a window, whether or not they hold anything."""
_GRAIN_US: Final = {"minute": 60_000_000, "hour": 3_600_000_000}

Grain = Literal["none", "minute", "hour", "day", "month"]
Scalar = str | int | float | bool | None
_KEYS: Final = (
    "version", "metrics", "by", "filters", "last", "from", "to", "grain", "timezone", "order",
    "limit",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; `value` is a tuple for `in` and `not_in`. `None` means not set."""

    field: str
    op: str
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A valid question.

    The window is `[start, end)` in microseconds UTC, or the `last_us` before now; an open `end`
    is now. `order` holds column names, `-` before a name is descending. `tenant` is the scope of
    the asking key and always holds, whatever the filters say.
    """

    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    start: int | None = None
    end: int | None = None
    last_us: int | None = None
    grain: Grain = "none"
    timezone: str = "UTC"
    order: tuple[str, ...] = ()
    limit: int = DEFAULT_LIMIT
    tenant: str | None = None

    def window(self, now: int) -> tuple[int, int]:
        """Return `[start, end)` in microseconds UTC."""
        if self.last_us is not None:
            return now - self.last_us, now
        end = now if self.end is None else self.end
        return (end - DEFAULT_LAST_US if self.start is None else self.start), end

    def columns(self) -> tuple[str, ...]:
        """Return the names of the answer's columns: time, dimensions, metrics."""
        time = (TIME_COLUMN,) if self.grain != "none" else ()
        return (*time, *self.by, *self.metrics)

    def ordering(self) -> tuple[tuple[str, bool], ...]:
        """Return (column, descending) pairs; the rest of the columns break ties."""
        if self.order:
            return tuple((name.removeprefix("-"), name.startswith("-")) for name in self.order)
        if self.grain != "none":
            return ((TIME_COLUMN, False), (self.metrics[0], True))
        return ((self.metrics[0], True),)


def parse_query(body: Mapping[str, Any], *, now: int, tenant: str | None = None) -> Query:
    """Read a question from its JSON form.

    Args:
        body: metrics, by, filters, last or from/to, grain, timezone, order, limit.
        now: Microseconds UTC, for an open window.
        tenant: The tenant the asking key is bound to, if any. It cannot be widened by `body`.

    Raises:
        QueryError: A name is unknown (with the nearest known one), a value has the wrong form,
            or a bound is passed; `where` names the part.
    """
    body = parse.mapping(body, "query", _KEYS)
    parse.integer(body.get("version", QUERY_VERSION), "version", low=1, high=QUERY_VERSION)
    metrics = parse.names(body.get("metrics"), "metrics", at_most=MAX_METRICS)
    if not metrics:
        raise QueryError("At least one metric is needed, such as 'cost'.", where="metrics")
    for index, name in enumerate(metrics):
        parse.require_name(name, METRICS, f"metrics[{index}]")
    grain = cast("Grain", parse.require_name(body.get("grain", "none"), GRAINS, "grain"))
    zone_name = body.get("timezone", "UTC")
    tz = parse.zone(zone_name, "timezone")
    query = Query(
        metrics=metrics,
        by=_dimensions(body.get("by")),
        filters=_filters(body.get("filters")),
        start=None if body.get("from") is None else parse.instant(body["from"], "from", tz=tz),
        end=None if body.get("to") is None else parse.instant(body["to"], "to", tz=tz),
        last_us=None if body.get("last") is None else parse.duration(body["last"], "last"),
        grain=grain,
        timezone=zone_name,
        order=parse.names(body.get("order"), "order", at_most=MAX_ORDER),
        limit=parse.integer(body.get("limit", DEFAULT_LIMIT), "limit", low=1, high=MAX_LIMIT),
        tenant=tenant,
    )
    _check_order(query)
    _check_window(query, now)
    return query


def _dimensions(value: object) -> tuple[str, ...]:
    found = parse.names(value, "by", at_most=MAX_DIMENSIONS)
    for index, name in enumerate(found):
        where = f"by[{index}]"
        key = label_key(name)
        if key is None:
            parse.require_name(name, DIMENSIONS, where)
        else:
            _check_label(key, where)
    return found


def _check_label(key: str, where: str) -> None:
    if not key or len(key.encode("utf-8", "replace")) > MAX_STRING_BYTES or "\x00" in key:
        raise QueryError(
            f"'{LABEL_PREFIX}' must be followed by a label key of 1 to {MAX_STRING_BYTES} bytes.",
            where=where,
        )


def _filters(value: object) -> tuple[Filter, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise QueryError("A list of filters is expected.", where="filters")
    if len(value) > MAX_FILTERS:
        raise QueryError(f"At most {MAX_FILTERS} filters are allowed.", where="filters")
    return tuple(_filter(item, f"filters[{index}]") for index, item in enumerate(value))


def _filter(item: object, where: str) -> Filter:
    body = parse.mapping(item, where, ("field", "op", "value"))
    name = body.get("field")
    if isinstance(name, str) and name.startswith(LABEL_PREFIX):
        _check_label(name[len(LABEL_PREFIX) :], f"{where}.field")
    else:
        parse.require_name(name, {**DIMENSIONS, **FILTER_FIELDS}, f"{where}.field")
    kind = field_type(cast("str", name)) or "string"
    op = parse.require_name(body.get("op", "eq"), OPERATORS[kind], f"{where}.op")
    value = body.get("value")
    if op in {"in", "not_in"}:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_IN_VALUES:
            raise QueryError(
                f"'{op}' takes a list of 1 to {MAX_IN_VALUES} values.", where=f"{where}.value"
            )
        return Filter(cast("str", name), op, tuple(_value(v, kind, op, where) for v in value))
    return Filter(cast("str", name), op, _value(value, kind, op, where))


def _value(value: object, kind: str, op: str, where: str) -> Scalar:
    if value is None and op in {"eq", "ne", "in", "not_in"} and kind != "flag":
        return None
    if kind == "bool" and isinstance(value, bool):
        return value
    if (
        kind == "number"
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 2**63
    ):
        return value
    if kind in {"string", "flag"} and isinstance(value, str):
        if len(value.encode("utf-8", "replace")) <= MAX_STRING_BYTES and "\x00" not in value:
            return value
        raise QueryError(
            f"A text of at most {MAX_STRING_BYTES} bytes is expected.", where=f"{where}.value"
        )
    raise QueryError(
        f"A {'text' if kind in {'string', 'flag'} else kind} is expected with '{op}', "
        f"not {parse.shown(value)}.",
        where=f"{where}.value",
    )


def _check_order(query: Query) -> None:
    columns = query.columns()
    seen = set()
    for index, name in enumerate(query.order):
        plain = parse.require_name(name.removeprefix("-"), columns, f"order[{index}]")
        if plain in seen:
            raise QueryError(f"'{plain}' is named twice.", where=f"order[{index}]")
        seen.add(plain)


def _check_window(query: Query, now: int) -> None:
    if query.last_us is not None and (query.start is not None or query.end is not None):
        raise QueryError("Give either 'last' or 'from' and 'to', not both.", where="last")
    start, end = query.window(now)
    where = "last" if query.last_us is not None else "from"
    if start >= end:
        raise QueryError("The window is empty: 'from' must be before 'to'.", where=where)
    if end - start > MAX_WINDOW_US or start < 0:
        raise QueryError(f"The window is longer than {MAX_WINDOW_US // DAY_US} days.", where=where)
    size = _GRAIN_US.get(query.grain)
    if size is not None and (end - start) // size > MAX_BUCKETS:
        raise QueryError(
            f"The window holds more than {MAX_BUCKETS} buckets of a {query.grain}; "
            f"use a coarser grain or a shorter window.",
            where="grain",
        )
