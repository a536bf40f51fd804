"""What customers may ask: the grammar of questions, cut down to what is theirs to know.

Everything that is not named here is refused, so that a new metric or dimension is never shown to
customers by itself. The tenant is a part of the question that the body cannot touch. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from outlay.config import Settings
from outlay.config_values import parts
from outlay.errors import ConfigError, QueryError
from outlay.store.base import Answer
from outlay.store.query import parse
from outlay.store.query.dimensions import TIME_COLUMN, label_key
from outlay.store.query.model import MAX_METRICS, MAX_ORDER, Query, parse_query

METRICS: Final[Mapping[str, str]] = {
    "charges": "sell",
    **{
        name: name
        for name in (
            "credits", "calls", "requests", "users", "tokens", "input_tokens", "output_tokens",
            "cache_read_tokens", "errors",
        )
    },
}  # fmt: skip
"""What the portal calls a metric, and what it is called elsewhere."""
DIMENSIONS: Final = (
    "feature", "agent", "agent_root", "workflow", "user", "workspace", "billing_unit", "model",
    "model_requested", "model_served", "vendor", "operation", "name", "environment", "service",
    "status", "initiator",
)  # fmt: skip
"""What `portal_dimensions` may name, beside labels: nothing of how we buy and price."""
MAX_DIMENSIONS: Final = 16

_KEYS: Final = (
    "version", "metrics", "by", "filters", "last", "from", "to", "grain", "timezone", "order",
    "limit",
)  # fmt: skip
_NAMES: Final = {known: shown for shown, known in METRICS.items()}
_HINT: Final = "`GET /v1/portal/me` lists what may be split and filtered by."


def portal_dimensions(settings: Settings) -> tuple[str, ...]:
    """Return what customers may split and filter their usage by.

    Raises:
        ConfigError: the setting names something that is not theirs to know, or too much.
    """
    names = tuple(dict.fromkeys(parts(settings.portal_dimensions)))
    for name in names:
        if name not in DIMENSIONS and not label_key(name):
            raise ConfigError(
                f"Customers cannot split their usage by {parse.shown(name)}.",
                where="portal_dimensions",
                hint=f"They can by {', '.join(DIMENSIONS)}, and by labels (`label.<key>`).",
            )
    if len(names) > MAX_DIMENSIONS:
        raise ConfigError(
            f"At most {MAX_DIMENSIONS} dimensions can be named.", where="portal_dimensions"
        )
    return names


def read_question(
    body: Mapping[str, Any], *, dimensions: Sequence[str], now: int, tenant: str
) -> Query:
    """Read a customer's question.

    Raises:
        QueryError: it names what is not known here, or is not valid.
    """
    with _own_hint():
        body = parse.mapping(body, "query", _KEYS)
        metrics = parse.names(body.get("metrics"), "metrics", at_most=MAX_METRICS)
        if not metrics:
            raise QueryError("At least one metric is needed, such as 'calls'.", where="metrics")
        for index, name in enumerate(metrics):
            parse.require_name(name, METRICS, f"metrics[{index}]")
        by = parse.names(body.get("by"), "by", at_most=MAX_DIMENSIONS)
        for index, name in enumerate(by):
            parse.require_name(name, dimensions, f"by[{index}]")
        _check_filters(body.get("filters"), dimensions)
        order = parse.names(body.get("order"), "order", at_most=MAX_ORDER)
        for index, name in enumerate(order):
            columns = (TIME_COLUMN, *by, *metrics)
            parse.require_name(name.removeprefix("-"), columns, f"order[{index}]")
        known = {
            **body,
            "metrics": [METRICS[name] for name in metrics],
            "order": [_known(name) for name in order],
        }
        return parse_query(known, now=now, tenant=tenant)


def named_as_asked(answer: Answer) -> Answer:
    """Return an answer with the portal's names of metrics."""
    columns = (
        replace(column, name=_NAMES.get(column.name, column.name)) for column in answer.columns
    )
    return replace(answer, columns=tuple(columns))


def _known(column: str) -> str:
    name = column.removeprefix("-")
    return column.replace(name, METRICS.get(name, name))


def _check_filters(value: object, dimensions: Sequence[str]) -> None:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, Mapping):
            parse.require_name(item.get("field"), dimensions, f"filters[{index}].field")


@contextmanager
def _own_hint() -> Iterator[None]:
    try:
        yield
    except QueryError as error:
        error.hint = _HINT
        raise
