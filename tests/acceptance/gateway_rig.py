"""Two ways to one provider: directly and through a gateway. What comes back must be the same.

A `Site` is a provider with a gateway in front of it: real outlay processes (a server and a
gateway), or the bare relay when `OUTLAY_TEST_THROUGH=relay` asks for it. A `Pair` is one test's use
of it: it makes a call on both ways, compares what the client got and what the provider saw, and at
the end what outlay recorded with what the provider bills. All money is nano-dollars.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import httpx

from tests.acceptance import gateway_relay
from tests.acceptance.gateway_accounts import (
    ACCESS_KEYS,
    DIRECT,
    GATEWAY,
    KEYS,
    SECRET_KEYS,
    Line,
    Seen,
)
from tests.acceptance.gateway_aws import REGION
from tests.acceptance.gateway_upstream import RATES, WIRES, Upstream
from tests.acceptance.killing import START_TIMEOUT_S, Rig

ROOT: Final = Path(__file__).resolve().parents[2]
THROUGH: Final = os.environ.get("OUTLAY_TEST_THROUGH", "outlay")
"""What stands between: `outlay`, or `relay` to try the tests themselves."""
SETTLE_S: Final = 20.0
SETTINGS: Final = {"OUTLAY_SEED_PRICES": "false", "OUTLAY_DUCKDB_MEMORY_MB": "256"}
PLACES: Final = {"anthropic": "x-api-key", "google": "x-goog-api-key", "azure": "api-key"}
VENDORS: Final = {"bedrock": "aws"}
OPTION: Final = b'"stream_options":{"include_usage":true},'
"""What a gateway may add to a body, so that a stream tells its counts."""
OF_THE_HOP: Final = frozenset(
    (
        "connection", "keep-alive", "transfer-encoding", "content-length", "host", "upgrade",
        "authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-date",
        "x-amz-content-sha256", "x-amz-security-token", "sec-websocket-key",
        "sec-websocket-version", "sec-websocket-extensions",
    )
)  # fmt: skip
"""Headers that each way has of its own."""
BY_CHANCE: Final = frozenset(("amz-sdk-invocation-id", "amz-sdk-request", "accept-encoding"))
"""Headers that differ between any two calls of a client, and one that is compared apart."""

T = TypeVar("T")
_numbers = count(1)


@dataclass(frozen=True)
class Door:
    """Where a client goes in and what it shows there."""

    url: str
    key: str
    access_key: str
    secret_key: str

    def at(self, name: str) -> str:
        """Return the address of an upstream."""
        return f"{self.url}/{name}"


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a call gave: a value, or how it failed."""

    value: T | None = None
    failed: str = ""
    status: int = 0
    text: str = ""
    """What the failure says, without addresses and headers."""


