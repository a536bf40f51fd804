"""`agent`: opens a node of the cost tree, and ends its run when a rule or a limit refused it.

It owns the agent's place in the tree and the one error that the guest raises into the caller,
`RunStopped`, which only ever takes the place of an error that is on its way already. What the rules
are, and what is held under them, is in `limits.runs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from outlay.capture import forks
from outlay.capture.guard import caught
from outlay.capture.ids import new_id, new_span_id
from outlay.capture.runtime import active
from outlay.capture.scope import (
    MAX_AGENT_DEPTH,
    BudgetState,
    Counter,
    Opener,
    Scope,
    Totals,
    text,
)
from outlay.core.context import clip
from outlay.core.money import nanos_from_usd
from outlay.errors import RunStopped

if TYPE_CHECKING:
    from outlay.core.limits.runs import Rules

_NONE: Final = (None,) * 4


class AgentRun:
    """What `with outlay.agent(…) as run` gives: how the run stands, while it runs and after."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope | None) -> None:
        self._scope = scope

    @property
    def agent_path(self) -> str:
        """Where in the tree it is, such as `orchestrator/research`."""
        return "" if self._scope is None else self._scope.values.get("agent_path", "")

    @property
    def totals(self) -> Totals:
        """What it and all agents below it have used so far."""
        return Totals() if self._scope is None else totals_of(self._scope)

    @property
    def cost_nanos(self) -> int:
        """What it has cost so far, in nano-dollars."""
        return self.totals.cost_nanos

    @property
    def calls(self) -> int:
        """The calls that it has made; the attempts of one count once."""
        return self.totals.calls

    @property
    def budget(self) -> BudgetState | None:
        """How its budget stands, or the innermost one around it; `None` without one."""
        return None if self._scope is None else budget_of(self._scope)

    @property
    def left_nanos(self) -> int | None:
        """What it may still spend, in nano-dollars; `None` without a budget."""
        budget = self.budget
        return None if budget is None else budget.left_nanos


class AgentOpener(Opener):
    """What `outlay.agent(…)` returns: reusable, as each opening has a run of its own."""

    __slots__ = ("_name", "_rules")

    def __init__(
        self,
        name: str,
        values: dict[str, Any],
        labels: Mapping[str, Any] | None,
        rules: Rules | None = None,
    ) -> None:
        super().__init__(values, labels)
        self._rules = rules
        try:
            self._name = text(name, 64).replace("/", "_") or "agent"
        except Exception as error:
            self._name = "agent"
            caught("scope.values", error)

    def _open(self, outer: Scope | None) -> Scope:
        values, labels = self._attributed(outer)
        parent, path = values.get("span_id"), values.get("agent_path")
        if parent is not None:
            values["parent_span_id"] = parent
        values["span_id"] = new_span_id()
        values["agent_path"] = clip(f"{path}/{self._name}") if path else self._name
        if "run_id" not in values:
            values["run_id"] = new_id()
        if outer is None:
            counters: tuple[Counter, ...] = (Counter(), Counter())
        elif len(outer.counters) > MAX_AGENT_DEPTH:
            counters = outer.counters
        else:
            counters = (Counter(), *outer.counters)
        scope = Scope(values, labels, outer=outer, opener=self, counters=counters)
        if self._rules is not None or scope.run is not None:
            scope.run = _runs().open_run(scope, self._rules)
        return scope

    def end(self, scope: Scope, error: BaseException | None = None) -> None:
        """Finish with a run, whose budget gives back what it did not use.

        Raises:
            RunStopped: the error that leaves the run comes of its refusal.
        """
        run = scope.run
        if run is None:
            return
        stopped = None
        try:
            run.close()
            if error is not None:
                stopped = _stopped(scope, error)
        except Exception as problem:
            caught("scope.exit", problem)
        if stopped is not None:
            raise stopped from error

    def __enter__(self) -> AgentRun:
        return AgentRun(self.enter())

    async def __aenter__(self) -> AgentRun:
        return AgentRun(self.enter())


def rules_of(
    budget: str | Decimal | int | None,
    budget_nanos: int | None,
    max_steps: int | None,
    max_depth: int | None,
    max_repeats: int | None,
    entitlement: str | None,
) -> Rules | None:
    """Read the rules of `outlay.agent`; `None` if there are none.

    Raises:
        ValueError: a rule has a bad value.
    """
    numbers = (budget_nanos, max_steps, max_depth, max_repeats)
    if budget is None and entitlement is None and numbers == _NONE:
        return None
    with forks.gate:
        from outlay.core.limits.runs import Rules
    if budget is not None:
        if budget_nanos is not None:
            raise ValueError("give an agent either budget or budget_nanos, not both")
        budget_nanos = _nanos(budget)
    named = text(entitlement, 64) if entitlement else ""
    return Rules(budget_nanos, max_steps, max_depth, max_repeats, named)


def _nanos(dollars: str | Decimal | int) -> int:
    try:
        if isinstance(dollars, bool):
            raise TypeError
        return nanos_from_usd(dollars)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"budget must be dollars as text or a Decimal, such as '2.50', not {dollars!r}"
        ) from error


def totals_of(scope: Scope) -> Totals:
    """Return the totals of the innermost agent, or of the request outside any."""
    runtime = active()
    if runtime is not None:
        try:
            runtime.tally.settle()
        except Exception as error:
            caught("current", error)
    return scope.counters[0].totals() if scope.counters else Totals()


def budget_of(scope: Scope) -> BudgetState | None:
    """Return how the innermost budget around stands; `None` without one."""
    if scope.run is None:
        return None
    try:
        found: BudgetState | None = _runs().budget_state(scope)
    except Exception as error:
        caught("current", error)
        return None
    return found


def keep_partial(scope: Scope, value: Any) -> None:
    """Remember what an agent has so far, for the error that may end it."""
    _runs().keep_partial(scope, value)


def _runs() -> Any:
    """Return the module `limits.runs`, which only those load who have rules or partial results."""
    with forks.gate:
        from outlay.capture.limits import runs
    return runs


def _stopped(scope: Scope, error: BaseException) -> RunStopped | None:
    found = _runs().stopped(scope.run, error)
    if found is None:
        return None
    refusal, partial = found
    path, totals = scope.values.get("agent_path", ""), totals_of(scope)
    return RunStopped(
        f"The run of agent `{path}` was stopped. {refusal.message}",
        refusal=refusal,
        partial=partial,
        cost_nanos=totals.cost_nanos,
        calls=totals.calls,
        agent_path=path,
    )
