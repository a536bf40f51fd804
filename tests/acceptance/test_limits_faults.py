"""Kill -9 under limits: of an application, of the server, of PostgreSQL, each in mid-flight.

Afterwards nothing is held for the dead, everything that was metered is counted once, and the books
prove themselves. What a killed application had on its way is nobody's to know.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import postgres as real
from tests.acceptance.limit_provider import cost
from tests.acceptance.limits_rig import LEASE_TTL_S, Site, Worker, site, until
from tests.conftest import DATABASES

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(90)]

OUTPUT = 100
CALL = cost(OUTPUT)
WORKERS = 6
TRAFFIC = {"workers": WORKERS, "output": OUTPUT, "bound": OUTPUT, "stream": False}
SWEEP_S = 4.0
"""Within this long after its time a lease is over."""
AWAY_S = 0.5
"""How long applications here wait for the server's word."""
RECOVER_S = 8.0
"""Within this long after the server is back calls pass: it is asked again every 5 seconds."""


@pytest.fixture(scope="module")
def durable() -> Iterator[real.Postgres]:
    """A PostgreSQL of its own that survives being killed."""
    if real.find() is None:
        pytest.skip("PostgreSQL")
    with real.server(durable=True) as running:
        yield running


@pytest.fixture(scope="module", params=DATABASES)
def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("faults")
    url = f"sqlite:///{folder / 'books.db'}"
    if request.param != "sqlite":
        running: real.Postgres = request.getfixturevalue("durable")
        url = running.new_books()
    with site(folder, url, delay_s=0.1) as made:
        yield made


def opened(here: Site, kind: str, name: str) -> Worker:
    """Start an application that knows the limits."""
    worker = here.worker(kind, here.folder / name, OUTLAY_LIMITS_TIMEOUT_S=str(AWAY_S))
    worker.ask("open", policy=here.get("/v1/limits/policy")["revision"])
    return worker


def ends(here: Site, name: str, least: int, most: int) -> None:
    """Check that what was used lies in bounds, is stored, is all that is left, and adds up."""
    until(lambda: here.stand(name)[0] >= least, f"{least} used: {here.stand(name)}")
    until(lambda: here.stand(name) == (here.cost(name), 0), "events and counter agree")
    assert here.stand(name)[0] <= most
    until(lambda: not here.open_holds(), f"nothing open: {here.open_holds()}", 30)
    here.verify()


def since(results: list[dict[str, Any]], begin: float, end: float) -> list[dict[str, Any]]:
    """Return the calls that began and ended in a time."""
    return [one for one in results if begin <= one["at"] - one["took"] and one["at"] <= end]


def test_a_killed_application_holds_nothing_and_loses_nothing(here: Site) -> None:
    name = here.name("killed")
    here.limit(name, 10_000 * CALL)
    first = opened(here, "openai-threads", name)
    first.ask("go", tenant=name, **TRAFFIC)
    until(lambda: here.provider.bill(name) >= 60 * CALL, "calls are made")
    until(lambda: here.stand(name)[1] > 0, "something is held")
    first.kill9()
    took = until(lambda: here.stand(name)[1] == 0, "nothing is held", LEASE_TTL_S + SWEEP_S)
    noted, bill = first.noted() * CALL, here.provider.bill(name)
    assert noted > 0
    here.verify()

    second = opened(here, "httpx", name)
    ends(here, name, noted, bill)
    used = here.stand(name)[0]
    assert bill - used <= WORKERS * CALL, "calls whose answer was on its way"
    second.ask("burst", calls=5, at=0, tenant=name, output=OUTPUT, bound=OUTPUT, stream=False)
    assert second.ask("close")["flushed"]
    second.end()
    ends(here, name, used + 5 * CALL, used + 5 * CALL)
    print(f"held is 0 after {took:.1f} s; {(bill - used) // CALL} calls were on their way")


def test_a_killed_server_is_back_and_nothing_counts_twice(here: Site) -> None:
    outage(here, here.kill9, here.restart)


def test_a_killed_postgresql_is_back_and_nothing_counts_twice(
    here: Site, request: pytest.FixtureRequest
) -> None:
    if here.books_url.startswith("sqlite"):
        pytest.skip("SQLite is no server")
    running: real.Postgres = request.getfixturevalue("durable")

    def restart() -> float:
        began = time.monotonic()
        running.restart()
        return time.monotonic() - began

    outage(here, running.kill9, restart)


def outage(here: Site, kill: Any, restart: Any) -> None:
    """Kill something while calls of two tenants run, who differ in what they do without limits."""
    free, strict = here.name("open"), here.name("closed")
    here.limit(free, 10_000 * CALL, on_unreachable="open")
    here.limit(strict, 10_000 * CALL, on_unreachable="closed")
    names = {free: opened(here, "httpx", free), strict: opened(here, "openai-threads", strict)}
    for name, worker in names.items():
        worker.ask("go", tenant=name, pause=0.05, **TRAFFIC)
    for name in names:
        until(lambda name=name: here.provider.bill(name) >= 120 * CALL, "calls are made")  # type: ignore[misc]
    kill()
    gone = time.time()
    time.sleep(LEASE_TTL_S + 1.0)
    back = time.time()
    started = restart()
    billed = here.provider.bill(strict)
    took = until(lambda: here.provider.bill(strict) > billed, "calls pass again", RECOVER_S)
    time.sleep(1.0)
    told = {name: worker.ask("halt")["results"] for name, worker in names.items()}
    for worker in names.values():
        assert worker.ask("close")["flushed"]
        worker.end()

    assert {one["state"] for one in told[free]} == {"ok"}, "who may go on goes on"
    assert {one["state"] for one in told[strict]} == {"ok", "refused"}
    late = since(told[strict], gone + LEASE_TTL_S, back)
    assert {(one["state"], one["code"]) for one in late} == {("refused", "unreachable")}
    assert any(one["state"] == "ok" for one in since(told[strict], gone, back)), "its lease"
    for name in names:
        bill = here.provider.bill(name)
        assert bill == CALL * sum(one["state"] == "ok" for one in told[name])
        ends(here, name, bill, bill)
    slowest = max(one["took"] for one in told[free])
    print(f"up in {started:.1f} s, calls pass {took:.1f} s later, the slowest took {slowest:.2f} s")
