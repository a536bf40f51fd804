"""A gateway that cannot keep events refuses calls: none is served that would go unrecorded."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.gateway_faults_rig import GatewayProcess, House, house_in
from tests.acceptance.gateway_load import Load, one
from tests.acceptance.limits_rig import until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(90)]

AMPLE = 10**15
"""A limit that no test here reaches: a million dollars."""
DISK_BYTES = 12 * 1024 * 1024


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_in(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "outlay-test", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_stops_calls_before_one_goes_unrecorded(house: House, small_disk: Path) -> None:
    tenant = house.name("disk")
    house.limit(tenant, AMPLE, on_unreachable="open")
    with house.gateway(data=small_disk / "data") as gateway:
        key, ballast = house.key(tenant, gateway), small_disk / "ballast"
        with Load(gateway.url, key, tenant, workers=32, pause=0) as load:
            load.more(50)
            house.kill9()
            fill(ballast)
            until(lambda: "events_full" in codes(load), "calls are refused", 40)
            told = one(gateway.url, key, tenant)
            assert httpx.get(f"{gateway.url}/readyz").status_code == 503
            unsaved = gateway.metric("spool_in_memory")
            ballast.unlink()
            load.more(50)
            assert gateway.metric("spool_in_memory") == 0
            load.stop()
        assert (told.status_code, told.headers["outlay-problem"]) == (503, "events_full")
        assert int(told.headers["retry-after"]) > 0
        assert codes(load) == {"events_full"}
        recorded(house, tenant, load, gateway)
    print(f"refused at {unsaved:.0f} events that no disk has, {len(load.of('ok'))} calls")


def test_a_full_spool_stops_calls_before_one_goes_unrecorded(house: House) -> None:
    tenant = house.name("spool")
    house.limit(tenant, AMPLE, on_unreachable="open")
    with house.gateway(OUTLAY_SPOOL_MAX_BYTES="1 MiB") as gateway:
        key = house.key(tenant, gateway)
        house.kill9()
        # What is under way when it becomes full must find room, too.
        with Load(gateway.url, key, tenant, workers=250, pause=0, delay=1.0) as load:
            until(lambda: "events_full" in codes(load), "calls are refused", 40)
        assert codes(load) == {"events_full"}
        recorded(house, tenant, load, gateway)


def fill(ballast: Path) -> None:
    """Leave no room on a disk."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def codes(load: Load) -> set[str]:
    """Return what was said to calls that were not served."""
    return {result.code for result in tuple(load.results) if result.state != "ok"}


def recorded(house: House, tenant: str, load: Load, gateway: GatewayProcess) -> None:
    """Have the server come back; check that every call that was billed is an event."""
    house.restart()
    assert gateway.metric("events_dropped_total", reason="spool_full") == 0
    assert gateway.metric("events_dropped_total", reason="memory_full") == 0
    billed = set(house.provider.billed[tenant])
    assert billed == load.of("ok")
    assert house.settled(tenant, billed) == billed
    house.adds_up(tenant)
