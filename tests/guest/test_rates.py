"""Local prices: fetched in the background, kept on disk, the same sums as the server's."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

import outlay
from outlay.capture.rates import REFRESH_S, RETRY_S, Rates
from outlay.capture.runtime import active
from outlay.capture.transport import Reply, Transport
from outlay.core.calls import call_of
from outlay.core.prices import PriceBook
from outlay.core.rates import ModelRow, RateRow
from outlay.core.rating import price_call
from outlay.wire.base import Reading, Segment
from tests.guest.conftest import Collector

AT = 1_790_000_000_000_000
BOOK = PriceBook(
    (
        ModelRow("openai", "gpt-4o-mini", '{"starts_with":"gpt-4o-mini"}'),
        ModelRow("tools", "serp.search", '{"equals":"serp.search"}'),
        ModelRow("openai", "gpt-4o-mini", '{"equals":"ours"}', layer="override", region_class="eu"),
    ),
    (
        RateRow.make("openai", "gpt-4o-mini", "input", 150_000_000),
        RateRow.make("openai", "gpt-4o-mini", "input", 75_000_000, batch=True),
        RateRow.make("openai", "gpt-4o-mini", "output", 600_000_000),
        RateRow.make("tools", "serp.search", "requests", 10_000_000_000_000),
        RateRow.make(
            "openai", "gpt-4o-mini", "input", 100_000_000, layer="contract", tenant="acme"
        ),
        RateRow.make("vllm", "llama", "input", 0),
        RateRow.make("vllm", "llama", "output", 0, min_quantity=1000),
        RateRow.make("vllm", "llama", "duration_ms", 30_000_000_000),
    ),
)


def reading(**more: Any) -> Reading:
    values: dict[str, Any] = {
        "provider": "openai", "surface": "openai.chat", "vendor": "openai", "operation": "chat",
        "model_requested": "gpt-4o-mini", "usage": {"input": 1000, "output": 500},
        "usage_source": "provider",
    }  # fmt: skip
    return Reading(**{**values, **more})


def rates(book: PriceBook | None = BOOK) -> Rates:
    made = Rates(None)
    made.book = book
    return made


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"batch": True},
        {"tier_served": "batch"},
        {"usage": {"input": 1, "output_reasoning": 3}},
        {"usage": {"input": 5, "output_audio": 1}},
        {"usage": {}},
        {"usage": {}, "billed": "possible"},
        {"billed": "no"},
        {"model_requested": "unheard-of"},
        {"model_served": "unheard-of"},
        {"provider_cost_nanos": 77},
        {"usage_source": "estimated"},
        {"segments": [Segment("gpt-4o-mini", {"input": 400}), Segment("other", {"output": 1})]},
        {"segments": [Segment("gpt-4o-mini", {"input": 400})]},
        {"deployment": "ours", "model_requested": None},
        {"provider": "vllm", "model_requested": "llama"},
        {"provider": "vllm", "model_requested": "llama", "usage": {}, "billed": "possible"},
        {"provider": "vllm", "model_requested": "llama", "segments": [Segment("llama", {})]},
    ],
    ids=str,
)
@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_the_local_cost_is_the_servers_cost(more: dict[str, Any], tenant: str) -> None:
    given = reading(**more)
    fields = {name: getattr(given, name) for name in Reading.__dataclass_fields__}
    fields["segments"] = [{"model": s.model, "usage": s.usage} for s in given.segments]
    fields |= {"tenant_id": tenant, "started_at": AT, "ended_at": AT + 1_234_567}
    priced = price_call(BOOK, call_of(fields, at=AT))
    expected = None if priced.price_basis == "unpriced" else priced.cost_nanos
    assert rates().cost(given, AT, tenant, 1_234_567) == expected


def test_without_a_book_nothing_has_a_price_but_what_was_stated() -> None:
    assert rates(None).cost(reading(), AT) is None
    assert rates(None).cost(reading(provider_cost_nanos=5), AT) == 5
    assert rates(None).cost_of_fields({"operation": "tool", "name": "x"}, AT) is None


def test_the_snapshot_is_fetched_kept_and_revalidated(collector: Collector, tmp_path: Path) -> None:
    collector.snapshot = BOOK.to_snapshot()
    transport = Transport(collector.url, "ok_k")
    kept = tmp_path / "prices.json"
    first = Rates(kept)
    first.refresh(transport)
    assert first.book is not None
    assert first.book.hash == BOOK.hash
    first.refresh(transport)
    assert len(collector.loopback.requests) == 1, "not asked again before it is time"
    second = Rates(kept)
    second.refresh(transport)
    assert second.book is not None
    assert collector.loopback.requests[1][2]["if-none-match"] == f'"{BOOK.hash}"'
    transport.close()


class Away:
    """A server that cannot be reached until it is there."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.there = False
        self.now = 1000.0

    def request(self, *_: Any, **__: Any) -> Reply:
        self.asked.append(self.now - 1000.0)
        if not self.there:
            raise ConnectionRefusedError
        return Reply(200, {}, BOOK.to_snapshot())


