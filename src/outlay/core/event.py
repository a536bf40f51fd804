"""`CostEvent` version 1: the one record that crosses every boundary.

One event is one attempt of one billable operation. This module owns the field table; the frozen
file `cost_event_v1.json` beside it is the published form, and a test pins its hash. Fields marked
`enriched` are added by the server and refused from clients. Field meanings follow OpenTelemetry
GenAI and FOCUS where those have a word. It must not read clocks or make ids.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

SCHEMA_VERSION: Final = 1

MAX_STRING_BYTES: Final = 256
MAX_LABELS: Final = 64
MAX_OTHER_UNITS: Final = 64
MAX_FLAGS: Final = 32
MAX_RAW_BYTES: Final = 8 * 1024
"""Bound of `usage_raw` and of `segments`, each."""
MAX_COUNT: Final = 10**15
"""Bound of any single usage count."""

UNATTRIBUTED: Final = "unattributed"

Type = Literal[
    "uuid", "string", "uint8", "int16", "int32", "int64", "float32", "bool", "timestamp",
    "json", "map_string", "map_int64", "list_string", "lines",
]  # fmt: skip
"""`timestamp` is microseconds since 1970 UTC: an integer, or RFC 3339 text on the way in."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of an event."""

    name: str
    type: Type
    group: str
    enriched: bool = False
    required: bool = False
    default: Any = None


def _group(group: str, *fields: tuple[str, Type] | tuple[str, Type, Any]) -> list[Field]:
    return [Field(f[0], f[1], group, default=f[2] if len(f) == 3 else None) for f in fields]


def _required(group: str, *fields: tuple[str, Type]) -> list[Field]:
    return [Field(name, type_, group, required=True) for name, type_ in fields]


def _enriched(group: str, *fields: tuple[str, Type] | tuple[str, Type, Any]) -> list[Field]:
    return [
        Field(f[0], f[1], group, enriched=True, default=f[2] if len(f) == 3 else None)
        for f in fields
    ]


FIELDS: Final[tuple[Field, ...]] = (
    *_required("identity", ("event_id", "uuid")),
    *_group(
        "identity",
        ("schema_version", "uint8", SCHEMA_VERSION),
        ("call_id", "uuid"),
        ("attempt", "uint8", 0),
        ("fallback_from", "string"),
        ("provider_request_id", "string"),
        ("response_id", "string"),
    ),
    *_required("time", ("started_at", "timestamp"), ("ended_at", "timestamp")),
    *_group("time", ("latency_ms", "float32"), ("ttft_ms", "float32")),
    *_enriched("time", ("received_at", "timestamp")),
    *_group(
        "who",
        ("tenant_id", "string", UNATTRIBUTED),
        ("tenant_source", "string", "none"),
        ("context_verified", "bool", False),
        ("context_key_id", "string"),
        ("user_id", "string"),
        ("workspace_id", "string"),
        ("billing_unit_type", "string"),
        ("billing_unit_id", "string"),
        ("initiator", "string"),
    ),
    *_enriched(
        "who",
        ("plan", "string"),
        ("tier", "string"),
        ("contract_type", "string"),
        ("contract_id", "string"),
    ),
    *_group(
        "where",
        ("request_id", "string"),
        ("run_id", "string"),
        ("trace_id", "string"),
        ("span_id", "string"),
        ("parent_span_id", "string"),
        ("agent_path", "string", ""),
        ("workflow", "string"),
        ("feature", "string"),
        ("environment", "string"),
        ("service", "string"),
        ("labels", "map_string"),
    ),
    *_required("what", ("operation", "string")),
    *_group(
        "what",
        ("name", "string"),
        ("provider", "string"),
        ("vendor", "string"),
        ("surface", "string"),
        ("host_class", "string"),
        ("region_class", "string"),
        ("model_requested", "string"),
        ("model_served", "string"),
        ("deployment", "string"),
        ("tier_requested", "string"),
        ("tier_served", "string"),
        ("batch", "bool", False),
        ("speed", "string"),
        ("streamed", "bool", False),
        ("tool_calls", "int32", 0),
        ("max_tokens", "int64"),
    ),
    *_required("outcome", ("status", "string")),
    *_group(
        "outcome",
        ("error_type", "string"),
        ("http_status", "int16"),
        ("finish_reason", "string"),
        ("billed", "string", "yes"),
    ),
    *_group(
        "usage",
        ("input", "int64", 0),
        ("input_cache_read", "int64", 0),
        ("input_cache_write_5m", "int64", 0),
        ("input_cache_write_1h", "int64", 0),
        ("output", "int64", 0),
        ("output_reasoning", "int64", 0),
        ("other_units", "map_int64"),
        ("usage_source", "string", "provider"),
        ("usage_raw", "json"),
        ("segments", "json"),
        ("findings", "list_string"),
    ),
    *_group("cost", ("provider_cost_nanos", "int64")),
    *_enriched(
        "cost",
        ("cost_nanos", "int64", 0),
        ("cost_input_nanos", "int64", 0),
        ("cost_cache_read_nanos", "int64", 0),
        ("cost_cache_write_nanos", "int64", 0),
        ("cost_output_nanos", "int64", 0),
        ("cost_other_nanos", "int64", 0),
        ("lines", "lines"),
        ("price_basis", "string", "unpriced"),
        ("price_confidence", "string"),
        ("price_book_hash", "string"),
        ("price_model", "string"),
        ("price_rule", "string"),
        ("list_cost_nanos", "int64"),
        ("sell_nanos", "int64"),
        ("credits_micros", "int64"),
    ),
    *_group(
        "control",
        ("hold_id", "string"),
        ("estimate_nanos", "int64"),
        ("limit_action", "string"),
        ("downgraded_from", "string"),
        ("cut_off", "bool", False),
    ),
    *_enriched("flags", ("flags", "list_string")),
    *_group(
        "adjust",
        ("kind", "string", "usage"),
        ("adjusts_event_id", "uuid"),
        ("reason", "string"),
    ),
)

