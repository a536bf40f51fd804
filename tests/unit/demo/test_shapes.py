from __future__ import annotations

import csv
from pathlib import Path

import pytest

from outlay.demo import shapes

TRACES = Path(__file__).resolve().parents[4] / "shared" / "data" / "llm-traces"


@pytest.mark.parametrize(
    "table", [*shapes.CONTEXT_TOKENS.values(), *shapes.GENERATED_TOKENS.values(), shapes.GAP]
)
def test_a_table_grows_and_has_a_value_for_each_quantile(table: shapes.Table) -> None:
    assert len(table) == len(shapes.AT)
    assert list(table) == sorted(table)


def test_a_quantile_lies_linearly_between_those_kept() -> None:
    assert shapes.context_tokens("code", 0.5) == 1469
    assert shapes.context_tokens("code", 0.55) == 1689
    assert shapes.generated_tokens("conversation", 0.0) == 7
    assert shapes.generated_tokens("conversation", 1.0) == 954


def test_arrivals_come_at_the_rate_on_average() -> None:
    draws = 10_000
    mean = sum(shapes.gap_s(2.0, (n + 0.5) / draws) for n in range(draws)) / draws
    assert mean == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("service", ["code", "conversation"])
def test_the_tables_are_those_of_the_trace(service: str) -> None:
    path = TRACES / f"azure-2023-{service}.csv"
    if not path.exists():
        pytest.skip(f"the trace {path.name} is not here")
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    for column, tables in (
        ("ContextTokens", shapes.CONTEXT_TOKENS),
        ("GeneratedTokens", shapes.GENERATED_TOKENS),
    ):
        values = sorted(int(row[column]) for row in rows)
        for at, kept in zip((*shapes.AT[:-1], 0.999), tables[service], strict=True):
            assert kept == values[round(at * (len(values) - 1))]
