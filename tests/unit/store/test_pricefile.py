"""Price files: read whole with every problem's line, written so that they read back the same."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.sell import SellRow
from outlay.store.books.change import model_id
from outlay.store.pricefile import csv_items, items, values, yaml_items
from outlay.store.pricefile.items import PriceFileError
from outlay.store.pricefile.read import read_change, read_file
from outlay.store.pricefile.write import write_file

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000
OCTOBER = 1_790_812_800_000_000

YAML = """
version: 1
currency: USD
units: [render_minutes]
rates:
  - provider: openai
    model: gpt
    unit: input
    price: 1.10          # never a float
    tier: flex
    valid_from: 2026-10-01
    valid_to: 2026-10-01T12:30:00+02:00
    layer: contract
    tenant: acme
    min_quantity: 10
    source: order 12
  - {provider: Bedrock, model: titan, unit: web_search, price: "10", per: 1000, batch: true}
  - {provider: own, model: farm, unit: render_minutes, nanos_per_million: 7}
aliases:
  - {provider: azure, name: My-Deployment, model: gpt, region_class: data_zone}
  - {provider: azure, match: '{"starts_with": "team-"}', model: gpt}
sell:
  - {unit: cost, markup: 1.3, plan: pro}
  - {unit: output, price: 20}
  - {unit: calls, credits: 1.5, per: 1, tenant: acme}
  - {unit: cost, credits: 100, feature: chat}
"""

CSV = """kind,provider,model,unit,price,per,tier,valid_from,layer,name,markup,plan
rate,openai,gpt,input,1.10,1000000,flex,2026-10-01,contract,,,

