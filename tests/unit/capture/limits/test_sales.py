"""Credits in a process: a quote is what selling makes of that usage, and so is what is reported."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.act.policy import Policy
from outlay.api.policy import policy_document
from outlay.capture.limits.lines import METRICS
from outlay.capture.limits.policy import read_policy
from outlay.capture.limits.quotes import NO_BOOK, Quotes, more
from outlay.capture.limits.sales import UNSOLD, Buyer, charge
from outlay.capture.rates import Rates
from outlay.core.calls import Call
from outlay.core.limits.limit import CREDITS, MAX_AMOUNT
from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.rating import price_call
from outlay.core.sell import SellRates, SellRow
from outlay.core.selling import sell_call
from outlay.wire.base import Reading
from tests.unit.capture.limits.authority import CENT, ask, book

CREDIT = 1_000_000
NOW = time.time_ns() // 1000
HOUR = 3_600_000_000
AT = METRICS.index(CREDITS)


def credit(unit: str, per_million: int, **said: Any) -> SellRow:
    return SellRow.make(unit, CREDITS, per_million, **said)


PER_DOLLAR = credit("cost", 100_000)
"""100 credits a dollar."""


def buyer(*rows: SellRow, tenant: str = "acme", plan: str = "", feature: str = "") -> Buyer:
    return Buyer(SellRates(rows), tenant, plan, feature)


def quotes(prices: PriceBook | None) -> Quotes:
    rates = Rates(None)
    rates.book = prices
    return Quotes(rates)


def quoted(who: Buyer, prices: PriceBook | None, **asked: Any) -> int:
    return quotes(prices).of(ask(**asked), who.tenant, "a", 0.0, who).amounts[AT]


def reading(**values: Any) -> Reading:
    said = {"model_served": "m", "usage": {"output": 1000}, "usage_source": "provider", **values}
    return Reading("openai", "openai.chat", "openai", operation="chat", **said)


def charged(who: Buyer, prices: PriceBook | None, **values: Any) -> int | None:
    amounts: dict[str, int] = {}
    charge(amounts, who, prices, reading(**values), NOW, 0)
    return amounts.get(CREDITS)


# -- quotes --------------------------------------------------------------------------------------

times = st.sampled_from((None, None, None, NOW - HOUR, NOW + HOUR))
sell_rows = st.builds(
    credit,
    st.sampled_from(("cost", "cost", "calls", "input", "output", "requests", "input_cache_read")),
    st.one_of(st.integers(-(10**6), 10**7), st.integers(0, 10**13)),
    tenant=st.sampled_from(("", "", "acme", "rival")),
    plan=st.sampled_from(("", "", "pro", "free")),
    feature=st.sampled_from(("", "", "search", "chat")),
    provider=st.sampled_from(("", "", "openai", "azure")),
    model=st.sampled_from(("", "", "m", "M", "other")),
    valid_from=times,
    valid_to=times,
)
whole_rates = st.one_of(
    st.integers(0, 10**7).map(lambda nanos: nanos * 1000),
    st.integers(0, 10**5).map(lambda nanos: nanos * 1_000_000),
)
"""Whole nano-dollars for a thousand tokens, or for one, as are the prices that people write."""


@given(
    rows=st.lists(sell_rows, max_size=8),
    input_rate=whole_rates,
    output_rate=whole_rates,
    per_request=st.sampled_from((0, 0, CENT * 1_000_000)),
    read=st.integers(1, 49_999),
    wrote=st.integers(1, 10**6),
    plan=st.sampled_from(("", "pro")),
    feature=st.sampled_from(("", "search")),
)
def test_a_quote_is_what_selling_makes_of_that_usage(
    rows: list[SellRow], input_rate: int, output_rate: int, per_request: int, read: int,
    wrote: int, plan: str, feature: str,
) -> None:  # fmt: skip
    rates = [
        RateRow.make("openai", "m", "input", input_rate),
        RateRow.make("openai", "m", "output", output_rate),
    ]
    if per_request:
        rates.append(RateRow.make("openai", "m", "requests", per_request))
    models = (ModelRow("openai", "m", '{"equals":"m"}'),)
    whole = PriceBook(models, tuple(rates), tuple(rows))
    call = Call(
        "openai", ("m",), NOW, {"input": read, "output": wrote},
        tenant="acme", plan=plan, feature=feature,
    )  # fmt: skip
    sold = sell_call(whole, call, price_call(whole, call)).credits_micros
    expected = UNSOLD if sold is None else max(0, min(sold, MAX_AMOUNT))
    who = buyer(*rows, plan=plan, feature=feature)
    assert quoted(who, whole.for_tenant("acme"), tokens=wrote, read=read) == expected


@pytest.mark.parametrize(
    ("rows", "micros"),
    [
        ([PER_DOLLAR], 110 * CREDIT // 100),
        ([credit("calls", 3 * CREDIT * 1_000_000)], 3 * CREDIT),
        ([credit("output", 2 * CREDIT * 1000)], 2 * CREDIT),
        ([credit("input", CREDIT * 1000), PER_DOLLAR], 2 * CREDIT),
        ([SellRow.make("cost", "nanos", 10**6)], UNSOLD),
        ([credit("cost", 100_000, model="other")], UNSOLD),
        ([], UNSOLD),
        ([credit("calls", 0)], 0),
    ],
)
def test_kinds_of_rules(rows: list[SellRow], micros: int) -> None:
    assert quoted(buyer(*rows), book(), tokens=1000, read=1000) == micros


def test_who_has_no_balance_is_not_asked_for_credits() -> None:
    assert quotes(book()).of(ask(), "acme", "a", 0.0).amounts[AT] == 0


def test_the_worst_case_is_four_tokens_for_each_guessed_and_all_the_output() -> None:
    made, who = quotes(book()), buyer(PER_DOLLAR)
    for _ in range(5):
        made.learn(made.of(ask(), "acme", "a", 0.0, who), {"output_tokens": 100})
    quote = made.of(ask(read=1000), "acme", "a", 0.0, who)
    assert quote.amounts[AT] == 20 * CREDIT // 100
    assert quote.amounts[AT + len(METRICS)] == 140 * CREDIT // 100


def test_more_output_costs_more_credits() -> None:
    made = quotes(book())
    assert more(made.of(ask(), "acme", "a", 0.0, buyer(PER_DOLLAR)), 100)[AT] == CREDIT // 10
    each = buyer(credit("output", 7 * CREDIT))
    assert more(made.of(ask(), "acme", "a", 0.0, each), 100)[AT] == 700
    assert more(made.of(ask(), "acme", "a", 0.0), 100)[AT] == 0


def test_pictures_are_sold_by_the_piece_or_their_cost_until_it_is_learned() -> None:
    made, who = quotes(book()), buyer(PER_DOLLAR)
    asked = ask(model="drawer")
    asked.operation = "image"
    first = made.of(asked, "acme", "a", 0.0, who)
    assert first.amounts[AT] >= 50 * CREDIT
    for _ in range(5):
        made.learn(first, {"cost": 4 * CENT, "output_tokens": 0, "credits": 4 * CREDIT})
    assert made.of(asked, "acme", "a", 0.0, who).amounts[AT] == 4 * CREDIT
    each = quotes(book()).of(asked, "acme", "a", 0.0, buyer(credit("images", 2 * CREDIT * CREDIT)))
    assert each.amounts[AT] == 2 * CREDIT


def test_a_model_without_a_price_costs_its_ceiling() -> None:
    assert quoted(buyer(PER_DOLLAR), book(), model="unheard-of", tokens=1000) >= CREDIT


def test_without_prices_calls_cost_as_if_they_were_dear() -> None:
    found = quoted(buyer(PER_DOLLAR), None, tokens=1_000_000)
    assert found == NO_BOOK[1] * 100_000 // 1_000_000


def test_new_rules_and_new_prices_count_at_once() -> None:
    rates = Rates(None)
    rates.book = book()
    made = Quotes(rates)
    assert made.of(ask(), "acme", "a", 0.0, buyer(PER_DOLLAR)).amounts[AT] == CREDIT
    twice = buyer(credit("cost", 200_000))
    assert made.of(ask(), "acme", "a", 0.0, twice).amounts[AT] == 2 * CREDIT
    row = RateRow.make("openai", "m", "output", 2000 * CENT)
    rates.book = PriceBook((ModelRow("openai", "m", '{"equals":"m"}'),), (row,))
    assert made.of(ask(), "acme", "a", 0.0, twice).amounts[AT] == 4 * CREDIT


def test_tenants_that_no_rule_names_share_what_was_found() -> None:
    made, sells = quotes(book()), SellRates([PER_DOLLAR, credit("cost", 1, tenant="named")])
    for name in ("named", *(f"t{number}" for number in range(20))):
        made.of(ask(), name, "", 0.0, Buyer(sells, name, "", ""))
    assert len(made._sales) == 2


def test_a_contract_of_ones_own_counts() -> None:
    row = RateRow.make("openai", "m", "output", 100 * CENT, layer="contract", tenant="acme")
    both = PriceBook(book().models, (*book().rates, row))
    made, sells = quotes(both), SellRates([PER_DOLLAR])
    found = [
        made.of(ask(), name, "", 0.0, Buyer(sells, name, "", "")).amounts[AT]
        for name in ("acme", "rival")
    ]
    assert found == [CREDIT // 10, CREDIT]


# -- what is reported ----------------------------------------------------------------------------


@given(
    rows=st.lists(sell_rows, max_size=8),
    usage=st.dictionaries(
        st.sampled_from(("input", "output", "output_reasoning", "input_cache_read", "images")),
        st.integers(1, 10**6),
    ),
    stated=st.sampled_from((None, None, CENT)),
    status=st.sampled_from(("ok", "ok", "error", "aborted")),
)
def test_what_is_reported_is_what_the_event_will_say(
    rows: list[SellRow], usage: dict[str, int], stated: int | None, status: str
) -> None:
    known = book()
    whole = PriceBook(known.models, known.rates, tuple(rows))
    call = Call(
        "openai", ("m",), NOW, usage, provider_cost_nanos=stated, tenant="acme", plan="pro",
        feature="search", succeeded=status == "ok",
    )  # fmt: skip
    sold = sell_call(whole, call, price_call(whole, call))
    who = buyer(*rows, plan="pro", feature="search")
    found = charged(who, known, usage=usage, provider_cost_nanos=stated, status=status)
    assert found == (None if sold.flags else min(max(0, sold.credits_micros or 0), MAX_AMOUNT))


def test_what_depends_on_an_unknown_price_is_left_to_the_event() -> None:
    assert charged(buyer(PER_DOLLAR), book(), model_served="unheard-of") is None
    assert charged(buyer(PER_DOLLAR), None) is None
    assert charged(buyer(credit("output", CREDIT)), None) == 1000
    assert charged(buyer(), None) == 0


# -- the policy ----------------------------------------------------------------------------------


def test_rules_are_read_as_the_server_writes_them() -> None:
    rows = (
        PER_DOLLAR,
        credit("calls", 0, tenant="acme", plan="pro", feature="f", provider="openai", model="m"),
        credit("output", 5, valid_from=0, valid_to=NOW),
    )
    said = Policy(plans={"acme": "pro"}, floors={"acme": 0}, sells=SellRates(rows))
    found = read_policy(json.loads(json.dumps(policy_document(said, None)))).sells.rows
    assert {row.sell_id: row.content()[:-1] for row in found} == {
        row.sell_id: row.content()[:-1] for row in rows
    }


@pytest.mark.parametrize("row", [{}, {"id": "1", "unit": "cost"}, 3])
def test_what_is_no_rule_makes_no_policy(row: Any) -> None:
    with pytest.raises(ValueError, match="not a policy"):
        read_policy({"revision": "1", "limits": [], "sells": [row]})
