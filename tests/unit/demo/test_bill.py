from __future__ import annotations

import pytest

from outlay.demo import bill
from outlay.demo.bill import OTHERS, Bill, Counts, price


def test_a_chat_call_is_priced_by_hand() -> None:
    # 1,000 at $4, 2,048 at $0.40, 128 at $5 and 300 at $20 a million, in nano-dollars.
    counts = Counts(input=1000, cache_read=2048, cache_write=128, output=300)
    assert price("openai", "gpt-5.6-sol", counts) == 4_000_000 + 819_200 + 640_000 + 6_000_000


def test_a_message_is_priced_by_hand_with_both_times_to_live() -> None:
    counts = Counts(input=3, cache_read=1111, cache_write_5m=418, cache_write_1h=10, output=33)
    expected = 3 * 2_000 + 1111 * 100 + 418 * 2_500 + 10 * 4_000 + 33 * 10_000
    assert price("anthropic", "claude-sonnet-5-5", counts) == expected


def test_embeddings_and_searches_are_priced_by_hand() -> None:
    assert price("openai", "text-embedding-3-small", Counts(input=7)) == 140
    assert price("serp", "serp.search", Counts(calls=1)) == 5_000_000


def test_each_quantity_is_rounded_once_half_to_even(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {"x": {"m": {"input": "0.0005", "output": "0.0015"}}}
    monkeypatch.setattr(bill, "LIST_PRICES", odd)
    assert price("x", "m", Counts(input=1)) == 0  # 0.5 nano-dollars
    assert price("x", "m", Counts(output=1)) == 2  # 1.5 nano-dollars
    assert price("x", "m", Counts(input=1, output=1)) == 2


def test_what_has_no_list_price_is_an_error_not_zero() -> None:
    with pytest.raises(KeyError):
        price("openai", "gpt-5-mini", Counts(cache_write=1))


def test_a_failed_attempt_is_counted_and_costs_nothing() -> None:
    kept = Bill()
    kept.fail("acme", "gpt-5-mini")
    kept.charge("acme", "gpt-5-mini", 70, cut=True)
    kept.charge("globex", "gpt-5.6-sol", 30)
    told = kept.as_dict()
    assert told["nanos"] == 100
    assert told["attempts"] == 3
    assert told["tenants"]["acme"] == {
        "nanos": 70,
        "attempts": 2,
        "failed": 1,
        "cut": 1,
        "models": {"gpt-5-mini": {"nanos": 70, "attempts": 2}},
    }


def test_tenants_beyond_the_bound_are_billed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bill, "MAX_TENANTS", 2)
    kept = Bill()
    for tenant in ("a", "b", "c", "d", "a"):
        kept.charge(tenant, "m", 1)
    told = kept.as_dict()
    assert {name: t["nanos"] for name, t in told["tenants"].items()} == {"a": 2, "b": 1, OTHERS: 2}
    assert told["nanos"] == 5
