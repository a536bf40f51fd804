"""How fast each stage of ingest is by itself: events per second, median of a few rounds.

Run `python bench/ingest_stages.py [--events N] [--rounds N]`. Every stage gets the same synthetic
events (about 1.3 KB of JSON each) in batches of 10,000. Files go to a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from outlay.core.ids import uuid7
from outlay.enrich import flags
from outlay.enrich.business import TenantIndex
from outlay.enrich.hop import Hop, HopLog
from outlay.enrich.price import price_table
from outlay.store.base import Tenant
from outlay.store.books.catalogue import load_catalogue
from outlay.stream.base import Chunk
from outlay.stream.decode import Decoded, Limits, decode_batch, to_table
from outlay.stream.ipc import from_ipc, to_ipc
from outlay.stream.sqlite import SqliteLog

BATCH = 10_000
APPEND_BATCH = 500
LIMITS = Limits()


def make_events(number: int, now: int, seed: int) -> list[dict[str, Any]]:
    """Return events of agent traffic: 200 tenants, nested agents, cached prompts."""
    dice = random.Random(seed)
    events = []
    for index in range(number):
        start = now - dice.randrange(60_000_000)
        event: dict[str, Any] = {
            "event_id": uuid7(start // 1000, dice.randbytes(10)),
            "call_id": uuid7(start // 1000, dice.randbytes(10)),
            "provider_request_id": "req_" + dice.randbytes(12).hex(),
            "response_id": "msg_" + dice.randbytes(12).hex(),
            "started_at": start,
            "ended_at": start + dice.randrange(5_000_000),
            "latency_ms": dice.random() * 5_000,
            "ttft_ms": dice.random() * 500,
            "tenant_id": f"tenant-{dice.randrange(200)}",
            "tenant_source": "request",
            "user_id": f"user-{dice.randrange(5_000)}",
            "workspace_id": f"ws-{dice.randrange(500)}",
            "initiator": "user",
            "request_id": uuid7(start // 1000, dice.randbytes(10)),
            "run_id": uuid7(start // 1000, dice.randbytes(10)),
            "trace_id": dice.randbytes(16).hex(),
            "span_id": dice.randbytes(8).hex(),
            "parent_span_id": dice.randbytes(8).hex(),
            "agent_path": dice.choice(["plan", "plan/research", "plan/research/web"]),
            "feature": dice.choice(["doc-summarizer", "chat", "search"]),
            "environment": "prod",
            "service": "api",
            "operation": "chat",
            "provider": "anthropic",
            "vendor": "anthropic",
            "surface": "anthropic.messages",
            "model_requested": "claude-sonnet-4-5",
            "model_served": "claude-sonnet-4-5-20250929",
            "tier_served": "standard",
            "streamed": True,
            "tool_calls": dice.randrange(3),
            "max_tokens": 4096,
            "status": "ok",
            "http_status": 200,
            "finish_reason": "end_turn",
            "input": dice.randrange(5_000),
            "input_cache_read": dice.randrange(20_000),
            "output": dice.randrange(2_000),
            "usage_raw": json.dumps({"input_tokens": index, "output_tokens": dice.randrange(99)}),
        }
        if index % 4 == 0:
            event["labels"] = {"team": "a", "case": str(index)}
        events.append(event)
    return events


def measure(name: str, events: int, rounds: int, work: Callable[[], object]) -> None:
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    median = statistics.median(seconds)
    print(f"{name:<34} {events / median:>12,.0f} events/s {median / events * 1e6:>8.2f} us/event")


def ids_of(table: pa.Table) -> list[bytes]:
    return [bytes(value) for value in table.column("event_id").to_pylist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    events, rounds = options.events, options.rounds
    now = time.time_ns() // 1000
    batches = [make_events(BATCH, now, seed) for seed in range(max(1, events // BATCH))]
    events = BATCH * len(batches)
    bodies = [json.dumps(batch).encode() for batch in batches]
    lines = [b"\n".join(json.dumps(e).encode() for e in batch) for batch in batches]

    def decode(ndjson: bool) -> list[Decoded]:
        source = lines if ndjson else bodies
        return [decode_batch(b, ndjson=ndjson, now=now, limits=LIMITS) for b in source]

    decoded = decode(ndjson=False)
    tables = [to_table(d.events) for d in decoded]
    payloads = [to_ipc(table) for table in tables]
    measure("decode JSON array", events, rounds, lambda: decode(ndjson=False))
    measure("decode NDJSON", events, rounds, lambda: decode(ndjson=True))
    measure("to_table", events, rounds, lambda: [to_table(d.events) for d in decoded])
    measure("to_ipc", events, rounds, lambda: [to_ipc(table) for table in tables])
    measure("from_ipc", events, rounds, lambda: [from_ipc(p) for p in payloads])
    with tempfile.TemporaryDirectory() as folder:
        measure_storage(Path(folder), tables, payloads, events, rounds, now)
    measure_enrichment(tables, events, rounds)


def measure_storage(
    folder: Path,
    tables: list[pa.Table],
    payloads: list[bytes],
    events: int,
    rounds: int,
    now: int,
) -> None:
    part = to_ipc(tables[0].slice(0, APPEND_BATCH))
    log = SqliteLog(folder / "captured.db")

    def append() -> None:
        for _ in range(events // APPEND_BATCH):
            log.append([Chunk(part, APPEND_BATCH)], appended_at=now)

    measure(f"log append ({APPEND_BATCH} a commit)", events, rounds, append)
    log.close()
    ids = [ids_of(table) for table in tables]
    number = iter(range(10**6))

    def hop_all() -> None:
        hop = HopLog(folder / f"hop{next(number)}.db")
        for step, (keys, payload) in enumerate(zip(ids, payloads, strict=True)):
            if hop.seen(keys, received_at=now):
                raise AssertionError("ids of different batches are the same")
            chunks = [Chunk(payload, len(keys))]
            hop.commit(Hop(step, step + 1, now, now, chunks, keys))
        hop.close()

    measure("hop (seen + commit, 10,000 each)", events, rounds, hop_all)


def measure_enrichment(tables: list[pa.Table], events: int, rounds: int) -> None:
    tenants = TenantIndex(Tenant(f"tenant-{i}", plan="pro") for i in range(200))
    sizes = flags.PromptSizes({})
    rules = flags.FlagRules()

    def attribute() -> None:
        for table in tables:
            names = table.column("tenant_id").combine_chunks()
            starts = flags.integers(table, "started_at")
            _, unknown = tenants.attributes(names, starts)
            totals = flags.input_totals(table)
            found = flags.masks(table, starts + 6_000_000, unknown, rules)
            found[flags.LARGE_PROMPT] = sizes.large(names, totals, rules.large_prompt_factor)
            sizes.apply(sizes.learned(names, np.asarray(totals)))
            flags.flag_lists(table.num_rows, found, None)

    measure("tenants and flags", events, rounds, attribute)
    book = load_catalogue()
    measure("price_table", events, rounds, lambda: [price_table(t, book) for t in tables])


if __name__ == "__main__":
    main()
