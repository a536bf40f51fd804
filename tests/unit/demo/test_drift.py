from __future__ import annotations

import time
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from outlay.core.prices import RateRow
from outlay.demo.bill import LIST_PRICES
from outlay.demo.drift import UNITS, rate_differences
from outlay.store.books.catalogue import load_catalogue

ANY = {
    name: getattr(RateRow("", "", "", "", 0), name)
    for name in (
        "host_class", "region_class", "tier", "batch", "speed", "window", "min_context",
    )
}  # fmt: skip


def catalogue() -> list[dict[str, Any]]:
    return [
        {
            **ANY,
            "provider": provider,
            "model": model,
            "unit": UNITS[counted][0],
            "nanos_per_million": int(Decimal(dollars) * 10**9),
        }
        for provider, models in LIST_PRICES.items()
        for model, prices in models.items()
        for counted, dollars in prices.items()
        if counted in UNITS
    ]


def test_a_catalogue_that_says_the_same_has_no_differences() -> None:
    assert rate_differences(catalogue()) == []


def test_another_price_and_a_missing_price_are_told() -> None:
    rates = catalogue()
    rates[0]["nanos_per_million"] += 1_000_000_000
    missing = rates.pop()
    told = rate_differences(rates)
    assert len(told) == 2
    assert "the demo's table says $4 a million, the catalogue $5." in told[0]
    assert missing["model"] in told[1]
    assert "no price" in told[1]


def test_rates_under_a_condition_are_not_the_list_price() -> None:
    rates = catalogue()
    for condition in ({"batch": True}, {"tier": "flex"}, {"min_context": 200_000}):
        rates.append({**rates[0], **condition, "nanos_per_million": 1})
    assert rate_differences(rates) == []


def test_the_bills_table_is_that_of_the_installed_catalogue() -> None:
    now = time.time_ns() // 1000
    rates = [
        asdict(rate)
        for rate in load_catalogue().rates
        if (rate.valid_from or 0) <= now and (rate.valid_to is None or now < rate.valid_to)
    ]
    assert rate_differences(rates) == []
