"""Which URLs hear of which notice, and how often: a rung is called once, not at every call.

It decides and words; sending is `webhooks`' matter. A limit in the shadow calls nobody.
"""

from __future__ import annotations

from typing import Any, Final

from outlay.act.policy import Policy
from outlay.act.standing import standing
from outlay.act.webhooks import Webhooks
from outlay.core.limits.holds import Stand
from outlay.core.limits.limit import Limit
from outlay.store.limits import Notice

MAX_CALLED: Final = 100_000
"""Rungs whose last call is remembered; the oldest go first."""
_LEAST_PAUSE_US: Final = 300 * 1_000_000
_MOST_PAUSE_US: Final = 3600 * 1_000_000
"""Bounds of how long a rung that use keeps passing up and down is called only once."""

Rung = tuple[str, int, str]
"""Counter id, parts per million and action."""


class RungCalls:
    """Calls the URLs of rungs. Used by one thread."""

    def __init__(self, webhooks: Webhooks | None) -> None:
        self._webhooks = webhooks
        self._called: dict[Rung, tuple[int, int]] = {}
        """When each rung was called last, and at which amount of the limit."""

    def tell(self, policy: Policy, notice: Notice, at: int, *, new: bool) -> None:
        """Call the URL of a notice's rung if it is time to.

        `new` is a notice that was never there before; else use has passed the rung once more.
        """
        limit = policy.limit(notice.limit_id)
        if limit is None or limit.mode != "enforce" or self._webhooks is None:
            return
        urls = [
            rung.url
            for rung in limit.thresholds
            if rung.url and (rung.at_ppm, rung.action) == (notice.at_ppm, notice.action)
        ]
        rung = (notice.counter_id, notice.at_ppm, notice.action)
        if not urls or not self._is_due(limit, notice, rung, at, new=new):
            return
        if len(self._called) >= MAX_CALLED:
            del self._called[next(iter(self._called))]
        self._called[rung] = (at, notice.amount)
        payload = _payload(policy, limit, notice, at)
        for url in urls:
            self._webhooks.send(url, payload)

    def _is_due(self, limit: Limit, notice: Notice, rung: Rung, at: int, *, new: bool) -> bool:
        last = self._called.get(rung)
        if new:
            # A refusal and the crossing of the rung that refuses are one matter.
            return last is None
        if limit.window in ("rolling", "rate") or limit.metric == "concurrent_calls":
            pause = max(_LEAST_PAUSE_US, min(limit.span_us, _MOST_PAUSE_US))
            return last is None or at - last[0] >= pause
        # Used up once more after it was raised.
        return last is not None and last[1] != notice.amount


def _payload(policy: Policy, limit: Limit, notice: Notice, at: int) -> dict[str, Any]:
    need = policy.need(limit, notice.scope_key, 0, at)
    shown = standing(policy, Stand(need.key, notice.used, 0), at)
    return {
        "event": f"limit.{notice.kind}",
        "limit": limit.limit_id,
        "name": limit.name,
        "metric": limit.metric,
        "window": limit.window,
        "scope": notice.scope_key,
        "tenant": notice.tenant,
        "used": notice.used,
        "amount": notice.amount,
        "left": shown.left,
        "threshold": notice.at_ppm,
        "action": notice.action,
        "resets_at": need.key.ends_at,
        "at": notice.at,
    }
