"""Loopback servers for the guest's tests, and a clean guest for each of them."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from outlay.capture import guard, taps
from outlay.capture.runtime import activate

Answer = tuple[int, dict[str, str], bytes | list[bytes]]


class Loopback:
    """An HTTP server on 127.0.0.1 that answers with what `reply` returns."""

    def __init__(self, reply: Callable[[str, str, dict[str, str], bytes], Answer]) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(size)
                headers = {k.lower(): v for k, v in self.headers.items()}
                outer.requests.append((self.command, self.path, headers, body))
                status, sent, content = reply(self.command, self.path, headers, body)
                self.send_response(status)
                pieces = content if isinstance(content, list) else [content]
                streamed = isinstance(content, list)
                for name, value in sent.items():
                    self.send_header(name, value)
                if streamed:
                    self.send_header("Transfer-Encoding", "chunked")
                else:
                    self.send_header("Content-Length", str(len(pieces[0])))
                self.end_headers()
                for piece in pieces:
                    if streamed:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    else:
                        self.wfile.write(piece)
                if streamed:
                    self.wfile.write(b"0\r\n\r\n")

            do_GET = do_POST = handle_one  # noqa: N815 - names that http.server looks for

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients hang up on purpose

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Collector:
    """A stand-in for the server's ingest: keeps what it is sent, answers what it is told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.batches: list[int] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        """Answers to give first, before it takes events."""
        self.judge: Callable[[list[bytes]], tuple[int, dict[str, str], bytes] | None] | None = None
        self.snapshot: bytes | None = None
        self.loopback = Loopback(self._reply)
        self.url = self.loopback.url

    def _reply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path == "/v1/prices/snapshot":
            if self.snapshot is None:
                return 404, {}, b"{}"
            etag = f'"{json.loads(self.snapshot)["hash"]}"'
            if headers.get("if-none-match") == etag:
                return 304, {"ETag": etag}, b""
            return 200, {"ETag": etag, "Content-Encoding": "gzip"}, gzip.compress(self.snapshot)
        if self.answers:
            return self.answers.pop(0)
        lines = gzip.decompress(body).split(b"\n")
        if self.judge is not None and (answer := self.judge(lines)) is not None:
            return answer
        events = [json.loads(line) for line in lines]
        self.events += events
        self.batches.append(len(events))
        return 200, {}, json.dumps({"accepted": len(events), "rejected": []}).encode()

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for event in self.events]

    def close(self) -> None:
        self.loopback.close()


@pytest.fixture(autouse=True)
def clean_guest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No test sees another's runtime, taps, warnings or spool."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("OUTLAY_ENDPOINT", "OUTLAY_KEY", "OUTLAY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    guard.reset()
    yield
    runtime = activate(None)
    if runtime is not None:
        runtime.close(0)
    taps.remove()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def loopback() -> Iterator[Callable[[Callable[..., Answer]], Loopback]]:
    made: list[Loopback] = []

    def start(reply: Callable[..., Answer]) -> Loopback:
        made.append(Loopback(reply))
        return made[-1]

    yield start
    for server in made:
        server.close()


@pytest.fixture
def provider(loopback: Any) -> Any:
    """A server that answers as OpenAI does."""
    from tests.guest.replies import Provider  # it builds on this module

    return Provider(loopback)


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False) as made:
        yield made


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made
