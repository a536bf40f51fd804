"""How a counter counts and forgets: for ever, by window, or by leaking. Integers, no clock."""

from __future__ import annotations

from typing import Final

from outlay.core.limits.holds import Counter, Meter

ROLLING_BUCKETS: Final = 60
"""A rolling window forgets in steps of this part of its length, never too early."""
STEP_BACK_US: Final = 10_000_000
"""How far clocks of servers may differ; one that is further behind was set back."""


def forget(counter: Counter, at: int) -> None:
    """Take out of `used` what has left the window, or leaked, by a time."""
    meter = counter.meter
    if meter.kind == "rate" and meter.amount > 0 and meter.span_us > 0:
        passed = at - counter.as_of
        if passed <= 0:
            return
        leaked = meter.amount * passed // meter.span_us
        if leaked >= counter.used:
            counter.used, counter.as_of = 0, at
        else:
            counter.used -= leaked
            # What is left of the time counts the next time.
            counter.as_of += leaked * meter.span_us // meter.amount
        counter.changed = True
    elif meter.kind == "rolling":
        if counter.buckets:
            width = bucket_us(meter)
            gone = [start for start in counter.buckets if start + width + meter.span_us <= at]
            for start in gone:
                counter.used -= counter.buckets.pop(start)
                counter.changed = True
        counter.as_of = max(counter.as_of, at)


def wind_back(counter: Counter, now: int) -> None:
    """Go by a clock that was set back: else nothing would count or leak until it is there again."""
    if counter.as_of - now > STEP_BACK_US:
        counter.as_of, counter.changed = now, True


def change_meter(counter: Counter, meter: Meter, at: int) -> None:
    """Let a counter forget otherwise from a time on; what is used by then stays."""
    forget(counter, at)
    before = counter.meter
    counter.meter, counter.changed = meter, True
    counter.as_of = max(counter.as_of, at)
    if meter.kind == "rolling" and before.kind != "rolling":
        # It is not known when it was used; as of now it leaves the window, and not never.
        counter.buckets = {_bucket(meter, at): counter.used} if counter.used else {}
    elif meter.kind != "rolling":
        counter.buckets = {}


def bucket_us(meter: Meter) -> int:
    """Return the width of the steps that a rolling window forgets in."""
    return max(1, meter.span_us // ROLLING_BUCKETS)


def into_buckets(counter: Counter, amount: int, at: int) -> None:
    """Count into the step of a time; what is taken back comes out of the newest steps.

    What has left the window is neither counted nor taken back.
    """
    buckets = counter.buckets
    bucket = _bucket(counter.meter, at)
    if bucket + bucket_us(counter.meter) + counter.meter.span_us <= counter.as_of:
        return
    if amount >= 0:
        buckets[bucket] = buckets.get(bucket, 0) + amount
        counter.used += amount
        return
    for start in sorted(buckets, reverse=True):
        taken = min(buckets[start], -amount)
        buckets[start] -= taken
        counter.used -= taken
        amount += taken


def count_late(counter: Counter, amount: int, at: int) -> None:
    """Count into what leaks, but for what is so late that it would have leaked by now."""
    if at + counter.meter.span_us > counter.as_of:
        counter.used = max(0, counter.used + amount)


def _bucket(meter: Meter, at: int) -> int:
    return at - at % bucket_us(meter)