BY_NAME: Final = {field.name: field for field in FIELDS}
CAPTURED: Final = tuple(field for field in FIELDS if not field.enriched)

LINE_FIELDS: Final[tuple[tuple[str, Type], ...]] = (
    ("unit", "string"),
    ("quantity", "int64"),
    ("rate_id", "string"),
    ("nanos", "int64"),
    ("basis", "string"),
)

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "tenant_source": ("request", "job", "key", "default", "none"),
    "initiator": ("user", "system"),
    "operation": (
        "chat", "text_completion", "embeddings", "rerank", "image", "speech", "transcription",
        "realtime", "tool", "retrieval", "gpu", "storage", "other",
    ),
    "status": ("ok", "error", "aborted", "incomplete", "refused", "blocked", "timeout"),
    "billed": ("yes", "no", "possible"),
    "usage_source": ("provider", "counted", "estimated", "none"),
    "kind": ("usage", "adjustment", "allocation"),
    "price_basis": ("provider_stated", "contract", "catalogue", "estimate", "unpriced", "free"),
    "price_confidence": ("exact", "estimated", "unknown"),
}  # fmt: skip
"""The closed vocabularies; any other value is refused with the list."""


def schema_document() -> dict[str, Any]:
    """Return the published form of the schema, as frozen in `cost_event_v1.json`."""
    return {
        "schema": "outlay.cost_event",
        "version": SCHEMA_VERSION,
        "limits": {
            "string_bytes": MAX_STRING_BYTES,
            "labels": MAX_LABELS,
            "other_units": MAX_OTHER_UNITS,
            "flags": MAX_FLAGS,
            "raw_bytes": MAX_RAW_BYTES,
            "count": MAX_COUNT,
        },
        "values": {name: list(values) for name, values in VALUES.items()},
        "lines": [{"name": name, "type": type_} for name, type_ in LINE_FIELDS],
        "fields": [
            {
                "name": f.name,
                "type": f.type,
                "group": f.group,
                "enriched": f.enriched,
                "required": f.required,
                "default": f.default,
            }
            for f in FIELDS
        ],
    }


def schema_text() -> str:
    """Return the schema document as the exact text of the frozen file."""
    return json.dumps(schema_document(), indent=1) + "\n"
