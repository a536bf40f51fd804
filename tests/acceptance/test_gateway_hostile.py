"""Hostile clients of a gateway process: slow, greedy, deaf, and those who hide requests in others.

Memory is the most that the process ever had, less what it had before.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Final

import pytest

from tests.acceptance.faulty_provider import FaultyProvider
from tests.acceptance.gateway_faults_rig import SLACK_S, GatewayProcess, House, house_in
from tests.acceptance.gateway_load import ask, chat, head, number, request
from tests.acceptance.limits_rig import until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(90)]

MIB: Final = 1024 * 1024
HEAD_S: Final = 10.0
PIECE_S: Final = 30.0
"""How long a client may take for a head, and for the next piece of a body."""
KERNEL_BYTES: Final = 12 * MIB
"""What the kernel may hold on loopback between two processes, both ways into the gateway."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(house: House) -> Iterator[GatewayProcess]:
    with house.gateway() as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def slow_clients(house: House, gateway: GatewayProcess) -> Iterator[SlowClients]:
    """Clients that never finish what they ask for, from before the first test on."""
    with ExitStack() as open_:
        yield SlowClients(gateway, house.key(house.name("slow"), gateway), open_)


class SlowClients:
    """A hundred connections with half a head, and as many with half a body."""

    def __init__(self, gateway: GatewayProcess, key: str, open_: ExitStack) -> None:
        self.began = time.monotonic()
        self.heads = [open_.enter_context(gateway.connect()) for _ in range(100)]
        self.bodies = [open_.enter_context(gateway.connect()) for _ in range(100)]
        whole = request(key, chat("slow", number()))
        for one in self.heads:
            one.sendall(whole[:60])
        for one in self.bodies:
            one.sendall(whole[:-10])

    def told(self, connections: list[socket.socket], seconds: float) -> set[bytes]:
        """Return what they were told by a time after they came; `b""`: they were hung up on."""
        found = set()
        for one in connections:
            one.settimeout(max(0.1, self.began + seconds - time.monotonic()))
            found.add(one.recv(65_536)[9:12])
        return found


# -- clients that do not read, or send without an end --------------------------------------------


def test_clients_that_never_read_slow_the_provider_and_fill_no_memory(
    house: House, gateway: GatewayProcess
) -> None:
    tenant, clients, provider = house.name("unread"), 30, house.provider
    key = house.key(tenant, gateway)
    before, sent, hung_up = gateway.forget_peak(), provider.sent, provider.hung_up
    with ExitStack() as open_:
        for _ in range(clients):
            one = open_.enter_context(gateway.connect())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(request(key, chat(tenant, number(), stream=True), act="flood"))
        until(lambda: stands_still(provider), "the provider is held up")
        held = provider.sent - sent
        more = gateway.memory() - before
        assert held < clients * KERNEL_BYTES
        assert more < clients * MIB
        other = house.name("reads")
        assert ask(gateway.url, house.key(other, gateway), other) == (200, "", True)
    # The clients are gone: the rest is read up to a bound, and then the provider is hung up on.
    until(lambda: provider.hung_up - hung_up >= clients, "it is hung up on", 30)
    assert provider.sent - sent < clients * (16 * MIB + KERNEL_BYTES)
    until(lambda: len(house.events(tenant)) == clients, "their events")
    assert {event["status"] for event in house.events(tenant)} == {"aborted"}
    print(f"{more / MIB:.1f} MiB more, {held / MIB:.1f} MiB sent, for {clients} clients")


def stands_still(provider: FaultyProvider) -> bool:
    before = provider.sent, provider.taken
    time.sleep(1.0)
    return (provider.sent, provider.taken) == before


def test_an_upload_goes_no_faster_than_the_provider_takes_it(
    house: House, gateway: GatewayProcess
) -> None:
    tenant, size, provider = house.name("upload"), 100 * MIB, house.provider
    key = house.key(tenant, gateway)
    lines = head(key, {})["authorization"]
    start = (
        f"POST /openai/v1/files HTTP/1.1\r\nhost: g\r\nauthorization: {lines}\r\n"
        f"content-type: application/octet-stream\r\ncontent-length: {size}\r\n\r\n"
    )
    before, taken = gateway.forget_peak(), provider.taken
    provider.reads = False
    with gateway.connect() as one:
        one.sendall(start.encode())
        one.settimeout(0.5)
        left = size
        with suppress(TimeoutError):
            while left:
                left -= one.send(bytes(min(left, 256 * 1024)))
        accepted = size - left
        assert accepted < KERNEL_BYTES
        provider.reads = True
        one.settimeout(20)
        one.sendall(bytes(left))
        assert one.recv(65_536).startswith(b"HTTP/1.1 200")
    assert provider.taken - taken == size
    more = gateway.memory() - before
    assert more < 8 * MIB
    print(f"{accepted / MIB:.1f} MiB were taken while the provider took none; {more / MIB:.1f} MiB")


