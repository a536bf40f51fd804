"""`outlay credits` and `outlay verify` on the command line, against a server that really runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.cli.client import ServerError
from outlay.cli.credit import credits_text
from outlay.errors import BadRequestError
from tests.unit.cli.limit_commands import Commands


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (None, "-"), (0, "0.00"), (1, "0.000001"), (1_500_000, "1.50"), (-3_250_000, "-3.25"),
        (1_234_567_890_000, "1,234,567.89"), (10**18, "1,000,000,000,000.00"),
        (10**18 + 1, "1,000,000,000,000.000001"), (-1, "-0.000001"),
    ],
)  # fmt: skip
def test_credits_are_written_exactly(micros: int | None, text: str) -> None:
    assert credits_text(micros) == text


class TestGranting:
    def test_the_first_grant_opens_an_account(self, run: Commands) -> None:
        assert "No tenant has credits yet" in run("credits", "balance")
        assert "acme 100.00 0.00 100.00 0.00 0.00" in run(
            "credits", "grant", "acme", "100", "--reason", "order 1"
        )
        run("credits", "grant", "acme", "1.5", "--promotional", "--expires", "2099-01-01",
            "--reason", "gift")  # fmt: skip
        text = run("credits", "balance", "acme", "--grants")
        assert "acme 101.50 0.00 101.50 0.00 0.00" in text
        assert "acme/g2 1.50 1.50 promotional 100" in text
        assert "2099-01-01 00:00:00 gift" in text

    def test_the_same_key_grants_once(self, run: Commands) -> None:
        args = ("credits", "grant", "once", "5", "--reason", "r", "--idempotency-key", "k1")
        assert run.json(*args) == run.json(*args)
        with pytest.raises(ServerError, match="used for something else"):
            run("credits", "grant", "once", "6", "--reason", "r", "--idempotency-key", "k1")
        assert "once 5.00 0.00 5.00" in run("credits", "balance", "once")

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("0.0000001",), "at most 6 places"),
            (("0",), "nothing would change"),
            (("1_000",), "number of credits"),
            (("1e3",), "number of credits"),
            (("1e999999",), "number of credits"),
            (("nan",), "number of credits"),
            (("10", "--expires", "2020-01-01"), "future"),
            (("10", "--rollover", "0.5"), "never expires"),
            (("10", "--rollover", "nan", "--expires", "2099-01-01"), "from 0 to 1"),
            (("10", "--rollover", "1.5", "--expires", "2099-01-01"), "from 0 to 1"),
        ],
    )
    def test_what_is_wrong_is_said(self, run: Commands, words: tuple[str, ...], says: str) -> None:
        with pytest.raises(ServerError, match=says):
            run("credits", "grant", "bad", *words, "--reason", "r")

    def test_a_reason_is_asked_for(self, run: Commands) -> None:
        run("credits", "grant", "bad", "5", code=2)


class TestMoving:
    def test_down_up_back_and_to_another(self, run: Commands) -> None:
        run("credits", "grant", "moved", "100", "--reason", "r")
        run("credits", "account", "taker", "--reason", "r")
        assert "moved 96.50" in run("credits", "adjust", "moved", "--reason", "r", "--", "-3.5")
        assert "moved 97.50" in run("credits", "refund", "moved", "1", "--reason", "r")
        text = run("credits", "transfer", "moved", "taker", "5", "--reason", "r")
        assert "moved 92.50" in text
        assert "taker 5.00" in text
        told = run("credits", "history", "moved")
        for row in ("transfer -5.00 92.50", "refund 1.00 97.50", "adjustment -3.50 96.50"):
            assert row in told

    def test_no_more_than_there_is(self, run: Commands) -> None:
        run("credits", "grant", "poor", "5", "--reason", "r")
        with pytest.raises(ServerError, match="has 5 credits available"):
            run("credits", "adjust", "poor", "--reason", "r", "--", "-6")
        with pytest.raises(ServerError, match="has no credits"):
            run("credits", "transfer", "poor", "nobody", "1", "--reason", "r")

    def test_history_comes_in_pages(self, run: Commands) -> None:
        for _ in range(3):
            run("credits", "grant", "paged", "1", "--reason", "r")
        first = run.json("credits", "history", "paged", "--count", "2")
        assert f"--before {first['next']}" in run("credits", "history", "paged", "--count", "2")
        rest = run.json("credits", "history", "paged", "--before", str(first["next"]))
        assert [row["version"] for row in first["entries"] + rest["entries"]] == [3, 2, 1]


class TestAccount:
    def test_what_is_not_said_stays(self, run: Commands) -> None:
        run("credits", "account", "kept", "--overdraft", "5", "--no-enforce", "--reason", "r")
        answer = run.json("credits", "account", "kept", "--top-up-below", "3", "--top-up-amount",
                          "10", "--top-up-url", "https://x.example/", "--reason", "r")  # fmt: skip
        left = answer["balance"]
        assert (left["floor"], left["enforce"]) == (-5_000_000, False)
        assert (left["top_up_below"], left["top_up_amount"]) == (3_000_000, 10_000_000)
        run("credits", "account", "kept", "--enforce", "--overdraft", "0.000001", "--reason", "r")
        after = run.json("credits", "balance", "kept")["balance"]
        assert after == {**left, "enforce": True, "floor": -1, "available": 1}

    def test_a_top_up_can_be_switched_off(self, run: Commands) -> None:
        run("credits", "account", "off", "--top-up-below", "3", "--top-up-url",
            "https://x.example/", "--reason", "r")  # fmt: skip
        left = run.json("credits", "account", "off", "--no-top-up", "--reason", "r")["balance"]
        assert (left["top_up_below"], left["top_up_url"]) == (None, "")

    def test_an_overdraft_is_no_debt(self, run: Commands) -> None:
        with pytest.raises(ServerError, match="`overdraft`"):
            run("credits", "account", "minus", "--overdraft", "-5", "--reason", "r")


@pytest.mark.parametrize("tenant", ["a?b", "nobody", "ä", "a%2Fb"])
def test_a_tenant_without_an_account_is_said_to_have_none(run: Commands, tenant: str) -> None:
    for command in ("balance", "history"):
        with pytest.raises(ServerError, match="no credit account"):
            run("credits", command, tenant)


@pytest.mark.parametrize("tenant", ["", "a/b", "..", "."])
def test_what_no_tenant_is_called_is_not_asked_for(run: Commands, tenant: str) -> None:
    for command in ("balance", "history"):
        with pytest.raises(BadRequestError, match="is no id"):
            run("credits", command, tenant)


class TestVerify:
    def test_books_that_balance(self, run: Commands) -> None:
        assert "The books balance" in run("verify")
        assert run.json("verify") == {"ok": True, "holds": [], "credits": []}
        assert "The books balance" in run("verify", "--books", str(run.folder / "books.db"))

    @pytest.mark.parametrize("prefix", ["", "sqlite:///"])
    def test_books_that_are_not_there_are_not_proved_and_not_made(
        self, run: Commands, tmp_path: Path, prefix: str
    ) -> None:
        missing = tmp_path / "books.db"
        with pytest.raises(BadRequestError, match="no books"):
            run("verify", "--books", f"{prefix}{missing}")
        assert not missing.exists()
