"""What calls are thought to use before they are made."""

from __future__ import annotations

import pytest

from outlay.capture.limits.lines import METRICS
from outlay.capture.limits.quotes import NO_BOOK, Quotes, more
from outlay.capture.rates import Rates
from outlay.core.ceiling import UNKNOWN_OUTPUT
from outlay.core.prices import ModelRow, PriceBook, RateRow
from tests.unit.capture.limits.authority import CENT, ask, book


def quotes(prices: PriceBook | None) -> Quotes:
    rates = Rates(None)
    rates.book = prices
    return Quotes(rates)


def amounts(made: Quotes, **asked: object) -> dict[str, int]:
    quote = made.of(ask(**asked), "acme", "a", 0.0)  # type: ignore[arg-type]
    likely = dict(zip(METRICS, quote.amounts, strict=False))
    worst = dict(zip((f"worst_{name}" for name in METRICS), quote.amounts[7:], strict=True))
    return likely | worst


def test_input_and_the_most_output_are_priced_until_something_is_learned() -> None:
    found = amounts(quotes(book()), tokens=2000, read=1000)
    assert found["cost"] == 2 * CENT + CENT // 10
    assert (found["tokens"], found["input_tokens"], found["output_tokens"]) == (3000, 1000, 2000)
    assert (found["calls"], found["concurrent_calls"]) == (1, 1)


def test_no_text_has_more_tokens_than_the_worst_case_has() -> None:
    found = amounts(quotes(book()), tokens=2000, read=1000)
    assert found["worst_input_tokens"] == 4000
    assert found["worst_tokens"] == 6000
    assert found["worst_cost"] == 2 * CENT + 4 * CENT // 10


def test_output_of_calls_like_it_is_learned_and_the_worst_case_stays() -> None:
    made = quotes(book())
    for _ in range(5):
        quote = made.of(ask(tokens=2000), "acme", "a", 0.0)
        made.learn(quote, {"output_tokens": 100})
    found = amounts(made, tokens=2000)
    assert (found["output_tokens"], found["worst_output_tokens"]) == (100, 2000)
    assert made.of(ask(tokens=2000), "other", "a", 0.0).output == 2000


def test_output_without_a_bound_is_guessed() -> None:
    asked = ask()
    asked.max_tokens = None
    assert quotes(book()).of(asked, "", "", 0.0).output == UNKNOWN_OUTPUT


def test_embeddings_have_no_output() -> None:
    asked = ask(read=1_000_000)
    asked.operation = "embeddings"
    quote = quotes(book()).of(asked, "", "", 0.0)
    assert quote.output == 0
    assert quote.amounts[0] == 100 * CENT


def test_pictures_are_held_at_their_ceiling_until_their_cost_is_learned() -> None:
    made = quotes(book())
    asked = ask(model="drawer")
    asked.operation = "image"
    first = made.of(asked, "", "", 0.0)
    assert first.amounts[0] >= 50 * CENT
    for _ in range(5):
        made.learn(first, {"cost": 4 * CENT, "output_tokens": 0})
    assert made.of(asked, "", "", 0.0).amounts[0] == 4 * CENT


def test_without_prices_calls_are_held_as_if_they_were_dear() -> None:
    assert quotes(None).of(ask(tokens=1_000_000), "", "", 0.0).amounts[0] == NO_BOOK[1]


def test_a_price_for_each_request_is_added_once() -> None:
    rates = [
        RateRow.make("openai", "m", unit, nanos)
        for unit, nanos in (
            ("input", 100 * CENT), ("output", 1000 * CENT), ("requests", CENT * 1_000_000),
        )
    ]  # fmt: skip
    made = quotes(PriceBook((ModelRow("openai", "m", '{"equals":"m"}'),), tuple(rates)))
    assert amounts(made, tokens=1000, read=0)["cost"] == 2 * CENT


def long_prices() -> PriceBook:
    """Return a book in which long prompts cost twice as much to read."""
    rates = (
        RateRow.make("openai", "m", "input", 100 * CENT),
        RateRow.make("openai", "m", "input", 200 * CENT, min_context=200_000),
        RateRow.make("openai", "m", "output", 1000 * CENT),
    )
    return PriceBook((ModelRow("openai", "m", '{"equals":"m"}'),), rates)


def test_a_long_prompt_has_the_prices_of_long_prompts() -> None:
    made = quotes(long_prices())
    assert amounts(made, tokens=1, read=100_000)["cost"] == pytest.approx(10 * CENT, rel=0.01)
    assert amounts(made, tokens=1, read=400_000)["cost"] == pytest.approx(80 * CENT, rel=0.01)


def test_new_prices_are_used_at_once() -> None:
    rates = Rates(None)
    rates.book = book()
    made = Quotes(rates)
    assert made.of(ask(), "", "", 0.0).amounts[0] == CENT
    row = RateRow.make("openai", "m", "output", 2000 * CENT)
    rates.book = PriceBook((ModelRow("openai", "m", '{"equals":"m"}'),), (row,))
    assert made.of(ask(), "", "", 0.0).amounts[0] == 2 * CENT


def test_more_output_adds_to_cost_and_tokens_and_not_to_the_worst_case() -> None:
    quote = quotes(book()).of(ask(), "", "", 0.0)
    found = more(quote, 100)
    assert found[:4] == (CENT // 10, 100, 0, 100)
    assert not any(found[4:])


def test_the_terms_of_a_call_have_their_own_prices() -> None:
    rates = [
        RateRow.make("openai", "m", "output", 1000 * CENT),
        RateRow.make("openai", "m", "output", 2000 * CENT, tier="priority"),
        RateRow.make("openai", "m", "input", 100 * CENT),
    ]
    made = quotes(PriceBook((ModelRow("openai", "m", '{"equals":"m"}'),), tuple(rates)))
    assert amounts(made)["cost"] == CENT
    assert amounts(made, terms=("priority", "", "", ""))["cost"] == 2 * CENT


def test_the_worst_case_reads_at_the_dearest_of_the_models_own_prices() -> None:
    rates = [
        RateRow.make("openai", "m", "input", 100 * CENT),
        RateRow.make("openai", "m", "input_cache_write_1h", 200 * CENT),
        RateRow.make("openai", "m", "output", 1000 * CENT),
        RateRow.make("openai", "m", "output_audio", 3000 * CENT),
    ]
    made = quotes(PriceBook((ModelRow("openai", "m", '{"equals":"m"}'),), tuple(rates)))
    found = amounts(made, tokens=1000, read=1000, most_input=10_000)
    assert found["cost"] == CENT + CENT // 10
    assert found["worst_input_tokens"] == 10_000
    assert found["worst_cost"] == 3 * CENT + 2 * CENT


def test_the_worst_case_of_a_call_that_may_be_long_has_the_prices_of_long_ones() -> None:
    made = quotes(long_prices())
    found = amounts(made, tokens=1, read=75_000)
    assert found["cost"] == pytest.approx(7.5 * CENT, rel=0.01)
    assert found["worst_cost"] == pytest.approx(60 * CENT, rel=0.01)


@pytest.mark.parametrize("answers", [1, 4])
def test_every_picture_is_held_for(answers: int) -> None:
    asked = ask(model="drawer")
    asked.operation, asked.max_tokens, asked.answers = "image", 1, answers
    assert quotes(book()).of(asked, "", "", 0.0).amounts[0] >= answers * 50 * CENT
