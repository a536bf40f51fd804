"""Real responses whose provider states what it charged: the bill is read, and the catalogue held
against it.

`fixtures/stated-cost.jsonl` holds numbers and names of published recordings (see `note`; a date
that was not told is marked as guessed), never text. `cause` says why the catalogue alone misses.
`bench/accuracy.py` prints the same comparison for a reader.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Any, Final

import pytest

from outlay.cli.rate import rate_line
from outlay.core.calls import call_of
from outlay.core.money import NANOS_PER_USD
from outlay.core.prices import PriceBook
from outlay.core.rating import Priced, price_call
from outlay.store.books.catalogue import load_catalogue
from tests.wire.harness import FIXTURES

LINES: Final = (FIXTURES / "stated-cost.jsonl").read_text(encoding="utf-8").splitlines()
CATALOGUE_FLOOR: Final = 85
"""How many the catalogue and its corrections price within one percent; raise it, never lower it."""


@cache
def book() -> PriceBook:
    return load_catalogue()


@cache
def rated(line: str) -> dict[str, Any]:
    return rate_line(line, book(), {})


def alone(line: str) -> Priced:
    """Price a call as if its provider had not told the cost."""
    at = int(datetime.fromisoformat(json.loads(line)["at"]).timestamp()) * 1_000_000
    return price_call(book(), call_of({**rated(line), "provider_cost_nanos": None}, at=at))


def stated_nanos(line: str) -> int:
    dollars = Decimal(json.loads(line)["stated_usd"])
    return int((dollars * NANOS_PER_USD).to_integral_value(rounding=ROUND_HALF_EVEN))


def misses(line: str) -> bool:
    priced, stated = alone(line), stated_nanos(line)
    unpriced = any(part.basis == "unpriced" for part in priced.lines)
    return unpriced or abs(priced.cost_nanos - stated) * 100 > stated


def case(line: str) -> str:
    record = json.loads(line)
    return f"{record['response']['model']}@{record['at']}"


@pytest.mark.parametrize("line", LINES, ids=case)
def test_an_event_costs_what_its_provider_charged(line: str) -> None:
    row = rated(line)
    assert (row["cost_nanos"], row["price_basis"]) == (stated_nanos(line), "provider_stated")
    assert sum(part["nanos"] for part in row["lines"]) == row["cost_nanos"]


def test_the_catalogue_alone_prices_as_many_as_it_did() -> None:
    assert sum(not misses(line) for line in LINES) >= CATALOGUE_FLOOR


@pytest.mark.parametrize("line", [line for line in LINES if misses(line)], ids=case)
def test_a_difference_to_the_bill_is_explained_and_shows(line: str) -> None:
    assert json.loads(line)["cause"]
    assert {"price_drift", "unpriced_line"} & {*rated(line)["findings"]}


@pytest.mark.parametrize("line", [line for line in LINES if not misses(line)], ids=case)
def test_a_price_that_is_near_the_bill_is_no_drift(line: str) -> None:
    assert not {"price_drift", "unpriced_line"} & {*rated(line)["findings"]}


def test_recordings_hold_numbers_and_names_alone() -> None:
    for line in LINES:
        response = json.loads(line)["response"]
        names = {"object", "created", "created_at", "model", "provider", "status", "service_tier"}
        assert response.keys() <= names | {"usage"}
