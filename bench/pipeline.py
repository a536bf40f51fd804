"""Ingest, durable, enriched, stored: events a second through one real server process.

Prepared gzip bodies are posted over loopback by a second process with several connections. The
clock runs from the first post until every event is in DuckDB *and* in the Parquet warehouse.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import threading
import time

from bench.rig import Sender, bodies, server
from tests.acceptance.killing import Rig


def _send(rig: Rig, parts: list[bytes], connections: int) -> None:
    def work(mine: list[bytes]) -> None:
        sender = Sender(rig)
        for part in mine:
            sender.post(part)

    threads = [
        threading.Thread(target=work, args=(parts[i::connections],)) for i in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(parts: list[bytes], events: int, connections: int) -> tuple[float, float]:
    """Return events a second until acknowledged, and until stored everywhere."""
    with server() as rig:
        watch = Sender(rig)
        client = multiprocessing.get_context("fork").Process(
            target=_send, args=(rig, parts, connections)
        )
        started = time.monotonic()
        client.start()
        client.join()
        acknowledged = time.monotonic()
        if client.exitcode != 0:
            raise RuntimeError("the sender failed")
        while True:
            _, status = watch.call("GET", "/v1/status")
            consumers = status["consumers"].values()
            if all(not c["lag_events"] for c in consumers) and watch.stored() == events:
                break
            time.sleep(0.02)
        done = time.monotonic()
    return events / (acknowledged - started), events / (done - started)


def main() -> None:
    """Run the rounds and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--batch", type=int, default=2_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    acknowledged, stored = [], []
    for turn in range(arguments.rounds):
        parts = bodies(arguments.events // arguments.batch, arguments.batch, seed=turn)
        first, second = measure(parts, len(parts) * arguments.batch, arguments.connections)
        acknowledged.append(first)
        stored.append(second)
        print(f"round {turn + 1}: acknowledged {first:,.0f}/s, stored {second:,.0f}/s", flush=True)
    print(
        f"pipeline: acknowledged {statistics.median(acknowledged):,.0f} events/s, "
        f"stored {statistics.median(stored):,.0f} events/s "
        f"(target 50,000: {statistics.median(stored) / 50_000:.2f}x)"
    )


if __name__ == "__main__":
    main()
