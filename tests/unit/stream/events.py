"""Small builders of events for the tests of stream and enrichment."""

from __future__ import annotations

import json
import random
from typing import Any

import pyarrow as pa

from outlay.core.ids import uuid7
from outlay.stream.base import Chunk
from outlay.stream.decode import Limits, decode_batch, to_table
from outlay.stream.ipc import to_ipc

NOW = 1_790_000_000_000_000
SECOND = 1_000_000
DAY = 86_400 * SECOND


def event(seed: int = 0, *, at: int = NOW - 5 * SECOND, **fields: Any) -> dict[str, Any]:
    """Return one valid event; the same seed and time give the same id."""
    return {
        "event_id": uuid7(at // 1000, random.Random(seed).randbytes(10)),
        "started_at": at,
        "ended_at": at + SECOND,
        "operation": "chat",
        "status": "ok",
        **fields,
    }


def table(events: list[dict[str, Any]], *, now: int = NOW) -> pa.Table:
    """Return events as a captured table; all must be valid."""
    body = json.dumps(events).encode()
    decoded = decode_batch(body, ndjson=False, now=now, limits=Limits(max_events=100_000))
    assert decoded.rejected == []
    return to_table(decoded.events)


def chunk(events: list[dict[str, Any]], *, now: int = NOW) -> Chunk:
    """Return events as a chunk of the captured log."""
    return Chunk(to_ipc(table(events, now=now)), len(events))


def id_bytes(item: dict[str, Any]) -> bytes:
    """Return an event's id as 16 bytes."""
    return bytes.fromhex(item["event_id"].replace("-", ""))
