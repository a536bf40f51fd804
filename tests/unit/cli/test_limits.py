"""`outlay limits` on the command line, against a server that really runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.cli.client import ServerError
from outlay.errors import BadRequestError, NotFoundError
from tests.unit.cli.limit_commands import Commands, until

FILE = """
limits:
  - id: file-month
    scope: {tenant: each}
    window: month
    amount: "500.00"
    thresholds:
      - {at: 80%, action: warn}
      - {at: 100%, action: block}
entitlements:
  - {plan: free, agents: [summarizer]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "limits.yaml"
    made.write_text(FILE)
    return made


class TestApply:
    def test_a_dry_run_writes_nothing_and_the_same_file_again_changes_nothing(
        self, run: Commands, file: Path
    ) -> None:
        args = ("limits", "apply", str(file), "--reason", "start")
        assert "1 would be added" in run(*args, "--dry-run")
        assert "file-month" not in run("limits", "list")
        assert "1 added, 0 changed, 0 removed; 1 plan changed." in run(*args)
        assert "nothing changes" in run(*args)
        listed = run("limits", "list")
        assert "file-month tenant each cost month $500.00 80% warn, 100% block enforce" in listed
        assert "plan free: agents: summarizer" in listed

    def test_what_export_writes_apply_takes(self, run: Commands, tmp_path: Path) -> None:
        out = tmp_path / "limits.json"
        run("limits", "export", "--out", str(out))
        assert "nothing changes" in run("limits", "apply", str(out), "--reason", "again")

    def test_a_file_of_another_kind_is_refused_before_anything_is_asked(
        self, run: Commands, tmp_path: Path
    ) -> None:
        file = tmp_path / "limits.txt"
        file.write_text(FILE)
        with pytest.raises(BadRequestError, match="by its name"):
            run("limits", "apply", str(file), "--reason", "r")


class TestSet:
    def test_a_new_one_by_its_options(self, run: Commands) -> None:
        text = run(
            "limits", "set", "acme-day", "20", "--scope", "tenant=acme", "--window", "day",
            "--at", "80%=warn", "--at", "100%=block", "--name", "Acme's day", "--reason", "r",
        )  # fmt: skip
        assert "+ acme-day tenant acme cost day $20.00 80% warn, 100% block enforce" in text

    def test_what_is_not_said_of_one_that_is_there_stays(self, run: Commands) -> None:
        run("limits", "set", "stays", "20", "--scope", "tenant=acme", "--scope", "feature=each",
            "--window", "day", "--zone", "Europe/Berlin", "--at", "80%=warn", "--mode", "shadow",
            "--reason", "r")  # fmt: skip
        before = run.json("limits", "show", "stays")["limit"]
        run("limits", "set", "stays", "25", "--reason", "more")
        after = run.json("limits", "show", "stays")["limit"]
        assert after == {**before, "amount": "25.00"}
        run("limits", "set", "stays", "25", "--mode", "enforce", "--reason", "for real")
        assert run.json("limits", "show", "stays")["limit"] == {**after, "mode": "enforce"}

    def test_another_window_drops_what_only_the_old_one_had(self, run: Commands) -> None:
        run("limits", "set", "turns", "20", "--window", "month", "--anchor-day", "15", "--reason",
            "r")  # fmt: skip
        run("limits", "set", "turns", "20", "--window", "rolling 24h", "--reason", "r")
        said = run.json("limits", "show", "turns")["limit"]
        assert said["window"] == "rolling 1d"
        assert "anchor_day" not in said

    def test_each_of_some_values(self, run: Commands) -> None:
        text = run("limits", "set", "some", "5", "--scope", "agent=each:research,web", "--reason",
                   "r", "--dry-run")  # fmt: skip
        assert "agent each of research or web" in text

    def test_counts_and_rates(self, run: Commands) -> None:
        text = run("limits", "set", "rate", "1500000", "--metric", "tokens", "--window", "rate 1m",
                   "--burst", "3000000", "--scope", "tenant=each", "--reason", "r")  # fmt: skip
        assert "rate tenant each tokens rate 1m 1,500,000" in text
        assert run.json("limits", "show", "rate")["limit"]["burst"] == 3_000_000
        at_once = run("limits", "set", "at-once", "5", "--metric", "concurrent_calls", "--reason",
                      "r")  # fmt: skip
        assert "at-once all concurrent_calls - 5" in at_once

    @pytest.mark.parametrize(
        ("words", "where"),
        [
            (("--scope", "tenant"), "--scope"),
            (("--at", "80%"), "--at"),
        ],
    )
    def test_a_malformed_option_is_refused_before_anything_is_asked(
        self, run: Commands, words: tuple[str, ...], where: str
    ) -> None:
        with pytest.raises(BadRequestError) as caught:
            run("limits", "set", "bad", "5", "--reason", "r", *words)
        assert caught.value.where == where

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("bad", "1.5M", "--metric", "tokens"), "not a whole number"),
            (("bad", "$5"), "not an amount of dollars"),
            (("bad", "0"), "not above zero"),
            (("bad", "5", "--scope", "tenan=acme"), "Did you mean `tenant`"),
            (("bad", "5", "--window", "fortnight"), "not known"),
            (("bad", "5", "--zone", "Europe/Berln"), "no time zone"),
            (("state", "5"), "word of the API"),
        ],
    )
    def test_what_is_wrong_is_said(self, run: Commands, words: tuple[str, ...], says: str) -> None:
        with pytest.raises(ServerError, match=says):
            run("limits", "set", *words, "--reason", "r")

    def test_a_reason_is_asked_for(self, run: Commands) -> None:
        run("limits", "set", "bad", "5", code=2)


