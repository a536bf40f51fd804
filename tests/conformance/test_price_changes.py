"""Prices changed by hand: what holds when, what was believed when, and nothing ever edited."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.core.event import MAX_COUNT
from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.sell import SellRow
from outlay.errors import BadRequestError, NotFoundError, TooLargeError
from outlay.store.base import Books, Finding, PriceChange
from outlay.store.books import engine, findings, price_checks
from outlay.store.books.change import model_id, rate_key
from outlay.store.books.sql import SqlBooks


@pytest.fixture
def books(books_url: str) -> Iterator[Books]:
    opened = SqlBooks(books_url)
    yield opened
    opened.close()


def rate(price: int, start: int | None = None, end: int | None = None, **values: Any) -> RateRow:
    said = {"layer": "override", "valid_from": start, "valid_to": end, **values}
    return RateRow.make("openai", "gpt", said.pop("unit", "input"), price, **said)


def sell(amount: int, start: int | None = None, end: int | None = None, **values: Any) -> SellRow:
    return SellRow.make("cost", "nanos", amount, valid_from=start, valid_to=end, **values)


def alias(name: str, model: str = "gpt", **values: Any) -> ModelRow:
    said = {"layer": "override", **values}
    return ModelRow("openai", model, f'{{"equals":"{name}"}}', **said)


def put(books: Books, *rows: RateRow | SellRow | ModelRow, at: int = 10) -> tuple[int, int]:
    change = PriceChange(
        rates=tuple(row for row in rows if isinstance(row, RateRow)),
        models=tuple(row for row in rows if isinstance(row, ModelRow)),
        sells=tuple(row for row in rows if isinstance(row, SellRow)),
    )
    return books.change_prices(change, reason="because", actor="me", at=at)


def spans(books: Books, known_at: int | None = None) -> list[tuple[Any, Any, int]]:
    found = books.load_prices(known_at=known_at).rates
    rows = [(row.valid_from, row.valid_to, row.nanos_per_million) for row in found]
    return sorted(rows, key=lambda row: (row[0] is not None, row[0]))


class TestSplitting:
    def test_a_new_rate_takes_the_place_of_the_old_for_its_time_only(self, books: Books) -> None:
        put(books, rate(5))
        assert put(books, rate(7, 100, 200), at=20) == (3, 1)
        assert spans(books) == [(None, 100, 5), (100, 200, 7), (200, None, 5)]
        assert spans(books, known_at=19) == [(None, None, 5)]

    def test_an_open_rate_ends_the_one_before_it(self, books: Books) -> None:
        put(books, rate(5))
        put(books, rate(7, 100), at=20)
        assert spans(books) == [(None, 100, 5), (100, None, 7)]

    def test_a_rate_that_covers_others_replaces_them(self, books: Books) -> None:
        put(books, rate(5, 0, 10), rate(6, 10, 20))
        assert put(books, rate(9, 0, 20), at=20) == (1, 2)
        assert spans(books) == [(0, 20, 9)]

    def test_two_new_rates_cut_one_old_into_three(self, books: Books) -> None:
        put(books, rate(5, 0, 100))
        put(books, rate(1, 10, 20), rate(2, 50, 60), at=20)
        assert spans(books) == [(0, 10, 5), (10, 20, 1), (20, 50, 5), (50, 60, 2), (60, 100, 5)]

    def test_the_end_is_excluded_so_neighbours_do_not_touch(self, books: Books) -> None:
        put(books, rate(5, 0, 10))
        assert put(books, rate(6, 10, 20), at=20) == (1, 0)

    @pytest.mark.parametrize(
        "other",
        [
            {"unit": "output"}, {"tier": "flex"}, {"batch": True}, {"speed": "fast"},
            {"host_class": "x"}, {"region_class": "eu"}, {"min_context": 9},
            {"window": "01:00:00-02:00:00"}, {"layer": "contract"},
            {"layer": "contract", "tenant": "acme"},
        ],
    )  # fmt: skip
    def test_other_conditions_are_another_key(self, books: Books, other: dict[str, Any]) -> None:
        put(books, rate(5))
        assert put(books, rate(7, **other), at=20) == (1, 0)

    def test_source_and_minimum_belong_to_the_price_not_to_the_key(self, books: Books) -> None:
        put(books, rate(5, source="a"))
        assert put(books, rate(5, source="b", min_quantity=3), at=20) == (1, 1)

    def test_names_differ_in_case_only_and_are_one_key(self, books: Books) -> None:
        put(books, rate(5))
        upper = RateRow.make("openai", "GPT", "input", 7, layer="override")
        assert put(books, upper, at=20) == (1, 1)

    def test_the_same_change_twice_changes_nothing(self, books: Books) -> None:
        put(books, rate(5), sell(3), alias("a"))
        before = (books.revision("prices"), len(books.audit()))
        assert put(books, rate(5), sell(3), alias("a"), at=20) == (0, 0)
        assert (books.revision("prices"), len(books.audit())) == before

    def test_pieces_keep_price_and_source_and_get_ids_of_their_content(self, books: Books) -> None:
        put(books, rate(5, source="deal"))
        put(books, rate(7, 100, 200, source="new"), at=20)
        pieces = [row for row in books.load_prices().rates if row.nanos_per_million == 5]
        assert {row.source for row in pieces} == {"deal"}
        assert all(row.rate_id == row.content_id() for row in pieces)
        assert {row.recorded_at for row in pieces} == {20}

    def test_sell_rows_are_split_alike(self, books: Books) -> None:
        put(books, sell(1_300_000), sell(1_100_000, plan="pro"))
        put(books, sell(1_500_000, 100, 200), at=20)
        found = {(s.plan, s.valid_from, s.valid_to, s.per_million) for s in books.sells()}
        assert found == {
            ("", None, 100, 1_300_000), ("", 100, 200, 1_500_000), ("", 200, None, 1_300_000),
            ("pro", None, None, 1_100_000),
        }  # fmt: skip
        assert len(books.sells(known_at=19)) == 2
        assert books.load_prices().sells == tuple(books.sells())

    def test_models_of_one_name_and_layer_are_replaced_together(self, books: Books) -> None:
        put(books, alias("a"), alias("b", region_class="eu"))
        assert put(books, alias("c"), at=20) == (1, 2)
        found = books.load_prices().models
        assert [(m.match, m.region_class) for m in found] == [('{"equals":"c"}', "")]
        before = books.load_prices(known_at=19).models
        assert sorted(m.region_class for m in before) == ["", "eu"]


class TestWithdrawing:
    def test_what_is_withdrawn_is_believed_no_longer(self, books: Books) -> None:
        kept, gone, name = rate(5), rate(7, unit="output"), alias("a")
        put(books, kept, gone, sell(3), name)
        ids = (gone.rate_id, sell(3).sell_id, model_id(name))
        change = PriceChange(withdrawn=ids)
        assert books.change_prices(change, reason="r", actor="me", at=20) == (0, 3)
        now, before = books.load_prices(), books.load_prices(known_at=19)
        assert ([r.rate_id for r in now.rates], now.sells, now.models) == ([kept.rate_id], (), ())
        assert (len(before.rates), len(before.sells), len(before.models)) == (2, 1, 1)

    def test_an_unknown_id_is_refused_and_nothing_is_written(self, books: Books) -> None:
        change = PriceChange(rates=(rate(5),), withdrawn=("nothing",))
        with pytest.raises(NotFoundError):
            books.change_prices(change, reason="r", actor="me", at=20)
        assert books.load_prices().rates == ()

    def test_a_row_of_the_catalogue_cannot_be_withdrawn(self, books: Books) -> None:
        row = rate(5, layer="catalogue")
        books.save_catalogue(PriceBook(rates=(row,)), source="s", actor="me", at=10)
        with pytest.raises(BadRequestError, match="bring it back"):
            books.change_prices(
                PriceChange(withdrawn=(row.rate_id,)), reason="r", actor="me", at=20
            )


class TestAudit:
    def test_it_tells_who_when_why_and_how_much(self, books: Books) -> None:
        put(books, rate(5))
        change = PriceChange(rates=(rate(7, 100),), sells=(sell(3),))
        books.change_prices(change, reason="order 12", actor="key_1", at=20)
        entry = books.audit(limit=1)[0]
        assert (entry.at, entry.actor, entry.action, entry.subject) == (
            20, "key_1", "prices.change", "order 12",
        )  # fmt: skip
        said = entry.details
        assert (said["added"], said["superseded"], said["rates"], said["sells"]) == (3, 1, 1, 1)
        assert said["ids"] == [rate(7, 100).rate_id, sell(3).sell_id]
        assert [e.action for e in books.audit(action="prices.save")] == []

    def test_p43_history_holds_every_belief_the_newest_first(self, books: Books) -> None:
        put(books, rate(5), alias("a"))
        put(books, rate(7), at=20)
        put(books, RateRow.make("openai", "other", "input", 1, layer="override"), at=30)
        rates, models = books.price_history("OpenAI", "GPT")
        assert [(r.nanos_per_million, r.recorded_at, r.superseded_at) for r in rates] == [
            (7, 20, None), (5, 10, 20),
        ]  # fmt: skip
        assert [m.match for m in models] == ['{"equals":"a"}']
        assert len(books.price_history("openai", "gpt", limit=1)[0]) == 1

    def test_a_clock_that_goes_back_does_not_change_what_was_believed(self, books: Books) -> None:
        put(books, rate(5), at=100)
        put(books, rate(6), at=200)
        before = spans(books, known_at=150)
        put(books, rate(7), at=120)
        assert spans(books, known_at=150) == before
        assert spans(books) == [(None, None, 7)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("row", "where"),
        [
            (rate(5, layer="catalogue"), "rates[0].layer"),
            (rate(5, layer="own"), "rates[0].layer"),
            (rate(-1), "rates[0].price"),
            (rate(10**18 + 1), "rates[0].price"),
            (rate(5, unit=""), "rates[0].unit"),
            (rate(5, tier="x" * 257), "rates[0].tier"),
            (rate(5, source="a\nb"), "rates[0].source"),
            (rate(5, min_context=-1), "rates[0].min_context"),
            (rate(5, min_quantity=-1), "rates[0].min_quantity"),
            (rate(5, window="1-2"), "rates[0].window"),
            (rate(5, 9, 9), "rates[0].valid_to"),
            (rate(5, -1), "rates[0].valid_from"),
            (rate(5, tenant="acme"), "rates[0].tenant"),
            (rate(5, tenant="a b", layer="contract"), "tenant_id"),
            (replace(rate(5), rate_id="f" * 16), "rates[0].rate_id"),
            (alias("a", layer="catalogue"), "models[0].layer"),
            (replace(alias("a"), match="{}"), "models[0].match"),
            (sell(-1), "sells[0].per_million"),
            (sell(1, plan="x" * 257), "sells[0].plan"),
            (replace(sell(1), out="euros"), "sells[0].out"),  # type: ignore[arg-type]
            (replace(sell(1), sell_id="f" * 16), "sells[0].sell_id"),
            (rate(5, window="10:00:00-10:00:00"), "rates[0].window"),
            (rate(5, min_quantity=MAX_COUNT + 1), "rates[0].min_quantity"),
            (alias("x" * price_checks.MAX_CLAUSE_CHARACTERS), "models[0].match"),
        ],
    )
    def test_a_bad_row_is_named_and_nothing_is_written(
        self, books: Books, row: RateRow | SellRow | ModelRow, where: str
    ) -> None:
        with pytest.raises(BadRequestError) as caught:
            put(books, row)
        assert caught.value.where == where
        assert books.revision("prices") == 0

    @pytest.mark.parametrize("reason", ["", "  ", "x" * 257])
    def test_a_reason_is_needed(self, books: Books, reason: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            books.change_prices(PriceChange(rates=(rate(5),)), reason=reason, actor="me", at=1)
        assert caught.value.where == "reason"

    def test_rows_of_one_key_must_not_overlap(self, books: Books) -> None:
        with pytest.raises(BadRequestError, match=r"rates\[0\] and rates\[2\]"):
            put(books, rate(5, 0, 10), rate(5, unit="output"), rate(7, 9, 20))

    def test_the_number_of_rows_is_bounded(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(price_checks, "MAX_CHANGE_ROWS", 2)
        put(books, rate(1, 0, 1), rate(2, 1, 2))
        with pytest.raises(TooLargeError):
            put(books, rate(1, 0, 1), rate(2, 1, 2), rate(3, 2, 3))


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["input", "output"]),
        st.integers(0, 12),
        st.one_of(st.none(), st.integers(1, 8)),
        st.integers(1, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


class Model:
    """What should hold, told moment by moment: a price for each unit and each of 24 hours."""

    def __init__(self) -> None:
        self.beliefs: list[tuple[int, dict[tuple[str, int], int]]] = [(0, {})]

    def put(self, unit: str, start: int, end: int | None, price: int, at: int) -> None:
        now = dict(self.beliefs[-1][1])
        for hour in range(start, 24 if end is None else end):
            now[unit, hour] = price
        self.beliefs.append((at, now))

    def known(self, at: int) -> dict[tuple[str, int], int]:
        return [held for since, held in self.beliefs if since <= at][-1]


@settings(max_examples=60, deadline=None)
@given(CHANGES)
def test_at_any_two_times_one_rate_holds_and_the_past_is_believed_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int, int | None, int, bool]]
) -> None:
    file = tmp_path_factory.mktemp("books") / "books.db"
    opened = SqlBooks(f"sqlite:///{file}")
    try:
        truth, seen = Model(), []
        for number, (unit, start, length, price, same) in enumerate(changes):
            at = 100 if same else 100 + number
            at = max(at, truth.beliefs[-1][0])
            end = None if length is None else start + length
            put(opened, rate(price, start, end, unit=unit), at=at)
            truth.put(unit, start, end, price, at)
            seen.append((at, opened.load_prices(known_at=at).hash))
        for at in range(98, 100 + len(changes) + 1):
            held: dict[tuple[str, int], int] = {}
            for row in opened.load_prices(known_at=at).rates:
                for hour in range(row.valid_from or 0, min(row.valid_to or 24, 24)):
                    assert (row.unit, hour) not in held, "two rates of one key hold at once"
                    held[row.unit, hour] = row.nanos_per_million
            assert held == truth.known(at)
        latest = dict(seen)
        for at, was in latest.items():
            assert opened.load_prices(known_at=at).hash == was
    finally:
        opened.close()


class TestFindings:
    def finding(self, subject: str = "openai/gpt input", **details: Any) -> Finding:
        return Finding("catalogue_drift", subject, details, 0, 0)

    def test_one_found_again_is_counted_and_keeps_its_first_time(self, books: Books) -> None:
        books.find([self.finding(percent=3)], at=10)
        books.find([self.finding(percent=4), self.finding("other")], at=20)
        books.find([], at=30)
        found = {f.subject: f for f in books.findings()}
        again = found["openai/gpt input"]
        assert (again.first_at, again.last_at, again.times, again.details) == (
            10, 20, 2, {"percent": 4},
        )  # fmt: skip
        assert found["other"].times == 1
        assert len(books.findings(limit=1)) == 1

    def test_a_resolved_one_is_hidden_until_it_is_found_again(self, books: Books) -> None:
        books.find([self.finding()], at=10)
        closed = books.resolve_finding(
            "catalogue_drift", "openai/gpt input", reason="their file is old", actor="me", at=20
        )
        assert (closed.resolved_at, books.findings()) == (20, [])
        assert books.findings(open_only=False) == [closed]
        entry = books.audit(limit=1)[0]
        assert (entry.action, entry.details["reason"]) == ("finding.resolve", "their file is old")
        again = books.resolve_finding(
            "catalogue_drift", "openai/gpt input", reason="again", actor="me", at=25
        )
        assert again.resolved_at == 20
        books.find([self.finding()], at=30)
        assert [(f.first_at, f.times, f.resolved_at) for f in books.findings()] == [(30, 1, None)]

    def test_an_unknown_one_and_one_without_a_reason_are_refused(self, books: Books) -> None:
        books.find([self.finding()], at=10)
        with pytest.raises(NotFoundError):
            books.resolve_finding("catalogue_drift", "x", reason="r", actor="me", at=1)
        with pytest.raises(BadRequestError):
            books.resolve_finding(
                "catalogue_drift", "openai/gpt input", reason=" ", actor="me", at=1
            )

    def test_their_number_is_bounded_and_resolved_ones_go_first(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(findings, "MAX_FINDINGS", 2)
        books.find([self.finding("a")], at=10)
        books.find([self.finding("b")], at=20)
        books.resolve_finding("catalogue_drift", "b", reason="r", actor="me", at=21)
        books.find([self.finding("c")], at=30)
        assert sorted(f.subject for f in books.findings(open_only=False)) == ["a", "c"]


class TestUpgrade:
    def test_books_of_the_first_release_keep_their_rows_and_ids(self, tmp_path: Path) -> None:
        file = tmp_path / "books.db"
        first_release(file)
        row, model = rate(5, layer="catalogue", source="list 1"), alias("gpt-x", layer="catalogue")
        with sqlite3.connect(file) as connection:
            connection.execute(
                "INSERT INTO rate_rows VALUES (1,?,0,'openai','gpt','input',5,'','','',0,'',0,'',"
                "NULL,NULL,'catalogue','list 1',10,NULL)",
                (row.rate_id,),
            )
            connection.execute(
                "INSERT INTO model_rows VALUES (1,?,0,'openai','gpt',?,'','catalogue','',10,NULL)",
                (model_id(model), model.match),
            )
        connection.close()
        opened = SqlBooks(f"sqlite:///{file}")
        book = opened.load_prices()
        assert book.rates == (replace(row, recorded_at=10),)
        assert book.models == (replace(model, recorded_at=10),)
        assert opened.rates([row.rate_id])[row.rate_id].content_id() == row.rate_id
        same = PriceBook(models=(model,), rates=(row,))
        assert opened.save_catalogue(same, source="list 1", actor="me", at=20) == 0
        put(opened, rate(7), sell(3), at=30)
        assert len(opened.load_prices().rates) == 2
        opened.close()


def first_release(file: Path) -> None:
    """Make books as the first migration made them."""
    config = Config()
    config.set_main_option("script_location", str(Path(engine.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    made = sa.create_engine(f"sqlite:///{file}")
    with made.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    made.dispose()


def test_a_key_is_everything_but_price_minimum_validity_and_source() -> None:
    one = rate(5, 1, 2, source="a", min_quantity=1)
    assert rate_key(one) == rate_key(rate(7, 3, 4, source="b"))
