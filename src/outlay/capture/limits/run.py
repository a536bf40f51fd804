"""One opened agent that has rules, and what a call holds in the budgets around it.

It owns what a run remembers while it is open, and that it is closed whatever becomes of it. What
may call it, and when, is in `runs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from outlay.capture.guard import caught, warn_once
from outlay.capture.limits.causes import Notes
from outlay.capture.limits.latch import latch
from outlay.core.limits.refusal import Refusal, budget_refusal
from outlay.core.limits.runs import Budget, LoopWatch, Rules

_BUSY_S: Final = 1


class Run:
    """One opened agent that has rules, or runs below one that has."""

    __slots__ = (
        "budget", "budgeted", "closed", "depth", "entitlements", "loops", "notes", "parent",
        "partial", "partial_below", "path", "ruled", "rules", "steps", "stuck",
    )  # fmt: skip

    def __init__(self, path: str, rules: Rules, parent: Run | None) -> None:
        self.path = path
        self.rules = rules
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.closed = False
        self.steps = 0
        self.loops = None if rules.max_repeats is None else LoopWatch()
        self.stuck: tuple[str, int] | None = None
        """Which agent did the same over and over, and how often."""
        self.notes = Notes()
        self.partial: tuple[Any] | None = None
        """What `outlay.partial` was told in this run; `None`: nothing."""
        self.partial_below: Any = None
        """The last that it was told in one below."""
        around = None if parent is None else parent.budgeted
        self.budget: Budget | None = None
        self.budgeted: Run | None = around
        """The innermost run with a budget: this one, or one around it."""
        if rules.budget_nanos is not None:
            self.budget = Budget(rules.budget_nanos, None if around is None else around.budget)
            self.budgeted = self
        around = None if parent is None else parent.ruled
        self.ruled: Run | None = self if rules.stops else around
        """The innermost run with a rule that can stop it."""
        own = (rules.entitlement,) if rules.entitlement else ()
        self.entitlements: tuple[str, ...] = own if parent is None else parent.entitlements + own

    def around(self) -> Iterator[Run]:
        """Yield the runs with rules that a call here is under, innermost first."""
        run = self.ruled
        while run is not None:
            yield run
            run = None if run.parent is None else run.parent.ruled

    def close(self) -> None:
        """Let what the budget did not use flow back; a second time does nothing."""
        if not self.closed:
            self.closed = True
            if self.budget is not None:
                latch.do(self.budget.close)

    def __del__(self) -> None:
        # Opened in one task and left in another, it is closed nowhere else.
        try:
            self.close()
        except Exception as error:
            caught("runs.close", error)


class Reserved:
    """What one attempt holds in the budgets around it; dropped without an end it is void."""

    __slots__ = ("_counted", "_open", "_run", "held_nanos")

    def __init__(self, run: Run, held_nanos: int, *, counted: bool) -> None:
        self._run = run
        self._counted = counted
        self._open = True
        self.held_nanos = held_nanos

    def grow(self, to_nanos: int) -> bool:
        """Hold that much in all; false: it does not fit, and the run is noted as refused."""
        more = to_nanos - self.held_nanos
        if more <= 0 or not self._open:
            return True
        try:
            return latch.ask(lambda: self._grow(more))
        except Exception as error:
            caught("runs.grow", error)
            return True

    def settle(self, cost_nanos: int | None) -> None:
        """End it with what the attempt cost; `None`: nobody knows, so what it held counts."""
        if cost_nanos is None:
            cost_nanos = self.held_nanos
            if self._run.budgeted is not None:
                warn_once(
                    "runs.unpriced",
                    "outlay: a call inside an agent's budget has no known price; its estimate of "
                    "%d nano-dollars counts", cost_nanos,
                )  # fmt: skip
        self._end(cost_nanos, unsent=False)

    def void(self, *, sent: bool = True) -> None:
        """End it without a cost; unless `sent`, it was no step either."""
        self._end(0, unsent=not sent)

    def __del__(self) -> None:
        if self._open:
            self._end(0, unsent=False)

    def _grow(self, more: int) -> bool:
        owner = self._run.budgeted
        if owner is None or owner.budget is None or owner.budget.reserve(more) == "ok":
            self.held_nanos += more
            return True
        run, refusal = over_budget(owner, owner.budget, more)
        run.notes.add(refusal)
        return False

    def _end(self, cost_nanos: int, *, unsent: bool) -> None:
        if not self._open:
            return
        self._open = False
        try:
            run, held = self._run, self.held_nanos
            latch.do(lambda: settle(run, held, cost_nanos, unsent=unsent and self._counted))
        except Exception as error:
            caught("runs.settle", error)


def over_budget(owner: Run, budget: Budget, amount: int) -> tuple[Run, Refusal]:
    """Return whose budget an amount does not fit, and the refusal that says so."""
    verdict, short = budget.verdict(amount), budget.short(amount)
    run: Run | None = owner
    while run is not None and run.budget is not short:
        run = run.parent
    run = owner if run is None else run
    refusal = budget_refusal(
        run.path, cap=short.cap, used=short.spent, held=short.held + short.aside
    )
    if verdict == "busy":
        refusal = replace(refusal, verdict="busy", retry_after_s=_BUSY_S)
    return run, refusal


def settle(run: Run, held: int, cost: int, *, unsent: bool) -> None:
    """Give back what a call of the run held, count its cost, and take its step off if `unsent`."""
    owner = run.budgeted
    if owner is not None and owner.budget is not None:
        owner.budget.settle(held, cost)
    if unsent:
        for node in run.around():
            node.steps -= 1
