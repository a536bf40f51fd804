"""The cost context: who a piece of work is for, and where in the agent tree it happens.

An immutable value, as `outlay.current()` shows it. How contexts nest is `capture.scope`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from outlay.core.event import MAX_STRING_BYTES

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CostContext:
    """Attribution that every event made inside it carries; `None` means not said."""

    tenant: str | None = None
    tenant_source: str = "none"
    user: str | None = None
    workspace: str | None = None
    billing_unit_type: str | None = None
    billing_unit_id: str | None = None
    feature: str | None = None
    workflow: str | None = None
    initiator: str | None = None
    environment: str | None = None
    service: str | None = None
    request_id: str | None = None
    run_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    agent_path: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


def clip(text: str, limit: int = MAX_STRING_BYTES) -> str:
    """Cut text to at most `limit` UTF-8 bytes, at a character boundary."""
    if len(text) * 4 <= limit:
        return text
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore")
