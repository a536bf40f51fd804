"""A gateway's sockets for tests: a real listener before it, a real server behind it.

The parts that sockets ask are the real ones; only who holds them together is a stand-in.
"""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from outlay import config
from outlay.api.listen import Listener, bind
from outlay.api.logs import make_logger
from outlay.capture.runtime import Runtime
from outlay.capture.spool import STORED
from outlay.core.virtual_keys import VirtualKey, secret_hash
from outlay.gateway.access_log import AccessLog
from outlay.gateway.breaker import Breaker
from outlay.gateway.config import Credential, GatewayConfig, Secret, Timeouts, Upstream
from outlay.gateway.identity import Caller, Callers
from outlay.gateway.keys import KeyTable
from outlay.gateway.metrics import GatewayMetrics
from outlay.gateway.problems import Problem
from outlay.gateway.sockets import serve_socket
from outlay.gateway.upstream import UpstreamClient
from tests.guest.limits_gate import Gate
from tests.guest.speakers import TURN

KEY = "ov_" + "k" * 40
PROVIDER_KEY = "sk-of-the-provider"
WAIT_S = 10.0
ASK = json.dumps({"type": "response.create"})
NOW = 1_790_000_000_000_000


def virtual_key(secret: str = KEY, **fields: Any) -> VirtualKey:
    known = {"key_id": "vk_1", "name": "test", "tenant_id": "acme", **fields}
    return VirtualKey(secret_hash=secret_hash(secret), **known)


class Provider:
    """A websocket server on 127.0.0.1 that remembers the handshakes it took."""

    def __init__(self, speak: Callable[[ServerConnection], None], **options: Any) -> None:
        self.heard: list[ServerConnection] = []
        self.ended = threading.Event()
        """A conversation is over."""
        self._speak = speak
        self._server = serve(self._handle, "127.0.0.1", 0, **options)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _handle(self, connection: ServerConnection) -> None:
        self.heard.append(connection)
        try:
            self._speak(connection)
        finally:
            self.ended.set()

    @property
    def request(self) -> Any:
        """The last handshake; its client may see the answer before this thread does."""
        until(lambda: self.heard)
        return self.heard[-1].request

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()


class Answers:
    """A server that answers every handshake with the same bytes; `None`: with silence."""

    def __init__(self, answer: bytes | None) -> None:
        self.heard: list[bytes] = []
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(connection)
            head = b""
            while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
                head += part
            if not head:
                return
            self.heard.append(head)
            if self._answer is not None:
                connection.sendall(self._answer)
                connection.close()

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join()
        for connection in (*self._open, self._listening):
            connection.close()


@dataclass
class Stand:
    """What sockets ask of a gateway."""

    config: GatewayConfig
    runtime: Runtime
    callers: Callers
    log: Any
    access_log: AccessLog
    metrics: GatewayMetrics = field(default_factory=GatewayMetrics)
    full: bool = False
    ending: bool = False
    clock: Callable[[], int] = lambda: NOW

    def __post_init__(self) -> None:
        self.lanes = {
            name: SimpleNamespace(
                upstream=made, client=UpstreamClient(made), breaker=Breaker(made.breaker)
            )
            for name, made in self.config.upstreams.items()
        }

    def identify(self, headers: Any, query: bytes) -> Caller:
        return self.callers.find(headers, query, config=self.config, at=self.clock(), fresh=True)

    def lane(self, name: str) -> Any:
        if name not in self.lanes:
            raise Problem(404, "unknown_upstream", "No upstream of that name is declared.")
        return self.lanes[name]

    def credential_of(self, upstream: Upstream, _tenant: str) -> Credential | None:
        return upstream.credential

    async def secret_of(self, _credential: Credential) -> str:
        return PROVIDER_KEY


