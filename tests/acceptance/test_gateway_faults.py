"""Gateways as real processes whose server, disk or life is taken away while calls run.

Every call is looked for by its number among the events (see `gateway_faults_rig`): what a client
was answered to the end is an event, exactly once, whatever died.
"""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.acceptance.faulty_provider import FaultyProvider, cost
from tests.acceptance.gateway_faults_rig import (
    LIMITS_S,
    SLACK_S,
    GatewayProcess,
    House,
    house_in,
)
from tests.acceptance.gateway_load import Load, number, one
from tests.acceptance.limits_rig import LEASE_TTL_S, until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(90)]

AMPLE = 10**15
"""A limit that no test here reaches: a million dollars."""
WORKERS = 8
KILLS = 3
SWEEP_S = 4.0
"""Within this long after its time a lease is over."""
RECOVER_S = 8.0
"""Within this long after the server is back calls pass: it is asked again every 5 seconds."""
CLOSE_S = 5.0
"""How long a gateway that ends tries to send its last events."""
RELOAD_S = 3.0
"""Within this long a changed file is in force: it is looked at every second, and read when it has
stayed the same for one."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(autouse=True)
def served_again(house: House) -> Iterator[None]:
    """A test that fails leaves the server running for the next."""
    yield
    house.signal(signal.SIGCONT)
    if house.rig.server is not None and house.rig.server.poll() is not None:
        house.restart()


# -- its own death -------------------------------------------------------------------------------


def test_a_killed_gateway_loses_only_answers_on_their_way(house: House) -> None:
    tenant = house.name("killed")
    house.limit(tenant, AMPLE)
    with house.gateway() as gateway:
        with Load(gateway.url, house.key(tenant, gateway), tenant, workers=WORKERS) as load:
            for kill in range(KILLS):
                load.more(80)
                gateway.kill9()
                if kill == KILLS - 1:
                    bound = LEASE_TTL_S + SWEEP_S
                    took = until(lambda: house.stand(tenant)[1] == 0, "nothing is held", bound)
                gateway.start()
            load.more(80)
        billed = set(house.provider.billed[tenant])
        found = house.settled(tenant, load.of("ok"))
        lost = billed - found
        assert found <= billed
        assert lost <= load.of("cut", "failed"), "nothing that had ended is missing"
        assert len(lost) <= KILLS * WORKERS
        house.adds_up(tenant)
    until(lambda: not house.open_holds(), "nothing is open", LEASE_TTL_S + SWEEP_S)
    house.verify()
    print(f"{len(billed)} billed, {len(lost)} lost at {KILLS} kills; held is 0 after {took:.1f} s")


def test_at_its_end_streams_finish_and_nobody_new_is_let_in(house: House) -> None:
    tenant = house.name("ending")
    house.limit(tenant, AMPLE)
    with house.gateway() as gateway, ExitStack() as open_:
        key = house.key(tenant, gateway)
        load = Load(gateway.url, key, tenant, workers=6, pause=30, pieces=25, gap=0.1)
        open_.enter_context(load)
        until(lambda: len(house.provider.billed[tenant]) >= 6, "answers have begun")
        load.forbid()
        gateway.signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(OSError):
            gateway.connect()
        took = gateway.wait(3.0 + CLOSE_S + SLACK_S)
        results = load.stop()
        assert [r.state for r in results] == ["ok"] * 6
        assert house.settled(tenant, load.of("ok"), 5.0) == load.of("ok")
    until(lambda: house.stand(tenant)[1] == 0, "what it held was given back at once", 2.0)
    print(f"ended {took:.1f} s after it was told to, with streams of 2.5 s")


def test_a_stream_without_an_end_is_broken_off_after_the_grace(house: House) -> None:
    tenant = house.name("grace")
    house.limit(tenant, AMPLE)
    with house.gateway(OUTLAY_GATEWAY_GRACE_S="2") as gateway:
        key = house.key(tenant, gateway)
        with Load(gateway.url, key, tenant, workers=2, pause=30, act="endless") as load:
            until(lambda: len(house.provider.billed[tenant]) == 2, "streams have begun")
            load.forbid()
            gateway.signal(signal.SIGTERM)
            took = gateway.wait(2.0 + CLOSE_S + SLACK_S)
        assert took >= 1.5
        assert {r.state for r in load.results} == {"cut"}
        until(lambda: len(house.events(tenant)) == 2, "their events", 5.0)
        assert {event["status"] for event in house.events(tenant)} == {"aborted"}
    until(lambda: house.provider.hung_up >= 2, "the provider was hung up on", 5.0)
    print(f"ended {took:.1f} s after it was told to, with a grace of 2 s")


# -- the server's --------------------------------------------------------------------------------


def test_a_dead_server_stops_closed_limits_only_and_nothing_is_lost(house: House) -> None:
    free, strict = house.name("open"), house.name("closed")
    house.limit(free, AMPLE, on_unreachable="open")
    house.limit(strict, AMPLE, on_unreachable="closed")
    with house.gateway() as gateway:
        keys = {name: house.key(name, gateway) for name in (free, strict)}
        loads = {n: Load(gateway.url, k, n, workers=4, pause=0.03) for n, k in keys.items()}
        for load in loads.values():
            load.more(40)
        house.kill9()
        gone = time.time()
        time.sleep(LEASE_TTL_S + 1.5)
        refused = one(gateway.url, keys[strict], strict)
        back = time.time()
        house.restart()
        took = until(lambda: one(gateway.url, keys[strict], strict).is_success, "again", RECOVER_S)
        for load in loads.values():
            load.more(10)
            load.stop()

        assert refused.status_code == 402
        assert refused.json()["error"]["code"] == "limits_unreachable"
        assert refused.headers["outlay-limit"] == strict
        assert {r.state for r in loads[free].results} == {"ok"}, "who may go on goes on"
        assert {r.state for r in loads[strict].results} == {"ok", "refused"}
        late = loads[strict].since(gone + LEASE_TTL_S, back)
        assert late
        assert {r.state for r in late} == {"refused"}
        assert any(r.state == "ok" for r in loads[strict].since(gone, back)), "on its lease"
        for name, load in loads.items():
            billed = set(house.provider.billed[name])
            assert load.of("ok") <= billed
            assert house.settled(name, billed) == billed
            house.adds_up(name)
    slowest = max(r.took for r in loads[free].results)
    assert slowest < LIMITS_S + SLACK_S
    print(f"calls pass {took:.1f} s after the server is back; the slowest took {slowest:.2f} s")


def test_a_gateway_starts_on_what_it_kept_while_the_server_is_away(house: House) -> None:
    free, strict = house.name("open"), house.name("closed")
    house.limit(free, AMPLE, on_unreachable="open")
    house.limit(strict, AMPLE, on_unreachable="closed")
    with house.gateway() as gateway:
        keys = {name: house.key(name, gateway) for name in (free, strict)}
        until(lambda: all(kept(gateway, key) for key in keys.values()), "the keys are kept")
        house.kill9()
        gateway.kill9()
        gateway.start()
        until(lambda: gateway.knows(keys[free]), "the keys are read", 2.0)
        with Load(gateway.url, keys[free], free, workers=4) as load:
            load.more(40)
        refused = one(gateway.url, keys[strict], strict)
        assert refused.status_code == 402
        assert refused.json()["error"]["code"] == "limits_unreachable"
        with house.gateway() as new:
            told = one(new.url, keys[free], free)
            assert (told.status_code, told.headers["outlay-problem"]) == (503, "keys_stale")
            assert int(told.headers["retry-after"]) > 0
        assert {r.state for r in load.results} == {"ok"}
        house.restart()
        billed = set(house.provider.billed[free])
        assert billed == load.of("ok")
        assert house.settled(free, billed) == billed
        house.adds_up(free)
    assert house.provider.arrived[strict] == []


def kept(gateway: GatewayProcess, secret: str) -> bool:
    """Tell whether a key is on disk; never its secret."""
    text = (gateway.data / "gateway" / "virtual-keys.json").read_text()
    assert secret not in text
    return hashlib.sha256(secret.encode()).hexdigest() in text


def test_a_slow_and_a_flapping_server_fail_no_call_and_lose_no_event(house: House) -> None:
    tenant = house.name("flapping")
    house.limit(tenant, AMPLE)
    with house.gateway() as gateway:
        key = house.key(tenant, gateway)
        with Load(gateway.url, key, tenant, workers=4, pause=0.02) as load:
            load.more(40)
            for stopped, going in ((4.0, 0.5), *[(0.7, 0.3)] * 5):
                house.signal(signal.SIGSTOP)
                time.sleep(stopped)
                house.signal(signal.SIGCONT)
                time.sleep(going)
            load.more(40)
        assert {r.state for r in load.results} == {"ok"}
        billed = set(house.provider.billed[tenant])
        assert billed == load.of("ok")
        assert house.settled(tenant, billed) == billed
        house.adds_up(tenant)
    slowest = max(r.took for r in load.results)
    assert slowest < LIMITS_S + SLACK_S
    print(f"{len(billed)} calls, the slowest took {slowest:.2f} s")


# -- its configuration, its neighbours -------------------------------------------------


def test_another_configuration_fails_no_call_and_a_bad_one_changes_nothing(house: House) -> None:
    tenant, provider = house.name("reload"), house.provider
    house.limit(tenant, AMPLE)
    with house.gateway() as gateway:
        key = house.key(tenant, gateway)

        def goes_to(place: str, seconds: float) -> float:
            return until(lambda: f" /{place}/openai/" in last(provider), place, seconds)

        with Load(gateway.url, key, tenant, workers=6) as load:
            load.more(40)
            gateway.declare(f"{provider.url}/second")
            took = goes_to("second", RELOAD_S + SLACK_S)
            load.more(40)
            gateway.declare(f"{provider.url}/third")
            gateway.signal(signal.SIGHUP)
            at_once = goes_to("third", 0.9)
            gateway.config.write_text('{"upstreams": {"openai": {"url": 17}}}')
            until(lambda: bool(gateway.lines("gateway configuration refused")), "it is logged")
            gateway.signal(signal.SIGHUP)
            load.more(60)
            assert gateway.metric("config_ok") == 0
            assert " /third/openai/" in last(provider)
            gateway.declare(provider.url, max_concurrency=2)
            until(lambda: gateway.metric("config_ok") == 1, "a good one is taken", RELOAD_S)
            load.more(60)
        assert {r.state for r in load.results} == {"ok"}
        assert "url" in gateway.lines("gateway configuration refused")[0]["problem"]
        assert house.settled(tenant, load.of("ok")) == set(provider.billed[tenant])
    print(f"in force after {took:.1f} s, after a SIGHUP in {at_once * 1000:.0f} ms")


def last(provider: FaultyProvider) -> str:
    """Return the first line of the latest request."""
    return provider.heads[-1].split(b"\r\n", 1)[0].decode()


def test_two_gateways_on_one_port_never_pass_one_limit(house: House) -> None:
    tenant, amount = house.name("strict"), 80 * cost(number() + 100)
    house.limit(tenant, amount, on_unreachable="closed")
    with (
        house.gateway("--reuse-port") as first,
        house.gateway("--reuse-port", port=first.port, data=first.data) as second,
    ):
        key = house.key(tenant, first)
        until(lambda: all(first.knows(key) for _ in range(20)), "both know the key")
        with ExitStack() as open_:
            loads = [
                open_.enter_context(Load(first.url, key, tenant, workers=6, fresh=True))
                for _ in range(2)
            ]
            until(lambda: all(len(load.of("refused")) > 30 for load in loads), "it is used up")
        answered = loads[0].of("ok") | loads[1].of("ok")
        shares = [served(one) for one in (first, second)]
        assert {r.state for load in loads for r in load.results} == {"ok", "refused"}
        used = sum(map(cost, answered))
        assert amount * 0.9 < used <= amount, "never over, and what can be used is used"
        assert min(shares) > 0, "both are used"
        assert house.settled(tenant, answered) == answered == set(house.provider.billed[tenant])
        house.adds_up(tenant)
    print(f"{used / amount:.1%} of the limit is used, {shares} calls by each")


def served(gateway: GatewayProcess) -> int:
    """Return how many calls a gateway's log tells of that were answered well."""
    return sum(line["status"] == 200 for line in gateway.lines("call"))
