"""Providers that fail behind a gateway process: what the client is told, and what is recorded.

Memory is the most that the process ever had, less what it had before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.acceptance.faulty_provider import bomb
from tests.acceptance.gateway_faults_rig import GatewayProcess, House, house_in
from tests.acceptance.gateway_load import CHAT, Load, ask, chat, head, number
from tests.acceptance.limits_rig import until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(90)]

MIB: Final = 1024 * 1024
TIMEOUT_S: Final = 1.0
"""How long a provider may take here to connect, to begin, and between pieces."""
OPEN_S: Final = 1.0
FAILURES: Final = 3
KERNEL_BYTES: Final = 12 * MIB
"""What the kernel may hold on loopback between two processes, both ways into the gateway."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(house: House) -> Iterator[GatewayProcess]:
    with house.gateway() as made:
        made.declare(house.provider.url, **patience(failures=1000))
        until(lambda: made.metric("reloads_total") >= 1, "the configuration is in force")
        yield made


@pytest.fixture(autouse=True)
def well_again(house: House) -> Iterator[None]:
    """A test that fails leaves a provider that answers to the next."""
    yield
    house.provider.down, house.provider.reads = False, True


def patience(failures: int) -> dict[str, Any]:
    """Return settings of an upstream that does not wait for long."""
    names = ("connect_s", "first_byte_s", "idle_s")
    rule = {"failures": failures, "open_s": OPEN_S}
    return {"timeouts": dict.fromkeys(names, TIMEOUT_S), "breaker": rule}


FAULTS: Final = {
    "status": ((500, "", True), ("error", 500)),
    "reset": ((502, "upstream_unreachable", True), ("error", None)),
    "garbage": ((502, "upstream_unreachable", True), ("error", None)),
    "headers": ((502, "upstream_unreachable", True), ("error", None)),
    "line": ((502, "upstream_unreachable", True), ("error", None)),
    "never": ((504, "upstream_timeout", True), ("timeout", None)),
    "cut_whole": ((200, "", False), ("aborted", 200)),
    "cut_stream": ((200, "", False), ("aborted", 200)),
    "garbage_midway": ((200, "", False), ("aborted", 200)),
    "stalled": ((200, "", False), ("timeout", 200)),
}
"""What the client is told, and what the event says, by what the provider does."""


@pytest.mark.parametrize("act", FAULTS)
def test_each_fault_has_its_answer_and_its_event(
    house: House, gateway: GatewayProcess, act: str
) -> None:
    (told, (status, http_status)), tenant = FAULTS[act], house.name(act.replace("_", "-"))
    key, poured = house.key(tenant, gateway), house.provider.sent
    before = gateway.forget_peak()
    stream = act in ("cut_stream", "garbage_midway", "stalled")
    assert ask(gateway.url, key, tenant, stream=stream, act=act, status=500) == told
    event = house.event_of(tenant)
    assert (event["status"], event["http_status"]) == (status, http_status)
    assert ask(gateway.url, key, tenant) == (200, "", True), "the next call is served"
    assert gateway.memory() - before < 8 * MIB
    assert house.provider.sent - poured < KERNEL_BYTES