class Rig:
    """A listener in a thread, whose application serves the sockets of a stand."""

    def __init__(
        self,
        port: int,
        *keys: VirtualKey,
        settings: dict[str, Any] | None = None,
        grace_s: float = WAIT_S,
        **upstream: Any,
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self.logged = io.StringIO()
        bearer = Credential("bearer", Secret("env", "KEY"))
        given = {"vendor": "openai", "credential": bearer, "timeouts": Timeouts(), **upstream}
        made = Upstream(name="up", url=f"http://127.0.0.1:{port}/{given['vendor']}", **given)
        configured = GatewayConfig({"up": made}, **(settings or {}))
        table = KeyTable()
        table.apply(keys or (virtual_key(),))
        runtime = Runtime(
            config.load(env={}, overrides={"hosts": configured.hosts()}), store=self._store
        )
        self.gate = Gate()
        self.stand = Stand(
            configured, runtime, Callers(table), make_logger(self.logged, "debug"),
            AccessLog(self.logged, "debug"),
        )  # fmt: skip
        self._bound = bind("127.0.0.1", 0)
        self.port: int = self._bound.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/up"
        ready = threading.Event()
        self.listener = Listener(
            self._serve, on_ready=ready.set, sockets=True, lifespan=True, grace_s=grace_s
        )
        self._thread = threading.Thread(target=self.listener.run, args=([self._bound],))
        self._thread.start()
        assert ready.wait(WAIT_S)

    def limit(self) -> Gate:
        """Have calls asked about at the limits, from now on."""
        self.stand.runtime.gate = self.gate  # type: ignore[assignment]
        return self.gate

    def connect(
        self,
        path: str = "/v1/realtime?model=gpt-realtime",
        *,
        key: str = KEY,
        headers: dict[str, str] | None = None,
        subprotocols: list[str] | None = None,
        **options: Any,
    ) -> Any:
        shown = {"Authorization": f"Bearer {key}"} if key else {}
        return websockets.sync.client.connect(
            self.url + path,
            additional_headers={**shown, **(headers or {})},
            subprotocols=None if subprotocols is None else [*map(Subprotocol, subprotocols)],
            proxy=None,
            **options,
        )

    def open(self, *args: Any, **options: Any) -> Any:
        """Return a socket that nobody closes but its test."""
        return self.connect(*args, **options).__enter__()

    def lines(self) -> list[dict[str, Any]]:
        """Return the access log."""
        self.stand.access_log.flush()
        made = [json.loads(line) for line in self.logged.getvalue().splitlines()]
        return [line for line in made if line["event"] == "call"]

    def _store(self, body: str) -> str:
        self.events.append(json.loads(body))
        return STORED

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await serve_socket(self.stand, scope, receive, send)  # type: ignore[arg-type]
            return
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for lane in self.stand.lanes.values():
            await lane.client.close()
        await send({"type": "lifespan.shutdown.complete"})

    def stop(self) -> None:
        self.listener.stop()

    def close(self) -> None:
        self.stop()
        self._thread.join()
        self._bound.close()


@contextmanager
def rigged(
    speak: Callable[[ServerConnection], None], *keys: VirtualKey, **options: Any
) -> Iterator[tuple[Rig, Provider]]:
    """A gateway before a provider whose connections are handled by `speak`."""
    provider = Provider(speak, **options.pop("provider", {}))
    try:
        with standing(provider.port, *keys, **options) as rig:
            yield rig, provider
    finally:
        provider.close()


@contextmanager
def standing(port: int, *keys: VirtualKey, **options: Any) -> Iterator[Rig]:
    """A gateway before a port."""
    rig = Rig(port, *keys, **options)
    try:
        yield rig
    finally:
        rig.close()


def until(holds: Callable[[], object]) -> None:
    """Wait for something that comes from another thread."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def turns(connection: ServerConnection) -> None:
    """Answer whatever comes with one whole turn."""
    for _ in connection:
        for message in TURN:
            connection.send(message)


def say(connection: ServerConnection, *messages: dict[str, Any]) -> None:
    for message in messages:
        connection.send(json.dumps(message))


def ended(connection: ClientConnection | ServerConnection) -> tuple[int, str]:
    """Return the close that this side hears."""
    try:
        while True:
            connection.recv(timeout=WAIT_S)
    except ConnectionClosed as closed:
        heard = closed.rcvd
    return (1006, "") if heard is None else (heard.code, heard.reason)


def listening(heard: list[tuple[int, str]]) -> Callable[[ServerConnection], None]:
    """Return a provider that only hears how it ends."""
    return lambda connection: heard.append(ended(connection))


def refused(rig: Rig, *args: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the body with which a handshake was refused."""
    with pytest.raises(InvalidStatus) as raised:
        rig.connect(*args, **options)
    response = raised.value.response
    return response.status_code, json.loads(response.body)


def shown(rig: Rig) -> str:
    return rig.stand.metrics.text().decode()
