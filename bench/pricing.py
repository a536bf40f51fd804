"""How fast events are priced: by columns, one by one, and by genai-prices in the same run.

Run `python bench/pricing.py [--events N] [--batch N] [--rounds N]`. Events are agent traffic over
eight models, half of them with cached prompts, some batch calls, some with web searches. Medians;
the ratio is genai-prices' time per event over ours.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from genai_prices import Usage, calc_price

from outlay.core.calls import call_of
from outlay.core.event import FIELDS
from outlay.core.rating import price_call
from outlay.enrich.price import price_table
from outlay.store.books.catalogue import read_catalogue
from outlay.stream.columns import CAPTURED_SCHEMA

START = 1_793_000_000_000_000
ONE_BY_ONE = 2_000
MODELS = (
    ("openai", "gpt-5.6-sol"), ("openai", "gpt-5.6-luna"), ("openai", "gpt-4.1-mini"),
    ("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-haiku-5-5"),
    ("google", "gemini-2.5-pro"), ("google", "gemini-2.5-flash"), ("deepseek", "deepseek-v4-flash"),
)  # fmt: skip


def make_events(number: int, seed: int) -> list[dict[str, Any]]:
    dice = random.Random(seed)
    defaults = {field.name: field.default for field in FIELDS if not field.enriched}
    events = []
    for index in range(number):
        provider, model = dice.choice(MODELS)
        start = START + index * 1_000
        events.append(
            {
                **defaults,
                "event_id": index.to_bytes(16, "big"),
                "started_at": start,
                "ended_at": start + 1_000_000,
                "operation": "chat",
                "status": "ok",
                "provider": provider,
                "model_requested": model,
                "model_served": model,
                "batch": dice.random() < 0.05,
                "input": dice.randrange(1, 20_000),
                "input_cache_read": dice.choice((0, dice.randrange(100_000))),
                "output": dice.randrange(1, 4_000),
                "output_reasoning": dice.choice((0, 0, dice.randrange(2_000))),
                "other_units": [("web_search", 1)] if dice.random() < 0.05 else None,
            }
        )
    return events


def seconds(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def genai_prices(events: list[dict[str, Any]]) -> None:
    for event in events:
        read = event["input_cache_read"]
        calc_price(
            Usage(
                input_tokens=event["input"] + read,
                cache_read_tokens=read,
                output_tokens=event["output"] + event["output_reasoning"],
            ),
            model_ref=event["model_served"],
            provider_id=event["provider"],
            genai_request_timestamp=datetime.fromtimestamp(event["started_at"] // 10**6, tz=UTC),
            price_context={"processing": "batch"} if event["batch"] else None,
        )


def report(name: str, events: int, taken: float, baseline: float) -> None:
    each = taken / events * 1e6
    print(
        f"{name:<34}{events / taken:>12,.0f} events/s {each:>9.2f} µs/event"
        f" {baseline / each:>8.1f}x genai-prices"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    said = parser.parse_args()

    started = time.perf_counter()
    book, catalogue = read_catalogue()
    loaded = time.perf_counter() - started
    print(
        f"catalogue {catalogue.version}: {catalogue.models:,} models, {len(book.rates):,} rates"
        f" in {loaded:.2f} s; {catalogue.rounded} rounded, skipped {dict(catalogue.skipped)}"
    )
    events = make_events(said.events, seed=1)
    some = events[:ONE_BY_ONE]
    plain = [{**event, "other_units": dict(event["other_units"] or ())} for event in some]
    whole = pa.Table.from_pylist(events, schema=CAPTURED_SCHEMA)
    batches = [whole.slice(at, said.batch) for at in range(0, len(events), said.batch)]

    theirs = seconds(lambda: genai_prices(some), said.rounds) / len(some) * 1e6
    report("genai-prices calc_price", len(some), theirs * len(some) / 1e6, theirs)
    taken = seconds(
        lambda: [price_call(book, call_of(event, at=event["started_at"])) for event in plain],
        said.rounds,
    )
    report("one by one (core.rating)", len(plain), taken, theirs)
    taken = seconds(lambda: [price_table(batch, book) for batch in batches], said.rounds)
    report(f"by columns, batches of {said.batch:,}", len(events), taken, theirs)
    taken = seconds(lambda: price_table(whole, book), said.rounds)
    report("by columns, one table", len(events), taken, theirs)


if __name__ == "__main__":
    main()
