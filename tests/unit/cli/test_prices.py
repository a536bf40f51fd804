"""`outlay prices` on the command line, against a server that really runs."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from outlay.cli import price_edit, prices, render
from outlay.cli.client import ServerError
from outlay.config import Settings
from outlay.core.ids import uuid7
from outlay.errors import BadRequestError, OutlayError
from outlay.wiring import start_in_thread

VISIBLE_S = 20.0

APP = typer.Typer(pretty_exceptions_enable=False)
for module in (prices, price_edit):
    module.register(APP)

FILE = """
rates:
  - {provider: openai, model: house, unit: input, price: 2, source: order 12}
  - {provider: openai, model: house, unit: output, price: 8, tier: flex, min_context: 1000}
aliases:
  - {provider: openai, name: house-alias, model: house}
sell:
  - {unit: cost, markup: 1.25, plan: pro}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("served")
    settings = Settings(data=str(folder), port=0, duckdb_memory_mb=256)
    with start_in_thread(settings, log_to=io.StringIO()) as running:
        yield running


@pytest.fixture
def outlay(served: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command; return what it printed, or raise what it refused with."""
    monkeypatch.setenv("OUTLAY_ENDPOINT", served.url)
    monkeypatch.setenv("OUTLAY_KEY", served.first_key)

    def run(*args: str) -> str:
        out = io.StringIO()
        monkeypatch.setattr(render, "console", Console(file=out, width=250))
        monkeypatch.setattr(render, "errors", Console(file=out, width=250))
        done = CliRunner().invoke(APP, ["prices", *args])
        if isinstance(done.exception, OutlayError):
            done.exception.printed = out.getvalue()  # type: ignore[attr-defined]
            raise done.exception
        assert done.exit_code == 0, (done.output, done.exception)
        return out.getvalue() + done.output

    return run


@pytest.fixture
def answer(outlay: Callable[..., str]) -> Callable[..., Any]:
    """Run a command with `--json` and return the document it printed."""
    return lambda *args: json.loads(outlay(*args, "--json"))


def flat(text: str) -> str:
    return re.sub(r"[\s│┃]+", " ", text)


class TestLooking:
    def test_list_shows_dollars_a_million(self, outlay: Callable[..., str]) -> None:
        text = flat(outlay("list", "--provider", "anthropic", "--model", "claude-sonnet-4-5"))
        assert "anthropic claude-sonnet-4-5 input $3.00" in text

    def test_show_tells_the_rule_and_the_winner(self, outlay: Callable[..., str]) -> None:
        text = flat(outlay("show", "vertex", "claude-sonnet-4-5@20250929"))
        assert "is google claude-sonnet-4-5 (by " in text
        assert "correction yes" in text

    def test_at_another_time_other_prices_held(self, answer: Callable[..., Any]) -> None:
        def sol(day: str) -> list[int]:
            rates = answer("at", day, "openai", "gpt-5.6-sol")["rates"]
            return [
                r["nanos_per_million"]
                for r in rates
                if (r["unit"], r["tier"], r["min_context"], r["batch"]) == ("input", "", 0, False)
            ]

        assert sol("2026-08-01") == [5 * 10**9]
        assert sol("2026-09-01T00:00:00Z") == [4 * 10**9]

    def test_what_nothing_prices_is_said_to_be_unpriced(self, outlay: Callable[..., str]) -> None:
        assert "unpriced" in outlay("show", "openai", "gpt-none")

    def test_a_bad_time_is_refused_before_anything_is_asked(
        self, outlay: Callable[..., str]
    ) -> None:
        with pytest.raises(BadRequestError) as caught:
            outlay("list", "--at", "yesterday")
        assert caught.value.where == "--at"


class TestSetting:
    def test_a_file_a_dry_run_and_the_same_again(
        self, outlay: Callable[..., str], answer: Callable[..., Any], tmp_path: Path
    ) -> None:
        file = tmp_path / "prices.yaml"
        file.write_text(FILE)
        args = ("set", str(file), "--reason", "order 12")
        assert "4 rows would be recorded" in outlay(*args, "--dry-run")
        text = flat(outlay(*args))
        assert "4 rows recorded, 0 superseded." in text
        assert "+ openai house output $8.00 flex, from 1,000 tokens in" in text
        assert "1.25 times our cost plan pro" in text
        assert "nothing changes" in outlay(*args)
        found = answer("show", "openai", "house-alias")
        assert found["resolution"]["model"] == "house"

    def test_one_rate_by_options_splits_what_was_there(
        self, outlay: Callable[..., str], answer: Callable[..., Any]
    ) -> None:
        one = ("set", "--provider", "openai", "--model", "split", "--unit", "input")
        outlay(*one, "--price", "2", "--reason", "first")
        text = flat(
            outlay(*one, "--price", "3", "--from", "2026-10-01", "--to", "2026-11-01",
                   "--source", "mail", "--reason", "second")
        )  # fmt: skip
        assert "3 rows recorded, 1 superseded." in text
        assert "- openai split input $2.00" in text
        history = answer("history", "openai", "split")["rates"]
        assert len(history) == 4
        assert "believed from" in outlay("history", "openai", "split")

    def test_a_tenants_rate_is_a_contract(self, answer: Callable[..., Any]) -> None:
        made = answer(
            "set", "--provider", "openai", "--model", "gpt-4o", "--unit", "input", "--price", "1",
            "--tenant", "acme", "--reason", "deal",
        )  # fmt: skip
        assert [(r["layer"], r["tenant"]) for r in made["rates"]] == [("contract", "acme")]
        found = answer("show", "openai", "gpt-4o", "--tenant", "acme")
        plain = [
            r for r in found["rates"]
            if r["unit"] == "input" and not (r["tier"] or r["batch"] or r["min_context"])
        ]  # fmt: skip
        assert [(r["layer"], r["wins"]) for r in plain] == [
            ("contract", True), ("catalogue", False),
        ]  # fmt: skip
        gone = answer("set", "--withdraw", made["rates"][0]["rate_id"], "--reason", "over")
        assert gone["superseded"] == 1

    def test_a_slip_of_a_thousand_needs_force(self, outlay: Callable[..., str]) -> None:
        slip = (
            "set", "--provider", "openai", "--model", "gpt-4o", "--unit", "output", "--price",
            "10", "--per", "1000", "--reason", "slip", "--dry-run",
        )  # fmt: skip
        with pytest.raises(ServerError, match="1000 times"):
            outlay(*slip)
        assert "would be recorded" in outlay(*slip, "--force")

    def test_every_problem_of_a_file_is_printed_with_its_line(
        self, outlay: Callable[..., str], tmp_path: Path
    ) -> None:
        file = tmp_path / "bad.csv"
        file.write_text(
            "provider,model,unit,price\nopenai,m,inptu,1\nopenai,m,output,-2\nopenai,,input,1\n"
        )
        with pytest.raises(ServerError) as caught:
            outlay("set", str(file), "--reason", "r")
        printed = flat(caught.value.printed)  # type: ignore[attr-defined]
        for words in ("line 2 unit", "line 3 price", "line 4 model"):
            assert words in printed
        assert len(caught.value.as_dict()["error"]["problems"]) == 3

    @pytest.mark.parametrize(
        "args",
        [
            ("--reason", "r"),
            ("FILE", "--provider", "openai", "--reason", "r"),
            ("FILE", "--withdraw", "x", "--reason", "r"),
            ("OTHER", "--reason", "r"),
        ],
    )
    def test_a_command_that_is_not_clear_is_refused(
        self, outlay: Callable[..., str], tmp_path: Path, args: tuple[str, ...]
    ) -> None:
        file, other = tmp_path / "prices.yaml", tmp_path / "prices.txt"
        for path in (file, other):
            path.write_text(FILE)
        names = {"FILE": str(file), "OTHER": str(other)}
        with pytest.raises(BadRequestError):
            outlay("set", *(names.get(arg, arg) for arg in args))


class TestExchanging:
    def test_what_is_exported_is_taken_back_unchanged(
        self, outlay: Callable[..., str], answer: Callable[..., Any], tmp_path: Path
    ) -> None:
        source = tmp_path / "first.yaml"
        source.write_text(FILE.replace("house", "barn"))
        outlay("set", str(source), "--reason", "r")
        for form in ("yaml", "csv"):
            file = tmp_path / f"out.{form}"
            assert "Written" in outlay("export", str(file))
            assert "barn" in file.read_text()
            again = answer("set", str(file), "--reason", "again")
            assert (again["added"], again["superseded"]) == (0, 0)
        assert "barn" in outlay("export")
        assert "barn" in answer("export", "--format", "csv")["text"]
        with pytest.raises(ServerError):
            outlay("export", "--layer", "none")

    def test_sync_tells_what_it_read(self, outlay: Callable[..., str]) -> None:
        assert "prices changed" in outlay("sync")

    def test_sync_with_a_file_of_nonsense(self, outlay: Callable[..., str], tmp_path: Path) -> None:
        file = tmp_path / "data.json"
        file.write_text("{}")
        with pytest.raises(ServerError, match="export"):
            outlay("sync", "--file", str(file))

    def test_a_second_catalogue_makes_findings_that_are_resolved(
        self, outlay: Callable[..., str], answer: Callable[..., Any], tmp_path: Path
    ) -> None:
        file = tmp_path / "model_prices_and_context_window.json"
        entry = {"litellm_provider": "openai", "input_cost_per_token": 1e-06}
        file.write_text(json.dumps({"gpt-4o": entry, "gpt-none": entry}))
        text = flat(outlay("diff", "--file", str(file)))
        assert "openai gpt-4o input $2.50 $1.00 -60.0 %" in text
        assert "1 prices compared" in text
        assert "openai/gpt-4o input" in outlay("findings")
        args = ("--resolve", "openai/gpt-4o input", "--reason", "their file is wrong")
        assert answer("findings", *args)["finding"]["resolved_at"]
        assert answer("findings")["findings"] == []
        assert len(answer("findings", "--all")["findings"]) == 1
        for wrong in ((), ("--stated", "--file", str(file))):
            with pytest.raises(BadRequestError):
                outlay("diff", *wrong)

    def test_p31_stated_dollars_that_differ_from_list_price_make_a_finding(
        self, served: Any, outlay: Callable[..., str], answer: Callable[..., Any]
    ) -> None:
        now = time.time_ns() // 1000
        event = {
            "event_id": uuid7(now // 1000, b"0123456789"), "started_at": now - 1_000_000,
            "ended_at": now, "operation": "chat", "status": "ok", "provider": "xai",
            "model_served": "grok-3-mini", "input": 100_000, "output": 1000,
            "provider_cost_nanos": 127_500_000, "tenant_id": "acme",
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {served.first_key}"}
        sent = httpx.post(f"{served.url}/v1/events", json=[event], headers=headers)
        assert sent.json()["accepted"] == 1
        until = time.monotonic() + VISIBLE_S
        while not (found := answer("diff", "--stated", "--last", "7d"))["differences"]:
            assert time.monotonic() < until, found
            time.sleep(0.1)
        (row,) = found["differences"]
        assert (row["provider"], row["stated_nanos"], row["attempts"]) == ("xai", 127_500_000, 1)
        assert row["percent"] < -50
        assert "xai" in outlay("diff", "--stated")
        kinds = {f["kind"] for f in answer("findings")["findings"]}
        assert kinds == {"stated_drift"}
