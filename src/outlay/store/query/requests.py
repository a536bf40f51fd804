"""The question behind a list of requests: which ones, in what order, and where a page goes on.

A request is what its events have in common: its id. What matches is chosen by events (some event
matches every filter), what is told is about the whole request. Events without a request id belong
to no request and are in no list. It knows no SQL and no clock.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from outlay.core.rollup import HOUR_US
from outlay.errors import QueryError
from outlay.store.query import parse
from outlay.store.query.model import MAX_WINDOW_US, Filter, parse_query

MAX_REQUESTS: Final = 200
"""Requests in one page."""
DEFAULT_REQUESTS: Final = 50
SPAN_US: Final = 2 * HOUR_US
"""Events of a request are looked for so long before and behind the time that is searched: to find
its first event, and to know its cost when requests are chosen or ordered by it."""
WHOLE_US: Final = 48 * HOUR_US
"""A request's numbers are of its events that start within this time of its first one."""
MAX_NAMED: Final = 3
"""Models and providers named of a request, the dearest first."""
MAX_CURSOR_CHARACTERS: Final = 1024
_MAX_NUMBER: Final = 2**63 - 1

Order = Literal["newest", "cost", "calls", "duration"]
Status = Literal["ok", "failed", "unpriced", "retried"]
ORDERS: Final = ("newest", "cost", "calls", "duration")
STATUSES: Final = ("ok", "failed", "unpriced", "retried")
_WINDOW: Final = ("last", "from", "to", "filters", "timezone")
_KEYS: Final = (*_WINDOW, "cost_from_nanos", "cost_to_nanos", "status", "order", "limit", "after")


@dataclass(frozen=True, slots=True)
class After:
    """The last place of a page: what it was ordered by, and the request id that broke ties."""

    value: int
    request_id: str


@dataclass(frozen=True, slots=True)
class RequestsQuestion:
    """Requests that began in `[start, end)`, microseconds UTC; `tenant` is the caller's scope.

    Costs are nano-dollars, both ends included. `failed` has an attempt that ended in an error and
    was not tried again, `retried` one that was, `unpriced` an event without a price; `ok` is none
    of these. `narrowed`: more was asked for than this window, on an earlier page.
    """

    start: int
    end: int
    filters: tuple[Filter, ...] = ()
    tenant: str | None = None
    cost_from: int | None = None
    cost_to: int | None = None
    status: Status | None = None
    order: Order = "newest"
    limit: int = DEFAULT_REQUESTS
    after: After | None = None
    narrowed: bool = False

    @property
    def scope(self) -> str | None:
        """The one tenant whose events count, if there is one."""
        return self.tenant if self.tenant is not None else named_tenant(self.filters)


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request; money is nano-dollars, times are microseconds UTC.

    `tenant`, `feature` and so on are those of the first event that names one.
    """

    request_id: str
    tenant: str | None
    tenants: int
    feature: str | None
    agent_root: str | None
    workflow: str | None
    user: str | None
    initiator: str | None
    environment: str | None
    started_at: int
    ended_at: int
    cost_nanos: int
    sell_nanos: int
    calls: int
    attempts: int
    errors: int
    unpriced: int
    input_tokens: int
    output_tokens: int
    models: tuple[str, ...]
    providers: tuple[str, ...]

    @property
    def retries(self) -> int:
        """Attempts after the first of their calls."""
        return self.attempts - self.calls

    @property
    def status(self) -> Status:
        """The gravest of what can be said of it."""
        if self.errors > self.retries:
            return "failed"
        if self.unpriced > 0:
            return "unpriced"
        return "retried" if self.retries > 0 else "ok"


@dataclass(frozen=True, slots=True)
class RequestsPage:
    """A page, and the window that it comes from; `complete`: all that was asked for was searched.

    `after` is where the next page begins, `None` where nothing is left in this window.
    """

    rows: tuple[RequestRow, ...]
    start: int
    end: int
    after: After | None
    complete: bool


def named_tenant(filters: tuple[Filter, ...]) -> str | None:
    """Return the tenant that filters ask for by name, if it is one."""
    for item in filters:
        if item.field == "tenant" and item.op == "eq" and isinstance(item.value, str):
            return item.value
    return None


def parse_requests(
    body: Mapping[str, Any], *, now: int, tenant: str | None = None
) -> RequestsQuestion:
    """Read a question from its JSON form; the window, filters and zone are those of `parse_query`.

    Args:
        body: last or from/to, filters, cost_from_nanos, cost_to_nanos, status, order, limit, after.
        now: microseconds UTC.
        tenant: the tenant the caller is bound to, if any.

    Raises:
        QueryError: something in it is wrong; `where` names the part.
    """
    body = parse.mapping(body, "query", _KEYS)
    query = parse_query({"metrics": ["cost"], **given(body, _WINDOW)}, now=now, tenant=tenant)
    start, end = query.window(now)
    order = cast("Order", parse.require_name(body.get("order", "newest"), ORDERS, "order"))
    status = body.get("status")
    after, narrowed = None, False
    if body.get("after") is not None:
        start, end, after, narrowed = _read_cursor(body["after"], order)
    return RequestsQuestion(
        start=start,
        end=end,
        filters=query.filters,
        tenant=tenant,
        cost_from=_cost(body, "cost_from_nanos"),
        cost_to=_cost(body, "cost_to_nanos"),
        status=None
        if status is None
        else cast("Status", parse.require_name(status, STATUSES, "status")),
        order=order,
        limit=parse.integer(body.get("limit", DEFAULT_REQUESTS), "limit", low=1, high=MAX_REQUESTS),
        after=after,
        narrowed=narrowed,
    )


def given(body: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return those parts of a body that are there."""
    return {name: body[name] for name in names if name in body}


def cursor_of(question: RequestsQuestion, page: RequestsPage) -> str | None:
    """Return the text that asks for the next page; it keeps the window, so that pages fit."""
    if page.after is None:
        return None
    # Newest first goes on where the search stopped; other orders stay in what was searched.
    start = question.start if question.order == "newest" else page.start
    narrowed = question.order != "newest" and not page.complete
    place = [question.order, narrowed, start, page.end, page.after.value, page.after.request_id]
    text = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _read_cursor(value: object, order: Order) -> tuple[int, int, After, bool]:
    try:
        if not isinstance(value, str) or len(value) > MAX_CURSOR_CHARACTERS:
            raise ValueError
        text = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        said, narrowed, start, end, number, request_id = json.loads(text)
        numbers = (start, end, number)
        fits = all(type(n) is int and abs(n) <= _MAX_NUMBER for n in numbers)
        if not fits or type(narrowed) is not bool:
            raise ValueError
        if not isinstance(request_id, str) or "\x00" in request_id:
            raise ValueError
        request_id.encode()
        if not 0 <= start < end <= start + MAX_WINDOW_US:
            raise ValueError
        parse.instant(end, "after", tz=parse.zone("UTC", "after"))
    except (ValueError, TypeError, RecursionError, binascii.Error, QueryError) as error:
        raise QueryError("This is not a 'next' of such an answer.", where="after") from error
    if said != order:
        raise QueryError("This 'next' is of another order.", where="after")
    return start, end, After(number, request_id), narrowed


def _cost(body: Mapping[str, Any], name: str) -> int | None:
    if body.get(name) is None:
        return None
    return parse.integer(body[name], name, low=-_MAX_NUMBER, high=_MAX_NUMBER)