def test_a_server_that_is_away_is_asked_again_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, made = Away(), rates(None)
    monkeypatch.setattr(time, "monotonic", lambda: server.now)
    for _ in range(2000):
        server.now += 0.05
        made.refresh(cast("Transport", server))
    waits = [later - sooner for sooner, later in pairwise(server.asked)]
    assert waits == pytest.approx([0.25, 0.5, 1, 2, 4, 8, *[15] * (len(waits) - 6)], abs=0.11)
    assert len(server.asked) < 15
    server.there = True
    server.now += RETRY_S[1]
    made.refresh(cast("Transport", server))
    assert made.book is not None
    server.there, server.asked = False, []
    for _ in range(3):
        server.now += REFRESH_S + RETRY_S[0]
        made.refresh(cast("Transport", server))
        server.now += 2 * RETRY_S[0]
        made.refresh(cast("Transport", server))
        server.there = True
        server.now += RETRY_S[1]
        made.refresh(cast("Transport", server))
        server.there = False
    assert len(server.asked) == 9, "after it was there, it is soon asked again"


def test_a_damaged_or_foreign_snapshot_is_no_price(collector: Collector, tmp_path: Path) -> None:
    kept = tmp_path / "prices.json"
    kept.write_text('{"version": 2, "hash": "x", "models": [], "rates": []}')
    transport = Transport(collector.url, "")
    made = Rates(kept)
    made.refresh(transport)
    assert made.book is None
    transport.close()


def test_live_totals_are_priced_once_prices_are_there(collector: Collector, tmp_path: Path) -> None:
    collector.snapshot = BOOK.to_snapshot()
    outlay.init(collector.url, spool_dir=str(tmp_path), ship_interval_s=0.01)
    runtime = active()
    assert runtime is not None
    runtime.wake()
    assert _settled(lambda: runtime.rates.book is not None)
    with outlay.context(tenant="a"):
        outlay.record("tool", name="serp.search", provider="tools", units={"requests": 2})
        now = outlay.current().request
    assert (now.cost_nanos, now.unpriced) == (20_000_000, 0)
    for tenant, cost in (("acme", 100_000), ("globex", 150_000)):
        with outlay.context(tenant=tenant):
            outlay.record(
                "chat", name="", model="gpt-4o-mini", provider="openai", units={"input": 1000}
            )
            assert outlay.current().request.cost_nanos == cost


def _settled(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


STEP = 1000
STEPPED = PriceBook(
    (ModelRow("p", "m", '{"equals":"m"}'),),
    (
        RateRow.make("p", "m", "input", 1_000_000_000, valid_to=AT),
        RateRow.make("p", "m", "input", 2_000_000_000, valid_from=AT),
        RateRow.make("p", "m", "input", 4_000_000_000, valid_from=AT, min_context=STEP),
        RateRow.make("p", "m", "output", 1_000_000_000),
        RateRow.make("p", "m", "output", 3_000_000_000, window="Mon-Fri 01:00:00-04:00:00"),
    ),
)


@pytest.mark.parametrize("unit", ["input", "output"])
def test_kept_rates_hold_for_their_time_and_size_only(unit: str) -> None:
    local = rates(STEPPED)
    hour = 3_600_000_000
    moments = [AT - 1, AT, AT + 1, *(AT + hour * n for n in range(0, 24 * 8, 3))]
    for _ in range(2):  # the second time from what was kept
        for at in moments:
            for count in (STEP - 1, STEP, 10 * STEP):
                one = reading(provider="p", model_requested="m", usage={unit: count})
                call = call_of({"provider": "p", "model_requested": "m", unit: count}, at=at)
                assert local.cost(one, at) == price_call(STEPPED, call).cost_nanos


def test_kept_rates_are_those_of_the_newest_book() -> None:
    local = rates(STEPPED)
    one = reading(provider="p", model_requested="m", usage={"input": 1})
    assert local.cost(one, AT) == 2000
    local.book = PriceBook(STEPPED.models, (RateRow.make("p", "m", "input", 7_000_000_000),))
    assert local.cost(one, AT) == 7000
