"""Shapes of reports of actions."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from outlay.api.shape import Shape
from outlay.api.shapes.query import QueryFilter
from outlay.api.shapes.units import Moment, Nanos

Duration = Annotated[int, Meta(description="Microseconds.")]


class ActionsQuestion(Struct):
    """What to compare by; `bins` is the key of a row whose costs are counted by size."""

    by: Literal["feature", "agent_root", "agent", "workflow", "tenant", "user"]
    last: Annotated[str, Meta(description="Such as `15m`, `24h`, `30d`.")] | UnsetType = UNSET
    start: Moment | UnsetType = field(name="from", default=UNSET)
    end: Moment | UnsetType = field(name="to", default=UNSET)
    timezone: str = "UTC"
    filters: list[QueryFilter] = []
    limit: Annotated[int, Meta(ge=0, le=500, description="0: only bins.")] = 50
    bins: Annotated[str, Meta(description="Empty: requests that have no key.")] | None = None


class Action(Struct):
    """The requests of one key, steps are calls; averages and others are null if none was seen."""

    key: str | None
    requests: int
    cost_nanos: Nanos
    cost_avg: Nanos | None
    cost_p50: Nanos | None
    cost_p95: Nanos | None
    cost_max: Nanos | None
    dearest_request: str | None
    steps_p50: int | None
    steps_p95: int | None
    steps_max: int | None
    calls: int
    attempts: int
    errors: int
    error_cost_nanos: Annotated[int, Meta(description="Nano-dollars of attempts that failed.")]
    retry_cost_nanos: Annotated[
        int, Meta(description="Nano-dollars of attempts after the first of their calls.")
    ]
    loops: Annotated[int, Meta(description="Requests that loop.")]
    loop_cost_nanos: Nanos
    duration_p50_us: Duration | None
    duration_p95_us: Duration | None


class CostBin(Struct):
    """Requests that cost from one amount to below another; null: open."""

    from_nanos: int | None
    to_nanos: int | None
    requests: int


class ActionsAnswer(Struct):
    """The dearest keys first. Sums are those of `/v1/query`, but for those that are `scaled`."""

    rows: list[Action]
    bins: list[CostBin]
    sample: Annotated[
        float,
        Meta(description="The part of the window in which requests were looked at; 1: all of it."),
    ]
    scaled: Annotated[
        list[str], Meta(description="Fields of rows that are scaled up from the sample.")
    ]
    loop_calls: Annotated[
        int, Meta(description="Calls of one model or tool by one agent that make a loop.")
    ]
    start: Moment = field(name="from")
    end: Moment = field(name="to")


SHAPES: Final[dict[str, Shape]] = {"POST /v1/actions": Shape(ActionsAnswer, ActionsQuestion)}
