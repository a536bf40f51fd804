"""The demo's past lands whole: what ingest accepted is stored, priced, and adds up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlay import config
from outlay.demo.client import Client
from outlay.demo.history import DAYS, EVENTS, history
from outlay.demo.history_rhythm import DAY_US
from outlay.demo.seed import SEED, seed_server
from outlay.demo.tenants import FEATURES, TENANTS
from outlay.wiring.run import RunningServer

pytestmark = pytest.mark.heavy

SETTLE_S = 30.0


class Site:
    """A server with a past."""

    def __init__(self, data: Path, *, events: int) -> None:
        settings = config.load(env={}, overrides={"data": str(data), "port": 0, "gateway": False})
        self.server = RunningServer(settings)
        try:
            assert self.server.first_key is not None
            self.now = time.time_ns() // 1000
            self.client = Client(self.server.url, self.server.first_key)
            self.events = events
            self.seeded = self.seed()
        except BaseException:
            self.server.stop()
            raise

    def seed(self) -> Any:
        key = self.server.first_key
        assert key is not None
        return seed_server(self.server.url, key, now=self.now, events=self.events)

    def rows(self, metrics: list[str], **more: Any) -> list[list[Any]]:
        question = {
            "metrics": metrics, "from": self.now - 36 * DAY_US, "to": self.now, **more,
        }  # fmt: skip
        rows: list[list[Any]] = self.client.call("POST", "/v1/query", question)["rows"]
        return rows

    def close(self) -> None:
        self.client.close()
        self.server.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    found = Site(tmp_path_factory.mktemp("past"), events=EVENTS)
    yield found
    found.close()


def test_everything_that_was_made_is_stored_once(site: Site) -> None:
    made = sum(len(day) for day in history(seed=SEED, now=site.now))
    assert site.seeded.events == made
    assert site.rows(["attempts"]) == [[made]]
    assert site.client.call("GET", "/v1/dead-letters")["dead_letters"] == []
    until = time.monotonic() + SETTLE_S
    while True:  # the warehouse may be a moment behind the live store
        consumers = site.client.call("GET", "/v1/status")["consumers"]
        stored = {name: consumers[name]["counts"]["stored"] for name in ("olap", "warehouse")}
        if stored == {"olap": made, "warehouse": made} or time.monotonic() >= until:
            break
        time.sleep(0.1)
    assert stored == {"olap": made, "warehouse": made}
    assert consumers["enrich"]["counts"]["dead"] == 0


def test_events_and_roll_ups_add_up_to_the_same(site: Site) -> None:
    metrics = ["cost", "sell", "attempts", "errors", "input_tokens", "output_tokens", "unpriced"]
    (whole,) = site.rows(metrics)
    assert whole[0] > 100 * 10**9
    for more in (
        {"grain": "day", "limit": 100},
        {"grain": "hour", "limit": 10_000},
        {"by": ["tenant"], "limit": 100},
        {"by": ["feature", "model"], "limit": 1_000},
        {"by": ["agent"], "limit": 1_000},
        {"by": ["request"], "limit": 10_000},  # answered from events
    ):
        rows = site.rows(metrics, **more)
        sums = [sum(row[-len(metrics) + at] or 0 for row in rows) for at in range(len(metrics))]
        assert sums == whole, more


def test_every_tenant_and_feature_costs_something_and_is_charged_for(site: Site) -> None:
    charged = {row[0]: row[1:] for row in site.rows(["cost", "sell"], by=["tenant"])}
    for tenant in TENANTS:
        cost, sell = charged[tenant.tenant_id]
        assert cost > 0
        assert sell > 0
    features = {row[0] for row in site.rows(["cost"], by=["feature"])}
    assert {f.name for f in FEATURES} <= features


def test_prices_are_the_servers_and_a_contract_holds_from_its_day(site: Site) -> None:
    bases = {row[0]: row[1] for row in site.rows(["attempts"], by=["price_basis"])}
    assert set(bases) == {
        "catalogue", "contract", "estimate", "free", "provider_stated", "unpriced",
    }  # fmt: skip
    ours = [{"field": "model", "op": "eq", "value": "claude-opus-5-5"}]
    ((cost, at_list),) = site.rows(["cost", "list_cost"], filters=ours)
    assert cost < at_list
    unpriced = site.client.call("GET", "/v1/prices/unpriced")["unpriced"]
    assert [row["model"] for row in unpriced] == ["qwen3-coder-30b"]


def test_limits_begin_with_today_and_the_budget_with_the_month(site: Site) -> None:
    limits = {limit["id"] for limit in site.client.call("GET", "/v1/limits")["limits"]}
    assert {"budget", "tenant-day", "free-day", "business-models", "everything-hour"} <= limits
    counters = site.client.call("GET", "/v1/limits/state?count=100")["counters"]
    assert "budget" in {counter["limit"] for counter in counters}
    for counter in counters:
        if counter["limit"] in ("tenant-day", "business-models"):
            assert counter["share"] < 0.75
    assert site.client.call("GET", "/v1/verify")["ok"]


def test_credits_are_not_charged_for_the_past(site: Site) -> None:
    accounts = site.client.call("GET", "/v1/credits")["accounts"]
    left = {account["tenant"]: account["available"] / 1_000_000 for account in accounts}
    assert left == {"soylent": 25, "cyberdyne": 30, "oscorp": 15}


def test_there_is_something_to_look_into(site: Site) -> None:
    call = site.client.call
    drifted = {finding["subject"] for finding in call("GET", "/v1/findings")["findings"]}
    assert {"openai/gpt-5.6-sol input", "openai/gpt-5.6-sol output"} <= drifted
    assert {rate["currency"] for rate in call("GET", "/v1/currencies")["rates"]} == {
        "EUR", "GBP", "JPY",
    }  # fmt: skip
    assert len(call("GET", "/v1/views")["views"]) == 2
    overrides = call("GET", "/v1/limits/tenant-day")["overrides"]
    assert [override["reason"] for override in overrides] != []


def test_a_server_with_a_past_is_left_as_it_is(site: Site) -> None:
    before = site.rows(["attempts"])
    assert site.seed().events == 0
    assert site.rows(["attempts"]) == before


def test_a_small_past_covers_every_day_too(tmp_path: Path) -> None:
    small = Site(tmp_path, events=6_000)
    try:
        assert small.rows(["attempts"]) == [[small.seeded.events]]
        assert len(small.rows(["cost"], grain="day", limit=100)) >= DAYS
    finally:
        small.close()
