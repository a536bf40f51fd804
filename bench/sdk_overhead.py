"""What the SDK adds to one call: tap, context and durable spool.

    python bench/sdk_overhead.py [--calls N] [--rounds N] [--json]

A small non-streamed chat completion goes through `httpx` and `httpx2` over an in-memory transport,
bare and metered in turns of the same run, so that the machine's noise falls on both. The figure is
the difference of the medians; the quiet one compares the quietest round of each kind. Import time
is the median of fresh interpreters.
"""

from __future__ import annotations

import argparse
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
from outlay.capture import runtime as guest
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


def book() -> PriceBook:
    rates = tuple(
        RateRow.make("openai", "gpt-4o-mini", unit, nanos)
        for unit, nanos in (("input", 150_000_000), ("output", 600_000_000))
    )
    return PriceBook((ModelRow("openai", "gpt-4o-mini", '{"starts_with":"gpt-4o-mini"}'),), rates)


def client_of(module: ModuleType) -> Any:
    def handle(_request: Any) -> Any:
        return module.Response(200, headers=HEADERS, stream=module.ByteStream(ANSWERED))

    return module.Client(transport=module.MockTransport(handle))


def timed(call: Callable[[], object], count: int) -> list[int]:
    clock = time.perf_counter_ns
    spans = []
    for _ in range(count):
        start = clock()
        call()
        spans.append(clock() - start)
    return spans


def measure(module: ModuleType, calls: int, rounds: int) -> dict[str, float]:
    client = client_of(module)

    def bare() -> None:
        client.post(URL, json=ASKED)

    def metered() -> None:
        with outlay.context(tenant="acme", user="u1", workspace="w1", feature="summarizer"):
            client.post(URL, json=ASKED)

    plain: list[int] = []
    with_sdk: list[int] = []
    quiet: list[tuple[float, float]] = []
    for turn in range(rounds + 1):
        tap.remove(module)
        first = timed(bare, calls)
        with tempfile.TemporaryDirectory() as folder:
            runtime = guest.Runtime(Settings(spool_dir=folder))
            runtime.rates.book = book()
            guest.activate(runtime)
            tap.install(module)
            metered()
            second = timed(metered, calls)
            guest.activate(None)
            stored = runtime.spool.stored if runtime.spool else 0
            runtime.close(0)
        if stored != calls + 1:
            raise SystemExit(f"only {stored} of {calls + 1} events were stored")
        if turn:  # the first turn warms up
            plain += first
            with_sdk += second
            quiet.append((statistics.median(first), statistics.median(second)))
    low, high = statistics.median(plain), statistics.median(with_sdk)
    return {
        "bare_us": round(low / 1000, 1),
        "metered_us": round(high / 1000, 1),
        "added_p50_us": round((high - low) / 1000, 1),
        "added_quiet_us": round((min(m for _, m in quiet) - min(b for b, _ in quiet)) / 1000, 1),
        "added_p90_us": round((_p90(with_sdk) - _p90(plain)) / 1000, 1),
    }


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
    for name, span in report["import_ms"].items():
        print(f"{name}: {span} ms")
    print(f"Python {sys.version.split()[0]}, {Path(tempfile.gettempdir())} for the spool")


if __name__ == "__main__":
    main()
