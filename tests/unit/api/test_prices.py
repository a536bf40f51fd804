"""Prices over HTTP: what holds when, and the snapshot for SDKs."""

from __future__ import annotations

import pytest

from outlay.api import prices
from outlay.core.prices import ModelRow, PriceBook, RateRow
from tests.unit.api.site import NOW, Site

BOOK = PriceBook(
    models=(ModelRow("openai", "gpt", '{"equals":"gpt"}'),),
    rates=(
        RateRow.make("openai", "gpt", "input", 1, valid_to=NOW),
        RateRow.make("openai", "gpt", "input", 2, valid_from=NOW),
        RateRow.make("anthropic", "claude", "input", 3),
    ),
)


@pytest.fixture(autouse=True)
def _priced(site: Site) -> None:
    site.books.save_catalogue(BOOK, source="s", actor="test", at=1)


def found(site: Site, query: str = "") -> list[int]:
    rates = site.call("GET", f"/v1/prices{query}").json()["rates"]
    return sorted(rate["nanos_per_million"] for rate in rates)


@pytest.mark.parametrize(
    ("query", "rates"),
    [
        ("", [2, 3]),
        ("?provider=openai", [2]),
        ("?model=claude", [3]),
        ("?provider=openai&model=claude", []),
        (f"?provider=openai&at={NOW - 1}", [1]),
        ("?provider=openai&at=2020-01-01T00:00:00Z", [1]),
    ],
)
def test_the_rates_that_hold_at_a_time(site: Site, query: str, rates: list[int]) -> None:
    assert found(site, query) == rates


def test_a_bad_time_is_refused(site: Site) -> None:
    answer = site.call("GET", "/v1/prices?at=now")
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, "at")


def test_a_long_list_is_cut_and_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "MAX_RATES", 1)
    got = site.call("GET", "/v1/prices").json()
    assert (len(got["rates"]), got["truncated"]) == (1, True)


def test_the_snapshot_is_the_book_in_gzip_with_its_hash(site: Site) -> None:
    answer = site.call("GET", "/v1/prices/snapshot")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["etag"] == f'"{BOOK.hash}"'
    assert PriceBook.from_snapshot(answer.content).hash == BOOK.hash


def test_a_snapshot_that_is_known_is_not_sent_again(site: Site) -> None:
    known = {"If-None-Match": f'"{BOOK.hash}"'}
    answer = site.call("GET", "/v1/prices/snapshot", headers=known)
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["cache-control"] == "private, no-cache"


def test_new_prices_are_seen_at_once(site: Site) -> None:
    first = site.call("GET", "/v1/prices/snapshot").headers["etag"]
    site.books.save_catalogue(PriceBook(), source="s", actor="test", at=2)
    assert site.call("GET", "/v1/prices/snapshot").headers["etag"] != first
    assert found(site) == []
