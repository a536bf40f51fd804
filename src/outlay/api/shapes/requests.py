"""Shapes of lists of requests."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from outlay.api.shape import Shape
from outlay.api.shapes.query import QueryFilter
from outlay.api.shapes.units import Micros, Moment, Nanos
from outlay.store.query.requests import Order, Status


class RequestsQuestion(Struct):
    """Which requests: those that began in the window and have an event that matches the filters."""

    last: Annotated[str, Meta(description="Such as `15m`, `24h`, `30d`.")] | UnsetType = UNSET
    start: Moment | UnsetType = field(name="from", default=UNSET)
    end: Moment | UnsetType = field(name="to", default=UNSET)
    timezone: str = "UTC"
    filters: list[QueryFilter] = []
    cost_from_nanos: Nanos | None = None
    cost_to_nanos: Nanos | None = None
    status: Status | None = None
    order: Order = "newest"
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    after: Annotated[str, Meta(description="The `next` of the page before.")] | None = None


class ListedRequest(Struct):
    """One request as a whole; who and what are those of its first event that names one."""

    request_id: str
    tenant: str | None
    tenants: Annotated[int, Meta(description="How many tenants its events have.")]
    feature: str | None
    agent_root: str | None
    workflow: str | None
    user: str | None
    initiator: str | None
    environment: str | None
    started_at: Micros
    ended_at: Micros
    duration_us: Annotated[int, Meta(description="Microseconds.")]
    cost_nanos: Nanos
    sell_nanos: Nanos
    calls: int
    attempts: int
    retries: int
    errors: int
    unpriced: int
    input_tokens: int
    output_tokens: int
    models: Annotated[list[str], Meta(description="At most three, the dearest first.")]
    providers: Annotated[list[str], Meta(description="At most three, the dearest first.")]
    status: Literal["ok", "failed", "unpriced", "retried"]


class RequestsAnswer(Struct):
    """A page; `next` is null when nothing is left, `complete` false when the search was cut."""

    requests: list[ListedRequest]
    next: str | None
    start: Moment = field(name="from")
    end: Moment = field(name="to")
    complete: bool


SHAPES: Final[dict[str, Shape]] = {"POST /v1/requests": Shape(RequestsAnswer, RequestsQuestion)}
