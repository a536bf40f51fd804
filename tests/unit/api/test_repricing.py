"""Re-rating and spreading over HTTP: what makes no sense is refused before anything is written."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.act.rerate import MAX_REASON_CHARACTERS
from outlay.core.rollup import HOUR_US
from tests.unit.api.site import NOW, Site

HOUR = NOW // HOUR_US * HOUR_US
WINDOW = {"from": HOUR - HOUR_US, "to": HOUR, "reason": "a new list"}
SPREAD = {**WINDOW, "provider": "vllm", "model": "own", "hourly_nanos": 10**9}


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("rerate", {**WINDOW, "to": 10**40}, "to"),
        ("rerate", {**WINDOW, "from": -1}, "from"),
        ("rerate", {**WINDOW, "from": HOUR}, "to"),
        ("rerate", {**WINDOW, "reason": ""}, "reason"),
        ("spread", {**SPREAD, "to": 10**40}, "to"),
        ("spread", {**SPREAD, "output_weight": 1e308}, "output_weight"),
        ("spread", {**SPREAD, "cache_read_weight": -0.1}, "cache_read_weight"),
        ("spread", {**SPREAD, "reason": "x" * (MAX_REASON_CHARACTERS + 1)}, "reason"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    site: Site, path: str, body: dict[str, Any], where: str
) -> None:
    answer = site.call("POST", f"/v1/prices/{path}", json={**body, "apply": True})
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)
    assert site.books.revision("prices") == 0
