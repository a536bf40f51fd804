"""Memory of many idle streams at once, through the floor and the gateway, plain and governed.

    python -m bench.gateway_idle [--streams N] [--only NAME ...] [--json]

Each stream sends a token every ten seconds. Memory is taken once every stream has sent one and none
has ended; then all end, and every governed one must be an event, to the token.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

import uvloop

from bench import gateway_report as report
from bench.gateway import NAMES, subjects_of
from bench.gateway_client import Connection, Pool, Taken
from bench.gateway_load import closed_loop, quiet
from bench.gateway_outlay import ROOT
from bench.gateway_report import Subject

PACE_US: Final = 10_000_000
TOKENS: Final = 4
"""Of one stream, so that none of them ends before the last one has sent its first."""
FILES_A_STREAM: Final = 2
SPARE_FILES: Final = 500
FIRST_S: Final = PACE_US / 1e6 + 2
"""After this every stream has sent a token."""
LAST_S: Final = PACE_US / 1e6 * (TOKENS + 2)
OPEN_S: Final = 120.0
WARM_CLIENTS: Final = 8


def room(streams: int) -> int:
    """Let processes open as many files as streams need; return for how many streams it suffices."""
    wanted = streams * FILES_A_STREAM + SPARE_FILES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        most = max(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(streams, (soft - SPARE_FILES) // FILES_A_STREAM)


async def hold(subject: Subject, count: int) -> dict[str, Any]:
    """Hold so many streams open; return what that took."""
    way, taken, pool = subject.way, Taken(), Pool(subject.way)
    request = way.request(tokens=TOKENS, pace_us=PACE_US)
    await closed_loop(way, way.request(), WARM_CLIENTS, 1.0)
    await closed_loop(way, way.request(tokens=4), WARM_CLIENTS, 1.0)
    before, ended, done = subject.process.rss_mb(), 0, asyncio.Event()

    def over(_used: Connection, why: str) -> None:
        nonlocal ended
        ended += 1
        if why:
            taken.fail(why)
        if ended == count:
            done.set()

    with quiet():
        async with asyncio.timeout(OPEN_S):
            for _ in range(count):
                (await pool.open()).call(request, taken, over)
        await asyncio.sleep(FIRST_S)
        begun, early, held = len(taken.firsts), ended, subject.process.rss_mb()
        async with asyncio.timeout(LAST_S):
            await done.wait()
    pool.close()
    await asyncio.sleep(0)
    return {
        "streams": count, "begun": begun, "ended_early": early, "failed": taken.failed,
        "failures": taken.failures,
        "before_mb": round(before, 1), "held_mb": round(held, 1),
        "kib_a_stream": round((held - before) * 1024 / count, 1),
        "after_mb": round(subject.process.rss_mb(), 1),
        "token_p50_ms": round(report.at(taken.delays, 50), 2),
        "token_p99_ms": round(report.at(taken.delays, 99), 2),
    }  # fmt: skip


def main() -> int:
    """Take and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=("floor", "plain", "governed"), metavar="NAME"
    )
    parser.add_argument("--peers", type=Path, default=ROOT / ".bench" / "peers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    count = room(options.streams)
    cores = sorted(os.sched_getaffinity(0))
    pin = len(cores) > 1
    if pin:
        os.sched_setaffinity(0, {cores[1]})
    places = (cores[0], cores[1]) if pin else (None, None)
    found: dict[str, Any] = {}
    with subjects_of(options.only, options.peers.absolute(), places) as (subjects, outlay, skipped):
        for subject in subjects:
            if subject.name in options.only:
                found[subject.name] = uvloop.run(hold(subject, count))
                subject.settle()
        differences = outlay.differences() if outlay and "governed" in options.only else []
    if options.json:
        print(json.dumps({"subjects": found, "skipped": skipped, "differences": differences}))
    else:
        for name, one in found.items():
            print(f"{name:<10}" + "  ".join(f"{what} {value}" for what, value in one.items()))
        for line in (*(f"{name}: left out: {why}" for name, why in skipped.items()), *differences):
            print(line)
    return 1 if differences or any(one["failed"] for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
