"""From the end of a call to its visibility in the API, under a steady load.

One process sends background events through the SDK's own path at a steady rate; probes, recorded
through the SDK in this process, are asked for by id until the server shows them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque

import outlay
from bench.rig import Sender, server
from outlay.capture.scope import new_id

LOAD = """
import sys, time
import outlay
rate, seconds = float(sys.argv[1]), float(sys.argv[2])
outlay.init(strict=True)
step, n, started = 0.01, 0, time.monotonic()
while (now := time.monotonic()) - started < seconds:
    due = int((now - started) * rate)
    while n < due:
        with outlay.context(tenant=f"t{n % 997}", feature=f"f{n % 12}"):
            outlay.record("tool", name="serp.search", units={"requests": 1}, cost_nanos=5_000_000)
        n += 1
    time.sleep(step)
outlay.flush(30)
print(n / (time.monotonic() - started))
"""


def main() -> None:
    """Measure and print percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=5_000)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with server() as rig, tempfile.TemporaryDirectory() as spool:
        env = rig.env | {"OUTLAY_ENDPOINT": rig.url, "OUTLAY_KEY": rig.key}
        load = subprocess.Popen(
            [sys.executable, "-c", LOAD, str(arguments.rate), str(arguments.seconds + 2)],
            env=env | {"OUTLAY_SPOOL_DIR": spool + "/load"},
            stdout=subprocess.PIPE,
            text=True,
        )
        os.environ["OUTLAY_SPOOL_DIR"] = spool + "/probe"
        outlay.init(endpoint=rig.url, key=rig.key, strict=True)
        delays = _probe(Sender(rig), arguments.seconds)
        outlay.shutdown(5)
        out, _ = load.communicate(timeout=120)
    delays.sort()
    p50, p99 = statistics.median(delays), delays[int(len(delays) * 0.99)]
    print(
        f"freshness at {float(out or 0):,.0f} events/s: p50 {p50 * 1e3:.0f} ms, "
        f"p99 {p99 * 1e3:.0f} ms, max {delays[-1] * 1e3:.0f} ms over {len(delays)} probes "
        f"(target p99 1,000 ms: {p99:.2f}x)"
    )


def _probe(sender: Sender, seconds: float) -> list[float]:
    waiting: deque[tuple[str, float]] = deque()
    delays: list[float] = []
    time.sleep(2)
    until = time.monotonic() + seconds
    due = time.monotonic()
    while time.monotonic() < until or waiting:
        now = time.monotonic()
        if now >= due and now < until:
            event_id = new_id()
            with outlay.context(tenant="probe"):
                outlay.record("tool", name="probe", cost_nanos=1, event_id=event_id)
            waiting.append((event_id, time.monotonic()))
            due = now + 0.05
        for _ in range(len(waiting)):
            event_id, ended = waiting.popleft()
            status, _ = sender.call("GET", f"/v1/events/{event_id}")
            if status == 200:
                delays.append(time.monotonic() - ended)
            else:
                waiting.append((event_id, ended))
        time.sleep(0.01)
        if now > until + 60:
            raise RuntimeError(f"{len(waiting)} probes never became visible")
    return delays


if __name__ == "__main__":
    main()
