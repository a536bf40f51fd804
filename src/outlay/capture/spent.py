"""`current` and `partial`: where the running code is, what was spent so far, and what there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlay.capture.agents import budget_of, keep_partial
from outlay.capture.guard import caught, shielded
from outlay.capture.runtime import Runtime, active
from outlay.capture.scope import BudgetState, Totals, current_scope
from outlay.core.context import CostContext


@dataclass(frozen=True, slots=True)
class Current:
    """Where the running code is, and what was spent so far.

    Costs are priced here and now with the server's prices and may differ from the final ones;
    calls without a known price are in `unpriced` and in no cost.
    """

    context: CostContext
    request: Totals
    """The whole originating request: the outermost context."""
    agent: Totals
    """The innermost agent with all agents below it; outside any, the same as `request`."""
    process: Totals
    """Everything since `init`."""
    budget: BudgetState | None = None
    """The innermost budget of the agents around; `None` without one."""

    @property
    def cost_nanos(self) -> int:
        """What the request has cost, in nano-dollars."""
        return self.request.cost_nanos

    @property
    def tokens(self) -> int:
        """Tokens of the request, read and produced."""
        return self.request.tokens

    @property
    def calls(self) -> int:
        """Calls of the request; the attempts of one count once."""
        return self.request.calls

    @property
    def errors(self) -> int:
        """Attempts of the request that failed."""
        return self.request.errors

    @property
    def unpriced(self) -> int:
        """Events of the request without a known price."""
        return self.request.unpriced


def current() -> Current:
    """Return the context of the running code and what was spent so far."""
    runtime, scope = active(), current_scope()
    process = _process(runtime)
    if scope is None or not scope.counters:
        return Current(CostContext(), Totals(), Totals(), process)
    request = scope.counters[-1].totals()
    inner = scope.counters[0].totals() if len(scope.counters) > 1 else request
    return Current(scope.context(), request, inner, process, budget_of(scope))


@shielded("partial", lambda: None)
def partial(value: Any) -> None:
    """Remember what there is so far, for the case that a rule or a limit ends the run.

    `RunStopped.partial` then has it: of the innermost agent with a rule around this call, or where
    none has one (a limit of the server's), of the outermost agent. The last value counts; it is
    kept as it is, so give a copy of what you go on changing.
    """
    scope = current_scope()
    if scope is not None:
        keep_partial(scope, value)


def _process(runtime: Runtime | None) -> Totals:
    if runtime is None:
        return Totals()
    try:
        runtime.tally.settle()
    except Exception as error:
        caught("current", error)
    return runtime.tally.process.totals()
