"""Catalogues from the package, its export and its publisher; and what differs between two."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlay.core.prices import PriceBook, RateRow
from outlay.errors import BadRequestError, UnavailableError
from outlay.store.books.sources import differences, fetched, from_export, from_package

EXPORT: list[dict[str, Any]] = [
    {
        "id": "openai",
        "name": "OpenAI",
        "api_pattern": "https://api\\.openai\\.com",
        "models": [
            {
                "id": "gpt-9",
                "match": {"starts_with": "gpt-9"},
                "prices": {"input_mtok": 1.25, "output_mtok": 10},
            }
        ],
    }
]


def test_the_package_names_its_version() -> None:
    source = from_package()
    assert source.name == f"genai-prices {source.report.version}"
    assert len(source.book.rates) > 5000


def test_the_packages_export_is_read_by_its_own_loader() -> None:
    source = from_export(json.dumps(EXPORT).encode(), day="2026-11-21")
    assert source.name.endswith(" file 2026-11-21")
    found = {(r.model, r.unit): r.nanos_per_million for r in source.book.rates}
    assert found == {("gpt-9", "input"): 1_250_000_000, ("gpt-9", "output"): 10_000_000_000}
    assert source.book.resolve("openai", ["gpt-9-2026"]) is not None


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"[1]", b'[{"id": "x"}]', b"[" * 50_000, b"\xff"]
)
def test_what_is_no_export_is_refused(content: bytes) -> None:
    with pytest.raises(BadRequestError):
        from_export(content, day="2026-11-21")


def test_a_publisher_that_does_not_answer_leaves_everything_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import genai_prices

    class Away(genai_prices.UpdatePrices):
        def fetch(self) -> Any:
            raise OSError("no network")

    monkeypatch.setattr(genai_prices, "UpdatePrices", Away)
    with pytest.raises(UnavailableError, match="OSError"):
        fetched(day="2026-11-21")


def test_prices_and_times_differ_versions_do_not() -> None:
    def book(*rows: RateRow) -> PriceBook:
        return PriceBook(rates=rows)

    one = RateRow.make("p", "m", "input", 5, source="1")
    assert differences(book(one), book(RateRow.make("p", "m", "input", 5, source="2"))) == []
    (changed,) = differences(book(one), book(RateRow.make("p", "m", "input", 6)))
    assert [r["nanos_per_million"] for r in (*changed["before"], *changed["after"])] == [5, 6]
    (gone,) = differences(book(one), book())
    (new,) = differences(book(), book(RateRow.make("p", "m", "input", 5, tier="flex")))
    assert (gone["after"], new["before"], new["conditions"]) == ([], [], {"tier": "flex"})
