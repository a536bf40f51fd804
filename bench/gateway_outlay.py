"""outlay for the gateway bench: a server, and two gateways beside it, as real processes.

`governed` is the whole: a virtual key, six limits that count every call, and an event that is
durable before the answer has ended. `plain` is the same program that knows the keys and relays.
What the governed one has counted must be what the provider has.
"""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path
from typing import Any, Final

from bench.gateway_client import Way
from bench.gateway_process import Process, on_core, until
from tests.acceptance.killing import Rig

TENANT: Final = "acme"
SCOPES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"provider": "openai"},
    {"tenant": "each"},
    {"tenant": "each", "feature": "each"},
    {"tenant": "each", "agent": "each"},
    {"tenant": "each", "model": ["gpt-4o*"]},
)
"""What the limits of a call count by."""
AMOUNT: Final = "1000000.00"
"""More than a run can use: nothing may be refused."""
CREDENTIALS: Final = {"governed": "sk-governed", "plain": "sk-plain"}
"""What the provider is shown by each of the gateways."""
SETTINGS: Final = {
    "governed": {"OUTLAY_GATEWAY_LIMITS": "true"},
    "plain": {"OUTLAY_GATEWAY_LIMITS": "false", "OUTLAY_ENABLED": "false"},
}
MAX_CONCURRENCY: Final = 20_000
"""Of calls to the provider, which is never the bottleneck here; the others have no such bound."""
ROOT: Final = Path(__file__).resolve().parent.parent
TIMEOUT_S: Final = 60.0
SETTLE_S: Final = 60.0
IMPATIENT_S: Final = 1.0


class Outlay:
    """A server on `rest` and its gateways on `core`; `close` ends them."""

    def __init__(self, upstream: str, folder: Path, *, core: int | None, rest: int | None) -> None:
        self._upstream = upstream
        self._folder = folder
        self._rig = Rig(folder / "server")
        self._rig.env["OUTLAY_GATEWAY"] = "false"
        self._core = core
        self._patience_s = SETTLE_S
        self.gateways: dict[str, Process] = {}
        with on_core(rest):
            self._rig.start_server()
        try:
            limits = [
                {
                    "id": f"limit-{place}", "scope": scope, "window": "month", "amount": AMOUNT,
                    "thresholds": [
                        {"at": "80%", "action": "warn"}, {"at": "100%", "action": "block"},
                    ],
                }
                for place, scope in enumerate(SCOPES)
            ]  # fmt: skip
            self._ask("POST", "/v1/limits?reason=bench", {"limits": limits})
            wanted = {"name": "gateway", "scopes": ["ingest", "gateway"]}
            self._key = self._ask("POST", "/v1/keys", wanted)["secret"]
        except BaseException:
            self.close()
            raise

    def gateway(self, kind: str) -> tuple[Process, Way]:
        """Start a gateway, `governed` or `plain`, and make a virtual key for its clients."""
        folder = self._folder / kind
        folder.mkdir()
        config = folder / "gateway.yaml"
        one = {
            "url": self._upstream,
            "vendor": "openai",
            "credential": {"env": "PROVIDER_KEY"},
            "max_concurrency": MAX_CONCURRENCY,
        }
        config.write_text(json.dumps({"upstreams": {"openai": one}}))
        env = self._rig.env | SETTINGS[kind] | {
            "OUTLAY_ENDPOINT": self._rig.url, "OUTLAY_KEY": self._key,
            "OUTLAY_GATEWAY_CONFIG": str(config), "OUTLAY_DATA": str(folder / "data"),
            "PROVIDER_KEY": CREDENTIALS[kind],
        }  # fmt: skip
        command = [sys.executable, "-m", "outlay", "serve", "--role", "gateway"]
        process = Process(
            kind, [*command, "--port", "0", "--json"], folder, env=env, core=self._core, cwd=ROOT
        )
        self.gateways[kind] = process
        url: str = process.hear()["url"]
        made = self._ask(
            "POST", "/v1/virtual-keys",
            {"name": kind, "tenant_id": TENANT, "feature": "summarizer", "agent": "research/web"},
        )  # fmt: skip
        port = int(url.rpartition(":")[2])
        headers = (("authorization", f"Bearer {made['secret']}"),)
        return process, Way("127.0.0.1", port, "/openai/v1/chat/completions", headers)

    def settle(self) -> None:
        """Wait until the server has stored an event for each call that the provider has billed.

        Once it has not in time, later turns do not wait long: the differences are told at the end.
        """
        try:
            until(lambda: self.differences() == [], "what was billed is stored", self._patience_s)
        except RuntimeError:
            self._patience_s = IMPATIENT_S

    def differences(self) -> list[str]:
        """Return how the provider's bill, the stored events and the limits' counters differ."""
        owes = _bill(self._upstream).get(CREDENTIALS["governed"], {"calls": 0, "output": 0})
        question = {"metrics": ["attempts", "output_tokens", "cost"], "last": "24h"}
        rows = self._ask("POST", "/v1/query", question)["rows"]
        attempts, output, cost = (int(value or 0) for value in rows[0]) if rows else (0, 0, 0)
        found = []
        if attempts != owes["calls"]:
            found.append(f"{attempts} events for {owes['calls']} calls")
        if output != owes["output"]:
            found.append(f"{output} tokens of output counted, {owes['output']} billed")
        for place in range(len(SCOPES)):
            counters = self._ask("GET", f"/v1/limits/state?limit=limit-{place}")["counters"]
            used = sum(counter["used"] for counter in counters)
            if used != cost:
                found.append(f"limit-{place} counted {used} nano-dollars, the events {cost}")
        return found

    def close(self) -> None:
        """End all."""
        for process in self.gateways.values():
            process.end()
        self._rig.stop_server()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._rig.port, timeout=TIMEOUT_S)
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None,
                {"Authorization": f"Bearer {self._rig.key}", "Content-Type": "application/json"},
            )  # fmt: skip
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
            return json.loads(text)
        finally:
            connection.close()


def _bill(upstream: str) -> dict[str, dict[str, int]]:
    connection = http.client.HTTPConnection(upstream.rpartition("/")[2], timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/bill")
        found: dict[str, dict[str, int]] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()
