"""What the rungs of a limit below `block` do to a call that comes in. Under the gate's lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from outlay.capture.limits.callbacks import Notice, listening
from outlay.capture.limits.lines import Line
from outlay.capture.limits.steps import Asked, Downgrade, Step, Wait
from outlay.core.limits.ladder import at_amount, next_model, reached
from outlay.core.limits.limit import ACTIONS, MAX_DELAY_MS, Threshold

_ONCE: Final = frozenset(("warn", "escalate"))
_STRENGTH: Final = {action: place for place, action in enumerate(("", *ACTIONS))}


def climb(
    asked: Asked,
    tenant: str,
    lines: Sequence[Line],
    amounts: Sequence[int],
    now: float,
    told: list[Notice],
) -> Step | None:
    """Do what the rungs reached say; return the step they make the call take, if any."""
    delay_s = 0.0
    for line in lines:
        period = line.now
        used = period.spent(now)
        if used + period.flying + amounts[line.place] < period.first:
            continue
        met = reached(line.limit, used=used, amount=period.amount)
        if not line.enforced:
            _watch(asked, tenant, line, amounts[line.place], used, met, now, told)
            continue
        for rung in met:
            action = rung.action
            if action in _ONCE:
                _tell_once(asked, tenant, line, rung, now, told)
                _mark(asked, action)
            elif action == "downgrade" and not asked.keep_model:
                model = next_model(line.limit, used, period.amount, asked.model)
                if model is not None:
                    _mark(asked, action)
                    _tell(asked, tenant, line, action, now, told, instead=model)
                    return Downgrade(model, asked.model, line.limit.limit_id)
            elif action == "throttle" and not asked.delayed:
                wait_s = _delay(line, rung, now)
                if wait_s > 0:
                    delay_s = max(delay_s, wait_s)
                    _mark(asked, action)
                    _tell(asked, tenant, line, action, now, told)
    if delay_s <= 0:
        return None
    asked.delayed = True
    return _sleep(asked, delay_s)


def until_it_fits(asked: Asked, line: Line, amount: int, now: float) -> Wait | None:
    """Return the wait until an amount fits a rate that throttles, `None` if that is too long."""
    limit = line.limit
    if limit.window != "rate":
        return None
    most = max((t.delay_ms for t in limit.thresholds if t.action == "throttle"), default=0)
    wait_s = line.now.fits_in_s(amount, now)
    if wait_s <= 0 or asked.slept + wait_s > min(most, MAX_DELAY_MS) / 1000:
        return None
    _mark(asked, "throttle")
    return _sleep(asked, wait_s)


def notice(
    action: str, line: Line, now: float, *, tenant: str, model: str = "", instead: str = ""
) -> Notice:
    """Return what callbacks are told of a line."""
    period = line.now
    used = period.spent(now)
    whole = period.amount if period.cap is None else period.cap
    return Notice(
        action=action,
        limit_id=line.limit.limit_id,
        scope=line.scope_key,
        tenant=tenant,
        used=used,
        amount=period.amount,
        left=max(0, whole - used),
        resets_at=period.ends_at,
        shadow=not line.enforced,
        model=model,
        instead=instead,
    )


def _watch(
    asked: Asked,
    tenant: str,
    line: Line,
    amount: int,
    used: int,
    met: Sequence[Threshold],
    now: float,
    told: list[Notice],
) -> None:
    """Tell what a limit in the shadow would have done."""
    period = line.now
    seen: set[str] = set()
    for rung in met:
        if rung.action in _ONCE:
            _tell_once(asked, tenant, line, rung, now, told)
        elif rung.action != "block":
            seen.add(rung.action)
    blocks = [t for t in line.limit.thresholds if t.action == "block"]
    taken = amount + period.flying + (0 if line.gauge else used)
    if any(taken > at_amount(line.limit, rung, period.amount) for rung in blocks):
        seen.add("block")
    for action in sorted(seen, key=_STRENGTH.__getitem__):
        model = None
        if action == "downgrade":
            model = next_model(line.limit, used, period.amount, asked.model)
            if model is None:
                continue
        _tell(asked, tenant, line, action, now, told, instead=model or "")


def _delay(line: Line, rung: Threshold, now: float) -> float:
    """Return how long a throttle holds a call up, in seconds."""
    most = min(rung.delay_ms, MAX_DELAY_MS) / 1000
    if line.limit.window != "rate":
        return most
    period = line.now
    over = period.spent(now) - at_amount(line.limit, rung, period.amount)
    return min(most, max(0.0, over * line.limit.span_us / max(1, period.amount) / 1e6))


def _sleep(asked: Asked, seconds: float) -> Wait:
    asked.slept += seconds
    asked.began += seconds
    return Wait(seconds)


def _mark(asked: Asked, action: str) -> None:
    if _STRENGTH[action] > _STRENGTH[asked.mark]:
        asked.mark = action


def _tell_once(
    asked: Asked, tenant: str, line: Line, rung: Threshold, now: float, told: list[Notice]
) -> None:
    key = (rung.at_ppm, rung.action)
    if key not in line.now.told:
        line.now.told.add(key)
        _tell(asked, tenant, line, rung.action, now, told)


def _tell(
    asked: Asked, tenant: str, line: Line, action: str, now: float, told: list[Notice],
    *, instead: str = "",
) -> None:  # fmt: skip
    if listening(action):
        told.append(notice(action, line, now, tenant=tenant, model=asked.model, instead=instead))
