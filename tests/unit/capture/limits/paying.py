"""Calls inside agents, made as a tap makes them: reserve, then say what it cost."""

from __future__ import annotations

from typing import Any

import outlay
from outlay.capture.limits import runs
from outlay.capture.scope import BudgetState, Scope, current_scope
from outlay.core.limits.refusal import Refusal


def here() -> Scope:
    scope = current_scope()
    assert scope is not None
    return scope


def pay(cost: int, estimate: int | None = None, **how: Any) -> Refusal | None:
    """Make a call that the rules around are asked about; return its refusal."""
    got = runs.reserve(here(), cost if estimate is None else estimate, **how)
    if isinstance(got, Refusal):
        return got
    runs.finished(here(), {"cost": cost}, (), got)
    return None


def state() -> BudgetState:
    found = outlay.current().budget
    assert found is not None
    return found
