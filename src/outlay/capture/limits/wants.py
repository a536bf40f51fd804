"""Calls that wait for money, and what the next sync says of each line: the two lists of a sync.

Called under the gate's lock; no I/O. A *want* is all that one waiting call needs; wants are served
in the order they came. A *draft* is one line of a sync as it was sent, kept until its answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from outlay.capture.limits.lines import NEVER, Line, Period
from outlay.core.limits.desk import LEASE_SHARE

AHEAD_S: Final = 5.0
"""A lease asks for so many seconds of what the process has lately taken."""
KEPT_S: Final = 1.0
"""While a sync is on its way calls may go on taking as much as they lately took in this time."""
LOAD_S: Final = 3.0
"""What was taken counts as recent for about so long."""
IDLE_S: Final = 10.0
"""A line that no call has used for so long is given back."""
ABANDONED_S: Final = 2.0
"""A want that nobody has come back for in so long after its time is dropped."""


class Want:
    """What one waiting call, or a growing stream, needs of its lines."""

    __slots__ = ("answered_at", "answers", "due_at", "needs", "since", "waker")

    def __init__(self, needs: list[tuple[Line, int]], now: float) -> None:
        self.needs = needs
        self.since = now
        self.due_at = now
        """When its call comes back at the latest."""
        self.answers = 0
        self.answered_at = 0.0
        """When the last sync that told of it was sent."""


@dataclass(slots=True)
class Draft:
    """One line of a sync, as sent."""

    period: Period
    counter: str
    reported: int
    calls: int
    flying: int
    need: int
    ahead: int

    def fields(self) -> dict[str, Any]:
        """Return it as the request carries it."""
        line = self.period.line
        said = {
            "limit": line.limit.limit_id, "scope": line.scope_key, "reported": self.reported,
            "calls": self.calls, "flying": self.flying, "need": self.need, "ahead": self.ahead,
        }  # fmt: skip
        if self.counter:
            said["counter"] = self.counter
        return said


def wanted(wants: Iterable[Want], valid: bool) -> dict[Line, tuple[int, int]]:
    """Return what waiting calls need of each line: what to ask for now, and what later ones need.

    Asked for now is as much as may be there, in the order of the calls, and at least the first
    one's need: the authority grants a need as a whole or not at all. A call asks of all its lines
    or of none, so that nobody holds much of one for calls that another line holds up.
    """
    found: dict[Line, tuple[int, int]] = {}
    for want in wants:
        fits = all(_has_room(line, found.get(line), need, valid) for line, need in want.needs)
        for line, amount in want.needs:
            now, later = found.get(line, (0, 0))
            found[line] = (now + amount, later) if fits else (now, later + amount)
    return found


def _has_room(line: Line, asked: tuple[int, int] | None, amount: int, valid: bool) -> bool:
    """Tell whether a line may have an amount besides what earlier calls ask of it."""
    now, later = asked or (0, 0)
    if not now:
        return True
    period = line.now
    room = period.most
    if period.cap is not None and period.seen_at and valid:
        used = 0 if line.gauge else period.used + period.reported - period.base
        others = max(0, period.held - period.held_here)
        room = min(room, period.cap - used - others - period.flying)
    elif not period.seen_at:
        room = 0
    return not later and now + amount <= room


def draft(line: Line, asked: tuple[int, int], now: float, *, closing: bool) -> Draft:
    """Say how a line stands and what it needs, and keep only what the sync leaves it."""
    period = line.now
    passed = now - line.load_at
    line.load = line.load * math.exp(-passed / LOAD_S) + line.taken
    line.load_at = now
    line.taken = 0
    need, later = asked
    free = line.free() if line.bound else 0
    # Who has taken nothing for so long may have come to an end: others could be waiting.
    rate = line.load / LOAD_S if now - line.used_at < KEPT_S else 0.0
    idle = closing or (now - line.used_at >= IDLE_S and not need)
    near = idle or period.exact
    # Near the limit all is asked for anew, as a whole: the parts of a call that some processes
    # would keep while they wait for the rest could be one call's together.
    keep = 0 if near else min(free, max(int(rate * KEPT_S), line.largest, need + later))
    ahead = 0 if near else max(int(rate * AHEAD_S), line.largest, need, later)
    taken = min(keep, need)
    if not line.bound:
        need = taken = ahead = 0
    period.ceiling = min(period.ceiling, period.reported + period.flying + keep)
    line.largest -= line.largest >> 3
    return Draft(
        period, period.counter, period.reported, period.calls, period.flying + keep,
        need - taken, max(0, ahead - keep),
    )  # fmt: skip


def rest_of(period: Period) -> Draft:
    """Say what is left to report of a period that is over."""
    return Draft(period, period.counter, period.reported, period.calls, period.flying, 0, 0)


def settled(line: Line) -> bool:
    """Tell whether the authority knows all of a line, and nothing of it is held or on its way."""
    period = line.now
    said = period.said == (period.reported, period.calls)
    return said and not period.flying and not (line.bound and line.free())


def matched(drafts: list[Draft], lines: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """Return the answer to each draft, in their order; of one scope the first that is left."""
    left: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in reversed(lines):
        left.setdefault((str(one["limit"]), str(one["scope"])), []).append(one)
    keys = ((d.period.line.limit.limit_id, d.period.line.scope_key) for d in drafts)
    return [found.pop() if (found := left.get(key)) else None for key in keys]


def answered(sent: Draft, answer: dict[str, Any], at: float) -> bool:
    """Take the answer to a line; false: it told of another counter, the period is over."""
    period = sent.period
    period.said = (sent.reported, sent.calls)
    counter = str(answer["counter"])
    if period.counter and counter != period.counter:
        return False
    period.counter = counter
    period.ends_at = int(answer.get("ends_at") or 0)
    stand(period, answer, at, reported=sent.reported, need=sent.need)
    return True


def stand(
    period: Period, answer: dict[str, Any], at: float, *, reported: int = 0, need: int = 0
) -> None:
    """Take how a counter stands, given what was reported and asked for of it."""
    granted = int(answer["granted"])
    cap, verdict = answer.get("cap"), answer.get("verdict")
    period.starts_at = int(answer.get("starts_at") or 0)
    period.refused = need if verdict == "over" and need else NEVER
    # A tenant's key is not told all that is used, so that what fits has to be found by trying.
    period.most = max(1, need // 2) if need and verdict != "ok" else NEVER
    period.used = int(answer["used"])
    period.held = int(answer["held"])
    period.held_here = granted
    period.base = reported
    period.seen_at = at
    period.ceiling = reported + granted
    period.allow(int(answer.get("amount") or 0), None if cap is None else int(cap))
    # So little is left that a slice would not be one call's: a part of a call helps nobody here,
    # and would be missing elsewhere.
    spare = NEVER if period.cap is None else period.cap - period.used - period.held
    line = period.line
    period.exact = bool(answer.get("exact")) or spare < line.largest * LEASE_SHARE
    if line.credit:
        line.weigh(careful=line.careful)
