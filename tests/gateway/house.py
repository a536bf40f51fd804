"""A whole server with its gateway, a provider behind it, and ways to look into both."""

from __future__ import annotations

import io
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import httpx
import yaml

from outlay.config import Settings
from outlay.gateway.gateway import Gateway
from outlay.stream.ipc import from_ipc
from outlay.wiring import start_in_thread
from tests.gateway.provider import Provider
from tests.running import Running

PATIENCE_S: Final = 10.0
INPUT_NANOS: Final = 2_000
OUTPUT_NANOS: Final = 10_000
"""What a token costs of the models `own-…`: $2 and $10 a million."""
MODELS: Final = ("own-1", "own-2", "own-3")
PROVIDER_KEY: Final = "sk-of-the-provider"
SECRET: Final = "a-secret-for-contexts-of-tests"
_numbers = itertools.count(1)


def cost(output: int, tokens_in: int = 10) -> int:
    """Return what a call costs at the provider, in nano-dollars."""
    return tokens_in * INPUT_NANOS + output * OUTPUT_NANOS


class House:
    """A server with its gateway in this process; every test takes a tenant of its own."""

    def __init__(self, folder: Path, **upstream: Any) -> None:
        self.provider = Provider()
        self.running = Running(self.provider, grace_s=1)
        self.provider.url = self.running.url
        self.file = folder / "gateway.yaml"
        secret = folder / "credential"
        secret.write_text(PROVIDER_KEY)
        credential = {"file": str(secret)}
        own = folder / "own-credential"
        own.write_text("sk-of-the-tenant")
        self.document: dict[str, Any] = {
            "upstreams": {
                name: {
                    "vendor": vendor, "url": f"{self.running.url}/{name}",
                    "credential": dict(credential), **settings,
                }
                for name, vendor, settings in (
                    ("openai", "openai", {}),
                    ("spare", "openai", {}),
                    ("narrow", "openai", {"max_concurrency": 1, "max_waiting": 2}),
                    ("crowded", "openai", {"max_concurrency": 4}),
                    ("weak", "openai", {"breaker": {"failures": 2, "open_s": 0.5}}),
                    ("anthropic", "anthropic", {}),
                    ("hasty", "openai", {"timeouts": {"first_byte_s": 0.3}}),
                    ("keyless", "openai", {"credential": {"env": "NOBODY_SET_THIS"}}),
                    ("open", "openai", {"client_credentials": True}),
                    ("gone", "openai", {"url": "http://127.0.0.1:9/gone"}),
                )
            },
            "aliases": {
                "careful": {"targets": targets("openai/own-1", "spare/own-2")},
                "either": {
                    "strategy": "weighted",
                    "targets": [{**t, "weight": 1} for t in targets("openai/own-1", "spare/own-2")],
                },
                "cheap": {
                    "strategy": "cheapest",
                    "targets": targets("openai/own-1", "spare/own-cheap", "openai/unknown"),
                },
            },
            "tenants": {"brings-its-own": {"credentials": {"openai": {"file": str(own)}}}},
        }  # fmt: skip
        self.document.update(upstream)
        self.write()
        settings = Settings(
            data=str(folder / "data"),
            port=0,
            gateway_config=str(self.file),
            context_secret=SECRET,
            seed_prices=False,
            lease_ttl_s=5,
            ship_interval_s=0.05,
            gateway_grace_s=5,
            duckdb_memory_mb=256,
        )
        self.log = io.StringIO()
        # The gateway reads prices when it starts, and not again at once.
        with start_in_thread(replace(settings, gateway=False), log_to=self.log) as first:
            self.admin_key = first.first_key or ""
            self.admin = self._admin(first.url)
            body = {"reason": "test", "rates": rates(), "force": True}
            self.ask("POST", "/v1/prices", body)
            self.admin.close()
        self.server = start_in_thread(settings, log_to=self.log)
        self.url = self.server.url
        self.admin = self._admin(self.url)
        self._offset = 0
        self._events: list[dict[str, Any]] = []

    def _admin(self, url: str) -> httpx.Client:
        shown = {"Authorization": f"Bearer {self.admin_key}"}
        return httpx.Client(base_url=url, headers=shown, timeout=PATIENCE_S)

    def write(self) -> None:
        """Write the gateway's configuration."""
        self.file.write_text(yaml.safe_dump(self.document))

    @contextmanager
    def serving(self, document: dict[str, Any]) -> Iterator[None]:
        """Let the gateway serve by a changed configuration inside; `document` is merged by key."""
        before = deepcopy(self.document)
        named = {name: {**before.get(name, {}), **given} for name, given in document.items()
                 if isinstance(given, dict)}  # fmt: skip
        try:
            self.reload({**before, **document, **named})
            yield
        finally:
            self.reload(before)

    def reload(self, document: dict[str, Any]) -> None:
        """Have another configuration served."""
        self.document = document
        self.write()
        keeper = self.gateway.keeper
        done = keeper.changes + keeper.failures
        self.gateway.reload_soon()
        self.until(lambda: keeper.changes + keeper.failures > done)
        assert not keeper.error, keeper.error

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API as its admin."""
        answer = self.admin.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def tenant(self) -> str:
        """Return a tenant that no other test knows."""
        return f"tenant-{next(_numbers)}"

    def key(self, tenant: str | None, **more: Any) -> str:
        """Make a virtual key and return its secret, once the gateway knows it."""
        made = self.ask("POST", "/v1/virtual-keys", {"name": "test", "tenant_id": tenant, **more})
        secret: str = made["secret"]
        self.until(lambda: self.ready(secret))
        return secret

    def limit(self, tenant: str, amount: int, **more: Any) -> None:
        """Set the monthly limit of a tenant, nano-dollars, once the gateway knows it."""
        dollars = f"{amount // 10**9}.{amount % 10**9:09d}"
        one = {"id": tenant, "scope": {"tenant": tenant}, "window": "month", "amount": dollars}
        self.ask("POST", "/v1/limits?reason=test", {"limits": [{**one, **more}]})
        self.sync()

    def sync(self) -> None:
        """Wait until the gateway knows the limits as they are now."""
        wanted = self.ask("GET", "/v1/limits/policy")["revision"]
        gate = self.gateway.runtime.gate
        assert gate is not None
        self.until(lambda: gate.table.policy and gate.table.policy.revision == wanted)

    def stand(self, tenant: str) -> tuple[int, int]:
        """Return what is used and held of a tenant's limit."""
        rows = self.ask("GET", f"/v1/limits/state?limit={tenant}")["counters"]
        return sum(row["used"] for row in rows), sum(row["held"] for row in rows)

    @property
    def gateway(self) -> Gateway:
        """The gateway's parts."""
        found: Gateway = self.server.app.gateway
        return found

    def metrics(self) -> str:
        """Return the gateway's own numbers."""
        return self.gateway.metrics.text().decode()

    def ready(self, secret: str) -> bool:
        """Tell whether the gateway knows a key by now."""
        # Who is asked for comes before what is asked for, and nothing is sent to a provider.
        answer = httpx.get(f"{self.url}/openai/%2e%2e/", headers={"outlay-key": secret})
        return answer.headers.get("outlay-problem") in ("bad_path", "no_tenant")

    def client(self, secret: str, **headers: str) -> httpx.Client:
        """Return a client that shows a key as OpenAI's SDK does."""
        shown = {"authorization": f"Bearer {secret}", **headers}
        return httpx.Client(base_url=self.url, headers=shown, timeout=PATIENCE_S)

    def events(self, tenant: str, count: int) -> list[dict[str, Any]]:
        """Return the events of a tenant, in order, once there are so many."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            self._read()
            found[:] = [e for e in self._events if e["tenant_id"] == tenant]
            return len(found) >= count

        with suppress(AssertionError):
            self.until(there)
        assert len(found) == count, found
        return sorted(found, key=lambda e: (e["started_at"], e["attempt"]))

    def _read(self) -> None:
        log = self.server.server.enriched
        for record in log.read(self._offset, max_events=100_000):
            self._offset = record.offset
            for event in from_ipc(record.payload).to_pylist():
                for name in ("event_id", "call_id"):
                    event[name] = str(uuid.UUID(bytes=event[name]))
                self._events.append(event)

    def until(self, true: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
        """Wait until something is so."""
        ends_at = time.monotonic() + patience_s
        while not true():
            assert time.monotonic() < ends_at, "it did not happen in time"
            time.sleep(0.02)

    def lines(self, event: str = "call") -> list[dict[str, Any]]:
        """Return the log's lines of a kind."""
        made = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in made if line["event"] == event]

    def close(self) -> None:
        self.admin.close()
        self.server.stop()
        self.running.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()


def chat(model: str = "own-1", out: int = 5, **more: Any) -> dict[str, Any]:
    """Return a chat request that gets so many tokens."""
    return {"model": model, "messages": [{"role": "user", "content": f"out={out}"}], **more}


def targets(*places: str) -> list[dict[str, str]]:
    """Return the targets of an alias, given as `upstream/model`."""
    pairs = [place.split("/") for place in places]
    return [{"upstream": upstream, "model": model} for upstream, model in pairs]


def rates() -> list[dict[str, str]]:
    """Return the prices of the provider's models."""
    made = [
        {"provider": provider, "model": model, "unit": unit, "price": price}
        for provider in ("openai", "anthropic")
        for model in MODELS
        for unit, price in (("input", "2.00"), ("output", "10.00"))
    ]
    made += [
        {"provider": "openai", "model": "own-cheap", "unit": unit, "price": "0.10"}
        for unit in ("input", "output")
    ]
    return made
