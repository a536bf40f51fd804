"""Backends by URL, the data folder's lock, and the opening and closing of a server's parts."""

from __future__ import annotations

import io
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx
import pytest

from outlay.act.late import LatePrices
from outlay.api.listen import bind, url_of
from outlay.config import Settings, load
from outlay.errors import BadRequestError, ConfigError, StorageBusyError
from outlay.store.books.sql import SqlBooks
from outlay.store.people import UserChange
from outlay.wiring import Server, backends, start_in_thread
from outlay.wiring import server as server_module
from outlay.wiring.backends import BACKENDS, target
from outlay.wiring.folder import DataFolder
from outlay.wiring.run import first_link


def some_backend(url: str, settings: Settings) -> None:
    """Stands for another package's backend."""


class TestBackends:
    @pytest.mark.parametrize("kind", list(BACKENDS))
    def test_an_empty_url_is_the_embedded_default(self, kind: str, tmp_path: Path) -> None:
        found = target(kind, "", tmp_path)
        assert found.path.is_relative_to(tmp_path)
        assert found.ours

    def test_a_url_names_a_scheme_and_a_path(self, tmp_path: Path) -> None:
        found = target("olap", "duckdb:////var/lib/x.duckdb", tmp_path)
        assert (found.scheme, found.path) == ("duckdb", Path("/var/lib/x.duckdb"))
        assert target("books", "sqlite:///here.db", tmp_path).path == Path("here.db")

    @pytest.mark.parametrize(
        ("kind", "url", "says"),
        [
            ("olap", "duckdv:///x", "Did you mean `duckdb`?"),
            ("books", "sqllite:///x", "Did you mean `sqlite`?"),
            ("olap", "oracle://x", "Known: duckdb"),
            ("stream", "/var/log", "must be a URL such as sqlite:////path"),
            ("stream", "sqlite:x", "must be a URL"),
            ("warehouse", "parquet://", "names no path"),
        ],
    )
    def test_a_wrong_url_is_refused_with_a_suggestion(
        self, kind: str, url: str, says: str, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            target(kind, url, tmp_path)
        assert says in caught.value.message
        assert caught.value.where == f"{kind}_url"

    def test_other_packages_bring_backends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def points(*, group: str) -> list[EntryPoint]:
            assert group == "outlay.backends"
            here = f"{__name__}:some_backend"
            return [EntryPoint("olap.clickhouse", here, group)]

        monkeypatch.setitem(sys.modules, __name__, sys.modules[some_backend.__module__])
        monkeypatch.setattr(backends, "entry_points", points)
        found = target("olap", "clickhouse://h/d", tmp_path)
        assert (found.opener.__name__, found.ours) == ("some_backend", False)
        with pytest.raises(ConfigError, match="clickhouse"):
            target("olap", "clickhose://h/d", tmp_path)
        with pytest.raises(ConfigError):
            target("books", "clickhouse://h/d", tmp_path)


class TestDataFolder:
    def test_it_is_made_for_its_owner_only(self, tmp_path: Path) -> None:
        folder = DataFolder(tmp_path / "a" / "b")
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        folder.close()

    def test_a_folder_that_holds_other_things_keeps_its_rights(self, tmp_path: Path) -> None:
        (tmp_path / "other").touch()
        tmp_path.chmod(0o755)
        DataFolder(tmp_path).close()
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
        DataFolder(tmp_path).close()

    def test_a_second_server_is_refused_and_told_who_has_it(self, tmp_path: Path) -> None:
        folder = DataFolder(tmp_path)
        with pytest.raises(StorageBusyError, match=f"process {os.getpid()}"):
            DataFolder(tmp_path)
        folder.close()
        DataFolder(tmp_path).close()

    def test_a_path_that_is_no_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match="cannot be used"):
            DataFolder(tmp_path / "file")


