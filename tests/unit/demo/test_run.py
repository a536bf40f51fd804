"""Which runs of the demo begin with a past."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.demo import run
from outlay.demo.run import run_demo


@pytest.mark.parametrize(
    ("asked", "history"),
    [
        ({}, True),
        ({"seconds": 5.0}, True),
        ({"check": True}, False),
        ({"actions": 3}, False),
        ({"json_output": True}, False),
        ({"history": False}, False),
        ({"check": True, "history": True}, True),
    ],
)
def test_a_past_is_written_for_who_watches_or_asks(
    asked: dict[str, Any], history: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[run._Plan] = []

    class Stub:
        def __init__(self, plan: run._Plan, *_: Any, **__: Any) -> None:
            plans.append(plan)

        def run(self, port: int) -> int:
            return 0

    monkeypatch.setattr(run, "_Demo", Stub)
    assert run_demo(**asked) == 0
    assert plans[0].history is history
