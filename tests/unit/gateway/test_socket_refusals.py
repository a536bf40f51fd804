"""Sockets that are not opened: by keys, bounds, limits, and providers that refuse or fail."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from outlay.capture import session as followed
from outlay.gateway import handshake, sockets
from outlay.gateway.config import BreakerRule, Timeouts
from tests.guest.speakers import TURN
from tests.unit.gateway.socket_rig import (
    ASK,
    KEY,
    WAIT_S,
    Answers,
    echo,
    refused,
    rigged,
    shown,
    standing,
    turns,
    until,
    virtual_key,
)

UPGRADE = (
    f"GET /up/v1/realtime HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
).encode()


# -- who may not ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "path", "status", "code"),
    [
        ({"key": ""}, "/v1/realtime", 401, "no_key"),
        ({"key": "ov_" + "x" * 40}, "/v1/realtime", 401, "unknown_key"),
        ({"key": "sk-plain"}, "/v1/realtime", 401, "no_key"),
        ({}, "/../down/v1/realtime", 400, "bad_path"),
        ({}, "/%2e%2e/down", 400, "bad_path"),
    ],
)
def test_who_may_not_open_a_socket_is_told_in_the_provider_s_words(
    options: dict[str, str], path: str, status: int, code: str
) -> None:
    with rigged(echo) as (rig, provider):
        answered, body = refused(rig, path, **options)
        assert (answered, body["error"]["code"]) == (status, code)
        assert provider.heard == []
        assert f'outlay_gateway_problems_total{{code="{code}"}} 1.0' in shown(rig)


def test_an_upstream_that_is_not_declared_or_not_allowed_is_not_reached() -> None:
    with rigged(echo, virtual_key(upstreams=("other",))) as (rig, provider):
        assert refused(rig)[0] == 403
        rig.url = rig.url.replace("/up", "/down")
        assert refused(rig)[0] == 404
        assert provider.heard == []


def test_a_key_that_was_revoked_opens_none() -> None:
    with rigged(echo, virtual_key(revoked_at=1)) as (rig, _):
        status, body = refused(rig)
        assert (status, body["error"]["code"]) == (401, "key_revoked")


def test_a_model_that_the_key_may_not_ask_for_opens_none() -> None:
    with rigged(echo, virtual_key(models=("gpt-realtime-mini*",))) as (rig, provider):
        status, body = refused(rig)
        assert (status, body["error"]["code"]) == (403, "model_not_allowed")
        both = "/v1/realtime?model=gpt-realtime-mini-2026&model=gpt-realtime"
        assert refused(rig, both)[0] == 403
        with rig.connect("/v1/realtime?model=gpt-realtime-mini-2026") as client:
            client.send("hello")
            assert client.recv() == "hello"
        assert len(provider.heard) == 1


def test_none_is_opened_while_events_cannot_be_kept() -> None:
    with rigged(echo) as (rig, _):
        rig.stand.full = True
        status, body = refused(rig)
        assert (status, body["error"]["code"]) == (503, "events_full")


def test_one_more_socket_than_the_bound_is_refused_until_one_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sockets.MAX_SOCKETS <= followed.MAX_SESSIONS
    monkeypatch.setattr(sockets, "MAX_SOCKETS", 2)
    with rigged(echo) as (rig, _), rig.connect() as first:
        with rig.connect():
            status, body = refused(rig)
            assert (status, body["error"]["code"]) == (503, "too_many_sockets")
        until(lambda: rig.stand.metrics.sockets == 1)
        with rig.connect():
            assert rig.stand.metrics.sockets == 2
        first.send("still open")
        assert first.recv() == "still open"
    assert rig.stand.metrics.sockets == 0


# -- limits --------------------------------------------------------------------------------------


def test_a_limit_refuses_before_the_provider_hears_of_it() -> None:
    with rigged(echo) as (rig, provider):
        rig.limit().refuse()
        status, body = refused(rig)
        assert status == 402
        assert "acme-month" in body["error"]["message"]
        assert provider.heard == []
        assert 'attempts_total{outcome="refused",upstream="up"} 1.0' in shown(rig)
    (event,) = rig.events
    assert (event["status"], event["billed"], event["tenant_id"]) == ("blocked", "no", "acme")
    assert event["model_requested"] == "gpt-realtime"


def test_a_socket_that_limits_let_in_holds_nothing_and_is_metered() -> None:
    with rigged(turns) as (rig, _):
        gate = rig.limit()
        with rig.connect() as client:
            client.send(ASK)
            assert [client.recv() for _ in TURN] == TURN
        assert gate.ended() == [None]
        assert [asked.model for asked in gate.asked] == ["gpt-realtime"]
    assert [event["status"] for event in rig.events] == ["ok"]


# -- providers that refuse, fail or are slow -----------------------------------------------------


def test_a_provider_s_refusal_comes_back_whole() -> None:
    body = b'{"error":{"message":"no such model","type":"invalid_request_error"}}'
    answers = Answers(
        b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nX-Request-Id: req_9\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    with standing(answers.port) as rig:
        with pytest.raises(InvalidStatus) as raised:
            rig.connect()
        answers.close()
    response = raised.value.response
    assert (response.status_code, response.body) == (404, body)
    assert response.headers["x-request-id"] == "req_9"
    assert response.headers["content-type"] == "application/json"
    assert rig.lines()[0]["status"] == 404


def test_a_refusal_without_an_end_is_cut_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "MAX_REFUSAL_BYTES", 1000)
    answers = Answers(b"HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
    with standing(answers.port) as rig:
        with pytest.raises(InvalidStatus) as raised:
            rig.connect()
        answers.close()
    assert raised.value.response.body == b"x" * 1000


def test_a_redirect_is_handed_on_and_not_followed() -> None:
    with rigged(echo) as (_, provider):
        answers = Answers(
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{provider.port}/\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )
        with standing(answers.port) as rig, socket.create_connection(("127.0.0.1", rig.port)) as c:
            c.sendall(UPGRADE)
            answered = c.recv(65536)
            answers.close()
        assert answered.startswith(b"HTTP/1.1 302 ")
        assert f"location: http://127.0.0.1:{provider.port}/".encode() in answered.lower()
        assert provider.heard == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"",
    ],
)
def test_what_is_no_answer_to_a_handshake_is_a_bad_gateway(answer: bytes) -> None:
    answers = Answers(answer)
    with standing(answers.port) as rig:
        status, body = refused(rig)
        answers.close()
    assert (status, body["error"]["code"]) == (502, "upstream_unreachable")


def test_a_provider_that_is_not_there_is_left_alone_after_so_many_failures() -> None:
    answers = Answers(b"")
    answers.close()
    rule = BreakerRule(failures=2, window_s=60, open_s=60)
    with standing(answers.port, breaker=rule) as rig:
        assert [refused(rig)[0] for _ in range(3)] == [502, 502, 503]
        assert 'errors_total{kind="error",upstream="up"} 2.0' in shown(rig)
        assert 'errors_total{kind="open",upstream="up"} 1.0' in shown(rig)


def test_a_provider_that_does_not_answer_in_time_is_given_up() -> None:
    answers = Answers(None)
    with standing(answers.port, timeouts=Timeouts(first_byte_s=0.2)) as rig:
        status, body = refused(rig)
        answers.close()
    assert (status, body["error"]["code"]) == (504, "upstream_timeout")
    assert 'errors_total{kind="timeout",upstream="up"} 1.0' in shown(rig)


def test_a_client_that_leaves_before_its_handshake_is_answered_is_gone() -> None:
    asked, go = threading.Event(), threading.Event()

    def slowly(_connection: Any, _request: Any) -> None:
        asked.set()
        go.wait(WAIT_S)

    with rigged(echo, provider={"process_request": slowly}) as (rig, provider):
        with socket.create_connection(("127.0.0.1", rig.port)) as connection:
            connection.sendall(UPGRADE)
            assert asked.wait(WAIT_S)
        time.sleep(0.2)
        go.set()
        until(rig.lines)
        (line,) = rig.lines()
        assert (line["status"], line["code"]) == (0, "client_gone")
        assert provider.ended.wait(WAIT_S)
        assert rig.stand.metrics.sockets == 0
    assert "defect" not in rig.logged.getvalue()


def test_a_failure_of_ours_is_told_as_one_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    with rigged(echo) as (rig, _):
        monkeypatch.setattr(rig.stand, "credential_of", None)
        status, body = refused(rig)
        assert (status, body["error"]["code"]) == (500, "defect")
        assert '"event": "defect"' in rig.logged.getvalue()
        assert rig.stand.metrics.sockets == 0


def test_who_is_nobody_is_not_told_which_upstreams_there_are() -> None:
    with rigged(echo) as (rig, _):
        for path in ("/none/v1/realtime", "/v1/realtime"):
            with pytest.raises(InvalidStatus) as told:
                rig.connect(path, key="ov_nobody")
            assert told.value.response.status_code == 401
            assert told.value.response.headers["outlay-problem"] == "unknown_key"
