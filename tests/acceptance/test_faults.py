"""Faults on purpose against the real server: full disk, locked file, cut and doubled batches.

Each test asks one thing of the whole server in its own process: a clear state, nothing
half-written, nothing lost after an acknowledgement, and work going on when the fault is over.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from outlay.core.ids import uuid7

pytestmark = pytest.mark.heavy

TIMEOUT_S = 30.0
DISK_BYTES = 48 * 1024 * 1024
OLAP_MB = 256
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


class Server:
    """`outlay serve` on a data folder: where it listens, its first key, what it logged."""

    def __init__(self, data: Path, errors: Path, key: str | None = None) -> None:
        self.data, self.errors = data, errors
        with errors.open("ab") as log:
            self.child = subprocess.Popen(
                [*COMMAND, "serve", "--data", str(data), "--port", "0", "--json"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(),
            )
        assert self.child.stdout is not None
        told = json.loads(self.child.stdout.readline() or "{}")
        assert told, errors.read_text()
        self.url: str = told["url"]
        self.key: str = key or told["key"]
        self.http = self.client(self.key)

    def client(self, key: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S)

    def post(self, batch: list[dict[str, Any]]) -> httpx.Response:
        return self.http.post("/v1/events", json=batch)

    def calls(self, **question: Any) -> dict[str, int]:
        """Return calls by tenant in the last 35 days."""
        body = {"metrics": ["calls"], "by": ["tenant"], "last": "36d", **question}
        answer = self.http.post("/v1/query", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["rows"])

    def event(self, event_id: str) -> dict[str, Any]:
        """Return a stored event; it may still be on its way."""
        path = f"/v1/events/{event_id}"
        wait_until(lambda: self.http.get(path).status_code == 200, path)
        found: dict[str, Any] = self.http.get(path).json()["event"]
        return found

    def outlay(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line against this server."""
        env = {**environment(), "OUTLAY_ENDPOINT": self.url, "OUTLAY_KEY": self.key}
        return subprocess.run(
            [*COMMAND, *arguments],
            capture_output=True,
            text=True,
            env=env,
            timeout=TIMEOUT_S,
            check=False,
        )

    def doctor(self) -> dict[str, dict[str, str]]:
        """Return what `outlay doctor` finds, by check."""
        found = json.loads(self.outlay("doctor", "--json").stdout)
        return {finding["check"].strip(): finding for finding in found["findings"]}

    def stop(self) -> None:
        self.http.close()
        self.child.send_signal(signal.SIGTERM)
        self.child.communicate(timeout=TIMEOUT_S)
        assert self.child.returncode == 0, self.errors.read_text()
        assert self.key not in self.errors.read_text()


COMMAND = [sys.executable, "-m", "outlay"]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OUTLAY_")}
    return {**kept, "OUTLAY_DUCKDB_MEMORY_MB": str(OLAP_MB)}


@contextmanager
def serving(data: Path, errors: Path, key: str | None = None) -> Iterator[Server]:
    server = Server(data, errors, key)
    try:
        yield server
        server.stop()
    finally:
        if server.child.poll() is None:
            server.child.kill()
            server.child.wait()
        assert server.child.stdout is not None
        server.child.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the faults that leave it working."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "data").mkdir(mode=0o755)
    (folder / "data" / "somebody-elses").touch()
    with serving(folder / "data", folder / "errors.log") as running:
        yield running


def wait_until(holds: Callable[[], bool], what: object) -> None:
    until = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < until, f"not within {TIMEOUT_S} s: {what}"
        time.sleep(0.05)


def now_us() -> int:
    return time.time_ns() // 1000


