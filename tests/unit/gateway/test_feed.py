"""The feed of keys: at once while the server is there, from the file while it is away."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from outlay.api import virtual_keys
from outlay.config import Settings
from outlay.core.virtual_keys import VirtualKey, key_document, secret_hash
from outlay.errors import ConfigError
from outlay.gateway import feed as module
from outlay.gateway.feed import KeyFeed
from outlay.gateway.keys import KeyTable
from outlay.store.virtual_keys import KeyTerms
from tests.unit.api.served import Served
from tests.unit.api.site import Site

SOON_S = 10.0


def secret(number: int) -> str:
    return f"ov_{number:043}"


def create(site: Site, number: int, *, tenant: str | None = "acme") -> VirtualKey:
    terms = KeyTerms(f"k{number}", tenant)
    return site.books.create_virtual_key(terms, secret=secret(number), actor="x", at=site.now)


def revoke(site: Site, key: VirtualKey) -> None:
    site.books.revoke_virtual_key(key.key_id, actor="x", at=site.now)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


class Log:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **facts: self.lines.append((level, event, facts))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [facts for _, name, facts in self.lines if name == event]


class Follower:
    """A feed with its table and log; `feed` makes another of the same file, as a restart does."""

    def __init__(self, url: str, key: str, kept: Path | None = None, **said: Any) -> None:
        self.table = KeyTable()
        self.log = Log()
        self.feed = KeyFeed(url, key, self.table, kept, log=self.log, **said)
        self.feed.start()

    def knows(self, number: int) -> bool:
        return self.table.find(secret(number)) is not None

    def problem(self, number: int) -> str:
        found = self.table.find(secret(number))
        return "unknown" if found is None else found.problem(time.time_ns() // 1000)


@pytest.fixture
def follow() -> Iterator[Callable[..., Follower]]:
    made: list[Follower] = []

    def begin(*args: Any, **said: Any) -> Follower:
        made.append(Follower(*args, **said))
        return made[-1]

    yield begin
    for one in made:
        one.feed.stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, Settings())
    made.now = time.time_ns() // 1000
    yield made
    made.close()


@pytest.fixture
def served(site: Site) -> Iterator[Served]:
    with Served(site) as made:
        yield made


class Scripted:
    """Answers every request by a function, and counts them."""

    def __init__(self, answer: Callable[[str], tuple[int, bytes]]) -> None:
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.paths.append(self.path)
                status, body = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def end(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def scripted() -> Iterator[Callable[[Callable[[str], tuple[int, bytes]]], Scripted]]:
    made: list[Scripted] = []

    def begin(answer: Callable[[str], tuple[int, bytes]]) -> Scripted:
        made.append(Scripted(answer))
        return made[-1]

    yield begin
    for one in made:
        one.end()


def page(*keys: Any, after: int = 0, revision: int = 1, complete: bool = True) -> bytes:
    rows = [key_document(key) if isinstance(key, VirtualKey) else key for key in keys]
    told = {"now": 0, "after": after, "revision": revision, "keys": rows, "complete": complete}
    return json.dumps(told).encode()


class TestFollowing:
    def test_keys_revocations_and_rotations_arrive_at_once(
        self, served: Served, follow: Callable[..., Follower]
    ) -> None:
        site = served.site
        one = create(site, 1)
        gateway = follow(served.url, site.key("gateway"))
        until(lambda: gateway.knows(1))
        assert gateway.feed.fresh
        took = []
        for number in range(2, 6):
            time.sleep(0.1)
            create(site, number)
            began = time.monotonic()
            until(partial(gateway.knows, number))
            took.append(time.monotonic() - began)
        assert min(took) < 0.1, took
        revoke(site, one)
        until(lambda: gateway.problem(1) == "revoked")
        key = gateway.table.find(secret(2))
        assert key is not None
        site.books.rotate_virtual_key(
            key.key_id, secret=secret(9), grace_us=60_000_000, actor="x", at=site.now
        )
        until(lambda: gateway.knows(9))
        assert (gateway.problem(2), gateway.problem(9)) == ("", "")
        assert gateway.log.lines == []

    def test_all_pages_are_read_before_the_server_counts_as_heard(
        self, served: Served, follow: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(virtual_keys, "PAGE", 3)
        for number in range(20):
            create(served.site, number)
        gateway = follow(served.url, served.site.key("gateway"))
        until(lambda: gateway.feed.fresh)
        assert all(gateway.knows(number) for number in range(20))

    def test_a_gateway_of_one_tenant_knows_that_tenants_keys_only(
        self, served: Served, follow: Callable[..., Follower]
    ) -> None:
        site = served.site
        create(site, 1)
        create(site, 2, tenant="rival")
        create(site, 3, tenant=None)
        gateway = follow(served.url, site.key("gateway", tenant="acme"))
        until(lambda: gateway.feed.fresh)
        create(site, 4, tenant="rival")
        create(site, 5)
        until(lambda: gateway.knows(5))
        assert [gateway.knows(number) for number in range(1, 5)] == [True, False, False, False]

    def test_without_any_key_the_server_counts_as_heard(
        self, served: Served, follow: Callable[..., Follower]
    ) -> None:
        gateway = follow(served.url, served.site.key("gateway"))
        until(lambda: gateway.feed.fresh)
        assert len(gateway.table) == 0
        assert gateway.feed.detail == "heard 0 s ago"

    def test_a_revocation_holds_here_at_once_whatever_the_clocks_say(
        self, served: Served, follow: Callable[..., Follower]
    ) -> None:
        site = served.site
        site.now += 3_600_000_000  # the server's clock is an hour ahead of the gateway's
        one, two = create(site, 1), create(site, 2)
        gateway = follow(served.url, site.key("gateway"))
        until(lambda: gateway.knows(1))
        revoke(site, one)
        until(lambda: gateway.problem(1) == "revoked")
        later = site.now + 3_600_000_000
        site.books.revoke_virtual_key(two.key_id, actor="x", at=site.now, revoked_at=later)
        until(lambda: getattr(gateway.table.find(secret(2)), "revoked_at", None) == later)
        assert gateway.problem(2) == ""


class TestTheServersAbsence:
    def test_a_restart_knows_the_keys_of_before(
        self, site: Site, tmp_path: Path, follow: Callable[..., Follower]
    ) -> None:
        kept, key = tmp_path / "kept.json", site.key("gateway")
        one = create(site, 1)
        create(site, 2)
        served = Served(site)
        first = follow(served.url, key, kept)
        until(lambda: first.knows(2))
        revoke(site, one)
        until(lambda: first.problem(1) == "revoked")
        first.feed.stop()
        served.end()
        again = follow(served.url, key, kept)
        assert (again.problem(1), again.problem(2), again.feed.fresh) == ("revoked", "", True)
        assert again.feed.tried.wait(SOON_S)
        assert "ConnectionRefusedError" in again.feed.detail
        create(site, 3)
        with Served(site, served.port):
            until(lambda: again.knows(3))
            assert len(again.log.named("virtual_keys_not_heard")) == 1
            assert len(again.log.named("virtual_keys_heard_again")) == 1
            again.feed.stop()

    def test_a_change_is_kept_without_waiting_for_the_next(
        self, served: Served, tmp_path: Path, follow: Callable[..., Follower]
    ) -> None:
        kept = tmp_path / "kept.json"
        gateway = follow(served.url, served.site.key("gateway"), kept)
        until(lambda: gateway.feed.fresh)
        for number in range(3):  # the second and third come too soon to be written at once
            create(served.site, number)
            until(partial(gateway.knows, number))
        hashed = secret_hash(secret(2)).encode()
        until(lambda: kept.exists() and hashed in kept.read_bytes())

    def test_keys_are_gone_by_for_so_long_and_a_restart_makes_them_no_younger(
        self, site: Site, tmp_path: Path, follow: Callable[..., Follower]
    ) -> None:
        kept, key = tmp_path / "kept.json", site.key("gateway")
        create(site, 1)
        with Served(site) as served:
            first = follow(served.url, key, kept)
            until(lambda: first.knows(1))
            first.feed.stop()
        long_ago = time.time() - 100
        os.utime(kept, (long_ago, long_ago))
        patient, strict = (follow(served.url, key, kept, stale_s=s) for s in (110.0, 90.0))
        assert (patient.feed.fresh, strict.feed.fresh) == (True, False)
        assert strict.knows(1)

    def test_a_gateway_that_never_heard_the_server_is_not_fresh(
        self, follow: Callable[..., Follower]
    ) -> None:
        gateway = follow("http://127.0.0.1:9", "ok_x")
        assert gateway.feed.tried.wait(SOON_S)
        assert gateway.feed.fresh is False
        assert gateway.feed.detail == "never heard: ConnectionRefusedError"

    def test_books_that_were_replaced_are_read_anew(
        self, site: Site, tmp_path: Path, follow: Callable[..., Follower]
    ) -> None:
        kept, key = tmp_path / "kept.json", "ok_" + "k" * 43
        (tmp_path / "other").mkdir()
        other = Site(tmp_path / "other", Settings())
        for place in (site, other):
            place.books.create_key(
                name="g", scopes=["gateway"], tenant_id=None, secret=key, actor="x", at=1
            )
        for number in range(5):
            create(site, number)
        create(other, 7)
        served = Served(site)
        gateway = follow(served.url, key, kept)
        until(lambda: gateway.knows(4))
        served.end()
        with Served(other, served.port):
            until(lambda: gateway.knows(7))
            assert len(gateway.table) == 1
            until(lambda: secret_hash(secret(4)).encode() not in kept.read_bytes())
            gateway.feed.stop()
        other.close()

    def test_a_file_that_is_none_is_told_and_left(
        self, served: Served, tmp_path: Path, follow: Callable[..., Follower]
    ) -> None:
        kept = tmp_path / "kept.json"
        kept.write_bytes(b"\xff{" * 100)
        create(served.site, 1)
        gateway = follow(served.url, served.site.key("gateway"), kept)
        until(lambda: gateway.knows(1))
        assert gateway.log.named("virtual_keys_not_read") == [{"error": "ValueError"}]


class TestBeingRefused:
    @pytest.mark.parametrize(
        ("scope", "says"), [(None, "unknown, revoked or expired"), ("ingest", "scope `gateway`")]
    )
    def test_it_says_once_what_to_do_and_keeps_what_it_knows(
        self, served: Served, follow: Callable[..., Follower], scope: str | None, says: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(module, "BACKOFF_S", (0.01, 0.02))
        key = "ok_wrong" if scope is None else served.site.key(scope)
        gateway = follow(served.url, key)
        gateway.table.apply([VirtualKey("vk_1", "n", secret_hash(secret(1)))])
        time.sleep(0.5)
        [(level, event, facts)] = gateway.log.lines
        assert (level, event) == ("error", "virtual_keys_not_heard")
        assert says in facts["problem"]
        assert says in gateway.feed.detail
        assert gateway.knows(1)
        assert key not in str(gateway.log.lines)

    def test_it_does_not_hammer_a_server_that_fails(
        self, scripted: Callable[..., Scripted], follow: Callable[..., Follower]
    ) -> None:
        server = scripted(lambda _path: (500, b"{}"))
        gateway = follow(server.url, "ok_x")
        time.sleep(1.0)
        assert 1 <= len(server.paths) <= 6
        assert len(gateway.log.lines) == 1
        assert "HTTP 500" in gateway.feed.detail

    def test_it_does_not_ask_in_a_loop_what_never_waits(
        self, scripted: Callable[..., Scripted], follow: Callable[..., Follower]
    ) -> None:
        server = scripted(lambda _path: (200, page(after=1, revision=1)))
        follow(server.url, "ok_x")
        time.sleep(0.5)
        assert 2 <= len(server.paths) <= 1 + 0.5 / module.ROUND_S + 2

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"<html>", b"[]", b"null", b"{}", b'{"keys": []}', b"[" * 100_000,
            page(after=0, revision=0, complete=False), b'{"now": 0, "after": "x"}',
        ],
        ids=range(9),
    )  # fmt: skip
    def test_what_is_no_feed_changes_nothing(
        self, scripted: Callable[..., Scripted], follow: Callable[..., Follower], body: bytes
    ) -> None:
        server = scripted(lambda _path: (200, body))
        gateway = follow(server.url, "ok_x")
        assert gateway.feed.tried.wait(SOON_S)
        assert gateway.feed.detail == "never heard: unreadable"

    def test_a_key_that_cannot_be_read_is_known_no_longer(
        self, scripted: Callable[..., Scripted], follow: Callable[..., Follower]
    ) -> None:
        keys = [VirtualKey(f"vk_{n}", "n", secret_hash(secret(n))) for n in (1, 2)]
        bad = {**key_document(keys[0]), "priority": "newer"}
        changed = threading.Event()

        def answer(path: str) -> tuple[int, bytes]:
            if "after=0" in path:
                return 200, page(*keys)
            if changed.is_set():
                return 200, page(bad, 7, after=1, revision=2)
            return 200, page(after=1)

        gateway = follow(scripted(answer).url, "ok_x")
        until(lambda: gateway.knows(1))
        changed.set()
        until(lambda: not gateway.knows(1))
        assert gateway.knows(2)


class TestStopping:
    def test_it_ends_at_once_while_the_server_waits(
        self, served: Served, follow: Callable[..., Follower]
    ) -> None:
        others = set(threading.enumerate())
        gateway = follow(served.url, served.site.key("gateway"))
        until(lambda: gateway.feed.fresh)
        time.sleep(0.2)
        began = time.monotonic()
        gateway.feed.stop()
        gateway.feed.stop()
        assert time.monotonic() - began < 0.5
        own = set(threading.enumerate()) - others
        assert not [thread for thread in own if thread.name == "outlay-keys"]
        assert gateway.log.lines == []

    def test_it_ends_at_once_while_nothing_answers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            feed = KeyFeed(f"http://127.0.0.1:{silent.getsockname()[1]}", "ok_x", KeyTable())
            feed.start()
            feed.start()
            accepted, _ = silent.accept()
            accepted.recv(1)
            began = time.monotonic()
            feed.stop()
            accepted.close()
        assert time.monotonic() - began < 0.5

    def test_it_ends_at_once_between_attempts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "BACKOFF_S", (60.0, 60.0))
        feed = KeyFeed("http://127.0.0.1:9", "ok_x", KeyTable())
        feed.start()
        assert feed.tried.wait(SOON_S)
        began = time.monotonic()
        feed.stop()
        assert time.monotonic() - began < 0.5

    def test_one_that_was_never_started_can_be_stopped(self) -> None:
        KeyFeed("http://127.0.0.1:9", "ok_x", KeyTable()).stop()


@pytest.mark.parametrize("endpoint", ["", "outlay.example", "ftp://outlay.example"])
def test_an_endpoint_that_is_no_address_is_a_config_error(endpoint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        KeyFeed(endpoint, "ok_x", KeyTable())
    assert caught.value.where == "endpoint"
