"""What is used and held: the arithmetic of reserve, extend, settle, void, expire, lease and post.

A `Desk` works on rows that somebody loaded and locked, and leaves the changed ones for him to
write. It owns these rules, the same for every store:

- `used + held <= cap` after every reservation; a reservation that does not fit changes nothing;
- what a hold's line counts as used is what was reported for it until its events have come, then
  what they say; so neither a lost event nor a lost report is lost spend, and nothing counts twice;
- an ended hold holds nothing; what is reported for it later is counted, and told to be late;
- a prepaid balance (`Counter.hard`) is never charged below its floor: the rest is its shortfall.

Times are microseconds UTC, amounts are in the unit of the limit's metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from outlay.core.limits.counting import change_meter, count_late, forget, into_buckets, wind_back
from outlay.core.limits.holds import (
    Booking,
    Counter,
    CounterKey,
    Expire,
    Extend,
    Hold,
    HoldState,
    Line,
    Meter,
    Need,
    Op,
    Outcome,
    Post,
    Reserve,
    Settle,
    Stand,
    Sync,
    Verdict,
    Void,
    Want,
)  # fmt: skip
from outlay.core.limits.lines import line_of, need_of, stand_of, stands

LEASE_SHARE: Final = 4
"""A lease takes at most one part in so many of what is free, so that it shrinks near the cap."""
EXACT_SHARE: Final = 50
"""With less than one part in so many of the cap free, each call holds its own and no more."""


class Desk:
    """Applies operations to loaded rows, one after the other."""

    def __init__(self, counters: Mapping[str, Counter], holds: Mapping[str, Hold]) -> None:
        """Take what was loaded; holds by id, leases under their owner."""
        self.counters = dict(counters)
        self.holds = dict(holds)
        self.bookings: list[Booking] = []

    def apply(self, op: Op) -> Outcome:
        """Apply one operation and return its answer."""
        match op:
            case Reserve():
                return self._reserve(op)
            case Extend():
                return self._extend(op)
            case Settle():
                return self._settle(op)
            case Void():
                return self._void(op)
            case Sync():
                return self._sync(op)
            case Post():
                return self._post(op)
            case Expire():
                return self._expire(op)

    # one call

    def _reserve(self, op: Reserve) -> Outcome:
        known = self.holds.get(op.hold_id)
        if known is not None:
            if known.lease or known.digest != op.digest:
                return Outcome("conflict")
            # A repeated request whose hold is over must not be taken for one that holds.
            return Outcome("already" if known.state == "open" else "ended", self._stands_of(known))
        refused = self._refusals(op.needs, op.at)
        if refused is not None:
            return refused
        hold = Hold(
            op.hold_id, op.owner, False, "open", op.at, op.expires_at, op.estimate_nanos,
            digest=op.digest, changed=True,
        )  # fmt: skip
        self.holds[op.hold_id] = hold
        for need in op.needs:
            self._grant(hold, need, op.at)
        return Outcome("ok", stands(self.counters, (need.key for need in op.needs)))

    def _extend(self, op: Extend) -> Outcome:
        hold = self.holds.get(op.hold_id)
        if hold is None or hold.lease:
            return Outcome("unknown")
        if hold.state != "open":
            return Outcome("ended")
        needs = [need_of(hold, need) for need in op.needs]
        refused = self._refusals(needs, op.at)
        if refused is not None:
            return refused
        for need in needs:
            self._grant(hold, need, op.at)
        hold.expires_at = max(hold.expires_at, op.expires_at)
        hold.changed = True
        return Outcome("ok", stands(self.counters, (need.key for need in needs)))

    def _settle(self, op: Settle) -> Outcome:
        hold = self.holds.get(op.hold_id)
        if hold is None or hold.lease:
            return Outcome("unknown")
        actual = op.amounts.get("cost", 0)
        if hold.state == "settled":
            same = hold.actual_nanos == actual
            return Outcome("already" if same else "conflict", late=hold.late)
        late = hold.state != "open"
        for line in hold.lines.values():
            wind_back(self.counters[line.key.counter_id], op.at)
            self._change(hold, line, op.at, reported=op.amounts.get(line.metric, 0), calls=1)
        self._end(hold, "settled")
        hold.actual_nanos = actual
        hold.late = late
        short = sum(line.short for line in hold.lines.values())
        return Outcome("ok", self._stands_of(hold), late=late, short=short)

    def _void(self, op: Void) -> Outcome:
        hold = self.holds.get(op.hold_id)
        if hold is None or hold.lease:
            return Outcome("unknown")
        if hold.state != "open":
            return Outcome("already" if hold.state in ("void", "expired") else "ended")
        self._end(hold, "void")
        return Outcome("ok", self._stands_of(hold))

    def _expire(self, op: Expire) -> Outcome:
        hold = self.holds.get(op.hold_id)
        if hold is None or hold.state != "open" or hold.expires_at > op.at:
            return Outcome("already")
        self._end(hold, "expired")
        return Outcome("ok", self._stands_of(hold))

    # a process

    def _sync(self, op: Sync) -> Outcome:
        lease = self.holds.get(op.owner)
        if lease is None:
            lease = Hold(op.owner, op.owner, True, "open", op.at, op.expires_at, changed=True)
            self.holds[op.owner] = lease
        if not lease.lease:
            return Outcome("conflict")
        if op.seq and lease.digest and op.seq <= int(lease.digest):
            # Come twice or overtaken: the process goes by slices that this must not shrink.
            return Outcome(
                "already", tuple(stand_of(lease, self.counters, want) for want in op.wants)
            )
        lease.digest = str(op.seq) if op.seq else lease.digest
        back = lease.state != "open"
        if back and not op.closing:
            lease.state = "open"
        lease.changed = True
        lease.expires_at = op.expires_at
        stands = tuple(self._slice(lease, want, op, back) for want in op.wants)
        if op.closing:
            self._end(lease, "closed")
        return Outcome("ok", stands)

    def _slice(self, lease: Hold, want: Want, op: Sync, back: bool) -> Stand:
        need = want.need
        counter, line = self._line(lease, need, op.at)
        self._change(
            lease, line, op.at,
            reported=max(want.reported, line.reported), calls=max(want.calls, line.calls),
        )  # fmt: skip
        cap = counter.ceiling if counter.hard else need.cap
        if op.closing or cap is None:
            ahead = 0 if op.closing else want.ahead
            kept = 0 if op.closing else want.flying + need.amount
            self._hold(lease, line, kept + ahead)
            return Stand(need.key, counter.used, counter.held, granted=kept + ahead)
        own = line.held() if lease.state == "open" else 0
        free = max(0, cap - counter.used - counter.held + own)
        # Calls on their way stay held for, even where others have used more than was left; not
        # of a lease that was over, whose slices are gone, and never below a balance's floor.
        kept = min(want.flying, free) if back or counter.hard else want.flying
        verdict: Verdict = "ok"
        if need.amount and kept + need.amount > free:
            # In flight, what calls of this process hold may come back, too.
            verdict = "over" if counter.used + need.amount > cap else "busy"
        else:
            kept += need.amount
        spare = max(0, free - kept)
        exact = spare * EXACT_SHARE < cap
        ahead = 0 if exact or verdict != "ok" else min(want.ahead, spare // LEASE_SHARE)
        self._hold(lease, line, kept + ahead)
        return Stand(need.key, counter.used, counter.held, verdict, kept + ahead, exact)

    # events

    def _post(self, op: Post) -> Outcome:
        hold = self.holds.get(op.hold_id) if op.hold_id else None
        holders = () if hold is None else (hold, self.holds.get(hold.owner))
        for posted in op.lines:
            found = line_of(holders, posted.key)
            if found is not None:
                owner, line = found
                self._change(
                    owner, line, posted.at,
                    evented=line.evented + posted.amount, events=line.events + posted.events,
                )  # fmt: skip
                continue
            if posted.meter.kind == "gauge":
                continue
            if posted.create or posted.key.counter_id in self.counters:
                counter = self._counter(posted.key, posted.meter, posted.at, event=True)
                forgiven = min(counter.short, max(0, -posted.amount))
                charged, short = self._count(counter, posted.amount + forgiven, posted.at)
                counter.folded += charged
                counter.short += short - forgiven
                self._book(counter, op.hold_id, charged, short - forgiven, posted.at)
        return Outcome("ok")

    # the arithmetic

    def _refusals(self, needs: Sequence[Need], at: int) -> Outcome | None:
        """Return the answer to needs of which one does not fit, else nothing."""
        stands, worst = [], "ok"
        asked: dict[str, int] = {}
        for need in needs:
            counter = self._counter(need.key, need.meter, at)
            verdict: Verdict = "ok"
            cap = counter.ceiling if counter.hard else need.cap
            amount = asked.get(need.key.counter_id, 0) + need.amount
            asked[need.key.counter_id] = amount
            if cap is not None and counter.used + counter.held + amount > cap:
                verdict = "over" if counter.used + amount > cap else "busy"
                worst = "over" if "over" in (worst, verdict) else "busy"
            stands.append(Stand(need.key, counter.used, counter.held, verdict))
        return None if worst == "ok" else Outcome(worst, tuple(stands))

    def _counter(self, key: CounterKey, meter: Meter, at: int, *, event: bool = False) -> Counter:
        """Return a counter as of a time: that of an event, or else the clock's."""
        counter = self.counters.get(key.counter_id)
        if counter is None:
            counter = self.counters[key.counter_id] = Counter(key, meter, as_of=at, changed=True)
        elif counter.meter != meter:
            change_meter(counter, meter, at)
        if not event:
            wind_back(counter, at)
        forget(counter, at)
        return counter

    def _line(self, hold: Hold, need: Need, at: int) -> tuple[Counter, Line]:
        counter = self._counter(need.key, need.meter, at)
        line = hold.lines.get(need.key.counter_id)
        if line is None:
            line = Line(need.key, need.metric, gauge=need.meter.kind == "gauge")
            hold.lines[need.key.counter_id] = line
        return counter, line

    def _grant(self, hold: Hold, need: Need, at: int) -> None:
        counter, line = self._line(hold, need, at)
        # On top of what is held or, where more was used than that, of what is used.
        counter.held += need.amount
        line.granted = max(line.granted, line.target()) + need.amount
        counter.changed = hold.changed = True

    def _hold(self, lease: Hold, line: Line, amount: int) -> None:
        """Make an open lease's line hold exactly an amount."""
        counter = self.counters[line.key.counter_id]
        before = line.held() if lease.state == "open" else 0
        line.granted = line.target() + amount
        counter.held += amount - before
        counter.changed = lease.changed = True

    def _change(
        self,
        hold: Hold,
        line: Line,
        at: int,
        *,
        reported: int | None = None,
        calls: int | None = None,
        evented: int | None = None,
        events: int | None = None,
    ) -> None:
        """Change what is known of a line, and what it counts and holds with it."""
        counter = self.counters[line.key.counter_id]
        is_open = hold.state == "open"
        before = line.held() if is_open else 0
        line.reported = line.reported if reported is None else reported
        line.calls = line.calls if calls is None else calls
        line.evented = line.evented if evented is None else evented
        line.events = line.events if events is None else events
        change = line.target() - line.booked - line.short
        # What could not be charged is forgiven first; it is not there to be held.
        forgiven = min(line.short, max(0, -change))
        line.granted = max(0, line.granted - forgiven)
        if not is_open:
            line.granted = line.target()  # so that a lease that comes back holds nothing
        counter.held += (line.held() if is_open else 0) - before
        counter.changed = hold.changed = True
        if not change or line.gauge:
            return
        charged, short = self._count(counter, change + forgiven, at)
        short -= forgiven
        line.booked += charged
        line.short += short
        self._book(counter, hold.hold_id, charged, short, at)

    def _book(self, counter: Counter, hold_id: str, charged: int, short: int, at: int) -> None:
        if counter.hard and (charged or short):
            booking = Booking(counter.key.counter_id, hold_id, charged, short, at)
            self.bookings.append(booking)

    def _count(self, counter: Counter, amount: int, at: int) -> tuple[int, int]:
        """Count an amount as used; return what was charged and what a balance could not pay."""
        short = 0
        if counter.hard and amount > 0:
            room = max(0, counter.ceiling - counter.used - counter.held)
            short = max(0, amount - room)
            amount -= short
        counter.changed = True
        forget(counter, at)
        if counter.meter.kind == "rolling":
            into_buckets(counter, amount, at)
        elif counter.meter.kind == "rate":
            count_late(counter, amount, at)
        else:
            counter.used += amount
        return amount, short

    def _end(self, hold: Hold, state: HoldState) -> None:
        if hold.state == "open":
            for line in hold.lines.values():
                counter = self.counters[line.key.counter_id]
                counter.held -= line.held()
                counter.changed = True
                line.granted = line.target()
        hold.state = state
        hold.changed = True

    def _stands_of(self, hold: Hold) -> tuple[Stand, ...]:
        return stands(self.counters, (line.key for line in hold.lines.values()))
