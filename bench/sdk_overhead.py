"""What the SDK adds to one call: context, tap and reader, event, durable spool.

    python -m bench.sdk_overhead [--calls N] [--rounds N] [--json]

A small non-streamed chat completion goes through `httpx` and `httpx2` over an in-memory transport.
Six kinds of call take turns in short blocks, so that the machine's noise falls on all alike: bare,
with an `outlay.context` only, metered up to the reading, metered up to the event's text, the whole
with one committed insert a call, and that with limits on: six scopes held and settled from leases.
`added` is the difference of the medians of the whole and the bare kind, the split that of
neighbours; the quiet figure compares the quietest round of each. Import time is the median of
fresh interpreters.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import outlay
from bench.admission import Near
from outlay.capture import runtime as guest
from outlay.capture.limits.gate import Gate
from outlay.capture.spool import STORED
from outlay.capture.taps import http as tap
from outlay.config import Settings
from outlay.core.prices import ModelRow, PriceBook, RateRow

URL = "https://api.openai.com/v1/chat/completions"
ASKED = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant. Answer briefly. " * 4},
        {"role": "user", "content": "Summarise the following paragraph for me. " * 8},
    ],
    "max_tokens": 200,
}
ANSWERED = json.dumps(
    {
        "id": "chatcmpl-BEnch0000000000000000000001",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "A short summary. " * 12},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 120,
            "completion_tokens": 48,
            "total_tokens": 168,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_0000000000",
    }
).encode()
HEADERS = {
    "content-type": "application/json",
    "x-request-id": "req_0123456789abcdef0123456789abcdef",
    "openai-processing-ms": "412",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-tokens": "1999950",
}

SCOPES: tuple[dict[str, Any], ...] = (
    {},
    {"provider": "openai"},
    {"tenant": "each"},
    {"tenant": "each", "user": "each"},
    {"tenant": "each", "feature": "each"},
    {"tenant": "each", "model": ["gpt-4o*"]},
)
"""What the limits of a call count by."""
BLOCK = 25
"""Calls of one kind in a row; other kinds then take their turns."""
WARM = 2
"""Calls before each block that are not timed."""
SPLIT = ("context", "tap and reader", "event", "spool", "limits")
"""What each kind of call does more than the one before it."""


def book() -> PriceBook:
    rates = tuple(
        RateRow.make("openai", "gpt-4o-mini", unit, nanos)
        for unit, nanos in (("input", 150_000_000), ("output", 600_000_000))
    )
    return PriceBook((ModelRow("openai", "gpt-4o-mini", '{"starts_with":"gpt-4o-mini"}'),), rates)


class ReadOnly(guest.Runtime):
    """Meters a call as far as its reading and makes no event."""

    def submit(self, *_event: object) -> None:
        """Leave the event out."""


def clients_of(module: ModuleType) -> tuple[Any, Any]:
    """Return two alike clients: one whose `send` no tap reaches, and one that is tapped."""

    def handle(_request: Any) -> Any:
        return module.Response(200, headers=HEADERS, stream=module.ByteStream(ANSWERED))

    tap.remove(module)
    untapped = type("Client", (module.Client,), {"send": module.Client.send})
    tapped = type("Client", (module.Client,), {})
    tap.install(module)
    return tuple(kind(transport=module.MockTransport(handle)) for kind in (untapped, tapped))


def timed(call: Callable[[], object], count: int) -> list[int]:
    clock = time.perf_counter_ns
    spans = []
    for _ in range(count):
        start = clock()
        call()
        spans.append(clock() - start)
    return spans


def measure(module: ModuleType, calls: int, rounds: int) -> dict[str, Any]:
    untapped, tapped = clients_of(module)

    def bare() -> None:
        untapped.post(URL, json=ASKED)

    def context() -> None:
        with outlay.context(tenant="acme", user="u1", workspace="w1", feature="summarizer"):
            untapped.post(URL, json=ASKED)

    def metered() -> None:
        with outlay.context(tenant="acme", user="u1", workspace="w1", feature="summarizer"):
            tapped.post(URL, json=ASKED)

    blocks = max(1, calls // BLOCK)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(spool_dir=folder)
        whole = guest.Runtime(settings)
        whole.rates.book = book()
        governed = guest.Runtime(Settings(spool_dir=f"{folder}/limits"))
        governed.rates.book = whole.rates.book
        near: Any = Near(SCOPES)
        gate = Gate(Settings(limits=True), governed.rates, near, kept=None)
        governed.gate = gate
        kinds: dict[str, tuple[Callable[[], None], guest.Runtime | None]] = {
            "bare": (bare, None),
            "context": (context, None),
            "read": (metered, ReadOnly(settings, store=lambda _event: STORED)),
            "event": (metered, guest.Runtime(settings, store=lambda _event: STORED)),
            "whole": (metered, whole),
            "limits": (metered, governed),
        }
        found = [_round(kinds, blocks) for _ in range(rounds + 1)][1:]  # the first one warms up
        guest.activate(None)
        made = (rounds + 1) * blocks * (BLOCK + WARM)
        for runtime in (whole, governed):
            stored = runtime.spool.stored if runtime.spool else 0
            if stored != made:
                raise SystemExit(f"{stored} events were stored: not one for each call")
        if gate.stats()["admitted"] != made:
            raise SystemExit(f"{gate.stats()} is not one admission for each call")
        for runtime in (whole, governed):
            runtime.close(0)
    return _report(found)


def _round(
    kinds: dict[str, tuple[Callable[[], None], guest.Runtime | None]], blocks: int
) -> dict[str, list[int]]:
    spans: dict[str, list[int]] = {name: [] for name in kinds}
    gc.collect()
    for _ in range(blocks):
        for name, (call, runtime) in kinds.items():
            guest.activate(runtime)
            timed(call, WARM)
            spans[name] += timed(call, BLOCK)
    return spans


def _report(rounds: list[dict[str, list[int]]]) -> dict[str, Any]:
    spans = {name: [span for found in rounds for span in found[name]] for name in rounds[0]}
    middle = {name: statistics.median(found) for name, found in spans.items()}
    quiet = {name: min(statistics.median(found[name]) for found in rounds) for name in spans}
    steps = zip(SPLIT, list(middle.values()), list(middle.values())[1:], strict=False)
    return {
        "bare_us": _us(middle["bare"]),
        "metered_us": _us(middle["whole"]),
        "added_p50_us": _us(middle["whole"] - middle["bare"]),
        "added_quiet_us": _us(quiet["whole"] - quiet["bare"]),
        "added_p90_us": _us(_p90(spans["whole"]) - _p90(spans["bare"])),
        "limited_p50_us": _us(middle["limits"] - middle["bare"]),
        "limited_quiet_us": _us(quiet["limits"] - quiet["bare"]),
        "split_us": {name: _us(after - before) for name, before, after in steps},
    }


def _us(nanoseconds: float) -> float:
    return round(nanoseconds / 1000, 1)


def _p90(spans: list[int]) -> float:
    return statistics.quantiles(spans, n=10)[8]


def import_ms(runs: int = 9) -> dict[str, float]:
    """Milliseconds that `import outlay` and its first use take, in fresh interpreters."""
    found = {}
    for name, code in (
        ("import outlay", "import outlay"),
        ("first use", "import outlay; outlay.init"),
    ):
        timing = f"import time; a=time.perf_counter(); {code}; print((time.perf_counter()-a)*1000)"
        spans = [
            float(subprocess.check_output([sys.executable, "-c", timing])) for _ in range(runs)
        ]
        found[name] = round(statistics.median(spans), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000, help="calls of each kind in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report: dict[str, Any] = {
        name: measure(importlib.import_module(name), options.calls, options.rounds)
        for name in ("httpx", "httpx2")
    }
    report["import_ms"] = import_ms()
    if options.json:
        print(json.dumps(report))
        return
    for name in ("httpx", "httpx2"):
        row = report[name]
        print(
            f"{name:7} bare {row['bare_us']:7.1f} µs   metered {row['metered_us']:7.1f} µs   "
            f"added p50 {row['added_p50_us']:6.1f} µs   "
            f"quiet {row['added_quiet_us']:6.1f} µs   p90 {row['added_p90_us']:6.1f} µs"
        )
        print(
            f"{'':7} with limits on, over six scopes: added p50 {row['limited_p50_us']:6.1f} µs   "
            f"quiet {row['limited_quiet_us']:6.1f} µs"
        )
        split = "   ".join(f"{part} {span:.1f} µs" for part, span in row["split_us"].items())
        print(f"{'':7} {split}")
    for name, span in report["import_ms"].items():
        print(f"{name}: {span} ms")
    print(f"Python {sys.version.split()[0]}, {Path(tempfile.gettempdir())} for the spool")


if __name__ == "__main__":
    main()
