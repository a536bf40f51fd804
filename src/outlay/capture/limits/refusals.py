"""Refusals from what this process knows of a line."""

from __future__ import annotations

from outlay.capture.limits.lines import Line
from outlay.core.limits.holds import CounterKey, Stand, Verdict
from outlay.core.limits.limit import CREDITS
from outlay.core.limits.refusal import Refusal, credits_refusal, refusal_of


def refusal_for(
    line: Line, amount: int, verdict: Verdict, now: float, now_us: int, tenant: str
) -> Refusal:
    """Return the refusal of a call that needs an amount of a line.

    Args:
        line: what it does not fit.
        amount: what it needs.
        verdict: `busy` where what others hold may come back.
        now: by the clock that only grows, in seconds.
        now_us: by the server's clock, microseconds UTC.
        tenant: whose call it is.
    """
    period, limit = line.now, line.limit
    used = 0 if line.gauge else period.spent(now)
    held = max(0, period.held - period.held_here) + period.flying
    if limit.metric == CREDITS:
        floor = -(period.cap or 0)
        return credits_refusal(tenant, balance=-used, held=held, floor=floor, verdict=verdict)
    key = CounterKey(period.counter, "", limit.limit_id, line.scope_key, 0, period.ends_at)
    return refusal_of(
        limit,
        Stand(key, used, held, verdict),
        amount=period.amount,
        cap=period.cap,
        resets_at=period.ends_at,
        at=now_us,
        need=amount,
    )
