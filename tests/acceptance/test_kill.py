"""Kill -9 of the SDK's process, the server, and both: nothing lost, nothing doubled.

`bench/kill.py` does the same 20 times each.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.killing import Victim, run

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]


@pytest.mark.parametrize("victim", ["sdk", "server", "both"])
def test_kill_9_loses_nothing_and_doubles_nothing(victim: Victim, tmp_path: Path) -> None:
    outcome = run(tmp_path, victim, rounds=4, seed=11)
    assert outcome.noted > 100
    assert outcome.whole, outcome
