"""What can be asked: every metric, dimension and filter field, by name.

The literal tables here are the only source of identifiers in generated SQL. This module knows
no SQL itself: each engine maps these names to its own expressions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

MetricKind = Literal["sum", "ratio", "mean_money", "distinct", "quantile"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that can be asked for.

    `unit` is `nanos`, `micros` (of a credit), `tokens`, `count`, `ms` or `ratio`. `of` names what
    it is made of: the sums added up (`sum`), numerator and denominator (`ratio`, `mean_money`), or
    a dimension (`distinct`) or event field (`quantile`). `scale` divides a ratio's result.
    """

    name: str
    kind: MetricKind
    unit: str
    of: tuple[str, ...]
    meaning: str
    scale: int = 1
    quantile: float = 0.0


@dataclass(frozen=True, slots=True)
class Dimension:
    """A field to group by or filter on, of type `string`, `bool`, `number` or `flag`."""

    name: str
    meaning: str
    type: str = "string"


def _money(name: str, field: str, meaning: str) -> Metric:
    return Metric(name, "sum", "nanos", (field,), meaning)


def _tokens(name: str, meaning: str) -> Metric:
    return Metric(name, "sum", "tokens", (name,), meaning)


def _count(name: str, meaning: str) -> Metric:
    return Metric(name, "sum", "count", (name,), meaning)


_METRICS: Final = (
    _money("cost", "cost_nanos", "What it costs us, adjustments included."),
    _money("list_cost", "list_cost_nanos", "The same usage at list price."),
    _money("cost_input", "cost_input_nanos", "Cost of uncached input."),
    _money("cost_cache_read", "cost_cache_read_nanos", "Cost of input read from a cache."),
    _money("cost_cache_write", "cost_cache_write_nanos", "Cost of input written to a cache."),
    _money("cost_output", "cost_output_nanos", "Cost of output, reasoning included."),
    _money("cost_other", "cost_other_nanos", "Cost of fees: searches, seconds, pages."),
    _money("provider_cost", "provider_cost_nanos", "Cost as stated by providers."),
    _money("sell", "sell_nanos", "What tenants are charged for it."),
    Metric("credits", "sum", "micros", ("credits_micros",), "Micro-credits charged for it."),
    Metric(
        "margin", "sum", "nanos", ("sell_nanos", "-cost_nanos"), "What is charged above the cost."
    ),
    _money("estimated_cost", "estimated_cost_nanos", "The part of cost that is an estimate."),
    _count("calls", "Logical calls of models and tools; retries are not counted again."),
    _count("attempts", "Attempts of calls, retries and fallbacks included."),
    Metric("retries", "sum", "count", ("attempts", "-calls"), "Attempts after the first."),
    _count("errors", "Attempts that ended in an error or a timeout."),
    _count("unpriced", "Events without a price; their cost is unknown, not zero."),
    Metric(
        "tokens", "sum", "tokens", ("input_tokens", "output_tokens"), "All tokens in and out."
    ),
    _tokens("input_tokens", "Tokens read by models, cached ones included."),
    _tokens("output_tokens", "Tokens produced by models, reasoning included."),
    _tokens("cache_read_tokens", "Input tokens read from a cache."),
    _tokens("cache_write_tokens", "Input tokens written to a cache."),
    _tokens("reasoning_tokens", "Output tokens spent on reasoning."),
    Metric("requests", "distinct", "count", ("request",), "Distinct originating requests."),
    Metric("users", "distinct", "count", ("user",), "Distinct users."),
    Metric("tenants", "distinct", "count", ("tenant",), "Distinct tenants."),
    Metric(
        "latency_avg", "ratio", "ms", ("latency_us", "latency_count"), "Mean latency.", scale=1000
    ),
    Metric("latency_p50", "quantile", "ms", ("latency_ms",), "Median latency.", quantile=0.5),
    Metric("latency_p95", "quantile", "ms", ("latency_ms",), "95th percentile.", quantile=0.95),
    Metric("latency_p99", "quantile", "ms", ("latency_ms",), "99th percentile.", quantile=0.99),
    Metric(
        "ttft_avg", "ratio", "ms", ("ttft_us", "ttft_count"), "Mean time to first output.",
        scale=1000,
    ),
    Metric("cost_per_call", "mean_money", "nanos", ("cost_nanos", "calls"), "Cost by calls."),
    Metric(
        "cost_per_request", "mean_money", "nanos", ("cost_nanos", "requests"), "Cost by requests."
    ),
    Metric(
        "cache_hit_ratio", "ratio", "ratio", ("cache_read_tokens", "input_tokens"),
        "Share of input tokens read from a cache.",
    ),
)  # fmt: skip

