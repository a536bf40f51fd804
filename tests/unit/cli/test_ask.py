"""Questions on the command line: filters typed by field, a live table that outlives a restart."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from outlay.cli import ask
from outlay.errors import ForbiddenError, QueryError, UnavailableError

ANSWER: dict[str, Any] = {"columns": [], "rows": [], "from": "", "to": "", "source": "events"}


@pytest.mark.parametrize(
    ("text", "op", "value"),
    [
        ("tenant=acme", "eq", "acme"),
        ("tenant=15", "eq", "15"),
        ("model!=gpt-5", "ne", "gpt-5"),
        ("feature=a|b", "in", ["a", "b"]),
        ("feature!=a|b", "not_in", ["a", "b"]),
        ("model^=gpt", "prefix", "gpt"),
        ("cost_nanos>=1000", "gte", 1000),
        ("cost_nanos<=1.5", "lte", 1.5),
        ("streamed=true", "eq", True),
        ("streamed!=no", "ne", False),
        ("cost_nanos>=much", "gte", "much"),
    ],
)
def test_a_filter_has_the_type_of_its_field(text: str, op: str, value: object) -> None:
    found = ask.parse_filter(text)
    assert (found["op"], found["value"]) == (op, value)
    assert type(found["value"]) is type(value)


@pytest.mark.parametrize("text", ["", "tenant", "=x", "!=x"])
def test_what_is_no_filter_says_how_one_is_written(text: str) -> None:
    with pytest.raises(QueryError) as caught:
        ask.parse_filter(text)
    assert "field=value" in caught.value.hint


class Scripted:
    """A server that gives what it is told to, one after the other."""

    def __init__(self, *results: dict[str, Any] | Exception) -> None:
        self.results = list(results)

    def call(self, _method: str, _path: str, **_parts: Any) -> Any:
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def watch(monkeypatch: pytest.MonkeyPatch, every: float, *results: Any) -> list[float]:
    """Watch until a refusal; return the pauses made."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    server: Any = Scripted(*results, ForbiddenError())
    with pytest.raises(ForbiddenError):
        ask._watch(server, {}, every, as_json=True)
    return pauses


def test_a_live_table_outlives_a_server_that_is_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch(monkeypatch, 1.0, ANSWER, UnavailableError("No server."), ANSWER)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("error" in line) for line in lines] == [False, True, False]


@pytest.mark.parametrize(
    ("every", "pause"),
    [(2.0, 2.0), (-1.0, 0.2), (float("nan"), 0.2), (float("inf"), 3600.0)],
)
def test_the_pause_between_refreshes_is_bounded(
    monkeypatch: pytest.MonkeyPatch, every: float, pause: float
) -> None:
    assert watch(monkeypatch, every, ANSWER) == [pause]
