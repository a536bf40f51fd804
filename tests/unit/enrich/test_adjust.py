"""Adjustments in a batch: they keep what they state, usage beside them is priced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from outlay.core.adjustment import Adjustment
from outlay.core.event import CAPTURED
from outlay.core.prices import PriceBook
from outlay.core.rates import RateRow
from outlay.enrich.adjust import price_kinds
from outlay.enrich.price import price_table
from outlay.stream.columns import CAPTURED_SCHEMA

BOOK = PriceBook(rates=(RateRow.make("openai", "m", "input", 2_000_000),))
CHANGE = Adjustment(
    was_nanos=0,
    now_nanos=70,
    lines=(("input", 100, "r1", 50, "catalogue"), ("web_search", 1, "r2", 20, "contract")),
    list_change=70,
    price_basis="contract",
    price_confidence="exact",
    price_book_hash="abc",
    price_rule="alias",
    priced_late=True,
)


def event(**values: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "event_id": bytes(16), "started_at": 1, "ended_at": 2, "operation": "chat",
        "status": "ok", "provider": "openai", "model_served": "m", "input": 10,
    }  # fmt: skip
    return {**{f.name: f.default for f in CAPTURED}, **plain, **values}


def adjustment(document: str = CHANGE.to_json()) -> dict[str, Any]:
    return event(kind="adjustment", adjusts_event_id=bytes(16), usage_raw=document, input=0)


def priced(*events: dict[str, Any]) -> list[dict[str, Any]]:
    table = pa.Table.from_pylist(list(events), schema=CAPTURED_SCHEMA)

    def price(part: pa.Table) -> Mapping[str, Any]:
        columns: Mapping[str, Any] = price_table(part, BOOK)
        return columns

    rows: list[dict[str, Any]] = pa.table(price_kinds(table, price)).to_pylist()
    return rows


def test_an_adjustment_keeps_what_it_states() -> None:
    (row,) = priced(adjustment())
    assert row["cost_nanos"] == 70
    assert (row["cost_input_nanos"], row["cost_other_nanos"]) == (50, 20)
    assert row["list_cost_nanos"] == 70
    assert (row["price_basis"], row["price_confidence"]) == ("contract", "exact")
    assert (row["price_rule"], row["price_book_hash"]) == ("alias", "abc")
    assert row["price_flags"] == ["priced_late"]
    assert [one["nanos"] for one in row["lines"]] == [50, 20]


def test_usage_beside_an_adjustment_is_priced_and_the_order_stays() -> None:
    rows = priced(event(), adjustment(), event(input=20), adjustment(), event(input=30))
    assert [row["cost_nanos"] for row in rows] == [20, 70, 40, 70, 60]
    assert [row["price_basis"] for row in rows] == [
        "catalogue", "contract", "catalogue", "contract", "catalogue",
    ]  # fmt: skip


def test_a_document_that_cannot_be_read_is_an_error_and_no_price() -> None:
    with pytest.raises(ValueError, match="adjustment"):
        priced(event(), adjustment("{}"))
