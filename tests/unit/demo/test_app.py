"""The application against the simulator, with metering off."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest

from outlay.demo.children import Child

pytestmark = pytest.mark.heavy


def _bill_of(seed: int, *more: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    simulator = Child("simulator", "outlay.demo.simulator", [])
    said: list[dict[str, Any]] = []
    try:
        url = simulator.first_line()["url"]
        arguments = ["--simulator", url, "--seed", str(seed), "--rate", "0", *more]
        app = Child("application", "outlay.demo.app", arguments, {"OUTLAY_ENABLED": "false"})
        try:
            ends_at = time.monotonic() + 60
            while not any(line.get("done") for line in said) and time.monotonic() < ends_at:
                alive = app.alive
                said += app.lines()
                assert alive or any(line.get("done") for line in said), app.death()
                time.sleep(0.05)
        finally:
            app.stop()
        with urllib.request.urlopen(f"{url}/bill", timeout=10) as reply:
            return json.load(reply), said
    finally:
        simulator.stop()


def test_the_same_seed_makes_the_same_bill() -> None:
    first, said = _bill_of(3, "--actions", "3")
    second, _ = _bill_of(3, "--actions", "3")
    assert first == second
    assert first["in_flight"] == 0
    actions = [line for line in said if "action" in line]
    assert sorted(line["action"] for line in actions) == [0, 1, 2]
    assert all(12 <= line["calls"] <= 60 for line in actions)


def test_it_stops_by_itself_after_the_seconds_asked() -> None:
    bill, said = _bill_of(3, "--seconds", "0.2")
    assert said[-1]["done"]
    assert bill["attempts"] > 0
