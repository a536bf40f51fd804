"""What the host application is told of its limits: callbacks by action, for all of the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from outlay.capture.guard import caught, warn_once
from outlay.core.limits.limit import ACTIONS

ANY: Final = "any"
MAX_CALLBACKS: Final = 256
"""For each action; further ones are not called."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a limit did to a call of this process.

    `used`, `amount` and `left` are in the unit of the limit's metric, as this process knows them;
    `left` is 0 below nothing. `resets_at` is microseconds UTC, 0 where no time mends it.
    """

    action: str
    limit_id: str
    scope: str
    """The scope key: JSON of `[field, value]` pairs."""
    tenant: str
    used: int
    amount: int
    left: int
    resets_at: int
    shadow: bool
    """Nothing was done: the limit only watches."""
    model: str = ""
    """The model that was asked for."""
    instead: str = ""
    """Of a downgrade: the model that takes its place."""


Callback = Callable[[Notice], object]

_callbacks: dict[str, dict[object, Callback]] = {}


def on(action: str, callback: Callback) -> Callable[[], None]:
    """Call a function whenever a limit does something to a call of this process.

    It runs on the thread of the call, before the call goes out; `warn` and `escalate` come once
    for each threshold of a scope and period, all others each time. What it raises is logged and
    swallowed.

    Args:
        action: `warn`, `throttle`, `downgrade`, `partial`, `escalate`, `block` or `any`.
        callback: takes a `Notice`.

    Returns:
        A function that takes the callback away again.
    """
    if action not in (ANY, *ACTIONS):
        warn_once(f"on:{action}", "outlay: there is no action `%s`; see outlay.on", action)
        return _nothing
    listed = _callbacks.setdefault(action, {})
    if len(listed) >= MAX_CALLBACKS:
        warn_once(f"on:{action}:full", "outlay: more than %d callbacks", MAX_CALLBACKS)
        return _nothing
    own = object()  # the same function may be added twice
    listed[own] = callback

    def remove() -> None:
        listed.pop(own, None)

    return remove


def listening(action: str) -> bool:
    """Tell whether anybody would hear of an action."""
    return bool(_callbacks.get(action) or _callbacks.get(ANY))


def tell(notice: Notice) -> None:
    """Call everybody who wants to hear of it."""
    for action in (notice.action, ANY):
        for callback in list(_callbacks.get(action, {}).values()):
            try:
                callback(notice)
            except Exception as error:
                caught("limits.callback", error)


def clear() -> None:
    """Forget all callbacks."""
    _callbacks.clear()


def _nothing() -> None:
    return None
