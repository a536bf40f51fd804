"""Shapes of questions, one request's tree, and one event explained."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from outlay.api.shape import Shape
from outlay.api.shapes.event_fields import Event
from outlay.api.shapes.prices import Rate
from outlay.api.shapes.units import Micros, Moment, Nanos

Cell = str | int | float | bool | None
Confidence = Literal["exact", "estimated", "unknown"]


class QueryFilter(Struct):
    """One condition; `in` and `not_in` take a list."""

    field: str
    value: str | int | float | bool | list[str | int | float]
    op: Literal["eq", "ne", "in", "not_in", "prefix", "gte", "lte"] = "eq"


class Question(Struct):
    """What is asked: `last`, or `from` and `to`."""

    metrics: list[str]
    by: list[str] = []
    filters: list[QueryFilter] = []
    last: Annotated[str, Meta(description="Such as `15m`, `24h`, `30d`.")] | UnsetType = UNSET
    start: Moment | UnsetType = field(name="from", default=UNSET)
    end: Moment | UnsetType = field(name="to", default=UNSET)
    grain: Literal["none", "minute", "hour", "day", "month"] = "none"
    timezone: str = "UTC"
    order: Annotated[list[str], Meta(description="Columns; `-` before one: downwards.")] = []
    limit: int | UnsetType = UNSET


class QueryColumn(Struct):
    """One column of an answer."""

    name: str
    kind: Literal["time", "dimension", "metric"]
    unit: Annotated[
        str,
        Meta(description="`nanos`, `micros`, `tokens`, `count`, `ms`, `ratio`, or empty."),
    ]


class QueryAnswer(Struct):
    """Rows in the order of the columns; `source` is the table that gave them."""

    columns: list[QueryColumn]
    rows: list[list[Cell]]
    source: str
    start: Moment = field(name="from")
    end: Moment = field(name="to")


class SchemaMetric(Struct):
    """A number that can be asked for."""

    name: str
    unit: str
    meaning: str


class SchemaDimension(Struct):
    """A field to group by and to filter on."""

    name: str
    meaning: str


class SchemaFilter(Struct):
    """A field to filter on, and how."""

    name: str
    meaning: str
    operators: list[str]


class QuerySchema(Struct):
    """Everything that can be asked."""

    metrics: list[SchemaMetric]
    dimensions: list[SchemaDimension]
    filters: list[SchemaFilter]
    grains: list[str]


class TreeNode(Struct):
    """A part of a request. `cost_nanos` is with what is below; `own_cost_nanos` without agents.

    What is marked optional is absent where it means nothing: agents have a path, attempts an event.
    """

    kind: Literal["request", "agent", "call", "tool", "attempt"]
    name: str
    cost_nanos: Nanos
    own_cost_nanos: Nanos
    started_at: Micros | None
    ended_at: Micros | None
    status: str
    children: list[TreeNode]
    agent_path: str | UnsetType = UNSET
    span_id: str | UnsetType = UNSET
    event_id: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    usage: dict[str, int] | UnsetType = UNSET
    flags: list[str] | UnsetType = UNSET
    price_basis: str | UnsetType = UNSET
    adjusted_nanos: Nanos | UnsetType = UNSET


class RequestTree(Struct):
    """What one request cost; `tenant` is null where several had a part in it."""

    request_id: str
    tenant: str | None
    tenants: list[str]
    cost_nanos: Nanos
    calls: int
    attempts: int
    started_at: Micros | None
    ended_at: Micros | None
    truncated: bool
    root: TreeNode


class PricedLine(Struct):
    """One priced bucket: quantity by nano-dollars per million units = nano-dollars."""

    unit: str
    quantity: int
    rate_id: str | None
    nanos_per_million: Nanos | None
    nanos: Nanos
    basis: str
    confidence: Confidence
    source: str | None
    rate: Rate | None
    text: str


class DerivedTenant(Struct):
    """Whose it is, and who says so."""

    id: str
    vouched_by: str


class DerivedModel(Struct):
    """How the model was found; what is not known is absent."""

    requested: str | UnsetType = UNSET
    served: str | UnsetType = UNSET
    priced_as: str | UnsetType = UNSET
    rule: str | UnsetType = UNSET


class DerivedPrice(Struct):
    """What the price rests on; what is not known is absent."""

    basis: str | UnsetType = UNSET
    confidence: Confidence | UnsetType = UNSET
    book: str | UnsetType = UNSET
    stated_by_provider_nanos: Nanos | UnsetType = UNSET


class Adjusted(Struct):
    """What one adjustment changed, and why."""

    event_id: str
    at: Micros | None
    reason: str | None
    nanos: Nanos
    basis: str | None
    rule: str | None
    book: str | None
    lines: list[PricedLine]
    arithmetic: list[str]


class Derivation(Struct):
    """How a price came about. `adjustments` and `cost_now_nanos` are there when it was changed."""

    tenant: DerivedTenant
    usage: dict[str, int]
    usage_source: str
    usage_raw: Annotated[str, Meta(description="The provider's usage object, JSON.")] | None
    convention: str
    model: DerivedModel
    price: DerivedPrice
    arithmetic: list[str]
    total: str
    adds_up: bool
    findings: list[str]
    adjustments: list[Adjusted] | UnsetType = UNSET
    cost_now_nanos: Nanos | UnsetType = UNSET


class ExplainedEvent(Struct):
    """One event, its priced lines, and how its price came about."""

    event: Event
    lines: list[PricedLine]
    derivation: Derivation


SHAPES: Final[dict[str, Shape]] = {
    "POST /v1/query": Shape(QueryAnswer, Question),
    "GET /v1/query/schema": Shape(QuerySchema),
    "GET /v1/requests/{request_id:path}/tree": Shape(RequestTree),
    "GET /v1/events/{event_id}": Shape(ExplainedEvent),
}
