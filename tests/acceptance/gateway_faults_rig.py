"""Gateway processes beside a server, to be stopped, killed and starved, and what they recorded.

A call has a number, and its event has as many tokens of output (see `faulty_provider`): so every
call that somebody saw is looked for by name among the events, and none can hide behind another.
"""

from __future__ import annotations

import json
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from outlay.stream.ipc import from_ipc
from tests.acceptance.faulty_provider import FaultyProvider, cost
from tests.acceptance.gateway_load import FIRST
from tests.acceptance.killing import START_TIMEOUT_S
from tests.acceptance.limits_rig import ROOT, Site, until

PROVIDER_KEY: Final = "sk-of-the-provider"
LIMITS_S: Final = 0.5
"""How long a gateway here waits for the server's word on a limit."""
SETTLE_S: Final = 30.0
"""Within this long everything that waits has been sent: a gateway asks again every 8 s at most
after an outage of 8 s."""
SLACK_S: Final = 3.0
"""What a busy machine may add to a time."""


class GatewayProcess:
    """`outlay serve --role gateway`; stays at its port however often it is started."""

    def __init__(
        self,
        house: House,
        folder: Path,
        *options: str,
        port: int = 0,
        data: Path | None = None,
        **settings: str,
    ) -> None:
        self.folder, self.data = folder, data or folder / "data"
        self.config, self.log = folder / "gateway.yaml", folder / "gateway.log"
        self.options = options
        self.port = port
        folder.mkdir(parents=True, exist_ok=True)
        if not self.config.exists():
            self.declare(house.provider.url)
        self.env = house.rig.env | {
            "OUTLAY_ENDPOINT": house.rig.url,
            "OUTLAY_KEY": house.gateway_key,
            "OUTLAY_GATEWAY_CONFIG": str(self.config),
            "OUTLAY_DATA": str(self.data),
            "OUTLAY_SHIP_INTERVAL_S": "0.05",
            "OUTLAY_LIMITS": "true",
            "OUTLAY_LIMITS_TIMEOUT_S": str(LIMITS_S),
            "OWN_KEY": PROVIDER_KEY,
            **settings,
        }
        self.child: subprocess.Popen[str] | None = None
        self.start()

    def declare(self, url: str, **upstream: Any) -> None:
        """Write the configuration: one upstream, with settings of its own."""
        own = {"url": f"{url}/openai", "vendor": "openai", "credential": {"env": "OWN_KEY"}}
        part = self.config.with_suffix(".part")
        part.write_text(json.dumps({"upstreams": {"openai": {**own, **upstream}}}))
        part.replace(self.config)

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", "outlay", "serve", "--role", "gateway", "--json"]
        with self.log.open("a") as log:
            self.child = subprocess.Popen(
                [*command, "--port", str(self.port), *self.options],
                stdout=subprocess.PIPE, stderr=log, text=True, env=self.env, cwd=ROOT,
            )  # fmt: skip
        assert self.child.stdout is not None
        readable, _, _ = select.select([self.child.stdout], [], [], START_TIMEOUT_S)
        line = self.child.stdout.readline() if readable else ""
        assert line, self.log.read_text()[-2000:]
        self.port = int(json.loads(line)["url"].rsplit(":", 1)[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def signal(self, sign: signal.Signals) -> None:
        assert self.child is not None
        self.child.send_signal(sign)

    def wait(self, seconds: float) -> float:
        """Return how long it took to end well."""
        assert self.child is not None
        began = time.monotonic()
        code = self.child.wait(seconds)
        assert code == 0, self.log.read_text()[-2000:]
        return time.monotonic() - began

    def kill9(self) -> None:
        self.signal(signal.SIGKILL)
        self.end()

    def end(self) -> None:
        """End it as an operator would, if it lives, and reap it."""
        assert self.child is not None
        if self.child.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(30)
        if self.child.stdout is not None:
            self.child.stdout.close()

    def knows(self, secret: str) -> bool:
        """Tell whether it knows a virtual key by now."""
        # Who is asked for comes before what is asked for, and nothing is sent to a provider.
        answer = httpx.get(f"{self.url}/openai/%2e%2e/", headers={"outlay-key": secret})
        return str(answer.headers.get("outlay-problem")) == "bad_path"

    def knows_limits(self, revision: str) -> bool:
        """Tell whether it goes by these limits."""
        kept = self.data.glob("gateway/limits-*.json")
        with suppress(ValueError):
            return any(str(json.loads(f.read_bytes())["revision"]) == revision for f in kept)
        return False

    def metric(self, name: str, **labels: str) -> float:
        """Return one of its own numbers."""
        shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        pattern = rf"^outlay_gateway_{name}(?:\{{{re.escape(shown)}\}})? (\S+)$"
        text = httpx.get(f"{self.url}/metrics").text
        assert f"# TYPE outlay_gateway_{name} " in text
        found = re.search(pattern, text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return what it logged of a kind."""
        made = [json.loads(li) for li in self.log.read_text().splitlines() if li.startswith("{")]
        return [line for line in made if line["event"] == event]

    def forget_peak(self) -> int:
        """Begin to watch its memory anew; return how much it has now, in bytes."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self.memory("VmRSS")

    def memory(self, what: str = "VmHWM") -> int:
        """Return the most memory that it had, in bytes."""
        found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found
        return int(found[1]) * 1024

    def files(self) -> int:
        """Return how many connections and files it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


class House(Site):
    """A server with a provider that misbehaves; gateways are started where they are needed."""

    provider: FaultyProvider

    def __init__(self, folder: Path, provider: FaultyProvider) -> None:
        super().__init__(folder, f"sqlite:///{folder / 'books.db'}", provider)
        made = self.post("/v1/keys", {"name": "gateway", "scopes": ["ingest", "gateway"]})
        self.gateway_key = str(made["secret"])
        self._offset = 0
        self._events: list[dict[str, Any]] = []

    @contextmanager
    def gateway(
        self, *options: str, port: int = 0, data: Path | None = None, **settings: str
    ) -> Iterator[GatewayProcess]:
        """Run a gateway, on a data folder of its own if no other is named."""
        folder = self.folder / self.name("gateway")
        made = GatewayProcess(self, folder, *options, port=port, data=data, **settings)
        try:
            yield made
        finally:
            made.end()

    def key(self, tenant: str, *gateways: GatewayProcess) -> str:
        """Make a virtual key, and wait until gateways know it and the limits as they are."""
        made = self.post("/v1/virtual-keys", {"name": tenant, "tenant_id": tenant})
        secret, revision = str(made["secret"]), self.get("/v1/limits/policy")["revision"]
        for gateway in gateways:
            until(lambda g=gateway: g.knows(secret), "the key is known")  # type: ignore[misc]
            until(lambda g=gateway: g.knows_limits(revision), "limits are known")  # type: ignore[misc]
        return secret

    def signal(self, sign: signal.Signals) -> None:
        """Stop the server, or let it go on."""
        assert self.rig.server is not None
        self.rig.server.send_signal(sign)

    # -- what was recorded -----------------------------------------------------------------------

    def events(self, tenant: str) -> list[dict[str, Any]]:
        """Return all events of a tenant so far, read past the server's own code."""
        path = self.rig.data / "log" / "enriched.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            asked = "SELECT offset, payload FROM record WHERE offset > ? ORDER BY offset"
            for offset, payload in db.execute(asked, (self._offset,)).fetchall():
                self._offset = offset
                self._events += from_ipc(payload).to_pylist()
        return [event for event in self._events if event["tenant_id"] == tenant]

    def numbers(self, tenant: str) -> Counter[int]:
        """Return the calls of a tenant that are events of what was billed."""
        return Counter(e["output"] for e in self.events(tenant) if e["output"] >= FIRST)

    def event_of(self, tenant: str, patience_s: float = 10.0) -> dict[str, Any]:
        """Return the one event of a tenant, once there is one."""
        until(lambda: bool(self.events(tenant)), f"an event of {tenant}", patience_s)
        found = self.events(tenant)
        assert len(found) == 1, found
        return found[0]

    def settled(self, tenant: str, least: set[int], patience_s: float = SETTLE_S) -> set[int]:
        """Wait until calls are events; check that none is one twice, and return all."""
        until(
            lambda: least <= self.numbers(tenant).keys(),
            f"{len(least)} events of {tenant}", patience_s,
        )  # fmt: skip
        found = self.numbers(tenant)
        assert set(found.values()) <= {1}
        ids = Counter(uuid.UUID(bytes=e["event_id"]) for e in self.events(tenant))
        assert set(ids.values()) <= {1}
        return set(found)

    def adds_up(self, tenant: str, patience_s: float = SETTLE_S) -> None:
        """Wait until a limit's counter has what the events cost, and nothing is held."""

        def same() -> bool:
            used, held = self.stand(tenant)
            return used == sum(map(cost, self.numbers(tenant))) == self.cost(tenant) and not held

        # Each is asked by itself, and events may still come in between: all must agree at once.
        until(same, f"events and counter agree: {self.stand(tenant)}", patience_s)


@contextmanager
def house_in(folder: Path) -> Iterator[House]:
    """Run a house and its provider, and end both."""
    with FaultyProvider() as provider:
        made = House(folder, provider)
        try:
            yield made
        finally:
            # A server that a test has stopped does not hear that it shall end.
            made.signal(signal.SIGCONT)
            made.close()
