"""Webhooks: signed, tried again within bounds, not into a private network unless allowed."""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from outlay.act.webhooks import MAX_WAITING, RefusedUrlError, Webhooks, checked, is_public
from tests.unit.act.receiver import Receiver

NOW = 1_790_000_000_000_000
QUICK = (0.01, 0.01)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def made() -> Iterator[list[Webhooks]]:
    hooks: list[Webhooks] = []
    yield hooks
    for one in hooks:
        one.stop()


def started(made: list[Webhooks], **values: Any) -> Webhooks:
    settings = {"private_hosts": True, "pauses": QUICK, "clock": lambda: NOW, **values}
    one = Webhooks(**settings)
    one.start()
    made.append(one)
    return one


def sent(hooks: Webhooks, url: str) -> bool:
    """Send a call and wait until it is known whether it arrived."""
    heard: list[bool] = []
    done = threading.Event()

    def told(arrived: bool) -> None:
        heard.append(arrived)
        done.set()

    assert hooks.send(url, {"event": "x", "text": "Ü"}, done=told)
    assert done.wait(10)
    return heard[0]


def test_a_call_is_one_signed_post(receiver: Receiver, made: list[Webhooks]) -> None:
    hooks = started(made, secret="s3cret")
    assert sent(hooks, receiver.url)
    ((headers, body),) = receiver.calls
    assert body.decode() == '{"event":"x","text":"Ü"}'
    assert headers["content-type"] == "application/json"
    stamp, _, signature = headers["outlay-signature"].partition(",v1=")
    assert stamp == f"t={NOW // 1_000_000}"
    message = stamp[2:].encode() + b"." + body
    assert signature == hmac.new(b"s3cret", message, hashlib.sha256).hexdigest()
    assert hooks.counts == {"delivered": 1, "failed": 0, "dropped": 0}


def test_without_a_secret_it_is_not_signed(receiver: Receiver, made: list[Webhooks]) -> None:
    assert sent(started(made), receiver.url)
    assert "outlay-signature" not in receiver.calls[0][0]


def test_a_failed_call_is_tried_again_under_the_same_name(
    receiver: Receiver, made: list[Webhooks]
) -> None:
    receiver.answers = [500, 429]
    assert sent(started(made), receiver.url)
    assert len({headers["outlay-delivery"] for headers, _ in receiver.calls}) == 1
    assert len(receiver.calls) == 3


def test_tries_are_bounded(receiver: Receiver, made: list[Webhooks]) -> None:
    receiver.answers = [503] * 9
    hooks = started(made)
    assert not sent(hooks, receiver.url)
    assert len(receiver.calls) == 1 + len(QUICK)
    assert hooks.counts["failed"] == 1
    assert hooks.error == "ConnectionError"


@pytest.mark.parametrize("status", [302, 400, 404, 410])
def test_what_is_refused_or_moved_is_not_tried_again_or_followed(
    receiver: Receiver, made: list[Webhooks], status: int
) -> None:
    receiver.answers = [status]
    hooks = started(made)
    assert not sent(hooks, receiver.url)
    assert len(receiver.calls) == 1
    assert hooks.error == f"The webhook answered {status}."


def test_a_private_address_is_never_connected_to(receiver: Receiver, made: list[Webhooks]) -> None:
    hooks = started(made, private_hosts=False)
    for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost")):
        assert not sent(hooks, url)
    assert receiver.calls == []
    assert "private address" in str(hooks.error)


def test_a_name_that_leads_to_one_private_address_of_several_is_refused(
    receiver: Receiver, made: list[Webhooks], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = receiver.server.server_address[1]

    def resolved(host: str, *_: Any, **__: Any) -> Any:
        assert host == "example.com"
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, ("93.184.216.34", port)), (*kind, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    assert not sent(started(made, private_hosts=False), f"http://example.com:{port}/")
    assert receiver.calls == []


def test_the_address_that_was_checked_is_the_one_that_is_used(
    receiver: Receiver, made: list[Webhooks], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves otherwise the second time gains nothing."""
    asked, connected = [], []
    port = receiver.server.server_address[1]
    real = socket.create_connection

    def resolved(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(address: tuple[str, int], **_: Any) -> Any:
        connected.append(address)
        return real(("127.0.0.1", port))

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(socket, "create_connection", connect)
    hooks = started(made, private_hosts=False)
    hooks.send(f"http://rebind.example:{port}/", {})
    receiver.wait(1)
    assert connected == [("93.184.216.34", port)]
    assert receiver.calls[0][0]["host"] == f"rebind.example:{port}"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1",
        "64:ff9b:1::1", "ff02::1", "2001:db8::1", "fec0::1", "::ffff:0:127.0.0.1", "5f00::1",
        "192.0.0.8", "not an address",
    ],
)  # fmt: skip
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "http://", "//example.com", "example.com",
        "http://user:pass@example.com/", "http://user@example.com/", "http://exa mple.com/",
        "http://example.com/\r\nx: y", "http://example.com:99999/", "http://example.com:0/",
        "http://exämple.com/", "http://[::1/",
    ],
)  # fmt: skip
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(RefusedUrlError):
        checked(url)


def test_a_server_that_trickles_is_given_up(
    made: list[Webhooks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlay.act.webhooks.TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                while not ended.wait(0.05):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        began = time.monotonic()
        hooks = started(made, pauses=())
        assert not sent(hooks, f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert time.monotonic() - began < 3
        assert hooks.error == "TimeoutError"
        ended.set()
        thread.join()


def test_calls_in_hand_are_bounded_and_lost_ones_counted(made: list[Webhooks]) -> None:
    hooks = Webhooks(clock=lambda: NOW)  # not started: nothing is taken out
    assert all(hooks.send("http://x.example/", {}) for _ in range(MAX_WAITING))
    assert not hooks.send("http://x.example/", {})
    assert hooks.counts["dropped"] == 1
    hooks.stop()
    assert hooks.counts["dropped"] == 1 + MAX_WAITING
    assert not hooks.send("http://x.example/", {})
