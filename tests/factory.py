"""Synthetic enriched events for tests and benchmarks: seeded, skewed and shaped like real ones.

Tenants follow a Zipf law, requests are trees of agent calls with tools, retries and errors, and
costs are exactly the sum of their lines. The same arguments always give the same events.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from outlay.core.event import FIELDS
from outlay.stream.columns import ENRICHED_SCHEMA

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DEFAULT_START_US: Final = 1_790_000_000_000_000
DEFAULT_TENANTS: Final = 5_000
EVENTS_PER_REQUEST: Final = 8

FEATURES: Final = (
    "doc-summarizer", "chat-assistant", "code-review", "email-drafts", "search", "translation",
    "lead-scoring", "ticket-triage", "report-writer", "data-extraction", "voice-notes", "alerts",
)  # fmt: skip
AGENTS: Final = (
    "orchestrator", "orchestrator/planner", "orchestrator/research", "orchestrator/research/web",
    "orchestrator/research/web", "orchestrator/writer", "orchestrator/writer/critic",
    "orchestrator",
)  # fmt: skip
OPERATIONS: Final = ("chat", "embeddings", "tool")
POSITION_OPERATION: Final = np.array([0, 0, 1, 2, 0, 0, 0, 0])
MODELS: Final = (
    ("openai", "gpt-6", 2_500, 250, 0, 15_000),
    ("openai", "gpt-6-mini", 300, 30, 0, 2_400),
    ("openai", "gpt-6-nano", 60, 6, 0, 500),
    ("openai", "o5", 10_000, 2_500, 0, 40_000),
    ("anthropic", "claude-opus-5", 5_000, 500, 6_250, 25_000),
    ("anthropic", "claude-sonnet-5", 3_000, 300, 3_750, 15_000),
    ("anthropic", "claude-haiku-5", 1_000, 100, 1_250, 5_000),
    ("google", "gemini-4-pro", 2_000, 500, 0, 12_000),
    ("google", "gemini-4-flash", 300, 75, 0, 2_500),
    ("google", "gemini-4-lite", 100, 25, 0, 400),
    ("mistral", "mistral-large-4", 2_000, 2_000, 0, 6_000),
    ("deepseek", "deepseek-v5", 270, 70, 0, 1_100),
    ("groq", "llama-5-70b", 590, 590, 0, 790),
    ("xai", "grok-6", 3_000, 750, 0, 15_000),
    ("bedrock", "nova-3-pro", 800, 200, 0, 3_200),
)
"""provider, model, and milli-dollars per million input, cache read, cache write, output."""
PLANS: Final = ("free", "pro", "team", "enterprise")
STATUSES: Final = ("ok", "error")
TOOL_NANOS: Final = 8_000_000
LINE_UNITS: Final = ("input", "input_cache_read", "input_cache_write_5m", "output", "requests")


def one_event(**overrides: Any) -> dict[str, Any]:
    """Return one valid event as a mapping for `events_table`; UUIDs may be given as text."""
    event: dict[str, Any] = {field.name: field.default for field in FIELDS}
    event |= {
        "event_id": UUID("01990000-0000-7000-8000-000000000001").bytes,
        "started_at": DEFAULT_START_US,
        "ended_at": DEFAULT_START_US + 1_200_000,
        "received_at": DEFAULT_START_US + 1_500_000,
        "tenant_id": "acme",
        "tenant_source": "request",
        "feature": "search",
        "agent_path": "orchestrator",
        "operation": "chat",
        "provider": "openai",
        "model_requested": "gpt-6-mini",
        "model_served": "gpt-6-mini",
        "price_model": "gpt-6-mini",
        "status": "ok",
        "price_basis": "catalogue",
        "input": 100,
        "output": 10,
        "cost_nanos": 1_000,
        "cost_input_nanos": 600,
        "cost_output_nanos": 400,
        "latency_ms": 1200.0,
    }
    unknown = set(overrides) - set(event)
    assert not unknown, f"no such event field: {sorted(unknown)}"
    event |= overrides
    for name in ("event_id", "call_id", "adjusts_event_id"):
        if isinstance(event[name], str):
            event[name] = UUID(event[name]).bytes
    return event


def events_table(*events: dict[str, Any]) -> pa.Table:
    """Return events made by `one_event` as a table of `ENRICHED_SCHEMA`."""
    rows = [
        event | {name: list(event[name].items()) for name in _MAPS if event[name] is not None}
        for event in events
    ]
    return pa.Table.from_pylist(rows, schema=ENRICHED_SCHEMA)


_MAPS: Final = ("labels", "other_units")


def make_events(
    n: int,
    *,
    seed: int,
    start_us: int = DEFAULT_START_US,
    span_us: int = 3_600_000_000,
    tenants: int = DEFAULT_TENANTS,
    adjustments: float = 0.0,
    error_rate: float = 0.03,
    raw: bool = True,
) -> pa.Table:
    """Return `n` events in order of their end, as a table of `ENRICHED_SCHEMA`.

    Args:
        n: How many events.
        seed: Seed of everything random, ids included.
        start_us: Start of the first request, microseconds UTC.
        span_us: Time over which requests start.
        tenants: How many tenants there are; their share follows 1/rank.
        adjustments: Share of events that are adjustments (negative or positive, no tokens).
        error_rate: Share of attempts that fail; a retry follows.
        raw: Fill `usage_raw`.
    """
    rng = np.random.default_rng(seed)
    shape = _Shape(n, rng, start_us, span_us, tenants, error_rate, adjustments)
    columns = {**_identity(shape), **_who(shape), **_what(shape), **_usage(shape, raw=raw)}
    arrays = [
        columns[f.name] if f.name in columns else _constant(f.name, f.type, n)
        for f in ENRICHED_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=ENRICHED_SCHEMA)


class _Shape:
    """The integers behind the events, in order of their end."""

    def __init__(
        self,
        n: int,
        rng: np.random.Generator,
        start_us: int,
        span_us: int,
        tenants: int,
        error_rate: float,
        adjustments: float,
    ) -> None:
        requests = -(-n // EVENTS_PER_REQUEST)
        request = np.repeat(np.arange(requests), EVENTS_PER_REQUEST)[:n]
        position = np.tile(np.arange(EVENTS_PER_REQUEST), requests)[:n]
        begun = np.sort(rng.integers(0, max(span_us, 1), requests)) + start_us
        latency_us = rng.gamma(2.0, 500_000, n).astype(np.int64) + 20_000
        started = begun[request] + position * 1_100_000 + rng.integers(0, 900_000, n)
        order = np.argsort(started + latency_us, kind="stable")
        failed = rng.random(n) < error_rate
        retry = np.zeros(n, bool)
        retry[1:] = failed[:-1] & (request[1:] == request[:-1])
        failed &= ~retry
        call = np.arange(n)
        call[1:] = np.where(retry[1:], call[:-1], call[1:])
        weights = 1.0 / np.arange(1, tenants + 1)
        by_request = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(requests))

        self.n, self.rng, self.requests = n, rng, requests
        self.begun = begun
        self.request: Ints = request[order]
        self.position: Ints = position[order]
        self.started: Ints = started[order]
        self.ended: Ints = (started + latency_us)[order]
        self.failed: Bools = failed[order]
        self.retry: Bools = retry[order]
        self.tenant_of: Ints = np.minimum(by_request, tenants - 1)
        self.tenant: Ints = self.tenant_of[self.request]
        first = np.searchsorted(np.cumsum(1.0 / np.arange(1, 13)) / 3.1032, rng.random(requests))
        self.feature_of: Ints = (np.minimum(first, 11) + self.tenant_of * 7) % len(FEATURES)
        self.feature: Ints = self.feature_of[self.request]
        self.adjustment: Bools = rng.random(n) < adjustments
        self.operation: Ints = POSITION_OPERATION[self.position]
        usual = (self.tenant * 31 + self.feature * 17 + self.operation * 5 + self.position) % 15
        other = rng.integers(0, len(MODELS), n)
        self.model: Ints = np.where(rng.random(n) < 0.92, usual, other)
        self.tool: Bools = self.operation == 2
        self.call = call[order]


def _identity(shape: _Shape) -> dict[str, pa.Array]:
    rng, n = shape.rng, shape.n
    event_ids = _uuid7(shape.started, rng)
    call_ids = _uuid7(np.zeros(n, np.int64) + shape.begun[0], rng)[shape.call]
    request_ids = _uuid7(shape.begun, rng)
    return {
        "event_id": _binary16(event_ids),
        "call_id": _binary16(call_ids),
        "attempt": pa.array(shape.retry.astype(np.uint8)),
        "provider_request_id": _nulled(_hex(rng.bytes(16 * n), 16), shape.tool),
        "started_at": _timestamps(shape.started),
        "ended_at": _timestamps(shape.ended),
        "received_at": _timestamps(shape.ended + 200_000),
        "latency_ms": pa.array(((shape.ended - shape.started) / 1000).astype(np.float32)),
        "ttft_ms": pa.array(
            ((shape.ended - shape.started) / 4000).astype(np.float32), mask=shape.position % 2 == 0
        ),
        "request_id": _dashed(request_ids).take(pa.array(shape.request)),
        "run_id": _dashed(_uuid7(shape.begun, rng)).take(pa.array(shape.request)),
        "trace_id": _hex(request_ids.tobytes(), 16).take(pa.array(shape.request)),
        "span_id": _hex(rng.bytes(8 * n), 8),
        "parent_span_id": _hex(request_ids[:, 8:].tobytes(), 8).take(pa.array(shape.request)),
    }


def _who(shape: _Shape) -> dict[str, pa.Array]:
    users = 1 + 400 // (1 + shape.tenant_of)
    user = shape.rng.integers(0, users)[shape.request]
    plan = np.minimum(3, 6 // (1 + shape.tenant))
    names = [f"tenant-{rank:05d}" for rank in range(1, int(shape.tenant.max(initial=0)) + 2)]
    return {
        "tenant_id": _picked(names, shape.tenant),
        "tenant_source": _constant_text("request", shape.n),
        "context_verified": pa.array(np.ones(shape.n, bool)),
        "user_id": _picked([f"user-{i:04d}" for i in range(402)], user),
        "workspace_id": _picked([f"ws-{i}" for i in range(8)], user % 8),
        "initiator": _picked(["user", "system"], (shape.request % 5 == 0).astype(np.int64)),
        "plan": _picked(list(PLANS), plan),
        "tier": _picked(["standard", "premium"], plan // 2),
        "contract_type": _picked(["self_serve", "contract"], plan // 3),
        "agent_path": _picked(list(AGENTS), shape.position),
        "workflow": _picked(["interactive", "batch", "nightly"], shape.feature % 3),
        "feature": _picked(list(FEATURES), shape.feature),
        "environment": _picked(["production", "staging"], (shape.tenant % 50 == 7).astype(int)),
        "service": _picked(["api", "worker", "agents"], shape.feature % 3),
        "labels": _labels(shape),
    }


def _labels(shape: _Shape) -> pa.Array:
    has = shape.request % 10 == 0
    offsets = np.concatenate([[0], np.cumsum(has)]).astype(np.int32)
    keys = _constant_text("team", int(has.sum()))
    values = _picked(["red", "green", "blue"], shape.request[has] % 3)
    return pa.MapArray.from_arrays(pa.array(offsets, mask=np.append(~has, False)), keys, values)


def _what(shape: _Shape) -> dict[str, pa.Array]:
    models = [row[1] for row in MODELS]
    tool = shape.tool
    model = _nulled(_picked(models, shape.model), tool)
    chat = shape.operation == 0
    return {
        "operation": _picked(list(OPERATIONS), shape.operation),
        "name": _nulled(_picked(["serp.search", "web.fetch"], shape.request % 2), ~tool),
        "provider": _nulled(_picked([row[0] for row in MODELS], shape.model), tool),
        "vendor": _nulled(_picked([row[0] for row in MODELS], shape.model), tool),
        "surface": _nulled(_picked(["chat", "embeddings", "tool"], shape.operation), tool),
        "model_requested": model,
        "model_served": _nulled(model, shape.failed),
        "streamed": pa.array(chat & (shape.position % 2 == 1)),
        "tool_calls": pa.array((shape.position == 1).astype(np.int32)),
        "max_tokens": pa.array(np.full(shape.n, 4096), mask=~chat),
        "status": _picked(list(STATUSES), shape.failed.astype(np.int64)),
        "error_type": _nulled(_constant_text("rate_limited", shape.n), ~shape.failed),
        "http_status": pa.array(np.where(shape.failed, 429, 200).astype(np.int16)),
        "finish_reason": _nulled(_constant_text("stop", shape.n), shape.failed | tool),
        "billed": _picked(["yes", "no"], shape.failed.astype(np.int64)),
        "kind": _picked(["usage", "adjustment"], shape.adjustment.astype(np.int64)),
        "reason": _nulled(_constant_text("re-rated", shape.n), ~shape.adjustment),
    }


def _usage(shape: _Shape, *, raw: bool) -> dict[str, pa.Array]:
    rng, n = shape.rng, shape.n
    rates = np.array([[r * 1_000_000 for r in row[2:]] for row in MODELS], np.int64)[shape.model]
    quiet = shape.failed | shape.tool | shape.adjustment
    counts = np.zeros((n, 5), np.int64)
    counts[:, 0] = np.where(quiet, 0, rng.gamma(1.5, 900, n).astype(np.int64) + 20)
    counts[:, 1] = np.where(quiet | (rng.random(n) < 0.5), 0, counts[:, 0] * 2)
    counts[:, 2] = np.where(quiet | (rates[:, 2] == 0), 0, counts[:, 0] // 3)
    counts[:, 3] = np.where(quiet | (shape.operation == 1), 0, rng.gamma(1.2, 250, n).astype(int))
    counts[:, 4] = shape.tool & ~shape.failed & ~shape.adjustment
    nanos = np.zeros((n, 5), np.int64)
    nanos[:, :4] = _half_even(counts[:, :4] * rates)
    nanos[:, 4] = counts[:, 4] * TOOL_NANOS
    nanos[:, 3] += np.where(shape.adjustment, rng.integers(-50_000, 50_000, n), 0)
    reasoning = np.where(shape.model == 3, counts[:, 3] // 2, 0)
    unpriced = (rng.random(n) < 0.002) & ~quiet
    nanos[unpriced] = 0
    basis = np.where(unpriced, 1, np.where(shape.failed, 2, np.where(rng.random(n) < 0.02, 3, 0)))
    total = nanos.sum(axis=1)
    zero = np.zeros(n, bool)
    columns = {
        "input": pa.array(counts[:, 0]),
        "input_cache_read": pa.array(counts[:, 1]),
        "input_cache_write_5m": pa.array(counts[:, 2]),
        "output": pa.array(counts[:, 3] - reasoning),
        "output_reasoning": pa.array(reasoning),
        "other_units": _other_units(counts[:, 4]),
        "usage_source": _picked(["provider", "none"], quiet.astype(np.int64)),
        "cost_nanos": pa.array(total),
        "lines": _lines(counts, nanos, shape.model),
        "price_basis": _picked(["catalogue", "unpriced", "free", "estimate"], basis),
        "price_confidence": _picked(["exact", "unknown", "exact", "estimated"], basis),
        "price_book_hash": _constant_text("5e1f0c2ab9d44871", n),
        "price_model": _nulled(_picked([r[1] for r in MODELS], shape.model), unpriced | shape.tool),
        "price_rule": _nulled(_constant_text("equals", n), unpriced | shape.tool),
        "list_cost_nanos": pa.array(total, mask=unpriced),
        "provider_cost_nanos": pa.array(total, mask=shape.model != 13),
        "estimate_nanos": pa.array(total * 2, mask=zero | shape.tool),
        "flags": _flags(counts[:, 0] > 5_000),
    }
    groups = ("input", "cache_read", "cache_write", "output", "other")
    columns |= {f"cost_{g}_nanos": pa.array(nanos[:, i]) for i, g in enumerate(groups)}
    if raw:
        columns["usage_raw"] = _raw(counts, quiet)
    return columns


def _lines(counts: Ints, nanos: Ints, model: Ints) -> pa.Array:
    present = counts > 0
    per_row = present.sum(axis=1)
    row, unit = np.nonzero(present)
    offsets = np.concatenate([[0], np.cumsum(per_row)]).astype(np.int32)
    rate_ids = [f"{i * 2654435761 % 2**48:012x}" for i in range(len(MODELS) * 5)]
    struct = pa.StructArray.from_arrays(
        [
            _picked(list(LINE_UNITS), unit),
            pa.array(counts[row, unit]),
            _picked(rate_ids, model[row] * 5 + unit),
            pa.array(nanos[row, unit]),
            _constant_text("catalogue", len(row)),
        ],
        names=["unit", "quantity", "rate_id", "nanos", "basis"],
    )
    return pa.ListArray.from_arrays(pa.array(offsets), struct)


def _other_units(requests: Ints) -> pa.Array:
    has = requests > 0
    offsets = np.concatenate([[0], np.cumsum(has)]).astype(np.int32)
    mask = np.append(~has, False)
    keys = _constant_text("requests", int(has.sum()))
    return pa.MapArray.from_arrays(pa.array(offsets, mask=mask), keys, pa.array(requests[has]))


def _flags(large: Bools) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(large)]).astype(np.int32)
    values = _constant_text("large_prompt", int(large.sum()))
    return pa.ListArray.from_arrays(pa.array(offsets, mask=np.append(~large, False)), values)


def _raw(counts: Ints, quiet: Bools) -> pa.Array:
    import pyarrow.compute as pc

    parts = [
        '{"prompt_tokens":', pa.array(counts[:, 0] + counts[:, 1]).cast(pa.string()),
        ',"completion_tokens":', pa.array(counts[:, 3]).cast(pa.string()),
        ',"prompt_tokens_details":{"cached_tokens":', pa.array(counts[:, 1]).cast(pa.string()),
        ',"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}',
        "",
    ]  # fmt: skip
    return _nulled(pc.binary_join_element_wise(*parts), quiet)


def _half_even(scaled: Ints) -> Ints:
    whole, rest = np.divmod(scaled, 1_000_000)
    up = (rest > 500_000) | ((rest == 500_000) & (whole % 2 == 1))
    return np.asarray(whole + up, np.int64)


def _uuid7(unix_us: Ints, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    raw = np.frombuffer(rng.bytes(16 * len(unix_us)), np.uint8).reshape(-1, 16).copy()
    stamp = (unix_us // 1000).astype(">u8").view(np.uint8).reshape(-1, 8)
    raw[:, :6] = stamp[:, 2:]
    raw[:, 6] = raw[:, 6] & 0x0F | 0x70
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    return raw


def _binary16(raw: npt.NDArray[np.uint8]) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(raw).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(raw), [None, data])


_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)


def _hex_digits(data: bytes, width: int) -> npt.NDArray[np.uint8]:
    raw = np.frombuffer(data, np.uint8).reshape(-1, width)
    return np.stack([_HEX[raw >> 4], _HEX[raw & 15]], axis=2).reshape(-1, width * 2)


def _fixed_text(digits: npt.NDArray[np.uint8]) -> pa.Array:
    n, width = digits.shape
    offsets = pa.py_buffer(np.arange(0, (n + 1) * width, width, dtype=np.int32).tobytes())
    data = pa.py_buffer(np.ascontiguousarray(digits).tobytes())
    return pa.StringArray.from_buffers(n, offsets, data)


def _hex(data: bytes, width: int) -> pa.Array:
    return _fixed_text(_hex_digits(data, width))


def _dashed(raw: npt.NDArray[np.uint8]) -> pa.Array:
    digits = _hex_digits(np.ascontiguousarray(raw).tobytes(), 16)
    dash = np.full((len(raw), 1), ord("-"), np.uint8)
    parts = [digits[:, a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))]
    joined = [piece for part in parts for piece in (part, dash)][:-1]
    return _fixed_text(np.concatenate(joined, axis=1))


def _timestamps(micros: Ints) -> pa.Array:
    return pa.array(micros, pa.int64()).cast(pa.timestamp("us"))


def _picked(values: list[str], index: Any) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(index, pa.int64()))


def _constant_text(value: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), n)


def _nulled(array: pa.Array, null: Bools) -> pa.Array:
    import pyarrow.compute as pc

    return pc.if_else(pa.array(null), pa.scalar(None, array.type), array)


def _constant(name: str, type_: pa.DataType, n: int) -> pa.Array:
    default = _DEFAULTS[name]
    return pa.nulls(n, type_) if default is None else pa.repeat(pa.scalar(default, type_), n)


_DEFAULTS: Final = {field.name: field.default for field in FIELDS}
