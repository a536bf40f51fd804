"""What pricing reads from an event's fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlay.core.calls import call_of
from outlay.core.event import MAX_COUNT


def segment(**usage: Any) -> dict[str, Any]:
    return {"model": "m", "usage": usage}


def test_segments_are_read_from_a_list_or_its_text() -> None:
    given = [segment(input=MAX_COUNT, output=0)]
    for value in (given, json.dumps(given)):
        call = call_of({"segments": value}, at=0)
        assert call.segments == (("m", {"input": MAX_COUNT}),)
        assert call.flags == ()


@pytest.mark.parametrize(
    "bad",
    [[1], {"a": 1}, "{", [segment(), None], [segment(input=MAX_COUNT + 1)], [segment(x=10**300)]],
)
def test_segments_that_cannot_be_read_whole_are_flagged_and_left_out(bad: Any) -> None:
    call = call_of({"segments": bad}, at=0)
    assert (call.segments, call.flags) == ((), ("bad_segments",))