def test_what_is_too_large_is_refused_before_it_is_read(
    house: House, gateway: GatewayProcess
) -> None:
    tenant = house.name("large")
    key = house.key(tenant, gateway)
    arrived, before = len(house.provider.heads), gateway.forget_peak()
    start = request(key, chat(tenant, number())).split(b"content-length")[0]
    for framing, kind, status in (
        (b"content-length: 40000000\r\n\r\n", b"json", b"413"),
        (b"content-length: 300000000\r\n\r\n", b"octet-stream", b"413"),
        (b"transfer-encoding: chunked\r\n\r\n", b"json", b"413"),
        (b"x-long: %b\r\n" % (b"a" * 100_000), b"json", b"400"),
        (b"x: y\r\n" * 20_000, b"json", b"400"),
    ):
        with gateway.connect() as one, suppress(OSError):
            one.sendall(start.replace(b"application/json", b"application/" + kind) + framing)
            if framing.startswith(b"transfer"):
                for _ in range(80):
                    one.sendall(b"80000\r\n%b\r\n" % bytes(0x80000))
            assert one.recv(65_536).split(b" ", 2)[1] == status, framing[:40]
    assert len(house.provider.heads) == arrived, "the provider saw none of it"
    assert gateway.memory() - before < 3 * 32 * MIB


# -- requests that two readers read differently --------------------------------------------------

SMUGGLED: Final = b"GET /openai/v1/smuggled HTTP/1.1\r\nhost: g\r\nauthorization: Bearer %b\r\n\r\n"
SHAPES: Final = {
    "two lengths": b"content-length: %(n)d\r\ncontent-length: 0\r\n\r\n",
    "two lengths in one": b"content-length: %(n)d, 0\r\n\r\n",
    "length and chunks": b"content-length: %(n)d\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"transfer-encoding: chunked\r\ncontent-length: %(n)d\r\n\r\n0\r\n\r\n",
    "chunks twice": b"transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n",
    "chunks not last": b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "unknown coding": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "space before colon": b"content-length : %(n)d\r\n\r\n",
    "signed length": b"content-length: +%(n)d\r\n\r\n",
    "hexadecimal length": b"content-length: 0x1\r\n\r\n",
    "folded header": b"x-a: b\r\n content-length: %(n)d\r\ncontent-length: 0\r\n\r\n",
    "bare line feed": b"x-a: b\ncontent-length: %(n)d\n\n",
    "NUL in a header": b"x-a: b\0c\r\ncontent-length: 0\r\n\r\n",
    "return in a header": b"x-a: b\rcontent-length: %(n)d\r\ncontent-length: 0\r\n\r\n",
    "chunk size with a sign": b"transfer-encoding: chunked\r\n\r\n-1\r\n0\r\n\r\n",
    "chunk size too large": b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "chunk longer than said": b"transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_request_hides_another(house: House, gateway: GatewayProcess, shape: str) -> None:
    tenant = house.name("smuggler")
    key = house.key(tenant, gateway)
    hidden = SMUGGLED % key.encode()
    arrived = len(house.provider.heads)
    start = (
        b"POST /openai/v1/files HTTP/1.1\r\nhost: g\r\nauthorization: Bearer %b\r\n" % key.encode()
    )
    answer = b""
    with gateway.connect() as one, suppress(OSError):
        one.sendall(start + SHAPES[shape].replace(b"%(n)d", b"%d" % len(hidden)) + hidden)
        one.settimeout(1.0)
        while piece := one.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400"), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert len(house.provider.heads) == arrived, house.provider.heads[arrived:]


def test_slow_clients_are_shut_out_in_a_bounded_time(
    house: House, gateway: GatewayProcess, slow_clients: SlowClients
) -> None:
    """The last: it looks at those who came before the first."""
    assert slow_clients.told(slow_clients.heads, HEAD_S + SLACK_S) == {b""}
    assert slow_clients.told(slow_clients.bodies, PIECE_S + SLACK_S) == {b"408"}
    tenant = house.name("quick")
    assert ask(gateway.url, house.key(tenant, gateway), tenant) == (200, "", True)
    assert gateway.metric("in_flight") == 0
