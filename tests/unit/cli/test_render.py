"""What a terminal is given: text from outside stays text."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from outlay.cli import render

HOSTILE = "a\x1b]0;title\x07\x1b[2Jb\u202ec\x9bd[red]e"


def shown(value: Any) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(value)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_control_characters_of_an_event_do_not_reach_the_terminal() -> None:
    columns = [{"name": HOSTILE, "kind": "dimension", "unit": ""}]
    answer = {"columns": columns, "rows": [[HOSTILE]], "from": "", "to": "", "source": "minute"}
    node = {"kind": "call", "name": HOSTILE, "cost_nanos": 1, "model": HOSTILE[1:],
            "status": HOSTILE, "flags": [HOSTILE], "usage": {HOSTILE: 1}}  # fmt: skip
    tables = [
        render.answer_table(answer),
        render.rows_table([{"x": HOSTILE}], [("x", "x")]),
        render.cost_tree({"root": {**node, "children": [node]}}),
    ]
    for table in tables:
        text = shown(table)
        assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}
        assert "[red]e" in text


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (None, "-"),
        (0, "1970-01-01 00:00:00"),
        (253_402_300_799_999_999, "9999-12-31 23:59:59"),
    ],
)
def test_any_time_of_the_api_can_be_shown(micros: int | None, text: str) -> None:
    assert render.moment(micros) == text
