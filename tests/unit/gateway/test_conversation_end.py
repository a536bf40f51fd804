"""What is still counted when a client leaves, or the gateway ends, in the middle of work."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from outlay.gateway import conversation
from tests.guest.speakers import CREATED, DELTA, DONE, SESSION
from tests.unit.gateway.socket_rig import (
    ASK,
    WAIT_S,
    Rig,
    ended,
    listening,
    rigged,
    say,
    turns,
    until,
    virtual_key,
)

# -- work under way ------------------------------------------------------------------------------


class Slow:
    """A provider whose answer goes on once `go` is set, and that hears how it ends."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.heard: list[tuple[int, str]] = []

    def __call__(self, connection: ServerConnection) -> None:
        connection.recv()
        say(connection, SESSION, CREATED, DELTA)
        self.go.wait(WAIT_S)
        with contextlib.suppress(ConnectionClosed):
            say(connection, DELTA, DONE)
        self.heard.append(ended(connection))


def begun(rig: Rig) -> Any:
    """Return a client that has seen the beginning of an answer."""
    client = rig.open()
    client.send(ASK)
    for _ in range(3):
        client.recv()
    return client


def test_what_is_under_way_when_the_client_leaves_is_read_to_its_end() -> None:
    slow = Slow()
    with rigged(slow) as (rig, _):
        begun(rig).close()
        time.sleep(0.2)
        assert slow.heard == []
        slow.go.set()
        until(rig.lines)
        assert rig.lines()[0]["bytes_out"] > 0
        until(lambda: slow.heard)
        assert slow.heard[0][0] == 1000
        assert 'drained_total{upstream="up"} 1.0' in rig.stand.metrics.text().decode()
    assert [(e["status"], e["output"]) for e in rig.events] == [("ok", 7)]


@pytest.mark.parametrize(
    "settings", [{"on_disconnect": "hang_up"}, {"drain_s": 0.2}, {"drain_bytes": 10}]
)
def test_but_not_where_that_is_switched_off_or_takes_too_much(settings: dict[str, Any]) -> None:
    slow = Slow()
    with rigged(slow, settings=settings) as (rig, _):
        begun(rig).close()
        if "drain_bytes" in settings:
            time.sleep(0.2)
            slow.go.set()
        until(rig.lines)
        slow.go.set()
        if "drain_bytes" not in settings:
            text = rig.stand.metrics.text().decode()
            assert 'attempts_total{outcome="left",upstream="up"} 1.0' in text
            assert 'drained_total{upstream="up"} 0.0' in text
    assert [(e["status"], e["billed"]) for e in rig.events] == [("aborted", "possible")]


def test_a_provider_that_falls_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "QUIET_S", 0.2)
    slow = Slow()
    with rigged(slow) as (rig, _):
        begun(rig).close()
        until(rig.lines)
        slow.go.set()
    assert [event["status"] for event in rig.events] == ["aborted"]


def test_nothing_is_waited_for_where_nothing_is_under_way() -> None:
    heard: list[tuple[int, str]] = []

    def speak(connection: ServerConnection) -> None:
        for _ in range(2):
            turn(connection)
        heard.append(ended(connection))

    def turn(connection: ServerConnection) -> None:
        connection.recv()
        say(connection, SESSION, CREATED, DELTA, DONE)

    with rigged(speak) as (rig, _):
        with rig.connect() as client:
            for _ in range(2):
                client.send(ASK)
                for _ in range(4):
                    client.recv()
        began = time.monotonic()
        until(lambda: heard)
        assert time.monotonic() - began < 1
    assert [event["status"] for event in rig.events] == ["ok", "ok"]


# -- the gateway's end ---------------------------------------------------------------------------


def test_the_end_closes_a_socket_on_which_nothing_is_under_way() -> None:
    heard: list[tuple[int, str]] = []
    with rigged(listening(heard)) as (rig, _), rig.connect() as client:
        rig.stop()
        assert ended(client)[0] == 1012
        until(lambda: heard)
        assert heard[0][0] == 1001


def test_the_end_lets_what_is_under_way_come_to_its_client() -> None:
    slow = Slow()
    with rigged(slow) as (rig, _):
        client = begun(rig)
        rig.stop()
        time.sleep(0.3)
        slow.go.set()
        assert json.loads(client.recv(timeout=WAIT_S)) == DELTA
        assert json.loads(client.recv(timeout=WAIT_S)) == DONE
        assert ended(client)[0] == 1012
    assert [event["status"] for event in rig.events] == ["ok"]


def test_the_end_does_not_wait_longer_than_its_grace() -> None:
    slow = Slow()
    with rigged(slow, grace_s=0.5) as (rig, provider):
        client = begun(rig)
        began = time.monotonic()
        rig.stop()
        assert ended(client)[0] == 1012
        assert time.monotonic() - began < WAIT_S / 2
        slow.go.set()
        assert provider.ended.wait(WAIT_S)
    assert [event["status"] for event in rig.events] == ["aborted"]


# -- models --------------------------------------------------------------------------------------


def test_a_message_that_asks_for_a_model_that_the_key_may_not_have_closes_the_socket() -> None:
    heard: list[Any] = []

    def hear(connection: ServerConnection) -> None:
        heard.append(connection.recv())
        heard.append(ended(connection))

    key = virtual_key(models=("gpt-5-mini",))
    with rigged(hear, key) as (rig, _), rig.connect("/v1/responses") as client:
        allowed = json.dumps({"type": "response.create", "model": "gpt-5-mini"})
        client.send(allowed)
        client.send(json.dumps({"type": "response.create", "model": "gpt-5-pro"}))
        assert ended(client)[0] == 1008
        until(lambda: len(heard) == 2)
        assert heard == [allowed, (1008, "The key may not ask for this model.")]


def test_two_sockets_do_not_see_each_other() -> None:
    with rigged(turns) as (rig, _), rig.connect() as one, rig.connect() as two:
        one.send(ASK)
        two.send(ASK)
        for client in (one, two):
            assert [json.loads(client.recv())["type"] for _ in range(4)][-1] == "response.done"
    assert len(rig.events) == 2