def test_a_breaker_opens_and_closes_as_the_provider_goes_and_comes(house: House) -> None:
    tenant, provider = house.name("breaker"), house.provider
    with house.gateway() as gateway:
        gateway.declare(provider.url, **patience(FAILURES))
        until(lambda: gateway.metric("reloads_total") >= 1, "the configuration is in force")
        key = house.key(tenant, gateway)
        for flap in range(1, 4):
            provider.down = True
            told = [ask(gateway.url, key, tenant)[:2] for _ in range(FAILURES + 2)]
            arrived = len(provider.heads)
            assert ask(gateway.url, key, tenant)[:2] == (503, "circuit_open")
            assert len(provider.heads) == arrived, "it is left alone"
            assert told == [(502, "upstream_unreachable")] * FAILURES + [(503, "circuit_open")] * 2
            assert gateway.metric("breaker_state", upstream="openai", state="open") == 1
            time.sleep(OPEN_S + 0.1)
            assert ask(gateway.url, key, tenant)[:2] == (502, "upstream_unreachable"), "one tries"
            assert ask(gateway.url, key, tenant)[:2] == (503, "circuit_open")
            assert gateway.metric("breaker_openings", upstream="openai") == 2 * flap
            provider.down = False
            time.sleep(OPEN_S + 0.1)
            assert ask(gateway.url, key, tenant) == (200, "", True)
            assert gateway.metric("breaker_state", upstream="openai", state="closed") == 1
        gateway.declare("http://127.0.0.1:9", **patience(FAILURES))
        until(lambda: gateway.metric("reloads_total") >= 2, "the configuration is in force")
        assert ask(gateway.url, key, tenant)[:2] == (502, "upstream_unreachable")
    events = house.settled(tenant, set(provider.billed[tenant]))
    assert len(events) == 3
    failed = [e for e in house.events(tenant) if e["status"] == "error"]
    assert len(failed) == 3 * (FAILURES + 1) + 1, "what was refused by the circuit is no event"


def test_a_slow_provider_slows_only_its_own_calls(house: House, gateway: GatewayProcess) -> None:
    slow, quick = house.name("slow"), house.name("quick")
    keys = {name: house.key(name, gateway) for name in (slow, quick)}
    with (
        Load(gateway.url, keys[slow], slow, workers=40, pause=0, delay=0.9) as held,
        Load(gateway.url, keys[quick], quick, workers=2) as load,
    ):
        held.more(60)
        load.more(20)
        assert gateway.metric("in_flight") >= 30
    assert {r.state for r in held.results + load.results} == {"ok"}
    took = sorted(r.took for r in load.results)
    assert took[len(took) * 9 // 10] < 0.3
    assert house.settled(slow, held.of("ok")) == held.of("ok")


def test_a_huge_answer_passes_whole_in_little_memory(house: House, gateway: GatewayProcess) -> None:
    tenant, size, taken = house.name("huge"), 200 * MIB, 0
    key = house.key(tenant, gateway)
    before = gateway.forget_peak()
    headers = head(key, {"act": "huge", "megabytes": 200})
    body = chat(tenant, number())
    with httpx.stream("POST", gateway.url + CHAT, json=body, headers=headers, timeout=30) as answer:
        for piece in answer.iter_raw():
            taken += len(piece)
    assert taken == size
    more = gateway.memory() - before
    assert more < 48 * MIB
    assert house.event_of(tenant)["status"] == "ok"
    print(f"{more / MIB:.1f} MiB more for {size / MIB:.0f} MiB")


def test_a_decompression_bomb_is_passed_on_as_it_is(house: House, gateway: GatewayProcess) -> None:
    tenant, packed = house.name("bomb"), bomb(400)
    key = house.key(tenant, gateway)
    assert ask(gateway.url, key, tenant, act="packed") == (200, "", True)
    (good,) = house.settled(tenant, set(house.provider.billed[tenant]))
    before = gateway.forget_peak()
    headers = head(key, {"act": "bomb", "megabytes": 400})
    body = chat(tenant, number())
    with httpx.stream("POST", gateway.url + CHAT, json=body, headers=headers, timeout=60) as answer:
        assert b"".join(answer.iter_raw()) == packed
        assert answer.headers["content-encoding"] == "gzip"
    more = gateway.memory() - before
    until(lambda: len(house.events(tenant)) == 2, "its event")
    (event,) = [e for e in house.events(tenant) if e["output"] != good]
    assert event["status"] == "ok"
    assert more < 160 * MIB
    print(f"{more / MIB:.1f} MiB more for {len(packed) / MIB:.1f} MiB that unpack to 400 MiB")
