"""The lines of a lease: from what a process says to what the authority is asked, and back.

Owns which counter a line is about. A process names the counter that its totals are for; when the
period has rolled since, the totals go to that counter and the answer is about the new one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import msgspec

from outlay.act.policy import Policy
from outlay.api.auth import Caller
from outlay.api.limit_calls import Amount, stand_for
from outlay.core.limits.holds import CounterKey, Need, Stand, Want
from outlay.core.limits.limit import CREDITS, SCOPES, Limit
from outlay.core.limits.period import period
from outlay.core.limits.subject import (
    agent_matches,
    key_text,
    model_matches,
    needs_id,
    text_matches,
)
from outlay.errors import BadRequestError

MAX_SCOPE_CHARACTERS: Final = 2048
MAX_COUNTER_CHARACTERS: Final = 128
GONE: Final = "gone"
"""The verdict on a line whose limit does not count any more, or not for this scope."""

Wide = Annotated[str, msgspec.Meta(max_length=MAX_SCOPE_CHARACTERS)]


class LineBody(msgspec.Struct, forbid_unknown_fields=True):
    """How a process stands in one scope of a limit, and what it wants of it.

    `reported` and `calls` are totals since the process began with `counter`; without `counter` it
    knows none yet. `flying` is what its calls on their way hold, `need` must be had, `ahead` would
    be nice to have.
    """

    limit: Annotated[str, msgspec.Meta(max_length=64)]
    scope: Wide = "[]"
    counter: Annotated[str, msgspec.Meta(max_length=MAX_COUNTER_CHARACTERS)] = ""
    reported: Amount = 0
    calls: Amount = 0
    flying: Amount = 0
    need: Amount = 0
    ahead: Amount = 0


@dataclass(slots=True)
class Asked:
    """A line and the want that answers it.

    `place` is that of the want, -1 where the line is gone. `flying` is what it keeps of the want's
    counter; one that is `beside` another line of its new period only learns how that stands.
    """

    line: LineBody
    place: int = -1
    flying: int = 0
    beside: bool = False


class Wants:
    """The wants of one sync, with the line that each answers."""

    def __init__(self, policy: Policy, caller: Caller, at: int) -> None:
        self._policy = policy
        self._caller = caller
        self._at = at
        self._places: dict[str, int] = {}
        self.wants: list[Want] = []
        self.asked: list[Asked] = []

    def take(self, lines: list[LineBody]) -> None:
        """Take the lines of a sync.

        Raises:
            BadRequestError: a scope is none, or totals are for a counter of something else.
        """
        rolled: list[tuple[Asked, Need]] = []
        for line in lines:
            asked = Asked(line)
            self.asked.append(asked)
            need = self._need(line)
            if need is None:
                continue
            said = (line.reported, line.calls, line.flying)
            if line.counter in ("", need.key.counter_id):
                asked.place = self._add(Want(need, *said, line.ahead))
                asked.flying = line.flying
                continue
            old = self._old(line, need)
            if old is not None:
                self._add(Want(old, *said, 0))
            rolled.append((asked, need))
        for asked, need in rolled:
            # Of the new period nothing is used or on its way, but by what has a line of its own.
            asked.beside = need.key.counter_id in self._places
            if asked.beside:
                asked.place = self._places[need.key.counter_id]
            else:
                asked.place = self._add(Want(need, 0, 0, 0, asked.line.ahead))

    def _need(self, line: LineBody) -> Need | None:
        """Return what a line needs of its counter now, nothing when it is gone."""
        values = _scope(line.scope)
        policy, caller = self._policy, self._caller
        if caller.tenant is not None and values.get("tenant", caller.tenant) != caller.tenant:
            return None
        if line.limit == CREDITS:
            tenant = values.get("tenant", "")
            known = set(values) == {"tenant"} and tenant in policy.floors
            return policy.credit_need(tenant, line.need) if known else None
        limit = policy.limit(line.limit)
        if limit is None or not _fits(limit, values) or not self._may_ask(limit):
            return None
        return policy.need(limit, line.scope, line.need, self._at)

    def _may_ask(self, limit: Limit) -> bool:
        """Tell whether a limit may be about the caller's tenant."""
        whose = self._caller.tenant
        listed = (part.values for part in limit.scope if part.field == "tenant" and part.values)
        return whose is None or all(text_matches(values, whose) for values in listed)

    def _old(self, line: LineBody, need: Need) -> Need | None:
        """Return the need of a counter of before, to which only totals are reported.

        What is said of a period that the limit never had is passed over: events count it.
        """
        series, _, start = line.counter.rpartition("|")
        starts_at = int(start) if start.isascii() and start.isdigit() and len(start) < 19 else -1
        if series != need.key.series or starts_at < 0 or str(starts_at) != start:
            raise BadRequestError("`counter` is not one of this limit and scope.", where="counter")
        limit = self._policy.limit(line.limit)
        if limit is None or starts_at > self._at:
            return None
        begins, ends_at = period(limit, starts_at)
        if begins != starts_at:
            return None
        key = CounterKey(line.counter, series, line.limit, line.scope, starts_at, ends_at)
        return Need(key, need.metric, 0, need.cap, need.meter)

    def _add(self, want: Want) -> int:
        """Add a want, or add it to that of the same counter: a clock that is ahead makes two."""
        key = want.need.key
        place = self._places.setdefault(key.counter_id, len(self.wants))
        if place == len(self.wants):
            self.wants.append(want)
            return place
        one = self.wants[place]
        self.wants[place] = Want(
            replace(one.need, amount=one.need.amount + want.need.amount),
            one.reported + want.reported,
            one.calls + want.calls,
            one.flying + want.flying,
            one.ahead + want.ahead,
        )
        return place

    def answers(self, stands: tuple[Stand, ...]) -> list[dict[str, Any]]:
        """Return the answer to each line, in their order.

        Of lines that share a counter, each has what it keeps, and the one that wants most the rest.
        """
        kept: dict[int, int] = {}
        first: dict[int, Asked] = {}
        for asked in self.asked:
            if asked.place >= 0 and not asked.beside:
                kept[asked.place] = kept.get(asked.place, 0) + asked.flying
                best = first.setdefault(asked.place, asked)
                if asked.line.need + asked.line.ahead > best.line.need + best.line.ahead:
                    first[asked.place] = asked
        rows = []
        for asked in self.asked:
            if asked.place < 0:
                rows.append(_gone(asked.line))
                continue
            stand = stands[asked.place]
            granted = min(asked.flying, stand.granted)
            if first.get(asked.place) is asked:
                granted = max(0, stand.granted - (kept[asked.place] - asked.flying))
            rows.append(self._answer(asked.line, stand, granted))
        return rows

    def _answer(self, line: LineBody, stand: Stand, granted: int) -> dict[str, Any]:
        key = stand.key
        shown = stand_for(self._policy, stand, self._at, self._caller)
        return {
            "limit": line.limit,
            "scope": line.scope,
            "counter": key.counter_id,
            "starts_at": key.starts_at,
            "ends_at": key.ends_at,
            "used": shown.used,
            "held": shown.held,
            "amount": shown.cap if shown.amount is None else shown.amount,
            "cap": shown.cap,
            "granted": granted,
            "exact": stand.exact,
            "verdict": stand.verdict,
        }


