"""Limits in real processes: what is admitted, what is refused, and what is counted afterwards.

A real server on SQLite and on PostgreSQL, one to four applications with real SDKs, a provider that
knows what it is owed. Whatever happens, in the end the counter says exactly what the provider does.
`bench/limits.py` prints the figures.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests import postgres as real
from tests.acceptance.limit_provider import OUTPUT_NANOS, PIECE_TOKENS, cost
from tests.acceptance.limits_rig import Site, site, until
from tests.conftest import DATABASES

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(60)]

OUTPUT = 100
CALL = cost(OUTPUT)
STRICT_CALL = CALL + 3 * cost(0)
"""What a strict limit holds for a call: no text has more tokens than bytes."""
PIECE = PIECE_TOKENS * OUTPUT_NANOS
SLOW_S = 0.05
"""Between two pieces of a stream: faster than any model of today."""
PIECES_OVER = 2
"""A stream that may not go on is cut after a piece, and the provider may send one more."""


@pytest.fixture(scope="module", params=DATABASES)
def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("limits")
    if request.param == "sqlite":
        url = f"sqlite:///{folder / 'books.db'}"
    else:
        running: real.Postgres = request.getfixturevalue("postgres")
        url = running.new_books()
    with site(folder, url) as made:
        yield made


def settled(here: Site, name: str, bill: int) -> None:
    """Check what is left when all has ended: what was used, and nothing else."""
    until(lambda: here.stand(name) == (bill, 0), f"{bill} used: {here.stand(name)}")
    until(lambda: here.cost(name) == bill, f"{bill} stored")
    until(lambda: not here.open_holds(), f"nothing open: {here.open_holds()}")
    here.verify()


@pytest.mark.parametrize("strict", [False, True], ids=["learned", "strict"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("calls", [20, 200])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_a_burst_spends_a_small_budget_and_not_a_nano_more(
    here: Site, processes: int, calls: int, stream: bool, strict: bool
) -> None:
    name = here.name("burst")
    budget = CALL * calls * 6 // 10
    here.limit(name, budget, strict=strict)
    with here.crew(processes) as crew:
        ended = crew.burst(calls, tenant=name, output=OUTPUT, bound=OUTPUT, stream=stream)
        bill = here.provider.bill(name)
    assert set(ended) == {"ok", "refused"}, crew.results
    assert ended.total() == calls
    assert {r["code"] for r in crew.results if r["state"] == "refused"} == {"limit"}
    assert crew.refusals_counted == ended["refused"], "nobody asks twice who was refused"
    assert bill == ended["ok"] * CALL <= budget
    assert len(here.provider.charges[name]) == ended["ok"], "a refused call reaches nobody"
    assert bill >= budget - 2 * STRICT_CALL, "what fits is let through"
    settled(here, name, bill)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_two_limits_of_one_call_are_both_held(here: Site, processes: int) -> None:
    name = here.name("both")
    month, day = 120 * CALL, 100 * CALL
    here.limit(name, month)
    here.limit(f"{name}-day", day, scope={"tenant": name}, window="day", strict=True)
    with here.crew(processes) as crew:
        ended = crew.burst(200, tenant=name, output=OUTPUT, bound=OUTPUT, stream=False)
        bill = here.provider.bill(name)
    assert set(ended) == {"ok", "refused"}, crew.results
    assert day - 3 * STRICT_CALL <= bill <= day
    settled(here, name, bill)
    assert here.stand(f"{name}-day") == (bill, 0)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_streams_past_their_estimate_are_cut_within_a_piece_each(
    here: Site, processes: int
) -> None:
    name, provider = here.name("grow"), here.provider
    budget = 4 * processes * cost(16) + 8 * cost(480)
    here.limit(name, budget)
    pace, provider.pace_s, provider.most_flying = provider.pace_s, SLOW_S, 0
    try:
        with here.crew(processes) as crew:
            for _ in range(4):  # answers are short, they learn
                crew.burst(processes, tenant=name, output=16, bound=16, stream=False)
            ended = crew.burst(20, tenant=name, output=480, bound=None, stream=True)
    finally:
        provider.pace_s = pace
    assert not ended["failed"], crew.results
    assert ended["cut"], "they did not fit"
    until(lambda: not provider.flying, "streams end")
    bill = provider.bill(name)
    bound = PIECES_OVER * provider.most_flying * PIECE
    assert budget - provider.most_flying * 5 * PIECE < bill <= budget + bound
    # What the provider sent to callers who had hung up, nobody here can know of.
    charges = provider.charges[name]
    unread = sum(PIECES_OVER * PIECE for charge in charges if charge.billed and not charge.whole)
    until(lambda: here.cost(name) == here.stand(name)[0] > 0, "counted")
    used, held = here.stand(name)
    assert bill - unread <= used <= bill
    assert held == 0
    here.verify()


def test_a_burst_under_nine_tenths_of_the_budget_refuses_nobody(here: Site) -> None:
    ended: Counter[str] = Counter()
    for processes in (1, 2, 4) * 2:
        name = here.name("fits")
        here.limit(name, 20 * CALL * 100 // 89)
        with here.crew(processes) as crew:
            # Each may be four times as long as it is: they must wait for each other.
            ended += crew.burst(
                20, tenant=name, output=OUTPUT, bound=4 * OUTPUT, stream=processes == 2
            )
    assert ended == {"ok": 120}


def test_the_first_calls_of_a_process_are_held_by_their_price(here: Site) -> None:
    name = here.name("cold")
    here.limit(name, 20 * CALL * 100 // 89)
    worker = here.worker("openai-threads")
    worker.ask("open")
    told = worker.ask(
        "burst", calls=20, at=0, tenant=name, output=OUTPUT, bound=OUTPUT, stream=False
    )
    worker.ask("close")
    worker.end()
    assert {result["state"] for result in told["results"]} == {"ok"}
    settled(here, name, 20 * CALL)


def test_a_process_that_begins_again_knows_the_limits_set_meanwhile(here: Site) -> None:
    before, name = here.name("before"), here.name("meanwhile")
    folder = here.folder / before
    burst = {"calls": 20, "at": 0, "output": OUTPUT, "bound": OUTPUT, "stream": False}
    for tenant, amount in ((before, CALL), (name, 5 * CALL)):
        here.limit(tenant, amount)
        worker = here.worker("openai-threads", folder)
        worker.ask("open")
        worker.ask("burst", tenant=tenant, **burst)
        worker.ask("close")
        worker.end()
        assert here.provider.bill(tenant) == amount


def test_prepaid_credits_never_fall_below_the_floor(here: Site) -> None:
    name = here.name("prepaid")
    per_dollar, granted = 1000, 60
    here.post("/v1/prices", {
        "reason": "test", "sell": [{"unit": "cost", "credits": per_dollar, "tenant": name}]
    })  # fmt: skip
    here.post(f"/v1/credits/{name}", {"reason": "test"}, "PUT")
    here.post(f"/v1/credits/{name}/grants", {"key": name, "reason": "test", "amount": str(granted)})
    low = granted * 10**6
    with here.crew(4) as crew:
        wait = crew.later(200, tenant=name, output=OUTPUT, bound=OUTPUT, stream=False)
        for _ in range(20):
            balance = here.get(f"/v1/credits/{name}")
            low = min(low, balance["balance"]["available"] if "balance" in balance else 0)
            time.sleep(0.02)
        ended = wait()
        bill = here.provider.bill(name)
    assert set(ended) == {"ok", "refused"}, crew.results
    assert {r["code"] for r in crew.results if r["state"] == "refused"} == {"credits"}
    charged = int(Decimal(bill) * per_dollar / 1000)
    assert granted * 10**6 - 3 * CALL * per_dollar // 1000 <= charged <= granted * 10**6
    assert low >= 0

    def left() -> dict[str, int]:
        found = here.get(f"/v1/credits/{name}")
        return found.get("balance", found)  # type: ignore[no-any-return]

    until(lambda: (left()["posted"], left()["held"]) == (granted * 10**6 - charged, 0), f"{left()}")
    here.verify()


def test_a_raised_limit_holds_at_once_and_forgets_nothing(here: Site) -> None:
    name = here.name("raised")
    first, second = 30 * CALL, 90 * CALL
    here.limit(name, first)
    with here.crew(2) as crew:
        threaded = crew.workers[1]
        threaded.ask(
            "go", workers=8, pause=0.02, tenant=name, output=OUTPUT, bound=OUTPUT, stream=False
        )
        until(lambda: here.provider.bill(name) == first, "it is used up")
        time.sleep(0.5)
        assert here.provider.bill(name) == first
        here.limit(name, second)
        took = until(lambda: here.provider.bill(name) > first, "calls pass again")
        assert here.stand(name)[0] >= first, "what was used stays used"
        until(lambda: here.provider.bill(name) == second, "it is used up again")
        told = threaded.ask("halt")
        # The other one, which had nothing of it yet, sees what is left: nothing.
        crew.workers[0].tell(
            "burst", calls=5, at=0, tenant=name, output=OUTPUT, bound=OUTPUT, stream=False
        )
        assert {r["state"] for r in crew.workers[0].hear()["results"]} == {"refused"}
    assert took < 5
    assert {r["state"] for r in told["results"]} == {"ok", "refused"}
    settled(here, name, second)
