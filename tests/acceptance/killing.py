"""Kill -9 under load, and the proof afterwards: nothing lost, nothing doubled, all stores agree.

A writer process records events through the SDK and notes each id in an oracle file once the call
has returned, that is once the event is in its spool. Writers and servers are killed at random
moments. At the end every noted id must be in the store exactly once. An event that was being
recorded when its writer died may be there or not, but not twice.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import duckdb

from outlay.store.compare import compare
from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.warehouse.parquet import ParquetWarehouse

Victim = Literal["sdk", "server", "both"]

START_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 120.0
MOST_LAST_WRITERS = 20
"""A process ships orphaned spools while it lives and its flush waits for its own events only."""

WRITER = """
import os, sys, time
import outlay
oracle = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
seconds, pause = float(sys.argv[2]), float(sys.argv[3])
outlay.init(strict=True)
from outlay.capture.scope import new_id
until = time.monotonic() + seconds
tenant = 0
while time.monotonic() < until:
    for _ in range(20):
        tenant = (tenant + 1) % 17
        event_id = new_id()
        with outlay.context(tenant=f"t{tenant}", feature=f"f{tenant % 3}"):
            outlay.record("tool", name="serp.search", units={"requests": 1}, cost_nanos=5_000_000,
                          event_id=event_id)
        os.write(oracle, (event_id + "\\n").encode())
    time.sleep(pause)
outlay.flush(60)
outlay.shutdown(5)
"""


@dataclass
class Outcome:
    """What the proof found; all but the first three must be zero or empty."""

    kills: int
    noted: int
    stored: int
    lost: int
    doubled: int
    differences: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing lost, nothing doubled, all stores agree."""
        return not (self.lost or self.doubled or self.differences)


class Rig:
    """A server and writers on one folder, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.oracle = folder / "oracle"
        self.key = ""
        self.url = ""
        self.port = 0
        self.server: subprocess.Popen[str] | None = None
        self.writer: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("OUTLAY_")}

    def start_server(self) -> None:
        """Start the server and wait until it says where it listens."""
        command = [sys.executable, "-m", "outlay", "serve", "--json", "--data", str(self.data)]
        log = (self.folder / "server.log").open("a")
        self.server = subprocess.Popen(
            [*command, "--port", str(self.port)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=self.env,
        )
        log.close()
        ready = _read_document(self.server, START_TIMEOUT_S)
        self.url = ready["url"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.key = ready["key"] or self.key

    def start_writer(self, seconds: float, pause: float = 0.005) -> None:
        """Start a writer; it also ships what dead writers left behind."""
        env = self.env | {
            "OUTLAY_ENDPOINT": self.url,
            "OUTLAY_KEY": self.key,
            "OUTLAY_SPOOL_DIR": str(self.folder / "spool"),
            "OUTLAY_SHIP_INTERVAL_S": "0.05",
            # The proof is about kills, so nothing may be dropped for lack of room.
            "OUTLAY_SPOOL_MAX_BYTES": "1 GiB",
        }
        with (self.folder / "writer.log").open("a") as log:
            self.writer = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(self.oracle), str(seconds), str(pause)],
                env=env,
                stderr=log,
                text=True,
            )

    def kill(self, process: subprocess.Popen[str] | None) -> None:
        """Kill -9 and reap."""
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGKILL)
        if process is not None:
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()

    def stop_server(self) -> None:
        """End the server as an operator would, so that everything is flushed."""
        if self.server is None:
            return
        self.server.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.server.wait(60)
        self.kill(self.server)

    def noted(self) -> list[str]:
        """Return the ids whose record call had returned; a torn last line does not count."""
        text = self.oracle.read_text() if self.oracle.exists() else ""
        return [line for line in text.split("\n")[:-1] if len(line) == 36]


def _read_document(process: subprocess.Popen[str], timeout_s: float) -> dict[str, str]:
    """Read the one line of JSON that a server prints when it is ready."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], timeout_s)
    line = process.stdout.readline() if readable else ""
    try:
        document: dict[str, str] = json.loads(line)
    except ValueError as error:
        raise AssertionError(f"the server did not start: {line!r}; see server.log") from error
    return document


def run(folder: Path, victim: Victim, rounds: int, *, seed: int = 1) -> Outcome:
    """Kill `victim` at random moments under load, `rounds` times, then prove the stores."""
    chance = random.Random(seed)
    rig = Rig(folder)
    try:
        rig.start_server()
        rig.start_writer(3600)
        for _ in range(rounds):
            time.sleep(chance.uniform(0.2, 1.5))
            if victim in ("sdk", "both"):
                rig.kill(rig.writer)
            if victim in ("server", "both"):
                rig.kill(rig.server)
                rig.start_server()
            if victim in ("sdk", "both"):
                rig.start_writer(3600)
        time.sleep(1.0)
        rig.kill(rig.writer)
        _ship_what_is_left(rig)
        rig.stop_server()
        return prove(rig, kills=rounds)
    finally:
        rig.kill(rig.writer)
        rig.kill(rig.server)


def _ship_what_is_left(rig: Rig) -> None:
    """Run writers that live on, as the service's next processes do, until no spool is left."""
    for _ in range(MOST_LAST_WRITERS):
        rig.start_writer(2.0, pause=0.1)
        assert rig.writer is not None
        rig.writer.wait(SETTLE_TIMEOUT_S)
        left = list((rig.folder / "spool").glob("spool-*.db"))
        if not left:
            return
    raise AssertionError(f"spools are left behind after the last writer: {left}")


def _event_ids(path: Path) -> list[str]:
    """Read the stored ids past outlay's own code."""
    with duckdb.connect(path, read_only=True) as db:
        return [row[0] for row in db.execute("SELECT event_id::VARCHAR FROM events").fetchall()]


def prove(rig: Rig, *, kills: int) -> Outcome:
    """Compare the oracle, DuckDB's events and roll-ups, and the warehouse."""
    stored = Counter(_event_ids(rig.data / "olap.duckdb"))
    olap = DuckDbStore(rig.data / "olap.duckdb", memory_mb=1024, threads=2)
    warehouse = ParquetWarehouse(rig.data / "warehouse")
    try:
        noted = rig.noted()
        return Outcome(
            kills=kills,
            noted=len(noted),
            stored=sum(stored.values()),
            lost=sum(1 for event_id in noted if event_id not in stored),
            doubled=sum(count - 1 for count in stored.values()),
            differences=[*olap.verify(), *compare(olap, warehouse)],
        )
    finally:
        olap.close()
        warehouse.close()
