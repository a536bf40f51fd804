"""What must be true of a world when all has ended."""

from __future__ import annotations

from tests.sim.desk_world import Call, World, used_of


def check_end(world: World) -> None:
    """Nothing is held, nothing is lost or counted twice, and overspend is within its bound."""
    ended = [call for call in world.calls if call.posted >= 0]
    used: dict[str, int] = {}
    for counter in world.desk.counters.values():
        assert counter.held == 0, "held after all has ended"
        if counter.meter.kind == "sum":
            series = counter.key.series
            used[series] = used.get(series, 0) + counter.used
    for hold in world.desk.holds.values():
        for line in hold.lines.values():
            used[line.key.series] = used.get(line.key.series, 0) + line.short
    for booking in world.desk.bookings:
        if not booking.hold_id:
            series = booking.counter_id.rpartition("|")[0]
            used[series] += booking.short
    truth: dict[str, int] = {}
    for call in ended:
        for rule, key in call.keys or world.keys(call.by, call.at):
            if rule.meter.kind == "sum":
                amount = used_of(rule, call.actual)
                truth[key.series] = truth.get(key.series, 0) + amount
    for series in used.keys() | truth.keys():
        assert used.get(series, 0) == truth.get(series, 0), f"{series}: lost or counted twice"
    if not world.mode.shuffled:
        check_bound(world, ended)


def check_bound(world: World, ended: list[Call]) -> None:
    """Overspend is at most what calls used beyond what was held for them, 0 in strict mode.

    Only calls count that were not known for certain when something was granted last: their events
    had not come or, of a lease, its process had not said that they ended, so that what they used
    too much was missing for its other calls. Where a process reckons with too low a price, that
    counts until all events of its lease have come.
    """
    over: dict[str, int] = {}
    for call in ended:
        covered = 0 if call.exposed else min(call.reserved, call.actual)
        if call.priced < call.actual:
            covered = min(covered, call.priced)
        for rule, key in call.keys:
            beyond = 0
            if max(call.posted, call.told) > world.admitted.get(key.counter_id, 0):
                beyond = call.actual - covered
            elif call.leased:
                beyond = max(0, call.actual - call.priced)
            over[key.counter_id] = over.get(key.counter_id, 0) + used_of(rule, beyond)
    for counter_id, counter in world.desk.counters.items():
        rule = next(rule for rule in world.rules if rule.name == counter.key.limit_id)
        if counter.meter.kind == "sum" and rule.cap is not None:
            bound = rule.cap + over.get(counter_id, 0)
            assert counter.used <= bound, f"{counter_id}: {counter.used} above {bound}"
            if world.mode.strict and world.mode.calm:
                assert counter.used <= rule.cap, f"{counter_id}: {counter.used} is overspent"