def _gone(line: LineBody) -> dict[str, Any]:
    return {
        "limit": line.limit, "scope": line.scope, "counter": line.counter, "starts_at": 0,
        "ends_at": 0, "used": 0, "held": 0, "amount": 0, "cap": None, "granted": 0,
        "exact": False, "verdict": GONE,
    }  # fmt: skip


def _scope(text: str) -> dict[str, str]:
    """Return the values of a scope key, which must be written exactly as keys are.

    Raises:
        BadRequestError: it is not.
    """
    try:
        pairs = msgspec.json.decode(text, type=list[tuple[str, str]])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pairs = [("", "")]
    if key_text(tuple(pairs)) != text or len({name for name, _ in pairs}) != len(pairs):
        raise BadRequestError("`scope` is not a scope key.", where="scope")
    return dict(pairs)


def _fits(limit: Limit, values: dict[str, str]) -> bool:
    """Tell whether a scope is one that a limit has as it is now."""
    each = {part.field: part.values for part in limit.scope if part.each}
    fields: list[str] = [name for name in SCOPES if name in each]
    if needs_id(limit):
        fields.append(needs_id(limit))
    if fields != list(values) or not all(values.values()):
        return False
    return all(_listed(name, each[name], values[name]) for name in each if each[name])


def _listed(field: str, wanted: tuple[str, ...], value: str) -> bool:
    match field:
        case "agent":
            return agent_matches(wanted, value)
        case "model":
            return model_matches(wanted, value)
        case "provider":
            return True  # it has many names, and the SDK has matched it by all of them
    return text_matches(wanted, value)
