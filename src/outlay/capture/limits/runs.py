"""Agent runs with rules, in process: budgets, steps, depth and loops, and what ends one.

What others call (cheap where no agent around has a rule; nothing here waits or raises):

- `reserve(scope, estimate_nanos, *, retry=False) -> Reserved | Refusal | None`: just before an
  attempt is sent, after the gate has admitted it. Checks all rules and holds the estimate in the
  budgets around, at once. `None`: no rule is around. `retry`: a later attempt of a call, no step of
  its own. An estimate of 0 is one that nobody knows. A refusal with `verdict` `busy` may fit when
  other calls and agents give back what they keep: who can wait may reserve again. Refusals are
  noted here already.
- `Reserved.grow(to_nanos) -> bool`: hold that much in all while a stream runs; false: cut it off.
- `Reserved.settle(cost_nanos | None)`, `Reserved.void(*, sent=True)`: the end; of several the first
  counts. `None`: the cost is not known, the hold counts. `sent=False` gives the step back, too.
- `finished(scope, amounts, tool_keys, reserved=None)`: once at the end of each attempt: settles
  `reserved` with `amounts["cost"]` (or spends that, where nobody reserved) and watches for loops.
- `spend(scope, cost_nanos)`: a cost that no attempt reserved: `record`, sockets, batch results.
- `check(scope, estimate_nanos) -> Refusal | None`: what `reserve` would refuse; changes nothing.
- `refused(scope, refusal)`: one of the server's limits has refused a call here: it stops the
  outermost agent.
- `entitlements(scope) -> tuple[str, ...]`: the named rights that the agents around ask for.

A process that is forked inside a run counts its own part alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.capture.guard import caught, warn_once
from outlay.capture.limits.latch import latch
from outlay.capture.limits.run import Reserved as Reserved  # noqa: PLC0414 - of this interface
from outlay.capture.limits.run import Run as Run  # noqa: PLC0414 - likewise
from outlay.capture.limits.run import over_budget, settle
from outlay.capture.scope import MAX_OPEN_SCOPES, BudgetState, Scope
from outlay.core.limits.refusal import Refusal, depth_refusal, loop_refusal, steps_refusal
from outlay.core.limits.runs import NO_RULES, Rules, action_key
from outlay.errors import RunStopped


def open_run(scope: Scope, rules: Rules | None) -> Run:
    """Open the run of an agent whose scope is about to be the current one."""
    parent: Run | None = scope.run
    path = scope.values.get("agent_path", "")
    run = latch.ask(lambda: Run(path, NO_RULES if rules is None else rules, parent))
    if run.budget is not None and run.budget.cut < run.budget.cap:
        warn_once(
            "runs.cut",
            "outlay: agent %s asks for a budget of %d nano-dollars, of which only %d are left "
            "around it", run.path, run.budget.cap, run.budget.cut,
        )  # fmt: skip
    return run


def reserve(scope: Scope, estimate_nanos: int, *, retry: bool = False) -> Reserved | Refusal | None:
    """Hold an attempt's estimate in the budgets around; see the module's head."""
    run: Run | None = scope.run
    if run is None or run.ruled is None:
        return None
    try:
        return latch.ask(lambda: _reserve(run, max(0, estimate_nanos), retry=retry))
    except Exception as error:
        caught("runs.reserve", error)
        return None


def check(scope: Scope, estimate_nanos: int) -> Refusal | None:
    """Return what `reserve` would refuse, and change nothing."""
    run: Run | None = scope.run
    if run is None or run.ruled is None:
        return None
    try:
        broken = latch.ask(lambda: _broken(run, max(0, estimate_nanos), retry=False))
    except Exception as error:
        caught("runs.check", error)
        return None
    return None if broken is None else broken[1]


def finished(
    scope: Scope,
    amounts: Mapping[str, int],
    tool_keys: tuple[int, ...] = (),
    reserved: Reserved | None = None,
) -> None:
    """Settle an attempt and watch the tools that its reply asked for; see the module's head."""
    cost = amounts.get("cost")
    if reserved is not None:
        reserved.settle(cost)
    elif cost:
        spend(scope, cost)
    if tool_keys and scope.run is not None:
        for key in tool_keys:
            _act(scope, ("asked", key))


def spend(scope: Scope, cost_nanos: int | None) -> None:
    """Count a cost that nothing was reserved for; `None` is one that nobody knows."""
    run: Run | None = scope.run
    if run is not None and run.budgeted is not None and cost_nanos:
        try:
            latch.do(lambda: settle(run, 0, cost_nanos, unsent=False))
        except Exception as error:
            caught("runs.spend", error)


