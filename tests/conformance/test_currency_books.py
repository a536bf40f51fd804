"""What every implementation of `store.currencies.CurrencyBooks` keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from outlay.errors import BadRequestError, TooLargeError
from outlay.store import currencies
from outlay.store.books.sql import SqlBooks
from outlay.store.currencies import MAX_PPB, ExchangeRate

EUR = ExchangeRate("EUR", 914_200_000, 100, "ECB")


@pytest.fixture
def books(books_url: str) -> Iterator[SqlBooks]:
    opened = SqlBooks(books_url)
    yield opened
    opened.close()


def put(books: SqlBooks, rate: ExchangeRate, *, reason: str = "monthly", at: int = 50) -> None:
    assert books.put_exchange_rate(rate, reason=reason, actor="me", at=at) == rate


def test_rates_come_back_exactly_the_last_to_begin_first(books_url: str) -> None:
    books = SqlBooks(books_url)
    largest = ExchangeRate("LBP", MAX_PPB, 200)
    least = ExchangeRate("BTC", 1, 0)
    for rate in (EUR, largest, least):
        put(books, rate)
    books.close()
    again = SqlBooks(books_url)
    assert again.exchange_rates() == [largest, EUR, least]
    again.close()


def test_a_rate_that_begins_at_the_same_time_takes_the_place_of_the_first(books: SqlBooks) -> None:
    put(books, EUR)
    put(books, replace(EUR, valid_from=200))
    corrected = replace(EUR, per_usd_ppb=920_000_000)
    put(books, corrected, reason="typo")
    assert books.exchange_rates() == [replace(EUR, valid_from=200), corrected]
    entry = books.audit()[0]
    assert (entry.action, entry.subject, entry.actor, entry.at) == ("currency.put", "EUR", "me", 50)
    assert entry.details == {
        "per_usd_ppb": 920_000_000, "valid_from": 100, "source": "ECB", "before": 914_200_000,
        "reason": "typo",
    }  # fmt: skip


def test_the_same_rate_again_changes_nothing(books: SqlBooks) -> None:
    put(books, EUR)
    put(books, EUR, at=60)
    assert len(books.audit()) == 1


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"currency": "eur"}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": "ÄÖÜ"}, "currency"),
        ({"currency": "EU"}, "currency"),
        ({"currency": "USD"}, "currency"),
        ({"per_usd_ppb": 0}, "per_usd"),
        ({"per_usd_ppb": -1}, "per_usd"),
        ({"per_usd_ppb": MAX_PPB + 1}, "per_usd"),
        ({"valid_from": -1}, "valid_from"),
        ({"source": "x" * 257}, "source"),
        ({"source": "a\nb"}, "source"),
    ],
)
def test_a_bad_part_is_named_and_nothing_is_written(
    books: SqlBooks, change: dict[str, object], where: str
) -> None:
    bad = replace(EUR, **change)  # type: ignore[arg-type]
    with pytest.raises(BadRequestError) as caught:
        books.put_exchange_rate(bad, reason="r", actor="me", at=1)
    assert caught.value.where == where
    assert (books.exchange_rates(), books.audit()) == ([], [])


def test_a_change_needs_a_reason(books: SqlBooks) -> None:
    with pytest.raises(BadRequestError) as caught:
        books.put_exchange_rate(EUR, reason=" ", actor="me", at=1)
    assert caught.value.where == "reason"
    assert books.exchange_rates() == []


def test_there_are_at_most_so_many_rates_and_those_may_still_be_corrected(
    books: SqlBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(currencies, "MAX_RATES", 2)
    put(books, EUR)
    put(books, replace(EUR, currency="CHF"))
    with pytest.raises(TooLargeError, match="2 exchange rates"):
        put(books, replace(EUR, currency="GBP"))
    put(books, replace(EUR, per_usd_ppb=5))
    assert len(books.exchange_rates()) == 2