class TestListening:
    def test_a_taken_port_is_told(self) -> None:
        first = bind("127.0.0.1", 0)
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"):
            bind("127.0.0.1", port)
        first.close()

    def test_an_unknown_address_is_told(self) -> None:
        with pytest.raises(ConfigError, match="Cannot listen"):
            bind("256.0.0.1", 0)

    @pytest.mark.parametrize(
        ("host", "url"), [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:")]
    )
    def test_the_url_reaches_the_socket(self, host: str, url: str) -> None:
        bound = bind(host, 0)
        assert url_of(bound) == f"{url}{bound.getsockname()[1]}"
        bound.close()


def settings_in(folder: Path, **values: Any) -> Settings:
    overrides = {
        "data": str(folder), "port": 0, "seed_prices": False, "duckdb_memory_mb": 256, **values,
    }  # fmt: skip
    return load({}, overrides=overrides)


_others: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def other_threads() -> None:
    """Know the threads that other tests of this process keep, with a server or a simulator."""
    _others.clear()
    _others.update(threading.enumerate())


def outlay_threads() -> list[str]:
    """Name the running threads of the test's own server."""
    own = set(threading.enumerate()) - _others
    return [thread.name for thread in own if thread.name.startswith("outlay")]


class TestServer:
    def test_it_opens_everything_and_closes_every_thread(self, tmp_path: Path) -> None:
        with Server(settings_in(tmp_path), log_to=io.StringIO()) as server:
            assert {part.name for part in server.parts()} == {
                "enrich", "olap", "warehouse", "maintenance", "settle", "authority", "sweeper",
                "limit_notices", "webhooks",
            }  # fmt: skip
            assert all(part.ok for part in server.parts())
            server.maintain()
        server.close()
        assert outlay_threads() == []

    def test_upkeep_goes_on_when_a_part_of_it_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = threading.Event()

        def fail(_: LatePrices) -> int:
            raise BadRequestError

        monkeypatch.setattr(server_module, "LATE_S", 0.01)
        monkeypatch.setattr(server_module, "MAINTENANCE_S", 0.02)
        monkeypatch.setattr(LatePrices, "run", fail)
        monkeypatch.setattr(Server, "maintain", lambda _: done.set())
        with Server(settings_in(tmp_path), log_to=(log := io.StringIO())) as server:
            assert done.wait(10)
            (part,) = (part for part in server.parts() if part.name == "maintenance")
            assert (part.ok, part.error) == (True, "BadRequestError")
        assert log.getvalue().count("maintenance_failed") == 1, "told once, not at every turn"

    def test_the_first_key_is_made_once_and_only_its_hash_is_kept(self, tmp_path: Path) -> None:
        with Server(settings_in(tmp_path), log_to=io.StringIO()) as server:
            first = server.first_key
            assert first is not None
        with Server(settings_in(tmp_path), log_to=io.StringIO()) as server:
            assert server.first_key is None
            key = server.books.key_by_secret(first)
            assert key is not None
            assert key.scopes == ("ingest", "read", "admin")
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or first.encode() not in file.read_bytes(), file

    def test_the_first_link_signs_in_to_the_dashboard_once(self, tmp_path: Path) -> None:
        settings = settings_in(tmp_path, gateway=False)
        with start_in_thread(settings, log_to=io.StringIO()) as running:
            link = first_link(running.server)
            assert link is not None
            assert link.startswith(f"{running.url}/app/login#link=")
            body = {"link": link.partition("#link=")[2]}
            headers = {"Origin": running.url}
            with httpx.Client(base_url=running.url, trust_env=False) as browser:
                told = browser.post("/v1/session", json=body, headers=headers)
                assert told.json()["user"]["email"] == "admin@localhost"
                assert browser.get("/v1/keys").status_code == 200
                assert browser.post("/v1/session", json=body, headers=headers).status_code == 401
        with Server(settings_in(tmp_path), log_to=io.StringIO()) as server:
            assert (server.first_key, server.first_link, first_link(server)) == (None, None, None)

    def test_a_local_admin_who_was_disabled_gets_no_first_link(self, tmp_path: Path) -> None:
        with Server(settings_in(tmp_path), log_to=io.StringIO()) as server:
            [key], [user] = server.books.keys(), server.books.users()
            server.books.revoke_key(key.key_id, actor="me", at=1)
            server.books.change_user(user.user_id, UserChange(disabled=True), actor="me", at=1)
        with Server(settings_in(tmp_path), log_to=io.StringIO()) as server:
            assert server.first_key is not None
            assert server.first_link is None

    def test_a_public_url_is_in_the_first_link(self, tmp_path: Path) -> None:
        settings = settings_in(tmp_path, public_url="https://cost.example.com")
        with start_in_thread(settings, log_to=io.StringIO()) as running:
            link = first_link(running.server)
            assert (link or "").startswith("https://cost.example.com/app/login#link=")

    def test_a_demo_that_others_reach_does_not_start(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="demo"):
            Server(settings_in(tmp_path, demo=True, host="0.0.0.0"), log_to=io.StringIO())
        assert outlay_threads() == []
        DataFolder(tmp_path).close()

    def test_when_no_admin_key_is_left_a_new_one_is_made(self, tmp_path: Path) -> None:
        with Server(settings_in(tmp_path), log_to=io.StringIO()) as server:
            [key] = server.books.keys()
            server.books.revoke_key(key.key_id, actor="me", at=1)
        with Server(settings_in(tmp_path), log_to=io.StringIO()) as server:
            assert server.first_key is not None

    def test_a_server_that_cannot_open_leaves_nothing_open(self, tmp_path: Path) -> None:
        (tmp_path / "books.db").write_bytes(b"no database" * 1000)
        with pytest.raises(Exception, match="damaged"):
            Server(settings_in(tmp_path), log_to=io.StringIO())
        assert outlay_threads() == []
        DataFolder(tmp_path).close()

    def test_a_wrong_url_leaves_nothing_open(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="duckdb"):
            Server(settings_in(tmp_path, olap_url="duck:///x"), log_to=io.StringIO())
        DataFolder(tmp_path).close()

    def test_prices_are_seeded_once(self, tmp_path: Path) -> None:
        for _ in range(2):
            with Server(settings_in(tmp_path, seed_prices=True), log_to=io.StringIO()) as server:
                revision = server.books.revision("prices")
                assert len(server.books.load_prices().rates) > 1000
        assert revision == 1

    def test_in_a_thread_it_serves_and_stops(self, tmp_path: Path) -> None:
        log = io.StringIO()
        with start_in_thread(settings_in(tmp_path), log_to=log) as running:
            ready = httpx.get(f"{running.url}/readyz")
            assert (ready.status_code, "date" in ready.headers) == (200, True)
            headers = {"Authorization": f"Bearer {running.first_key}"}
            status = httpx.get(f"{running.url}/v1/status", headers=headers).json()
            assert status["backends"] == {
                "stream": "sqlite", "olap": "duckdb", "warehouse": "parquet", "books": "sqlite",
            }  # fmt: skip
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{running.url}/healthz")
        assert outlay_threads() == []
        for line in log.getvalue().splitlines():
            assert json.loads(line)["event"]
        books = SqlBooks(f"sqlite:///{tmp_path / 'books.db'}")
        assert books.keys()[0].last_used_at is not None
        books.close()

    def test_a_taken_port_opens_nothing(self, tmp_path: Path) -> None:
        taken = socket.create_server(("127.0.0.1", 0))
        chosen = settings_in(tmp_path / "data", port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="Cannot listen"):
            start_in_thread(chosen)
        assert not (tmp_path / "data").exists()
        taken.close()


def test_the_guest_does_not_load_the_server() -> None:
    code = (
        "import outlay.config, sys; sys.exit('fastapi' in sys.modules or 'duckdb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