_DIMENSIONS: Final = (
    Dimension("tenant", "Who pays; `unattributed` when nobody is named."),
    Dimension("user", "The tenant's user."),
    Dimension("workspace", "The tenant's workspace."),
    Dimension("billing_unit", "The unit the tenant is billed by."),
    Dimension("plan", "Plan at the time of the call."),
    Dimension("tier", "Tier at the time of the call."),
    Dimension("contract_type", "Contract type at the time of the call."),
    Dimension("feature", "Product surface."),
    Dimension("workflow", "Workflow."),
    Dimension("environment", "Deployment environment."),
    Dimension("service", "Service that made the call."),
    Dimension("agent", "Place in the agent tree, such as `orchestrator/research`."),
    Dimension("agent_root", "First agent of the path."),
    Dimension("operation", "chat, embeddings, tool, …"),
    Dimension("name", "Name of the tool or resource."),
    Dimension("provider", "Who bills us."),
    Dimension("vendor", "Who made the model."),
    Dimension("model", "The priced model; else as served; else as requested."),
    Dimension("model_requested", "Model as requested."),
    Dimension("model_served", "Model as served."),
    Dimension("status", "ok, error, aborted, incomplete, refused, blocked, timeout."),
    Dimension("error_type", "Kind of error."),
    Dimension("initiator", "user or system."),
    Dimension("price_basis", "How the cost is known."),
    Dimension("host_class", "Kind of host that served the call."),
    Dimension("request", "Originating request."),
    Dimension("run", "Agent run."),
    Dimension("streamed", "Whether the answer was streamed.", "bool"),
    Dimension("kind", "usage, adjustment or allocation."),
)

_FILTER_FIELDS: Final = (
    Dimension("attempt", "0 for the first attempt of a call.", "number"),
    Dimension("http_status", "HTTP status of the attempt.", "number"),
    Dimension("latency_ms", "Latency of the attempt in milliseconds.", "number"),
    Dimension("cost_nanos", "Cost of the event in nano-dollars.", "number"),
    Dimension("input_tokens", "Tokens read, cached ones included.", "number"),
    Dimension("output_tokens", "Tokens produced, reasoning included.", "number"),
    Dimension("flag", "A flag on the event, such as `large_prompt`.", "flag"),
)

METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _METRICS}
DIMENSIONS: Final[dict[str, Dimension]] = {dim.name: dim for dim in _DIMENSIONS}
"""Fields to group by and to filter on."""
FILTER_FIELDS: Final[dict[str, Dimension]] = {field.name: field for field in _FILTER_FIELDS}
"""Fields that can only be filtered on."""

LABEL_PREFIX: Final = "label."
TIME_COLUMN: Final = "time"

GRAINS: Final = ("none", "minute", "hour", "day", "month")

OPERATORS: Final[dict[str, tuple[str, ...]]] = {
    "string": ("eq", "ne", "in", "not_in", "prefix", "gte", "lte"),
    "number": ("eq", "ne", "in", "not_in", "gte", "lte"),
    "bool": ("eq", "ne"),
    "flag": ("eq", "ne", "in", "not_in"),
}
"""Filter operators by field type."""


def label_key(name: str) -> str | None:
    """Return the label key of a `label.<key>` dimension, else `None`."""
    return name[len(LABEL_PREFIX) :] if name.startswith(LABEL_PREFIX) else None


def field_type(name: str) -> str | None:
    """Return the type of a filter field or dimension, `None` for an unknown one."""
    if label_key(name):
        return "string"
    known = DIMENSIONS.get(name) or FILTER_FIELDS.get(name)
    return known.type if known else None


def schema() -> dict[str, object]:
    """Return everything that can be asked, as `GET /v1/query/schema` answers it."""
    dimensions = [*DIMENSIONS.values(), Dimension("label.<key>", "A label of the event.")]
    return {
        "metrics": [{"name": m.name, "unit": m.unit, "meaning": m.meaning} for m in _METRICS],
        "dimensions": [{"name": d.name, "meaning": d.meaning} for d in dimensions],
        "filters": [
            {"name": f.name, "meaning": f.meaning, "operators": list(OPERATORS[f.type])}
            for f in [*dimensions, *_FILTER_FIELDS]
        ],
        "grains": list(GRAINS),
    }
