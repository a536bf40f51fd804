"""The arithmetic of agent runs: budgets cut from one another, steps, depth, loops. Pure integers.

A budget sets its amount aside in the budget around it, as far as that has something left, and what
it does not use flows back when it closes. A reservation must fit its own budget and every one
around it; so `spent + held` never passes any cap, whatever runs beside it, unless a call costs more
than it reserved. Callers make sure that only one of them is in here at a time.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from outlay.core.limits.holds import Verdict
from outlay.core.money import MAX_NANOS

MAX_LOOP_KEYS: Final = 4096
"""Different actions that one run remembers; the one not seen for longest is forgotten first."""
KEY_BYTES: Final = 8
"""Of a hash that stands for an action."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run may do; `None` and empty: no such rule. Money in nano-dollars.

    `max_steps` counts model calls of the agent and of all below it, `max_depth` agents one below
    the other, `max_repeats` how often one agent may do exactly the same.

    Raises:
        ValueError: a number is no whole number, or is out of its bounds.
    """

    budget_nanos: int | None = None
    max_steps: int | None = None
    max_depth: int | None = None
    max_repeats: int | None = None
    entitlement: str = ""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is None:
                continue
            if type(value) is not int:
                raise ValueError(f"{name} must be a whole number, not {value!r}")
            if not least <= value <= MAX_NANOS:
                raise ValueError(f"{name} must be {least} or more, not {value!r}")

    @property
    def stops(self) -> bool:
        """Whether there is a rule that can stop a run."""
        return any(getattr(self, name) is not None for name in _LEAST)


_LEAST: Final = {"budget_nanos": 0, "max_steps": 0, "max_depth": 0, "max_repeats": 1}

NO_RULES: Final = Rules()


class Budget:
    """What a run and all below it may cost, in nano-dollars.

    `spent` and `held` are of the whole subtree; `aside` is what open budgets below keep for
    themselves and have neither spent nor held yet.
    """

    __slots__ = ("aside", "cap", "closed", "cut", "held", "parent", "spent")

    def __init__(self, cap: int, parent: Budget | None = None) -> None:
        """Open a budget; in `parent` it takes `cut`, which is less than `cap` if less is left."""
        self.cap = cap
        self.parent = parent
        self.spent = self.held = self.aside = 0
        self.closed = False
        self.cut = cap if parent is None else min(cap, parent.left)
        if parent is not None:
            _shift(parent, self.cut)

    @property
    def taken(self) -> int:
        """What nobody else may have: spent, held, or kept for budgets below."""
        return self.spent + self.held + self.aside

    @property
    def claim(self) -> int:
        """What this budget takes of the one around it."""
        return self.spent + self.held if self.closed else max(self.cut, self.taken)

    @property
    def left(self) -> int:
        """What a call may reserve now, so that it fits here and in every budget around."""
        return max(0, min(b.cap - b.taken + slack for b, slack in self._way_out()))

    def verdict(self, amount: int) -> Verdict:
        """Tell whether an amount fits: `ok`, `over`, or `busy`: not now, but it may.

        What calls on their way and other agents keep may come back. Nothing fits a budget that is
        used up, an amount of 0 neither: 0 is what nobody knows.
        """
        wanted = max(1, amount)
        if wanted <= self.left:
            return "ok"
        unspent = min(b.cap - b.spent for b, _ in self._way_out())
        return "busy" if wanted <= unspent else "over"

    def short(self, amount: int) -> Budget:
        """Return the innermost budget that an amount does not fit; this one, if it fits all."""
        wanted = max(1, amount)
        for budget, slack in self._way_out():
            if wanted > budget.cap - budget.taken + slack:
                return budget
        return self

    def reserve(self, amount: int) -> Verdict:
        """Hold an amount here and in every budget around, or, unless `ok`, nothing anywhere."""
        verdict = self.verdict(amount)
        if verdict == "ok":
            self._add(0, amount)
        return verdict

    def settle(self, held: int, actual: int) -> None:
        """Give a hold back and count what was spent instead, which may be more."""
        self._add(actual, -held)

    def close(self) -> None:
        """Let what was set aside and not used flow back; calls on their way keep their holds."""
        if not self.closed:
            before = self.claim
            self.closed = True
            _shift(self.parent, self.claim - before)

    def _way_out(self) -> Iterator[tuple[Budget, int]]:
        """Yield each budget from here outwards, and its slack.

        The slack is how much of an amount needs no room there, as budgets further in have set it
        aside already.
        """
        budget: Budget | None = self
        slack = 0
        while budget is not None:
            yield budget, slack
            slack = 0 if budget.closed else slack + max(0, budget.cut - budget.taken)
            budget = budget.parent

    def _add(self, spent: int, held: int) -> None:
        """Change what is spent and held, here and in every budget around."""
        budget: Budget | None = self
        change = spent + held
        aside = 0
        while budget is not None:
            before = budget.claim
            budget.spent += spent
            budget.held += held
            budget.aside += aside
            aside = budget.claim - before - change
            budget = budget.parent


def _shift(budget: Budget | None, change: int) -> None:
    """Change what the budgets below keep for themselves, here and outwards as far as it shows."""
    while budget is not None and change:
        before = budget.claim
        budget.aside += change
        change = budget.claim - before
        budget = budget.parent


class LoopWatch:
    """Counts how often the same was done, for the actions seen last."""

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int = MAX_LOOP_KEYS) -> None:
        self._counts: OrderedDict[Hashable, int] = OrderedDict()
        self._most = most

    def see(self, key: Hashable) -> int:
        """Count an action and return how often it was seen, this time included."""
        count = self._counts[key] = self._counts.pop(key, 0) + 1
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)
        return count


def action_key(name: str, arguments: Any) -> int:
    """Return 64 bits of a hash over a tool's name and its arguments; the order of keys is no part.

    Text that is a JSON object or list counts as that. What is not JSON counts by its `repr`.
    """
    if isinstance(arguments, str) and arguments[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    try:
        words = json.dumps(arguments, sort_keys=True, separators=(",", ":"), default=repr)
    except (TypeError, ValueError, RecursionError):
        words = repr(arguments)
    whole = f"{name}\0{words}".encode("utf-8", "replace")
    return int.from_bytes(blake2b(whole, digest_size=KEY_BYTES).digest(), "big")
