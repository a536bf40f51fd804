"""Limits in a process: off by default, without a server, at a fork and at exit."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

import outlay
from outlay.capture import guard
from outlay.capture.limits import callbacks
from outlay.capture.limits.gate import Gate
from outlay.capture.limits.steps import Admitted
from outlay.capture.limits.waiting import admit
from outlay.capture.runtime import Runtime, active
from tests.guest.conftest import Answer, Loopback
from tests.unit.capture.limits.authority import CENT, SPENT, Authority, ask, month, until


class Server:
    """An authority over HTTP."""

    def __init__(self, *limits: dict[str, Any]) -> None:
        self.authority = Authority(*limits)
        self.loopback = Loopback(self._reply)

    def _reply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if not path.startswith(("/v1/limits", "/v1/leases")):
            return 404, {}, b"{}"
        reply = self.authority.answer(method, path, body, headers.get("if-none-match", ""))
        return reply.status, dict(reply.headers), reply.body


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(month("1.00"))
    yield made
    made.loopback.close()
    callbacks.clear()


def gate_of() -> Gate:
    runtime = active()
    assert runtime is not None
    assert runtime.gate is not None
    return runtime.gate


def call() -> Any:
    step = admit(gate_of(), ask())
    assert isinstance(step, Admitted)
    return step.ticket


def test_limits_are_off_unless_they_are_asked_for(server: Server) -> None:
    outlay.init(server.loopback.url, "ok_test")
    runtime = active()
    assert runtime is not None
    assert runtime.gate is None
    assert "limits" not in outlay.stats()


def test_limits_without_an_endpoint_are_said_to_be_none(caplog: Any) -> None:
    outlay.init(limits=True)
    runtime = active()
    assert runtime is not None
    assert runtime.gate is None
    assert "limits need an endpoint" in caplog.text


def test_a_process_holds_and_reports_over_http_and_gives_all_back_at_its_end(
    server: Server,
) -> None:
    outlay.init(server.loopback.url, "ok_test", limits=True, limits_sync_s=0.05)
    ticket = call()
    until(lambda: server.authority.held > 0)
    ticket.settle(SPENT)
    until(lambda: server.authority.used > 0)
    stats = outlay.stats()["limits"]
    assert (stats["admitted"], stats["refused"], stats["unknown"]) == (1, 0, 0)
    assert stats["syncs"] >= 1
    sent = [one for one in server.loopback.requests if one[1] == "/v1/leases"]
    assert sent[0][2]["authorization"] == "Bearer ok_test"
    outlay.shutdown(2.0)
    assert server.authority.held == 0
    assert server.authority.syncs[-1]["closing"]


def test_the_policy_is_kept_beside_the_spool(server: Server, tmp_path: Any) -> None:
    outlay.init(server.loopback.url, "ok_test", limits=True, spool_dir=str(tmp_path))
    call().void()
    (kept,) = tmp_path.glob("limits-*.json")
    assert json.loads(kept.read_bytes())["limits"][0]["id"] == "month"


def test_stats_count_what_passed_without_a_server(tmp_path: Any) -> None:
    outlay.init("http://127.0.0.1:9", "ok_test", limits=True, spool_dir=str(tmp_path))
    began = time.monotonic()
    assert call().unchecked
    assert time.monotonic() - began < 1.0
    assert outlay.stats()["limits"]["unknown"] == 1


def test_callbacks_are_part_of_the_package(server: Server) -> None:
    heard: list[Any] = []
    remove = outlay.on("block", heard.append)
    outlay.init(server.loopback.url, "ok_test", limits=True)
    admit(gate_of(), ask(tokens=1_000_000))
    remove()
    assert [one.action for one in heard] == ["block"]


def test_nothing_of_limits_is_loaded_where_they_are_off() -> None:
    code = (
        "import sys, outlay.capture; "
        "print([m for m in sys.modules if m.startswith('outlay.capture.limits.gate')])"
    )
    with os.popen(f'{os.sys.executable} -c "{code}"') as out:  # type: ignore[attr-defined]
        assert out.read().strip() == "[]"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_lease_of_its_own_and_leaves_its_parents_alone(
    server: Server,
) -> None:
    outlay.init(server.loopback.url, "ok_test", limits=True, limits_sync_s=0.05)
    held = call()
    mine = gate_of().client.owner
    until(lambda: server.authority.syncs)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            held.void()  # the parent's: nothing happens
            theirs = gate_of()
            call().settle(SPENT)
            runtime = active()
            assert isinstance(runtime, Runtime)
            runtime.close(2.0)
            code = 0 if theirs.client.owner != mine else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {one["owner"] for one in server.authority.syncs} > {mine}
    until(lambda: server.authority.used == CENT)
    held.settle(SPENT)
    until(lambda: server.authority.used == 2 * CENT)
    assert not guard.counts()