def event(tenant: str, *, at: int | None = None, **values: Any) -> dict[str, Any]:
    start = now_us() - 10_000 if at is None else at
    return {
        "event_id": uuid7(start // 1000, os.urandom(10)),
        "started_at": start,
        "ended_at": start + 5_000,
        "tenant_id": tenant,
        "operation": "chat",
        "provider": "openai",
        "model_requested": "gpt-4o",
        "status": "ok",
        "input": 1000,
        "output": 100,
        **values,
    }


# a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "outlay-test", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        reason = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        reason = str(error)
    if reason:
        pytest.skip(f"a small file system cannot be mounted here: {reason}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def bulky(tenant: str, number: int) -> list[dict[str, Any]]:
    """Return events that hardly compress."""
    return [event(tenant, labels={"x": os.urandom(120).hex()}) for _ in range(number)]


def test_a_full_disk_is_said_and_nothing_is_lost_or_half_written(
    small_disk: Path, tmp_path: Path
) -> None:
    with serving(small_disk / "data", tmp_path / "errors.log") as server:
        accepted = 0
        answer, batch = None, []
        for _ in range(400):
            batch = bulky("acme", 1000)
            answer = server.post(batch)
            if answer.status_code != 200:
                break
            accepted += answer.json()["accepted"]
        assert answer is not None
        assert answer.status_code == 507, answer.text
        assert answer.json()["error"]["code"] == "storage_full"
        assert int(answer.headers["retry-after"]) > 0
        ready = httpx.get(f"{server.url}/readyz")
        assert ready.status_code == 503
        assert ready.json()["parts"]["disk"]["ok"] is False
        assert server.doctor()["ready"]["state"] == "fail"
        assert server.outlay("doctor").returncode == 1
        assert httpx.get(f"{server.url}/healthz").status_code == 200

        larger = f"remount,size={DISK_BYTES * 40}"
        subprocess.run(["mount", "-o", larger, str(small_disk)], check=True)
        wait_until(lambda: server.calls() == {"acme": accepted}, f"{accepted} events")
        assert server.post(batch).json() == {"accepted": len(batch), "rejected": []}
        accepted += len(batch)
        wait_until(lambda: server.calls() == {"acme": accepted}, f"{accepted} events")
        wait_until(lambda: healthy(server), "every part works again")
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        key = server.key
    with serving(small_disk / "data", tmp_path / "errors.log", key) as again:
        assert again.calls() == {"acme": accepted}
        assert again.http.get("/v1/status").json()["events"] == accepted
    for name in ("log/captured.db", "log/enriched.db", "books.db"):
        with closing(sqlite3.connect(small_disk / "data" / name)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",), name


def healthy(server: Server) -> bool:
    consumers = server.http.get("/v1/status").json()["consumers"].values()
    return all(part["ok"] and not part["lag_events"] for part in consumers)


# a locked file


def test_data_is_for_its_owner_only_even_in_an_open_folder(server: Server) -> None:
    assert server.post([event("private")]).status_code == 200
    wait_until(lambda: healthy(server), "every store has it")
    ours = [path for path in server.data.rglob("*") if path.name != "somebody-elses"]
    assert len(ours) > 5
    assert [path for path in ours if path.exists() and path.stat().st_mode & 0o077] == []


def test_a_second_server_is_refused_by_name_and_the_first_works_on(server: Server) -> None:
    second = subprocess.run(
        [*COMMAND, "serve", "--data", str(server.data), "--port", "0"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=False,
    )
    assert second.returncode == 1
    assert f"process {server.child.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert server.post([event("second-server")]).status_code == 200


def test_a_log_locked_by_another_process_is_503_until_it_is_free(server: Server) -> None:
    batch = [event("locked")]
    with closing(sqlite3.connect(server.data / "log" / "captured.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = server.post(batch)
        assert refused.status_code == 503, refused.text
        assert refused.json()["error"]["code"] == "storage_busy"
        assert int(refused.headers["retry-after"]) > 0
        other.rollback()
    assert server.post(batch).json() == {"accepted": 1, "rejected": []}
    wait_until(lambda: server.calls().get("locked") == 1, "one event")


# half-sent, doubled, reordered


def send_raw(server: Server, head: str, body: bytes) -> None:
    """Send a request's beginning and leave."""
    found = re.fullmatch(r"http://(.+):(\d+)", server.url)
    assert found
    lines = (
        "POST /v1/events HTTP/1.1", "Host: outlay", "Content-Type: application/json",
        f"Authorization: Bearer {server.key}", head, "", "",
    )  # fmt: skip
    with socket.create_connection((found[1], int(found[2]))) as connection:
        connection.sendall("\r\n".join(lines).encode() + body)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(TIMEOUT_S)
        while connection.recv(65536):
            pass


def test_a_half_sent_batch_writes_nothing(server: Server) -> None:
    body = json.dumps([event("half") for _ in range(20)]).encode()
    before = head(server)
    send_raw(server, f"Content-Length: {len(body) + 1}", body)
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    send_raw(server, "Transfer-Encoding: chunked", chunk)
    send_raw(server, "Transfer-Encoding: chunked", chunk[: len(chunk) // 2])
    assert head(server) == before
    assert server.post([event("whole")]).status_code == 200
    wait_until(lambda: server.calls().get("whole") == 1, "the whole batch")
    assert "half" not in server.calls()


def head(server: Server) -> int:
    offset: int = server.http.get("/v1/status").json()["logs"]["captured"]["head"]
    return offset


def test_a_batch_sent_again_and_again_is_stored_once_across_a_restart(tmp_path: Path) -> None:
    data, errors = tmp_path / "data", tmp_path / "errors.log"
    batch = [event("acme") for _ in range(200)]
    with serving(data, errors) as first, ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(first.post, [batch] * 5))
        assert [a.json() for a in answers] == [{"accepted": 200, "rejected": []}] * 5
        wait_until(lambda: first.calls() == {"acme": 200}, "each event once")
        key = first.key
    with serving(data, errors, key) as second:
        assert second.post(batch[::-1]).json()["accepted"] == 200
        wait_until(lambda: healthy(second), "the resend is worked off")
        assert second.calls() == {"acme": 200}
        assert second.http.get("/v1/status").json()["events"] == 200


def test_events_out_of_order_late_and_skewed_are_kept_and_flagged(server: Server) -> None:
    now = now_us()
    late, skewed, fresh = (
        event("times", at=now - DAY_US),
        event("times", at=now + 60 * SECOND_US),
        event("times"),
    )
    old, future = event("times", at=now - 40 * DAY_US), event("times", at=now + DAY_US)
    answer = server.post([skewed, old, fresh, future, late]).json()
    assert answer["accepted"] == 3
    assert [(r["index"], r["code"], r["event_id"]) for r in answer["rejected"]] == [
        (1, "too_old", old["event_id"]),
        (3, "in_future", future["event_id"]),
    ]
    assert all(r["message"] for r in answer["rejected"])
    flags = {name: set(server.event(e["event_id"])["flags"]) & {"late", "clock_skew"}
             for name, e in (("late", late), ("skewed", skewed), ("fresh", fresh))}  # fmt: skip
    assert flags == {"late": {"late"}, "skewed": {"clock_skew"}, "fresh": set()}


# who and what


def test_a_tenants_plan_is_the_one_at_the_events_time(server: Server) -> None:
    now = now_us()
    changes: tuple[tuple[str, int], ...] = (("free", 0), ("pro", now - 3600 * SECOND_US))
    for plan, begins in changes:
        body = {"plan": plan, "valid_from": begins}
        assert server.http.put("/v1/tenants/planned", json=body).status_code == 200
    before = event("planned", at=now - 7200 * SECOND_US, user_id="u1")
    after = event("planned", initiator="system")
    stranger = event("nobody-knows")
    assert server.post([after, before, stranger]).json()["accepted"] == 3
    earlier, later = server.event(before["event_id"]), server.event(after["event_id"])
    assert (earlier["plan"], earlier["initiator"]) == ("free", "user")
    assert (later["plan"], later["initiator"]) == ("pro", "system")
    unknown = server.event(stranger["event_id"])
    assert unknown["flags"] == ["unknown_tenant"]
    assert unknown["plan"] is None
    assert server.calls()["nobody-knows"] == 1


def test_what_is_notable_is_flagged(server: Server) -> None:
    assert server.post([event("flagged") for _ in range(30)]).json()["accepted"] == 30
    wait_until(lambda: server.calls().get("flagged") == 30, "the tenant's history")
    large = event("flagged", input=50_000)
    newcomer = event("newcomer", input=50_000)
    fallback = event("flagged", fallback_from="gpt-5")
    unpriced = event("flagged", provider="nobody", model_requested="no-such-model")
    assert server.post([large, newcomer, fallback, unpriced]).json()["accepted"] == 4
    flags = [set(server.event(e["event_id"])["flags"]) for e in (large, newcomer, fallback)]
    assert ["large_prompt" in found for found in flags] == [True, False, False]
    assert "fallback" in flags[2]
    stored = server.event(unpriced["event_id"])
    assert "unpriced" in stored["flags"]
    assert stored["price_basis"] == "unpriced"
    question = ["--metrics", "unpriced,cost", "--by", "tenant", "--where", "tenant=flagged"]
    shown = server.outlay("query", *question, "--last", "1h", "--json")
    assert json.loads(shown.stdout)["rows"][0][1] == 1, shown.stdout


# a poisoned log


def test_a_damaged_record_is_put_aside_and_the_stream_goes_on(server: Server) -> None:
    with closing(sqlite3.connect(server.data / "log" / "captured.db")) as db:
        for payload in (b"", b"not arrow at all", os.urandom(5000)):
            db.execute(
                "INSERT INTO record (appended_at, count, payload) VALUES (?, 3, ?)",
                (now_us(), payload),
            )
        db.commit()
    behind = [event("behind-damage") for _ in range(5)]
    assert server.post(behind).json()["accepted"] == 5
    wait_until(lambda: server.calls().get("behind-damage") == 5, "the records behind it")
    letters = server.http.get("/v1/dead-letters").json()
    assert letters["counts"]["damaged_record"] == 3
    found = server.doctor()
    assert "damaged_record 3" in found["dead letters"]["detail"]
    assert found["ready"]["state"] == "ok"
