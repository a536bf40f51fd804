"""The question behind a report of actions: what the requests of a feature, agent or tenant cost.

An action is a request; a step is a call; a loop is a request in which one agent called the same
model or tool `LOOP_CALLS` times or more. Only what lies in the window and matches the filters
counts. Sums are those of a query: of all events, also of those without a request id. It knows no
SQL and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from outlay.core.event import MAX_STRING_BYTES
from outlay.errors import QueryError
from outlay.store.query import parse
from outlay.store.query.model import Filter, parse_query
from outlay.store.query.requests import given, named_tenant

MAX_ACTIONS: Final = 500
DEFAULT_ACTIONS: Final = 50
LOOP_CALLS: Final = 20
"""Calls of one model or tool by one agent in a request that make it a loop."""
BY: Final = ("feature", "agent_root", "agent", "workflow", "tenant", "user")
_STEPS: Final = (1, 2, 5)
_LEAST: Final = 3
_MOST: Final = 15
BIN_EDGES: Final = tuple(step * 10**power for power in range(_LEAST, _MOST) for step in _STEPS)
"""Where bins begin: 1, 2 and 5 times powers of ten, from a millionth of a dollar to half a
million. The first bin holds what is below, the last what is above."""
_WINDOW: Final = ("last", "from", "to", "filters", "timezone")
_KEYS: Final = ("by", *_WINDOW, "limit", "bins")


@dataclass(frozen=True, slots=True)
class ActionsQuestion:
    """Requests in `[start, end)`, microseconds UTC, by a dimension; `tenant` is the caller's scope.

    `bins` is the key whose costs are counted by size; "" is that of requests that have none. With
    a `limit` of 0, only they are.
    """

    by: str
    start: int
    end: int
    filters: tuple[Filter, ...] = ()
    tenant: str | None = None
    limit: int = DEFAULT_ACTIONS
    bins: str | None = None

    @property
    def scope(self) -> str | None:
        """The one tenant whose events count, if there is one."""
        return self.tenant if self.tenant is not None else named_tenant(self.filters)


@dataclass(frozen=True, slots=True)
class Spread:
    """What actions of one key are like. Money is nano-dollars, `_us` microseconds.

    Costs, steps and durations are those of a request under this key.
    """

    cost_avg: int
    cost_p50: int
    cost_p95: int
    cost_max: int
    dearest_request: str
    steps_p50: int
    steps_p95: int
    steps_max: int
    duration_p50_us: int
    duration_p95_us: int


@dataclass(frozen=True, slots=True)
class ActionRow:
    """What happened under one key, and the spread of its actions if any was looked at.

    `error_cost_nanos` is of attempts that ended in an error, `retry_cost_nanos` of those after the
    first of their calls, `loop_cost_nanos` of the requests that loop.
    """

    key: str | None
    requests: int
    cost_nanos: int
    calls: int
    attempts: int
    errors: int
    error_cost_nanos: int
    retry_cost_nanos: int
    loops: int
    loop_cost_nanos: int
    spread: Spread | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Requests that cost `[from_nanos, to_nanos)`; the first begins, the last ends nowhere."""

    from_nanos: int | None
    to_nanos: int | None
    requests: int


@dataclass(frozen=True, slots=True)
class ActionsAnswer:
    """The dearest keys first; `sample` is the part of the window that was looked at.

    `scaled` names the fields of rows that are scaled up from it; spreads are the sample's own, and
    bins are scaled like time.
    """

    rows: tuple[ActionRow, ...]
    bins: tuple[Bin, ...]
    sample: float
    scaled: tuple[str, ...]


def parse_actions(
    body: Mapping[str, Any], *, now: int, tenant: str | None = None
) -> ActionsQuestion:
    """Read a question from its JSON form; the window, filters and zone are those of `parse_query`.

    Raises:
        QueryError: something in it is wrong; `where` names the part.
    """
    body = parse.mapping(body, "query", _KEYS)
    by = parse.require_name(body.get("by"), BY, "by")
    query = parse_query({"metrics": ["cost"], **given(body, _WINDOW)}, now=now, tenant=tenant)
    start, end = query.window(now)
    limit = parse.integer(body.get("limit", DEFAULT_ACTIONS), "limit", low=0, high=MAX_ACTIONS)
    return ActionsQuestion(by, start, end, query.filters, tenant, limit, _bins(body.get("bins")))


def _bins(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value.encode("utf-8", "replace")) <= MAX_STRING_BYTES:
        return value
    raise QueryError(
        f"The key of a row is expected, a text of at most {MAX_STRING_BYTES} bytes.", where="bins"
    )