alias,azure,gpt,,,,,,,deploy,,
sell,,,cost,,,,,,,1.3,pro
"""


def rows(text: str, form: str = "yaml") -> tuple[list[RateRow], list[ModelRow], list[SellRow]]:
    file = read_file(text.encode(), form)
    return tuple([p.row for p in some] for some in (file.rates, file.aliases, file.sells))  # type: ignore[return-value]


def refused(text: str | bytes, form: str = "yaml") -> list[tuple[int, str]]:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(PriceFileError) as caught:
        read_file(content, form)
    return [(p.line, p.field) for p in caught.value.problems]


class TestReading:
    def test_every_field_of_a_rate(self) -> None:
        first, second, third = rows(YAML)[0]
        assert first == RateRow.make(
            "openai", "gpt", "input", 1_100_000_000, tier="flex", valid_from=OCTOBER,
            valid_to=OCTOBER + DAY * 21 // 48, layer="contract", tenant="acme", min_quantity=10,
            source="order 12",
        )  # fmt: skip
        assert second == RateRow.make(
            "aws", "titan", "web_search", 10_000_000_000_000, batch=True, layer="override"
        )
        assert (third.unit, third.nanos_per_million) == ("render_minutes", 7)

    def test_an_alias_is_a_clause_on_the_lower_case_name(self) -> None:
        assert [(m.match, m.region_class, m.layer) for m in rows(YAML)[1]] == [
            ('{"equals":"my-deployment"}', "data_zone", "override"),
            ('{"starts_with":"team-"}', "", "override"),
        ]

    def test_what_is_sold_is_exact(self) -> None:
        found = [(s.unit, s.out, s.per_million) for s in rows(YAML)[2]]
        assert found == [
            ("cost", "nanos", 1_300_000),
            ("output", "nanos", 20_000_000_000),
            ("calls", "credits", 1_500_000_000_000),
            ("cost", "credits", 100_000),
        ]

    def test_csv_says_the_same_in_columns(self) -> None:
        rates, aliases, sells = rows(CSV, "csv")
        assert rates[0].nanos_per_million == 1_100_000_000
        assert rates[0].valid_from == OCTOBER
        assert [m.match for m in aliases] == ['{"equals":"deploy"}']
        assert [s.per_million for s in sells] == [1_300_000]

    @pytest.mark.parametrize(
        ("price", "per", "nanos"),
        [
            ("0.000000001", "1000000", 1), ("2e-6", "1", 2_000_000_000), ("0", "1", 0),
            ("12345.678901234", "1000000", 12_345_678_901_234), ("1E+3", "1000000", 10**12),
        ],
    )  # fmt: skip
    def test_a_price_is_an_exact_decimal(self, price: str, per: str, nanos: int) -> None:
        text = f"rates: [{{provider: p, model: m, unit: input, price: {price}, per: {per}}}]"
        assert rows(text)[0][0].nanos_per_million == nanos

    @pytest.mark.parametrize("tier", ["standard", "default", "on_demand", "Flex"])
    def test_tiers_are_normalised_as_they_are_when_calls_are_priced(self, tier: str) -> None:
        text = f"rates: [{{provider: p, model: m, unit: input, price: 1, tier: {tier}}}]"
        assert rows(text)[0][0].tier == ("flex" if tier == "Flex" else "")

    def test_json_keeps_numbers_as_they_are_written(self) -> None:
        document = {"rates": [{"provider": "p", "model": "m", "unit": "input", "price": "0.1"}]}
        file = read_file(document, "json")
        assert file.rates[0].row.nanos_per_million == 100_000_000

    def test_a_mark_of_byte_order_does_no_harm(self) -> None:
        assert rows("\ufeff" + CSV, "csv")[0]

    def test_an_empty_list_is_no_rows(self) -> None:
        assert rows("version: 1\nrates:\nsell: []\n") == ([], [], [])


def rate_text(**change: str | None) -> str:
    said: dict[str, str | None] = {
        "provider": "openai", "model": "gpt", "unit": "input", "price": "1", **change,
    }  # fmt: skip
    pairs = [(name, value) for name, value in said.items() if value is not None]
    lines = [f"    {name}: {value}" for name, value in pairs]
    return "rates:\n  -\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml_items._LOADER])
def test_both_loaders_of_yaml_read_alike(monkeypatch: pytest.MonkeyPatch, loader: Any) -> None:
    monkeypatch.setattr(yaml_items, "_LOADER", loader)
    assert len(rows(YAML)[0]) == 3
    assert rows("version: 1\nrates:\n") == ([], [], [])
    assert refused(YAML.replace("price: 1.10", "price: -1")) == [(9, "price")]
    assert refused("a: &a [x]\nb: *a\n") == [(1, "")]
    assert refused("rates: " + "[" * 10_000)[0][0] == 1


class TestRefusing:
    @pytest.mark.parametrize(
        ("change", "line", "field"),
        [
            ({"unit": "inputs"}, 5, "unit"),
            ({"price": "-1"}, 6, "price"),
            ({"price": "abc"}, 6, "price"),
            ({"price": "$1"}, 6, "price"),
            ({"price": "1,5"}, 6, "price"),
            ({"price": ".nan"}, 6, "price"),
            ({"price": "1e-10"}, 6, "price"),
            ({"price": "1e99"}, 6, "price"),
            ({"price": "[1]"}, 6, ""),
            ({"price": None}, 3, "price"),
            ({"nanos_per_million": "3"}, 6, "price"),
            ({"price": None, "nanos_per_million": "1.5"}, 6, "nanos_per_million"),
            ({"price": None, "nanos_per_million": "1", "per": "1"}, 7, "per"),
            ({"per": "10"}, 7, "per"),
            ({"currency": "EUR"}, 7, "currency"),
            ({"provider": None}, 3, "provider"),
            ({"provider": "''"}, 3, "provider"),
            ({"tier": "batch"}, 7, "tier"),
            ({"tyer": "flex"}, 7, "tyer"),
            ({"batch": "maybe"}, 7, "batch"),
            ({"min_context": "-5"}, 7, "min_context"),
            ({"min_context": "1.5"}, 7, "min_context"),
            ({"min_quantity": "a"}, 7, "min_quantity"),
            ({"window": "9-5"}, 7, "window"),
            ({"layer": "catalogue"}, 7, "layer"),
            ({"tenant": "acme"}, 7, "tenant"),
            ({"tenant": "a b", "layer": "contract"}, 7, "tenant"),
            ({"valid_from": "2026-13-01"}, 7, "valid_from"),
            ({"valid_from": "01.10.2026"}, 7, "valid_from"),
            ({"valid_from": "2026-10-01T10:00:00"}, 7, "valid_from"),
            ({"valid_from": "20261001"}, 7, "valid_from"),
            ({"valid_from": "1969-12-31"}, 7, "valid_from"),
            ({"valid_from": "2026-10-02", "valid_to": "2026-10-01"}, 8, "valid_to"),
            ({"source": "x" * 257}, 7, "source"),
        ],
    )
    def test_a_bad_value_is_refused_with_its_line(
        self, change: dict[str, str | None], line: int, field: str
    ) -> None:
        assert refused(rate_text(**change)) == [(line, field)]

    def test_every_problem_is_told_and_a_near_name_is_suggested(self) -> None:
        text = YAML.replace("unit: input", "unit: inptu").replace("tier: flex", "teir: flex")
        with pytest.raises(PriceFileError) as caught:
            read_file(text.encode(), "yaml")
        assert [(p.line, p.field) for p in caught.value.problems] == [(8, "unit"), (10, "teir")]
        assert "Did you mean `input`?" in caught.value.message
        assert "Did you mean `tier`?" in caught.value.message
        body = caught.value.as_dict()["error"]
        assert (body["code"], body["where"]) == ("bad_prices", "line 8")
        assert body["problems"][0]["line"] == 8

    @pytest.mark.parametrize(
        ("sell", "field"),
        [
            ("{unit: cost, price: 1}", "price"),
            ("{unit: cost, markup: 1, credits: 1}", "markup"),
            ("{unit: cost, markup: 1.0000001}", "markup"),
            ("{unit: cost, markup: 1, per: 1}", "per"),
            ("{unit: cost, credits: 0.0001}", "credits"),
            ("{unit: input, markup: 2}", "markup"),
            ("{unit: input}", "price"),
            ("{unit: call, price: 1}", "unit"),
            ("{unit: calls, credits: 0.0000000000001, per: 1}", "credits"),
        ],
    )
    def test_a_bad_sell_row(self, sell: str, field: str) -> None:
        assert refused(f"sell:\n  - {sell}\n") == [(2, field)]

    @pytest.mark.parametrize(
        "alias",
        [
            "{provider: azure, model: gpt}",
            '{provider: azure, model: gpt, name: a, match: \'{"equals":"a"}\'}',
            '{provider: azure, model: gpt, match: \'{"like":"a"}\'}',
            "{provider: azure, model: gpt, match: nonsense}",
            "{provider: azure, name: a}",
        ],
    )
    def test_a_bad_alias(self, alias: str) -> None:
        assert {line for line, _ in refused(f"aliases:\n  - {alias}\n")} == {2}

    def test_rates_that_overlap_name_both_lines(self) -> None:
        text = (
            "rates:\n"
            "  - {provider: p, model: m, unit: input, price: 1, valid_to: 2026-10-02}\n"
            "  - {provider: p, model: m, unit: input, price: 2, valid_from: 2026-10-02}\n"
            "  - {provider: p, model: m, unit: input, price: 3, valid_from: 2026-10-01}\n"
        )
        with pytest.raises(PriceFileError) as caught:
            read_file(text.encode(), "yaml")
        assert [p.line for p in caught.value.problems] == [4, 4]
        assert "the one at line 2" in caught.value.message
        assert "the one at line 3" in caught.value.message

    def test_the_same_alias_twice(self) -> None:
        alias = "  - {provider: p, name: A, model: m}\n"
        assert refused(f"aliases:\n{alias}{alias.replace('A', 'a')}") == [(3, "name")]

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", 1),
            ("- a\n", 1),
            ("rates: 5\n", 1),
            ("version: 2\n", 1),
            ("currency: EUR\n", 1),
            ("rates: []\nrates: []\n", 2),
            ("rtaes: []\n", 1),
            ("rates:\n  - a\n", 2),
            ("rates:\n  - {provider: p, provider: q}\n", 2),
            ("rates: &a []\nsell: *a\n", 1),
            ("rates: !!python/object:os.system []\n", 1),
            ("rates:\n  - !!binary aGk=\n", 2),
            ("rates: [[[[[[1]]]]]]\n", 1),
            ("rates:\n  - {provider: {a: b}}\n", 2),
            ("rates:\n  - {provider: p\n", 3),
            ("version: 1\n---\nversion: 1\n", 2),
            ("units: [{unit: a}]\n", 1),
            ("? [a, b]\n: c\n", 1),
        ],
    )
    def test_what_is_no_price_file_is_refused_with_a_line(self, text: str, line: int) -> None:
        assert refused(text)[0][0] == line

    def test_a_bomb_of_aliases_costs_nothing(self) -> None:
        names = "abcdefghij"
        lines = [f"{names[0]}: &{names[0]} [x, x, x, x, x, x, x, x, x]"]
        lines += [
            f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]"
            for a, b in itertools.pairwise(names)
        ]
        assert refused("\n".join(lines))[0][0] == 1

    def test_deep_nesting_is_refused_without_recursion(self) -> None:
        assert refused("rates: " + "[" * 100_000)[0][0] == 1

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", 1),
            ("kind;provider\n", 1),
            ("kind,kind\n", 1),
            ("kind,modl\n", 1),
            ("kind,model\nrate,a,b\n", 2),
            ("kind,model\nrates,a\n", 2),
            ('kind,model\nrate,"a\n', 2),
            ("kind,name\nrate,a\n", 2),
        ],
    )
    def test_what_is_no_csv_price_file(self, text: str, line: int) -> None:
        assert refused(text, "csv")[0][0] == line

    def test_a_csv_line_is_that_of_the_row_not_of_its_last_line(self) -> None:
        text = CSV.replace("rate,openai,gpt,input,1.10", 'rate,openai,"g\npt",input,1.10')
        assert refused(text, "csv") == [(2, "model")]
        later = CSV.replace("markup", "nothing").replace("nothing", "markup").replace("1.3", "x")
        assert refused(later, "csv") == [(5, "markup")]

    def test_bytes_that_are_no_utf_8(self) -> None:
        assert refused(b"version: 1\n\xff\n") == [(2, "")]

    def test_the_size_of_a_file_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(items, "MAX_FILE_BYTES", len(YAML.encode()))
        assert rows(YAML)
        assert refused(YAML + " ")[0][0] == 1

    @pytest.mark.parametrize("form", ["yaml", "csv"])
    def test_the_number_of_items_is_bounded(
        self, monkeypatch: pytest.MonkeyPatch, form: str
    ) -> None:
        text = YAML if form == "yaml" else CSV
        count = 10 if form == "yaml" else 3
        for module in (csv_items, yaml_items):
            monkeypatch.setattr(module, "MAX_ITEMS", count)
        assert rows(text, form)
        for module in (csv_items, yaml_items):
            monkeypatch.setattr(module, "MAX_ITEMS", count - 1)
        assert refused(text, form)

    def test_problems_are_counted_but_not_all_listed(self) -> None:
        bad = "  - {provider: p, model: m, unit: nope, price: 1}\n"
        text = "rates:\n" + bad * (items.MAX_PROBLEMS + 5)
        with pytest.raises(PriceFileError) as caught:
            read_file(text.encode(), "yaml")
        assert len(caught.value.problems) == items.MAX_PROBLEMS
        assert f"{items.MAX_PROBLEMS + 5} problems" in caught.value.message

    def test_json_names_the_item_instead_of_a_line(self) -> None:
        with pytest.raises(PriceFileError) as caught:
            read_file({"rates": [{"provider": "p", "modle": "m", "unit": "x"}]}, "json")
        assert {p.place for p in caught.value.problems} == {"rates[0]"}
        assert caught.value.problems[0].as_dict()["item"] == "rates[0]"


BOOK = PriceBook(
    rates=(
        RateRow.make("openai", "gpt", "input", 1_000_000_000),
        RateRow.make("openai", "gpt", "input", 500_000_000, tier="flex"),
        RateRow.make("openai", "o1", "input", 3_000_000_000),
        RateRow.make("openai", "tiny", "output", 0),
    ),
    models=(
        ModelRow("openai", "gpt", '{"starts_with":"gpt-20"}'),
        ModelRow("azure", "gpt", '{"equals":"one"}', layer="override"),
        ModelRow("azure", "gpt", '{"equals":"two"}', layer="override"),
        ModelRow("azure", "o1", '{"equals":"three"}', layer="override"),
    ),
    sells=(SellRow.make("output", "nanos", 10_000_000_000),),
)


def change(text: str, **values: Any) -> Any:
    return read_change(text.encode(), "yaml", BOOK, at=NOW, **values)


def rate_of(model: str, unit: str, nanos: int) -> str:
    return (
        f"rates: [{{provider: openai, model: {model}, unit: {unit}, nanos_per_million: {nanos}}}]\n"
    )


class TestAbsurd:
    @pytest.mark.parametrize(
        ("model", "unit", "nanos"),
        [
            ("gpt", "input", 999_999_999_999),
            ("gpt", "input", 1_000_001),
            ("new", "input", 999_999_999_999),
            ("new", "output", 10**15),
            ("tiny", "output", 5),
            ("new", "input", 0),
        ],
    )
    def test_a_price_within_a_thousand_times_of_a_neighbour_is_taken(
        self, model: str, unit: str, nanos: int
    ) -> None:
        assert change(rate_of(model, unit, nanos)).rates

    @pytest.mark.parametrize(
        ("model", "nanos"),
        [
            ("gpt", 10**12), ("gpt", 1_000_000), ("gpt", 0), ("gpt-2026", 10**12),
            ("new", 2 * 10**12), ("new", 1_000_000),
        ],
    )  # fmt: skip
    def test_p41_one_a_thousand_times_off_needs_force(self, model: str, nanos: int) -> None:
        text = rate_of(model, "input", nanos)
        with pytest.raises(PriceFileError, match="1000 times") as caught:
            change(text)
        assert [(p.line, p.field) for p in caught.value.problems] == [(1, "price")]
        assert change(text, force=True).rates

    @pytest.mark.parametrize(
        ("sell", "good"),
        [
            ("{unit: cost, markup: 999}", True),
            ("{unit: cost, markup: 1300}", False),
            ("{unit: output, price: 9999}", True),
            ("{unit: output, price: 10000}", False),
            ("{unit: calls, price: 100, per: 1}", True),
        ],
    )
    def test_sell_rows_likewise(self, sell: str, good: bool) -> None:
        text = f"sell: [{sell}]"
        if good:
            assert change(text).sells
        else:
            with pytest.raises(PriceFileError):
                change(text)

    def test_an_alias_of_what_nothing_prices(self) -> None:
        text = "aliases:\n  - {provider: openai, name: a, model: gqt}\n"
        with pytest.raises(PriceFileError, match="Did you mean `gpt`") as caught:
            change(text)
        assert [(p.line, p.field) for p in caught.value.problems] == [(2, "model")]
        priced = "rates: [{provider: openai, model: gqt, unit: input, price: 1}]\n" + text
        assert change(priced).models


class TestAliases:
    def test_a_new_one_leaves_the_others_of_its_model(self) -> None:
        found = change("aliases: [{provider: azure, name: four, model: gpt}]")
        assert sorted(m.match for m in found.models) == [
            '{"equals":"four"}', '{"equals":"one"}', '{"equals":"two"}',
        ]  # fmt: skip
        assert found.withdrawn == ()

    def test_one_that_moves_leaves_its_old_model(self) -> None:
        found = change("aliases: [{provider: azure, name: three, model: gpt}]")
        assert found.withdrawn == (model_id(BOOK.models[3]),)
        assert len(found.models) == 3


class TestWriting:
    @pytest.mark.parametrize("form", ["yaml", "csv"])
    def test_what_is_written_reads_back_the_same(self, form: str) -> None:
        before = rows(YAML)
        again = rows(write_file(*before, form=form), form)
        assert again == before

    def test_a_file_reads_well(self) -> None:
        text = write_file(*rows(YAML), form="yaml")
        assert "currency: USD" in text
        assert '- provider: "openai"\n    model: "gpt"\n    unit: "input"\n    price: 1.1\n' in text
        assert "price: 10\n    per: 1000\n" in text
        assert 'valid_from: "2026-10-01"' in text


NAMES = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=9
)
TIMES = st.one_of(st.none(), st.integers(0, values.MAX_TIME // DAY).map(lambda day: day * DAY),
                  st.integers(0, values.MAX_TIME))  # fmt: skip


@st.composite
def rate_rows(draw: st.DrawFn) -> RateRow:
    start, end = draw(TIMES), draw(TIMES)
    if start is not None and end is not None and start >= end:
        end = None
    contract = draw(st.booleans())
    return RateRow.make(
        draw(st.sampled_from(["openai", "own"])), draw(NAMES),
        draw(st.sampled_from(["input", "web_search", "own_unit"])),
        draw(st.integers(0, values.MAX_WHOLE)), tier=draw(st.sampled_from(["", "flex"])),
        batch=draw(st.booleans()), min_context=draw(st.integers(0, 10**9)),
        min_quantity=draw(st.integers(0, 100)), valid_from=start, valid_to=end,
        layer="contract" if contract else "override",
        tenant=draw(st.sampled_from(["", "acme"])) if contract else "", source=draw(NAMES),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(rate_rows(), st.sampled_from(["yaml", "csv"]))
def test_any_rate_survives_a_round_trip(row: RateRow, form: str) -> None:
    assert rows(write_file([row], [], [], form=form), form)[0] == [row]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["cost", "calls", "output", "own_unit"]),
    st.sampled_from(["nanos", "credits"]),
    st.integers(0, values.MAX_WHOLE),
    st.sampled_from(["yaml", "csv"]),
)
def test_any_sell_row_survives_a_round_trip(unit: str, out: Any, amount: int, form: str) -> None:
    row = SellRow.make(unit, out, amount, plan="pro")
    assert rows(write_file([], [], [row], form=form), form)[2] == [row]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["yaml", "csv"]))
def test_no_bytes_raise_anything_but_a_refusal(content: bytes, form: str) -> None:
    with contextlib.suppress(PriceFileError):
        read_file(content, form)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "'=1", "''+1", "'x", "x=1"])
def test_a_spreadsheet_never_runs_a_cell_of_an_export(text: str) -> None:
    row = RateRow.make("p", "m", "input", 5, layer="override", source=text)
    written = write_file([row], [], [], form="csv")
    cells = [cell for line in csv.reader(io.StringIO(written)) for cell in line]
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@"}]
    assert rows(written, "csv")[0] == [row]


def test_an_alias_that_is_withdrawn_does_not_stay_with_others_of_its_model() -> None:
    kept, gone = (
        ModelRow("openai", "gpt", f'{{"equals":"{name}"}}', layer="override")
        for name in ("kept", "gone")
    )
    book = PriceBook((kept, gone), (RateRow.make("openai", "gpt", "input", 1),))
    new = {"aliases": [{"provider": "openai", "name": "new", "model": "gpt"}]}
    change = read_change(new, "json", book, at=NOW, withdrawn=(model_id(gone),))
    assert {row.match for row in change.models} == {'{"equals":"new"}', kept.match}
    assert change.withdrawn == (model_id(gone),)
