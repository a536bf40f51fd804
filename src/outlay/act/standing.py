"""How a scope of a limit stands, in the words of answers: used, held, left, until when.

A view of a counter under the policy; pure. Amounts are in the unit of the limit's metric.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlay.act.policy import Policy
from outlay.core.limits.holds import CounterKey, Stand
from outlay.core.limits.ladder import at_amount, reached, room_of
from outlay.core.limits.limit import CREDITS, Limit, Threshold
from outlay.core.limits.period import cap_of
from outlay.core.limits.refusal import Refusal, credits_refusal, refusal_of
from outlay.core.limits.subject import read_scope_key


@dataclass(frozen=True, slots=True)
class Standing:
    """One scope of a limit at a time.

    `cap` is where calls are refused, `None` where they are not; `left` is up to the cap, else up
    to the amount. `resets_at` is 0 where nothing resets. A balance has no amount: it has what is
    left above its floor, and its `used` is the balance below zero.
    """

    key: CounterKey
    metric: str
    mode: str
    used: int
    held: int
    amount: int | None
    cap: int | None
    left: int | None
    resets_at: int
    actions: tuple[Threshold, ...] = ()


def standing(policy: Policy, stand: Stand, at: int, *, coarse: bool = False) -> Standing:
    """Return how a counter stands under the policy.

    `coarse` shows of the use only which rungs it has reached: for those who share a limit with
    others, and may know when it bites but not what others use.
    """
    key = stand.key
    if key.limit_id == CREDITS:
        ceiling = -policy.floors.get(tenant_of(key.scope_key), 0)
        left = max(0, ceiling - stand.used - stand.held)
        return Standing(key, CREDITS, "enforce", stand.used, stand.held, None, ceiling, left, 0)
    limit = policy.limit(key.limit_id)
    if limit is None:
        return Standing(key, "", "off", stand.used, stand.held, None, None, None, key.ends_at)
    amount = policy.amount(limit, key.scope_key, at)
    cap = None if limit.mode == "shadow" else cap_of(limit, amount)
    used, held = stand.used, stand.held
    met = reached(limit, used=use_of(limit, used, held), amount=amount)
    if coarse:
        used = max((at_amount(limit, rung, amount) for rung in met), default=0)
        held = 0
        if limit.metric == "concurrent_calls":
            used, held = 0, used
    left = max(0, (room_of(limit, amount) if cap is None else cap) - used - held)
    return Standing(key, limit.metric, limit.mode, used, held, amount, cap, left, key.ends_at, met)


def use_of(limit: Limit, used: int, held: int) -> int:
    """Return what the rungs of a limit go by: what is used, of calls at once what is held."""
    return held if limit.metric == "concurrent_calls" else used


def refusal(
    policy: Policy, stand: Stand, at: int, *, need: int = 0, coarse: bool = False
) -> Refusal:
    """Return the refusal of a call that did not fit a counter."""
    key, shown = stand.key, standing(policy, stand, at, coarse=coarse)
    limit = policy.limit(key.limit_id)
    if key.limit_id == CREDITS:
        tenant = tenant_of(key.scope_key)
        return credits_refusal(
            tenant,
            balance=-stand.used,
            held=stand.held,
            floor=policy.floors.get(tenant, 0),
            verdict=stand.verdict,
        )
    if limit is None:  # changed while the call was on its way
        return Refusal("limit", "The limit has just been removed: try again.", key.limit_id,
                       retry_after_s=1, verdict="busy")  # fmt: skip
    told = Stand(key, shown.used, shown.held, stand.verdict)
    amount = policy.amount(limit, key.scope_key, at)
    return refusal_of(
        limit, told, amount=amount, cap=shown.cap, resets_at=key.ends_at, at=at, need=need
    )


def tenant_of(scope: str) -> str:
    """Return the tenant that a scope key names, or ""."""
    try:
        return read_scope_key(scope).get("tenant", "")
    except ValueError:
        return ""


def only_tenant(limit: Limit | None) -> str:
    """Return the one tenant that a limit is about, or ""."""
    for part in () if limit is None else limit.scope:
        if part.field == "tenant" and len(part.values) == 1 and not part.values[0].endswith("*"):
            return part.values[0]
    return ""