class TestLooking:
    @pytest.mark.parametrize("name", ["state", "policy", "check", "nothere", "a/b", "Ä", "a?b"])
    def test_no_such_limit(self, run: Commands, name: str) -> None:
        for command in ("show", "history"):
            with pytest.raises((ServerError, NotFoundError, BadRequestError)):
                run("limits", command, name)

    def test_what_was_used_is_shown_in_its_unit(self, run: Commands) -> None:
        run("limits", "set", "look-cost", "100", "--scope", "tenant=looked", "--window", "day",
            "--at", "1%=warn", "--at", "100%=block", "--reason", "r")  # fmt: skip
        run("limits", "set", "look-tokens", "2000000", "--metric", "tokens", "--window", "day",
            "--scope", "tenant=looked", "--at", "10%=warn", "--at", "100%=block", "--reason",
            "r")  # fmt: skip
        run.send(tenant_id="looked")
        until(lambda: len(run.json("limits", "notices")["notices"]) >= 2)
        state = run("limits", "state", "--tenant", "looked")
        assert "look-tokens all 1,000,000 0 2,000,000 1,000,000 50.0% warn" in state
        assert "look-cost all $1.25 $0.00 $100.00 $98.75 1.2% warn" in state
        told = run("limits", "notices", "--limit", "look-tokens")
        assert "crossed warn enforce 1,000,000 2,000,000" in told
        assert "$1.25 $100.00" in run("limits", "notices", "--limit", "look-cost")
        assert "$1.25" in run("limits", "show", "look-cost")

    def test_estimates(self, run: Commands) -> None:
        run.send(tenant_id="guessed", hold_id="h", estimate_nanos=1_000_000_000)
        text = run("limits", "estimates", "--tenant", "guessed")
        assert "gpt-5 1 $1.00 $1.25 1.25 100.0%" in text


class TestCheck:
    def test_those_in_force(self, run: Commands) -> None:
        run("limits", "set", "small", "1", "--scope", "tenant=tried", "--reason", "r")
        run.send(tenant_id="tried")
        text = run("limits", "check", "--limit", "small")
        assert "small all 1 1 $1.25" in text
        assert "1 call looked at; 1 would be refused ($1.25)." in text

    def test_a_file_as_it_is_though_all_of_it_is_in_force(
        self, run: Commands, tmp_path: Path
    ) -> None:
        file = tmp_path / "try.yaml"
        file.write_text(
            "limits: [{id: tried-run, scope: {tenant: each}, window: day, amount: '0.50'}]"
        )
        run.send(tenant_id="tried-by-file")
        run("limits", "apply", str(file), "--reason", "r")
        assert "tried-run tenant tried-by-file 1 1 $1.25" in run("limits", "check", str(file))
        run("limits", "remove", "tried-run", "--reason", "r")
        assert "tried-run tenant tried-by-file 1 1 $1.25" in run("limits", "check", str(file))

    def test_a_file_and_an_id_are_too_much(self, run: Commands, file: Path) -> None:
        with pytest.raises(BadRequestError) as caught:
            run("limits", "check", str(file), "--limit", "x")
        assert caught.value.where == "--limit"


class TestRaise:
    def test_raise_and_revoke(self, run: Commands) -> None:
        run("limits", "set", "raised", "20", "--scope", "tenant=each", "--window", "week",
            "--reason", "r")  # fmt: skip
        text = run("limits", "raise", "raised", "50", "--until", "2099-01-01", "--scope",
                   "tenant=acme", "--reason", "big day")  # fmt: skip
        assert "raised for tenant acme is $50.00 until 2099-01-01 00:00:00 UTC" in text
        shown = run.json("limits", "show", "raised")["overrides"]
        assert [one["amount"] for one in shown] == [50 * 10**9]
        override = shown[0]["override_id"]
        run("limits", "revoke", "raised", override, "--reason", "over")
        assert run.json("limits", "show", "raised")["overrides"] == []
        told = run("limits", "history", "raised")
        assert "tenant each: $20.00 week, 100% block" in told
        assert override in told

    def test_a_time_that_is_none_or_past_is_refused(self, run: Commands) -> None:
        run("limits", "set", "timed", "20", "--scope", "user=each", "--reason", "r")
        with pytest.raises(BadRequestError) as caught:
            run("limits", "raise", "timed", "50", "--until", "tomorrow", "--reason", "r")
        assert caught.value.where == "--until"
        with pytest.raises(ServerError, match="future"):
            run("limits", "raise", "timed", "50", "--until", "2020-01-01", "--reason", "r")


def test_remove_keeps_the_history(run: Commands) -> None:
    run("limits", "set", "gone", "20", "--scope", "workflow=each", "--reason", "r")
    assert "is removed" in run("limits", "remove", "gone", "--reason", "r")
    assert "removed" in run("limits", "history", "gone")
    with pytest.raises(ServerError, match="gone"):
        run("limits", "remove", "gone", "--reason", "r")
