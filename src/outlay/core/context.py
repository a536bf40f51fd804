"""The cost context: who a piece of work is for, and where in the agent tree it happens.

An immutable value. The guest keeps the current one in a context variable; this module knows
nothing of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from outlay.core.event import MAX_LABELS, MAX_STRING_BYTES

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

    def with_values(self, **values: Any) -> CostContext:
        """Return a copy with the given values; `None` keeps the value there is."""
        return replace(self, **{k: v for k, v in values.items() if v is not None})

    def with_labels(self, labels: Mapping[str, str]) -> CostContext:
        """Return a copy with more labels, bounded by `MAX_LABELS` (the first ones win)."""
        merged = {**self.labels, **labels}
        return replace(self, labels=dict(list(merged.items())[:MAX_LABELS]))

    def entered_agent(self, name: str, span_id: str) -> CostContext:
        """Return the context inside an agent: its path is one segment longer."""
        segment = clip(name.replace("/", "_"), 64)
        path = f"{self.agent_path}/{segment}" if self.agent_path else segment
        return replace(self, agent_path=clip(path), span_id=span_id)


def clip(text: str, limit: int = MAX_STRING_BYTES) -> str:
    """Cut text to at most `limit` UTF-8 bytes, at a character boundary."""
    if len(text) * 4 <= limit:
        return text
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore")