class Gateway:
    """A gateway process of outlay with a server beside it."""

    def __init__(self, folder: Path, upstream: Upstream, **settings: str) -> None:
        self.server = Rig(folder / "server")
        self.server.env |= SETTINGS
        self.server.start_server()
        headers = {"Authorization": f"Bearer {self.server.key}"}
        self.admin = httpx.Client(base_url=self.server.url, headers=headers, timeout=30)
        self.post("/v1/prices", {"reason": "test", "rates": RATES, "force": True})
        own = self.post("/v1/keys", {"name": "gateway", "scopes": ["ingest", "gateway"]})
        config = folder / "gateway.yaml"
        config.write_text(json.dumps({"upstreams": upstreams(upstream.url)}), encoding="utf-8")
        env = self.server.env | {
            "OUTLAY_ENDPOINT": self.server.url, "OUTLAY_KEY": own["secret"],
            "OUTLAY_GATEWAY_CONFIG": str(config), "OUTLAY_DATA": str(folder / "gateway"),
            "OUTLAY_SPOOL_DIR": str(folder / "spool"), "OUTLAY_SHIP_INTERVAL_S": "0.05",
            "OWN_KEY": KEYS[GATEWAY], "OWN_ACCESS_KEY": ACCESS_KEYS[GATEWAY],
            "OWN_SECRET_KEY": SECRET_KEYS[GATEWAY], **settings,
        }  # fmt: skip
        self.log = folder / "gateway.log"
        command = [sys.executable, "-m", "outlay", "serve", "--role", "gateway", "--json"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--port", "0"], stdout=subprocess.PIPE, stderr=log, text=True, env=env,
                cwd=ROOT,
            )  # fmt: skip
        self.url = self._ready()

    def _ready(self) -> str:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], START_TIMEOUT_S)
        line = self.process.stdout.readline() if readable else ""
        assert line, f"the gateway did not start: {self.log.read_text()[-2000:]}"
        return str(json.loads(line)["url"])

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change or ask something as an admin."""
        answer = self.admin.post(path, json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def key(self, tenant: str) -> str:
        """Make a virtual key and wait until the gateway has heard of it."""
        secret = str(self.post("/v1/virtual-keys", {"name": tenant, "tenant_id": tenant})["secret"])
        headers = {"Authorization": f"Bearer {secret}"}

        def works() -> bool:
            return httpx.get(f"{self.url}/openai/v1/models", headers=headers).status_code != 401

        until(works, f"the key of {tenant}")
        return secret

    def events(self, tenant: str) -> dict[tuple[str, str], Line]:
        """Return what was recorded for a tenant, by provider and model."""
        rows = self.asked(
            tenant, ["attempts", "cost", "input_tokens", "output_tokens"], ["provider", "model"]
        )
        return {
            (str(row[0]), str(row[1])): Line(*(int(number or 0) for number in row[2:]))
            for row in rows
        }

    def asked(self, tenant: str, metrics: list[str], by: list[str]) -> list[list[Any]]:
        """Ask the server about a tenant's events of the last hour."""
        only = [{"field": "tenant", "op": "eq", "value": tenant}]
        question = {"metrics": metrics, "by": by, "filters": only, "last": "1h"}
        rows: list[list[Any]] = self.post("/v1/query", question)["rows"]
        return rows

    def close(self) -> None:
        """End both processes as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.server.kill(self.process)
        self.admin.close()
        self.server.stop_server()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def upstreams(url: str) -> dict[str, Any]:
    """Return the part of a gateway's document that declares the test's provider."""
    found: dict[str, Any] = {}
    for name in WIRES:
        credential: dict[str, Any] = {"place": PLACES.get(name, "bearer"), "env": "OWN_KEY"}
        if name == "bedrock":
            credential = {
                "place": "aws", "access_key": {"env": "OWN_ACCESS_KEY"},
                "secret_key": {"env": "OWN_SECRET_KEY"},
            }  # fmt: skip
        found[name] = {
            "url": f"{url}/{name}", "vendor": VENDORS.get(name, name), "credential": credential,
            **({"region": REGION} if name == "bedrock" else {}),
        }  # fmt: skip
    return found


class Site:
    """The provider and what stands in front of it; `gateway` is `None` with the bare relay."""

    def __init__(self, folder: Path) -> None:
        with ExitStack() as open_:
            self.upstream = open_.enter_context(Upstream())
            self.gateway: Gateway | None = None
            if THROUGH == "relay":
                self.url = open_.enter_context(gateway_relay.Relay(self.upstream.url)).url
            else:
                self.gateway = open_.enter_context(Gateway(folder, self.upstream))
                self.url = self.gateway.url
            self._open = open_.pop_all()

    def close(self) -> None:
        """End everything."""
        self._open.close()

    def pair(self) -> Pair:
        """Return both ways for one test, with a tenant of its own."""
        tenant = f"tenant-{next(_numbers)}"
        key = gateway_relay.KEY if self.gateway is None else self.gateway.key(tenant)
        self.upstream.forget()
        return Pair(self, tenant, key)


class Pair:
    """Both ways to the provider, for one test. The same call on both must give the same."""

    def __init__(self, site: Site, tenant: str, key: str) -> None:
        self.site = site
        self.upstream = site.upstream
        self.tenant = tenant
        self.direct = Door(
            site.upstream.url, KEYS[DIRECT], ACCESS_KEYS[DIRECT], SECRET_KEYS[DIRECT]
        )
        self.through = Door(site.url, key, key, "any secret: the key is in the key's place")

    def same(self, call: Callable[[Door], T], *, requests: bool = True) -> Outcome[T]:
        """Make a call on both ways, check that they are alike, and return how it ended.

        Args:
            call: makes the call and returns something that can be compared.
            requests: compare what the provider saw, too; not for a caller that hangs up.
        """
        start = len(self.upstream.seen)
        direct, through = outcome(call, self.direct), outcome(call, self.through)
        assert through == direct
        if requests:
            seen = self.upstream.seen[start:]
            pairs = [[one for one in seen if one.account == name] for name in (DIRECT, GATEWAY)]
            told = [[plain(one) for one in way] for way in pairs]
            for one, other in zip(*pairs, strict=True):
                assert other.body in (one.body, with_option(one.body))
                # What is hidden from a client has to be read, so such a stream comes unpacked.
                edited = other.body != one.body
                assert packing(other) in (packing(one), "identity" if edited else packing(one))
            assert told[1] == told[0]
        return direct

    def check(self) -> None:
        """Check that no key of ours left, and that outlay recorded what the provider bills."""
        until(lambda: self.upstream.idle, "the provider's answers have ended")
        for one in self.upstream.seen:
            told = f"{one.target} {one.headers} {one.body[:10_000]!r}"
            assert "ov_" not in told
        gateway = self.site.gateway
        if gateway is None:
            return
        bill = self.upstream.bill()
        with suppress(AssertionError):
            until(lambda: gateway.events(self.tenant) == bill, "events")
        assert gateway.events(self.tenant) == bill

    def counts(self, *by: str) -> dict[tuple[str, ...], tuple[int, int]]:
        """Return calls and attempts that were recorded, once `check` has found them all."""
        gateway = self.site.gateway
        assert gateway is not None
        rows = gateway.asked(self.tenant, ["calls", "attempts"], list(by))
        return {tuple(map(str, row[:-2])): (int(row[-2]), int(row[-1])) for row in rows}

    @property
    def metered(self) -> bool:
        """Whether what is in between records events."""
        return self.site.gateway is not None


def outcome(call: Callable[[Door], T], door: Door) -> Outcome[T]:
    """Make a call and return how it ended."""
    try:
        return Outcome(call(door))
    except Exception as error:
        response = getattr(error, "response", None)
        status = getattr(error, "status_code", 0) or getattr(error, "code", 0)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        told = re.sub(r"127\.0\.0\.1:\d+|headers: \{[^}]*\}, ", "", str(error))
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        return Outcome(None, kind, status if isinstance(status, int) else 0, told)


def plain(seen: Seen) -> Any:
    """Return what a gateway has to leave of a request as it was; bodies are compared apart."""
    headers = [
        (name.lower(), re.sub("boundary=.*", "", value))
        for name, value in seen.headers
        if name.lower() not in OF_THE_HOP | BY_CHANCE
    ]
    return seen.method, seen.target, sorted(headers), seen.parts


def packing(seen: Seen) -> str:
    """Return the encodings that the caller says it takes."""
    return next((value for name, value in seen.headers if name.lower() == "accept-encoding"), "")


def with_option(body: bytes) -> bytes:
    """Return a chat stream's body that asks for its counts."""
    return body[:1] + OPTION + body[1:]


def until(true: Callable[[], bool], what: str, seconds: float = SETTLE_S) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
