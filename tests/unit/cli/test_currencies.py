"""`outlay currencies` on the command line, against a server that really runs."""

from __future__ import annotations

import pytest

from outlay.cli.client import ServerError
from outlay.errors import BadRequestError
from tests.unit.cli.limit_commands import Commands


def test_rates_are_set_and_listed_exactly(run: Commands) -> None:
    assert "outlay currencies set" in run("currencies", "list")
    told = run(
        "currencies", "set", "EUR", "0.914200001", "--reason", "monthly", "--source", "ECB",
        "--from", "2026-01-01",
    )  # fmt: skip
    assert "One dollar is 0.914200001 EUR from 2026-01-01 00:00:00 UTC on." in told
    run("currencies", "set", "JPY", "157", "--reason", "monthly", "--from", "2026-02-01")
    listed = run("currencies", "list")
    assert "JPY 157 2026-02-01 00:00:00" in listed
    assert listed.index("JPY") < listed.index("EUR 0.914200001 2026-01-01 00:00:00 ECB")
    rates = run.json("currencies", "list")["rates"]
    assert [rate["per_usd_ppb"] for rate in rates] == [157 * 10**9, 914_200_001]
    run("currencies", "set", "EUR", "0.5", "--reason", "typo", "--from", "2026-01-01")
    assert len(run.json("currencies", "list")["rates"]) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("eur", "0.9"), "three capital letters"),
        (("USD", "1"), "has none"),
        (("EUR", "nine"), "9 digits"),
        (("EUR", "0"), "above 0"),
    ],
)
def test_what_is_wrong_is_said(run: Commands, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(ServerError, match=says):
        run("currencies", "set", *words, "--reason", "r")


def test_a_time_that_is_none_is_the_command_lines_fault(run: Commands) -> None:
    with pytest.raises(BadRequestError) as caught:
        run("currencies", "set", "EUR", "1", "--reason", "r", "--from", "soon")
    assert caught.value.where == "--from"
