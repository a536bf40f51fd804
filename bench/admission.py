"""What a limit adds to one call in the process: admission and settlement over six scopes.

    python -m bench.admission [--calls N] [--rounds N] [--json]

The authority answers in the process, on the lease thread, as a server would. The baseline is the
least that anything could do that reads and writes six counters: a dictionary of floats, checked
and then added to, which neither holds what is on its way nor is safe for threads. Both take turns
in the same run; the quiet figure is that of the best round.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from outlay.capture.limits.gate import Gate
from outlay.capture.limits.steps import Admitted, Asked
from outlay.capture.limits.waiting import admit
from outlay.capture.rates import Rates
from outlay.capture.scope import Scope
from outlay.capture.transport import Reply, Transport
from outlay.config import Settings
from outlay.core.prices import ModelRow, PriceBook, RateRow

SCOPES = (
    {"tenant": "each"},
    {"tenant": "each", "billing_unit": "each"},
    {"tenant": "each", "user": "each"},
    {"tenant": "each", "feature": "each"},
    {"tenant": "each", "agent": "each"},
    {"model": ["gpt-4o*"]},
)
BLOCK = 100
"""Calls of one kind in a row."""
WHO = {
    "tenant_id": "acme", "user_id": "u1", "feature": "summarizer", "agent_path": "research/web",
    "billing_unit_type": "campaign", "billing_unit_id": "c1", "initiator": "user",
}  # fmt: skip
USED = {"cost": 46_800, "tokens": 168, "input_tokens": 120, "output_tokens": 48, "calls": 1}


class Near:
    """An authority that grants whatever is wanted, as long as it is below a large cap."""

    syncs = 0

    def __init__(self, scopes: Sequence[Mapping[str, Any]] = SCOPES) -> None:
        self._scopes = scopes

    def request(
        self, _method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]
    ) -> Reply:
        """Answer as a server would."""
        del headers
        if path == "/v1/limits/policy":
            limits = [
                {
                    "id": f"limit-{place}", "scope": scope, "window": "month",
                    "amount": "1000000.00",
                    "thresholds": [
                        {"at": "80%", "action": "warn"}, {"at": "100%", "action": "block"},
                    ],
                }
                for place, scope in enumerate(self._scopes)
            ]  # fmt: skip
            return Reply(200, {}, json.dumps({"revision": "1", "limits": limits}).encode())
        self.syncs += 1
        said = json.loads(body or b"{}")
        lines = [
            {
                "limit": one["limit"], "scope": one["scope"], "counter": f"{one['limit']}|0",
                "ends_at": 0, "used": one["reported"], "held": 0, "amount": 10**15,
                "cap": 10**15, "granted": one["flying"] + one["need"] + one["ahead"],
                "exact": False, "verdict": "ok",
            }
            for one in said["lines"]
        ]  # fmt: skip
        answer = {"now": time.time_ns() // 1000, "ttl_s": 30, "policy": "1", "lines": lines}
        return Reply(200, {}, json.dumps(answer).encode())

    def close(self) -> None:
        """Do nothing."""


def book() -> PriceBook:
    rates = tuple(
        RateRow.make("openai", "gpt-4o-mini", unit, nanos)
        for unit, nanos in (("input", 150_000_000), ("output", 600_000_000))
    )
    return PriceBook((ModelRow("openai", "gpt-4o-mini", '{"starts_with":"gpt-4o-mini"}'),), rates)


def naive() -> Callable[[], None]:
    """Return a call that checks and adds to six floats."""
    spent: dict[str, float] = {}
    who = {**WHO, "model": "gpt-4o-mini"}
    fields = ("tenant_id", "billing_unit_id", "user_id", "feature", "agent_path", "model")

    def call() -> None:
        cost = (120 * 0.15 + 200 * 0.6) / 1e6
        keys = [f"{name}:{who[name]}" for name in fields]
        if any(spent.get(key, 0.0) + cost > 1e6 for key in keys):
            raise RuntimeError
        for key in keys:
            spent[key] = spent.get(key, 0.0) + cost

    return call


def measure(calls: int, rounds: int) -> dict[str, Any]:
    rates = Rates(None)
    rates.book = book()
    near = Near()
    gate = Gate(Settings(limits=True), rates, cast("Transport", near), kept=None)
    scope = Scope(WHO, {})
    spans: dict[str, list[int]] = {"admit": [], "settle": [], "both": [], "naive": []}
    baseline = naive()
    clock = time.perf_counter_ns

    def ours(count: int, *, timed: bool = True) -> None:
        for _ in range(count):
            began = clock()
            step = admit(
                gate,
                Asked(scope, "openai", "gpt-4o-mini", max_tokens=200, input_tokens=120,
                      operation="chat"),
            )  # fmt: skip
            between = clock()
            assert isinstance(step, Admitted)
            step.ticket.settle(USED)
            ended = clock()
            if timed:
                spans["admit"].append(between - began)
                spans["settle"].append(ended - between)
                spans["both"].append(ended - began)

    def theirs(count: int) -> None:
        for _ in range(count):
            began = clock()
            baseline()
            spans["naive"].append(clock() - began)

    for _ in range(20):  # until the lease has learned how much is used
        ours(BLOCK, timed=False)
        time.sleep(0.05)
    before = gate.stats()
    gc.collect()
    gc.freeze()
    quiet: dict[str, list[float]] = {name: [] for name in spans}
    for _ in range(rounds):
        at = {name: len(found) for name, found in spans.items()}
        for _ in range(max(1, calls // rounds // BLOCK)):
            ours(BLOCK)
            theirs(BLOCK)
        for name, found in spans.items():
            quiet[name].append(statistics.median(found[at[name] :]) / 1000)
    after = gate.stats()
    gate.close(1.0)
    figures: dict[str, Any] = {"calls": len(spans["both"]), "scopes": len(SCOPES)}
    for name, found in spans.items():
        found.sort()
        figures[f"{name}_p50_us"] = round(found[len(found) // 2] / 1000, 2)
        figures[f"{name}_p99_us"] = round(found[len(found) * 99 // 100] / 1000, 2)
        figures[f"{name}_quiet_us"] = round(min(quiet[name]), 2)
    figures["ratio_to_naive"] = round(figures["both_p50_us"] / figures["naive_p50_us"], 1)
    figures["waited"] = after["waited"] - before["waited"]
    figures["syncs"] = after["syncs"] - before["syncs"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.calls, options.rounds)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<20}{value}")


if __name__ == "__main__":
    main()
