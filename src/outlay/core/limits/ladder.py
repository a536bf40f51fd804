"""What a limit does at a use: which rungs are reached, which model comes next, how long to wait.

Pure arithmetic on a limit's thresholds. `amount` is what `amount_now` returns; of a rate the
thresholds are parts of its burst. `used` is what counts as used; for `concurrent_calls`, where
nothing is ever used, pass what is held.
"""

from __future__ import annotations

from typing import Final

from outlay.core.limits.limit import ACTIONS, PPM, Action, Limit, Threshold

_ORDER: Final = {action: place for place, action in enumerate(ACTIONS)}


def room_of(limit: Limit, amount: int) -> int:
    """Return what the thresholds are parts of: the amount, or of a rate what it allows at once."""
    return limit.burst if limit.window == "rate" and limit.burst else amount


def cap_of(limit: Limit, amount: int) -> int | None:
    """Return what may be used and held at most; `None`: calls are never refused."""
    return limit.cap(room_of(limit, amount))


def at_amount(limit: Limit, threshold: Threshold, amount: int) -> int:
    """Return the least use at which a threshold is reached."""
    return -(-room_of(limit, amount) * threshold.at_ppm // PPM)


def reached(limit: Limit, *, used: int, amount: int) -> tuple[Threshold, ...]:
    """Return the thresholds at or below a use, mildest action first, then lowest first."""
    size = used * PPM
    whole = room_of(limit, amount)
    met = [t for t in limit.thresholds if t.at_ppm * whole <= size]
    if len(met) > 1:
        met.sort(key=_place)
    return tuple(met)


def crossed(limit: Limit, before: int, after: int, amount: int) -> tuple[Threshold, ...]:
    """Return the thresholds that a growing use passes, in the order that it does."""
    whole = room_of(limit, amount)
    low, high = before * PPM, after * PPM
    met = [t for t in limit.thresholds if low < t.at_ppm * whole <= high]
    return tuple(sorted(met, key=lambda t: (t.at_ppm, _ORDER[t.action])))


def actions_at(limit: Limit, *, used: int, amount: int) -> tuple[Action, ...]:
    """Return the actions that hold at a use, mildest first, each once."""
    return tuple(dict.fromkeys(t.action for t in reached(limit, used=used, amount=amount)))


def delay_ms(limit: Limit, used: int, amount: int) -> int:
    """Return how long a call is held up at most: the longest delay of the throttles reached."""
    met = reached(limit, used=used, amount=amount)
    return max((t.delay_ms for t in met if t.action == "throttle"), default=0)


def next_model(limit: Limit, used: int, amount: int, model: str) -> str | None:
    """Return the model that a downgrade puts in the place of one; `None`: it stays.

    The highest rung that names the model counts. What it puts there stays at this rung, whatever
    pattern it matches itself, but a higher rung may name it in turn.
    """
    met = [t for t in reached(limit, used=used, amount=amount) if t.action == "downgrade"]
    asked = model.lower()
    now = asked
    given: str | None = None
    while met:
        for place in range(len(met) - 1, -1, -1):
            target = _mapped(met[place], now)
            if target is not None:
                given, now = target, target.lower()
                met = met[place + 1 :]
                break
        else:
            break
    return given if now != asked else None


def _mapped(threshold: Threshold, model: str) -> str | None:
    if any(target.lower() == model for _, target in threshold.models):
        return None
    starts: list[tuple[int, str]] = []
    for asked, target in threshold.models:
        name = asked.lower()
        if name == model:
            return target
        if name.endswith("*") and model.startswith(name[:-1]):
            starts.append((len(name), target))
    return max(starts)[1] if starts else None


def _place(threshold: Threshold) -> tuple[int, int]:
    return (_ORDER[threshold.action], threshold.at_ppm)
