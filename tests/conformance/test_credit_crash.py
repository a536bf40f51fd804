"""A process that moves credits is killed at any moment: the ledger still proves itself.

The process notes each grant once it was answered. Afterwards every noted grant is there, and all
grants sent again, as their sender would, are there once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outlay.core.limits.holds import Expire
from outlay.store.books.sql import SqlBooks
from tests.purse import LATER, NOW, Purse

ROOT = Path(__file__).parents[2]
KILLS = 6
GRANT = 50

MOVER = f"""
import os, sys
from outlay.errors import ConflictError
from outlay.store.books.sql import SqlBooks
from tests.purse import NOW, Purse
url, first, notes = sys.argv[1], int(sys.argv[2]), os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
purse = Purse(SqlBooks(url))
for n in range(first, first + 100_000):
    said = {{"reason": "r", "actor": "me", "at": NOW}}
    terms = {{"expires_at": NOW + 10**6 + n, "rollover_ppm": 500_000}} if n % 3 else {{}}
    purse.books.grant("acme", {GRANT}, key=f"grant-{{n}}", **terms, **said)
    os.write(notes, f"{{n}}\\n".encode())
    for part in range(3):
        hold_id = f"{{n}}-{{part}}"
        purse.hold(10, hold_id)
        if part:
            purse.settle(hold_id, 9 + part)
            purse.event(hold_id, 8)
    try:
        purse.books.transfer("acme", "beta", 7, key=f"move-{{n}}", **said)
    except ConflictError:
        pass
    purse.books.mature(at=NOW + 10**6 + n - 5, limit=10)
"""


@pytest.mark.heavy
def test_killed_at_any_moment_the_ledger_balances(books_url: str, tmp_path: Path) -> None:
    books = SqlBooks(books_url)
    purse = Purse(books)
    for tenant in ("acme", "beta"):
        books.set_account(tenant, floor=-20, reason="r", actor="me", at=NOW)
    notes = tmp_path / "notes"
    notes.touch()
    dice = random.Random(7)
    first = 0
    for _ in range(KILLS):
        known = notes.stat().st_size
        command = [sys.executable, "-c", MOVER, books_url, str(first), str(notes)]
        path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
        mover = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
        deadline = time.monotonic() + 30
        while notes.stat().st_size == known and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.5))
        assert mover.poll() is None
        mover.send_signal(signal.SIGKILL)
        mover.wait()
        assert books.check_credits() == []
        assert books.check_holds() == []
        first = max(map(int, notes.read_text().split())) + 1
        # The one that was killed on its way is sent again, by the next process too.
    noted = sorted(map(int, notes.read_text().split()))
    assert noted == list(range(first))
    for n in noted:
        terms = {"expires_at": NOW + 10**6 + n, "rollover_ppm": 500_000} if n % 3 else {}
        said = {"reason": "r", "actor": "me", "at": NOW}
        books.grant("acme", GRANT, key=f"grant-{n}", **terms, **said)  # type: ignore[arg-type]
    entries = books.credit_history("acme", limit=10_000)
    granted = sorted(entry.key for entry in entries if entry.kind == "grant")
    assert len(granted) == len(set(granted))
    assert {f"grant-{n}" for n in noted} <= set(granted)
    for hold_id in books.due(at=LATER, limit=10_000):
        books.apply([Expire(hold_id, LATER)])
    assert [balance.held for balance in books.balances()] == [0, 0]
    assert all(purse.of(tenant).available >= 0 for tenant in ("acme", "beta"))
    assert books.check_credits() == []
    books.close()