def used_tool(scope: Scope, name: str, arguments: Any) -> None:
    """Watch a tool that was called with these arguments, of which only a hash is kept."""
    run: Run | None = scope.run
    if run is not None and any(node.loops is not None for node in run.around()):
        try:
            _act(scope, ("done", action_key(name, arguments)))
        except Exception as error:
            caught("runs.tool", error)


def refused(scope: Scope, refusal: Refusal) -> None:
    """Note that one of the server's limits refused a call here: it stops the outermost agent."""
    try:
        run = _outermost(scope)
        if run is not None:
            run.notes.add(refusal)
    except Exception as error:
        caught("runs.refused", error)


def keep_partial(scope: Scope, value: Any) -> None:
    """Remember what there is so far on the innermost run with a rule, else on the outermost agent.

    The runs around remember it, too, for when they have nothing of their own.
    """
    around = [] if scope.run is None else list(scope.run.around())
    outermost = _outermost(scope)
    if outermost is not None and outermost not in around:
        around.append(outermost)
    for run in around[1:]:
        run.partial_below = value
    if around:
        around[0].partial = (value,)


def stopped(run: Run, error: BaseException) -> tuple[Refusal, Any] | None:
    """Tell whether an error that leaves a run comes of its refusal: that, and the partial result.

    An exit of the interpreter and a cancelled task are no errors.
    """
    if not run.notes.latest or not isinstance(error, Exception) or isinstance(error, RunStopped):
        return None
    newest, outer = True, run.parent
    while outer is not None and newest:
        newest = outer.notes.latest < run.notes.latest
        outer = outer.parent
    refusal = run.notes.behind(error, newest=newest)
    if refusal is None:
        return None
    return refusal, run.partial_below if run.partial is None else run.partial[0]


def entitlements(scope: Scope) -> tuple[str, ...]:
    """Return the named rights that the agents around ask for, outermost first."""
    run: Run | None = scope.run
    return () if run is None else run.entitlements


def budget_state(scope: Scope) -> BudgetState | None:
    """Return how the innermost budget stands; `None` without one."""
    run: Run | None = scope.run
    owner = None if run is None else run.budgeted
    return None if owner is None else latch.ask(lambda: _state(owner))


def _state(run: Run) -> BudgetState | None:
    budget = run.budget
    if budget is None:
        return None
    return BudgetState(run.path, budget.cap, budget.cut, budget.spent, budget.held, budget.left)


def _reserve(run: Run, amount: int, *, retry: bool) -> Reserved | Refusal:
    broken = _broken(run, amount, retry=retry)
    if broken is not None:
        at, refusal = broken
        at.notes.add(refusal)
        return refusal
    if not retry:
        for node in run.around():
            node.steps += 1
    owner = run.budgeted
    if owner is not None and owner.budget is not None:
        owner.budget.reserve(amount)
    return Reserved(run, amount, counted=not retry)


def _broken(run: Run, amount: int, *, retry: bool) -> tuple[Run, Refusal] | None:
    """Return the innermost run that may not make this call, and why."""
    for node in run.around():
        rules = node.rules
        if node.stuck is not None:
            return node, loop_refusal(node.stuck[0], times=node.stuck[1])
        if rules.max_depth is not None and run.depth - node.depth > rules.max_depth:
            return node, depth_refusal(run.path, max_depth=rules.max_depth)
        if not retry and rules.max_steps is not None and node.steps >= rules.max_steps:
            return node, steps_refusal(node.path, max_steps=rules.max_steps)
    owner = run.budgeted
    if owner is None or owner.budget is None or owner.budget.verdict(amount) == "ok":
        return None
    return over_budget(owner, owner.budget, amount)


def _act(scope: Scope, action: tuple[str, int]) -> None:
    path = scope.values.get("agent_path", "")
    key = hash((path, action))
    latch.do(lambda: _see(scope.run, path, key))


def _see(run: Run, path: str, key: int) -> None:
    for node in run.around():
        most = node.rules.max_repeats
        if node.loops is not None and most is not None:
            times = node.loops.see(key)
            if times > most:
                node.stuck = (path, times)


def _outermost(scope: Scope) -> Run | None:
    """Return the run of the outermost agent around; one without rules, if it has none."""
    found: Scope | None = None
    at: Scope | None = scope
    for _ in range(MAX_OPEN_SCOPES):
        if at is None:
            break
        outer = at.outer
        if at.span_id is not None and (outer is None or outer.span_id != at.span_id):
            found = at
        at = outer
    if found is None:
        return None
    if found.run is None:
        found.run = Run(found.values.get("agent_path", ""), NO_RULES, None)
    run: Run = found.run
    return run
