"""Figures of the gateway bench: medians over rounds, what a subject adds to direct, ratios."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.gateway_client import Taken, Way
from bench.gateway_process import Process

ADDED_P50_MS: Final = 1.0
ADDED_P99_MS: Final = 10.0
OVER_LITELLM: Final = 10.0
KEPT: Final = 0.6
"""Goals: added to a governed call, its rps over LiteLLM's, and over plain's."""
COLUMNS: Final = (
    ("rps", "rps", 0),
    ("clients", "at", 0),
    ("cpu_us", "cpu µs", 0),
    ("rate", "rate", 0),
    ("p50_ms", "p50 ms", 2),
    ("added_p50_ms", "added p50", 2),
    ("added_p99_ms", "added p99", 2),
    ("added_token_p50_ms", "token p50", 2),
    ("added_token_p99_ms", "token p99", 2),
    ("added_first_ms", "1st token", 2),
    ("tokens_a_second", "tokens/s", 0),
    ("idle_mb", "idle MiB", 0),
    ("loaded_mb", "after", 0),
    ("peak_mb", "peak", 0),
    ("failed", "failed", 0),
)
LEGEND: Final = (
    "rps with so many clients (at), on one core; cpu of a call, with what is done later; p50 and "
    "added ms at the rate; ms\nadded to a token and to the first one of a stream; tokens/s at "
    "most; memory at first, after all, at its peak"
)


@dataclass(slots=True)
class Subject:
    """One thing that is measured, and what was found; milliseconds, a list has one per round."""

    name: str
    version: str
    way: Way
    process: Process
    settle: Callable[[], None] = lambda: None
    rps: dict[int, list[float]] = field(default_factory=dict)
    cpu_us: list[float] = field(default_factory=list)
    rate: float = 0.0
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    late_p99: list[float] = field(default_factory=list)
    first_p50: list[float] = field(default_factory=list)
    token_p50: list[float] = field(default_factory=list)
    token_p99: list[float] = field(default_factory=list)
    tokens_a_second: list[float] = field(default_factory=list)
    idle_mb: float = 0.0
    loaded_mb: float = 0.0
    peak_mb: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)

    def note(self, taken: Taken) -> Taken:
        """Count what failed in a phase."""
        self.failures.update(taken.failures)
        return taken


def at(spans: Sequence[int], percent: int) -> float:
    """Return a percentile of nanoseconds, in milliseconds; of nothing, infinity."""
    if not spans:
        return float("inf")
    return sorted(spans)[min(len(spans) - 1, len(spans) * percent // 100)] / 1e6


def best(rps: Mapping[int, Sequence[float]]) -> tuple[int, float]:
    """Return with how many clients a subject carried the most, and how much."""
    most = {clients: statistics.median(found) for clients, found in rps.items()}
    clients = max(most, key=lambda one: most[one])
    return clients, most[clients]


def added(subject: Sequence[float], direct: Sequence[float]) -> float:
    """Return the median over rounds of what a subject adds."""
    return statistics.median(one - other for one, other in zip(subject, direct, strict=True))


def figures(subjects: Sequence[Subject]) -> dict[str, dict[str, Any]]:
    """Return the figures of each subject; the first is direct."""
    direct = subjects[0]
    found = {}
    for subject in subjects:
        clients, rps = best(subject.rps)
        one: dict[str, Any] = {
            "version": subject.version,
            "rps": rps,
            "clients": clients,
            "rps_by_clients": {
                str(number): statistics.median(taken) for number, taken in subject.rps.items()
            },
            "cpu_us": min(
                statistics.median(subject.cpu_us[place :: len(subject.rps)])
                for place in range(len(subject.rps))
            ),
            "rate": subject.rate,
            "p50_ms": statistics.median(subject.p50),
            "p99_ms": statistics.median(subject.p99),
            "added_p50_ms": added(subject.p50, direct.p50),
            "added_p99_ms": added(subject.p99, direct.p99),
            "sent_late_p99_ms": statistics.median(subject.late_p99),
            "added_token_p50_ms": added(subject.token_p50, direct.token_p50),
            "added_token_p99_ms": added(subject.token_p99, direct.token_p99),
            "added_first_ms": added(subject.first_p50, direct.first_p50),
            "tokens_a_second": statistics.median(subject.tokens_a_second),
            "idle_mb": subject.idle_mb,
            "loaded_mb": subject.loaded_mb,
            "peak_mb": subject.peak_mb,
            "failed": sum(subject.failures.values()),
            "failures": dict(subject.failures),
        }
        found[subject.name] = {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in one.items()
        }
    return found


def ratios(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return lines that hold the goals against the figures."""
    lines: list[str] = []
    governed = found.get("governed")
    if governed is None:
        return lines
    for name, title, goal in (
        ("added_p50_ms", "added p50", ADDED_P50_MS),
        ("added_p99_ms", "added p99", ADDED_P99_MS),
    ):
        lines.append(f"governed {title} {governed[name]:.2f} ms (goal: at most {goal:g})")
    goals = {"plain": f" (goal: {KEPT:g})", "litellm": f" (goal: {OVER_LITELLM:g})"}
    for name in ("floor", "plain", "litellm", "portkey"):
        if name in found:
            other = found[name]
            calls = governed["rps"] / max(1, other["rps"])
            tokens = governed["tokens_a_second"] / max(0.1, other["tokens_a_second"])
            spent = governed["cpu_us"] / max(1, other["cpu_us"])
            memory = governed["loaded_mb"] / max(1, other["loaded_mb"])
            lines.append(
                f"governed ÷ {name}: calls {calls:.2f}{goals.get(name, '')}, "
                f"tokens {tokens:.2f}, processor time a call {spent:.2f}, memory {memory:.2f}"
            )
    return lines


def text(taken: Mapping[str, Any]) -> str:
    """Return the figures for people."""
    found = taken["subjects"]
    titles = {name: f"{name} {one['version']}".strip() for name, one in found.items()}
    width = max(len(title) for title in titles.values())
    heads = [head for _, head, _ in COLUMNS]
    lines = [" " * width + "".join(f"{head:>11}" for head in heads)]
    for name, one in found.items():
        cells = [f"{one[column]:>11,.{digits}f}" for column, _, digits in COLUMNS]
        lines.append(f"{titles[name]:<{width}}" + "".join(cells))
    lines += ["", LEGEND, "", *ratios(found)]
    rates = {name: one["rate"] for name, one in found.items()}
    slow = [f"{name} at {rate:.0f}" for name, rate in rates.items() if rate < rates["direct"]]
    if slow:
        lines.append(f"calls a second of the open loop: {rates['direct']:.0f}; {', '.join(slow)}")
    lines.append(f"others had {taken['others_share']:.0%} of the processors meanwhile")
    lines += [f"{name}: left out: {why}" for name, why in taken["skipped"].items()]
    for name, one in found.items():
        if one["failed"]:
            lines.append(f"{name}: failed calls: {one['failures']}")
    lines += [f"WRONG: {difference}" for difference in taken["differences"]]
    return "\n".join(lines)
