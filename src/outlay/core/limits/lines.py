"""Which line of a hold something belongs to: a need, or an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from outlay.core.limits.holds import Counter, CounterKey, Hold, Line, Need, Stand, Want


def need_of(hold: Hold, need: Need) -> Need:
    """Return a need of the counter that a hold has a line of, though its period is over by now.

    What a call uses is reported to each of its lines, so that it has one of each series.
    """
    if need.key.counter_id in hold.lines:
        return need
    same = (line.key for line in hold.lines.values() if line.key.series == need.key.series)
    key = next(same, None)
    return need if key is None else replace(need, key=key)


def line_of(holders: Iterable[Hold | None], key: CounterKey) -> tuple[Hold, Line] | None:
    """Find the line that an event belongs to: that of the first holder who has one.

    Around the end of a period a call and its event may not agree on it, so that another line of
    the series does, the latest one.
    """
    for holder in holders:
        if holder is None:
            continue
        line = holder.lines.get(key.counter_id)
        if line is None:
            same = [one for one in holder.lines.values() if one.key.series == key.series]
            line = max(same, key=lambda one: one.key.starts_at, default=None)
        if line is not None:
            return holder, line
    return None


def stand_of(lease: Hold, counters: Mapping[str, Counter], want: Want) -> Stand:
    """Return how a line of a lease stands as it is, with what its holder may go on using."""
    key = want.need.key
    line, counter = lease.lines.get(key.counter_id), counters.get(key.counter_id)
    if line is None or counter is None:
        return Stand(key, 0, 0)
    granted = line.held() if lease.state == "open" else 0
    return Stand(key, counter.used, counter.held, granted=granted)


def stands(counters: Mapping[str, Counter], keys: Iterable[CounterKey]) -> tuple[Stand, ...]:
    """Return how counters stand."""
    found = (counters[key.counter_id] for key in keys)
    return tuple(Stand(one.key, one.used, one.held) for one in found)
