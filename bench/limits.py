"""Limits in real processes: admitted ÷ budget, false refusals, time to recover, held after expiry.

    python -m bench.limits [--books sqlite|postgresql] [--processes N ...] [--calls N ...] [--json]

A server process, one to four application processes with real SDKs (each of another kind: openai,
openai in threads, anthropic, httpx), a provider that knows what it is owed. Each burst has a
budget that fits 60 % of it; then one that fits all of it and a tenth more; then an application is
killed while it calls. It exits 1 when more was admitted than a budget, a counter differs from the
bill, or something is still held.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import postgres
from tests.acceptance.limit_provider import OUTPUT_NANOS, PIECE_TOKENS, cost
from tests.acceptance.limits_rig import Site, site, until

OUTPUT = 100
CALL = cost(OUTPUT)
FITS = 60
"""Percent of a burst that its budget fits."""
ROUNDS = 5
"""Bursts that fit, for the rate of false refusals."""
SLOW_S = 0.05
PIECE = PIECE_TOKENS * OUTPUT_NANOS


@contextmanager
def running(books: str) -> Iterator[Site]:
    """Run a server on its books, which are durable."""
    with tempfile.TemporaryDirectory(prefix="outlay-limits-") as text:
        folder = Path(text)
        if books == "sqlite":
            with site(folder, f"sqlite:///{folder / 'books.db'}") as here:
                yield here
            return
        with postgres.server(durable=True) as server, site(folder, server.new_books()) as here:
            yield here


def burst(here: Site, processes: int, calls: int, *, stream: bool) -> dict[str, Any]:
    """Make a burst on a budget that fits a part of it."""
    name = here.name()
    budget = CALL * calls * FITS // 100
    here.limit(name, budget)
    with here.crew(processes) as crew:
        began = time.monotonic()
        ended = crew.burst(calls, tenant=name, output=OUTPUT, bound=OUTPUT, stream=stream)
        took = time.monotonic() - began
    bill = here.provider.bill(name)
    until(lambda: here.stand(name)[0] == bill, "counted")
    used, held = here.stand(name)
    return {
        "processes": processes, "calls": calls, "stream": stream, **ended,
        "admitted_to_budget": round(bill / budget, 4), "used_less_bill": used - bill,
        "held_after": held, "seconds": round(took, 2),
    }  # fmt: skip


def growing(here: Site, processes: int, streams: int) -> dict[str, Any]:
    """Make streams that grow far past what was learned, on a budget that fits 40 % of them."""
    name, provider = here.name(), here.provider
    budget = 4 * processes * cost(16) + streams * cost(480) * 40 // 100
    here.limit(name, budget)
    pace, provider.pace_s, provider.most_flying = provider.pace_s, SLOW_S, 0
    with here.crew(processes) as crew:
        for _ in range(4):
            crew.burst(processes, tenant=name, output=16, bound=16, stream=False)
        ended = crew.burst(streams, tenant=name, output=480, bound=None, stream=True)
    provider.pace_s = pace
    until(lambda: not provider.flying, "streams end")
    until(lambda: here.cost(name) == here.stand(name)[0] > 0, "counted")
    bill, (used, held) = provider.bill(name), here.stand(name)
    most = max(1, provider.most_flying)
    return {
        "processes": processes, "streams": streams, **ended,
        "admitted_to_budget": round(bill / budget, 4),
        "metered_over_in_pieces_a_stream": round((used - budget) / PIECE / most, 2),
        "billed_over_in_pieces_a_stream": round((bill - budget) / PIECE / most, 2),
        "held_after": held,
    }  # fmt: skip


def false_refusals(here: Site, processes: int, calls: int) -> dict[str, Any]:
    """Make bursts that use 90 % of their budget, though each call could be four times as long."""
    refused, slowest = 0, 0.0
    for _ in range(ROUNDS):
        name = here.name()
        here.limit(name, calls * CALL * 10 // 9 + 1)
        with here.crew(processes) as crew:
            ended = crew.burst(calls, tenant=name, output=OUTPUT, bound=4 * OUTPUT, stream=False)
            refused += calls - ended["ok"]
            slowest = max(slowest, *(result["took"] for result in crew.results))
    return {
        "processes": processes, "calls": calls, "made": calls * ROUNDS, "refused": refused,
        "false_refusal_rate": round(refused / calls / ROUNDS, 4),
        "slowest_call_s": round(slowest, 2),
    }  # fmt: skip


def killed(here: Site) -> dict[str, Any]:
    """Kill an application that calls, then the server, and wait until all is as it should be."""
    name = here.name()
    here.limit(name, 10_000 * CALL, on_unreachable="closed")
    revision = here.get("/v1/limits/policy")["revision"]
    traffic: dict[str, Any] = {
        "tenant": name, "workers": 6, "pause": 0.05, "output": OUTPUT, "bound": OUTPUT,
        "stream": False,
    }  # fmt: skip
    folder = here.folder / name
    first = here.worker("openai-threads", folder)
    first.ask("open", policy=revision)
    first.ask("go", **traffic)
    until(lambda: here.provider.bill(name) > 40 * CALL, "calls are made")
    until(lambda: here.stand(name)[1] > 0, "something is held")
    first.kill9()
    given_back = until(lambda: here.stand(name)[1] == 0, "nothing is held")
    second = here.worker("openai-threads", folder)
    second.ask("open", policy=revision)
    second.ask("go", **traffic)
    time.sleep(1.0)
    here.kill9()
    time.sleep(7.0)  # until the lease is over, so that calls are refused
    started = here.restart()
    billed = here.provider.bill(name)
    again = until(lambda: here.provider.bill(name) > billed, "calls pass again")
    second.ask("halt")
    second.ask("close")
    second.end()
    bill = here.provider.bill(name)
    until(lambda: here.stand(name) == (here.cost(name), 0), "counted")
    used, held = here.stand(name)
    here.verify()
    return {
        "held_is_0_after_a_killed_process_s": round(given_back, 1),
        "server_starts_s": round(started, 1), "calls_pass_after_it_s": round(again, 1),
        "calls_on_their_way_when_killed": (bill - used) // CALL, "held_after": held,
    }  # fmt: skip


def measure(books: str, processes: list[int], calls: list[int]) -> dict[str, Any]:
    """Take all figures on one kind of books."""
    with running(books) as here:
        return {
            "books": books,
            "bursts": [
                burst(here, count, number, stream=stream)
                for count in processes for number in calls for stream in (False, True)
            ],
            "growing_streams": [growing(here, count, 20) for count in processes],
            "false_refusals": [
                false_refusals(here, count, number) for count in processes for number in calls
            ],
            "killed": killed(here),
        }  # fmt: skip


def bad(figures: dict[str, Any]) -> bool:
    """Tell whether the figures show what must never be."""
    bursts = figures["bursts"]
    return (
        any(one["admitted_to_budget"] > 1 or one["used_less_bill"] for one in bursts)
        or any(one["held_after"] for one in [*bursts, figures["killed"]])
        or any(one["false_refusal_rate"] >= 0.01 for one in figures["false_refusals"])
    )


def main() -> int:
    """Take and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--books", nargs="*", choices=("sqlite", "postgresql"))
    parser.add_argument("--processes", nargs="*", type=int, default=[1, 2, 4])
    parser.add_argument("--calls", nargs="*", type=int, default=[20, 200])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds = options.books or ["sqlite", *(["postgresql"] if postgres.find() else [])]
    taken = [measure(books, options.processes, options.calls) for books in kinds]
    if options.json:
        print(json.dumps(taken))
    for figures in () if options.json else taken:
        for title, rows in figures.items():
            print(f"{title}: {rows}" if isinstance(rows, str) else title)
            for row in rows if isinstance(rows, list) else [rows] * isinstance(rows, dict):
                print("  " + "  ".join(f"{name} {value}" for name, value in row.items()))
    return 1 if any(bad(figures) for figures in taken) else 0


if __name__ == "__main__":
    sys.exit(main())
