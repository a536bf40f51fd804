"""What a refused call is told: which limit, what it allows, what is left, when it begins anew.

Owns the sentence and the numbers, which are the same in the SDK, at the gateway and over HTTP. It
names scopes and amounts, never what a call said. Amounts are in the unit of the limit's metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from outlay.core.limits.holds import Stand, Verdict
from outlay.core.limits.limit import CREDITS, Limit
from outlay.core.limits.subject import read_scope_key
from outlay.core.money import format_usd

Reason = Literal[
    "limit", "credits", "entitlement", "budget", "steps", "depth", "loop", "unreachable"
]

CODES: Final[Mapping[Reason, str]] = {
    "limit": "limit_exceeded",
    "credits": "credits_exhausted",
    "entitlement": "not_entitled",
    "budget": "budget_exceeded",
    "steps": "too_many_steps",
    "depth": "too_deep",
    "loop": "loop_detected",
    "unreachable": "limits_unreachable",
}
"""The error code that each reason has in an answer."""

_NAMED: Final = 3
"""Values of a selector that a sentence names."""
_BUSY_S: Final = 1
_SECOND: Final = 1_000_000
_UNITS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "tokens": ("token", "tokens"),
    "input_tokens": ("input token", "input tokens"),
    "output_tokens": ("output token", "output tokens"),
    "calls": ("call", "calls"),
    "concurrent_calls": ("call", "calls"),
    "credits": ("credit", "credits"),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call may not be made.

    `left` is what may still be used, what is held taken off. `resets_at` is microseconds UTC, 0
    where no time mends it; `retry_after_s` is whole seconds, 0 where trying again is no use.
    `verdict` is `busy` where what others hold may come back, else `over`.
    """

    reason: Reason
    message: str
    limit_id: str = ""
    name: str = ""
    metric: str = ""
    window: str = ""
    scope_key: str = ""
    amount: int = 0
    used: int = 0
    held: int = 0
    left: int = 0
    resets_at: int = 0
    retry_after_s: int = 0
    verdict: Verdict = "over"

    @property
    def code(self) -> str:
        """The error code of an answer that refuses."""
        return CODES[self.reason]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values; `from_dict` reads them."""
        return {**asdict(self), "code": self.code}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Refusal:
        """Read what `as_dict` wrote; names that are not known are passed over.

        Raises:
            ValueError: the reason or the message is missing, or the reason is not known.
        """
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        if known.get("reason") not in CODES or not isinstance(known.get("message"), str):
            raise ValueError("a refusal has a reason and a message")
        return cls(**known)


def refusal_of(
    limit: Limit,
    stand: Stand,
    *,
    amount: int,
    cap: int | None,
    resets_at: int,
    at: int,
    need: int = 0,
) -> Refusal:
    """Return the refusal of a call that did not fit a limit.

    `amount` is what the limit allows now, `cap` where it refuses, `need` what the call asked for,
    `at` the time now.
    """
    scope_key = stand.key.scope_key
    allowed = amount if cap is None else cap
    left = max(0, allowed - stand.used - stand.held)
    metric = limit.metric
    held = f" and {amount_text(metric, stand.held)} held" if stand.held else ""
    used = f"{amount_text(metric, stand.used)} {_is_are(stand.used, metric)} used{held}"
    if metric == "concurrent_calls":
        used = f"{stand.held:,} {'is' if stand.held == 1 else 'are'} on their way"
    rest = f" It resets at {time_text(resets_at)}." if resets_at else ""
    message = (
        f"The limit `{limit.limit_id}` ({describe(limit, scope_key)}) allows "
        f"{amount_text(metric, allowed)}; {used}, so this call does not fit.{rest}"
    )
    return Refusal(
        "limit",
        message,
        limit.limit_id,
        limit.name,
        metric,
        limit.window,
        scope_key,
        amount,
        stand.used,
        stand.held,
        left,
        resets_at,
        _retry_after(limit, stand, allowed, amount, resets_at, at, need),
        stand.verdict if stand.verdict != "ok" else "over",
    )


def credits_refusal(
    tenant: str, *, balance: int, held: int, floor: int = 0, verdict: Verdict = "over"
) -> Refusal:
    """Return the refusal of a call that a prepaid balance cannot pay, in micro-credits."""
    left = max(0, balance - floor - held)
    below = f" and may go down to {amount_text(CREDITS, floor)}" if floor else ""
    kept = f", of which {amount_text(CREDITS, held)} {_is_are(held, CREDITS)} held" if held else ""
    message = (
        f"The balance of tenant {tenant} is {amount_text(CREDITS, balance)}{kept}{below}: "
        "this call does not fit. Grant credits to go on."
    )
    return Refusal(
        "credits",
        message,
        CREDITS,
        metric=CREDITS,
        window="none",
        scope_key="",
        amount=balance - floor,
        held=held,
        left=left,
        retry_after_s=_BUSY_S if verdict == "busy" else 0,
        verdict=verdict,
    )


def entitlement_refusal(why: str) -> Refusal:
    """Return the refusal of what a plan does not include; `why` comes from `entitled.denied`."""
    return Refusal("entitlement", f"This is not included: {why}.")


def budget_refusal(agent: str, *, cap: int, used: int, held: int = 0) -> Refusal:
    """Return the refusal of a call that an agent run's budget, in nano-dollars, does not cover."""
    kept = f" and {amount_text('cost', held)} held" if held else ""
    message = (
        f"The budget of this run of agent `{agent}` is {amount_text('cost', cap)}; "
        f"{amount_text('cost', used)} is used{kept}, so this call does not fit."
    )
    left = max(0, cap - used - held)
    return Refusal(
        "budget", message, metric="cost", window="run", amount=cap, used=used, held=held, left=left
    )


def steps_refusal(agent: str, *, max_steps: int) -> Refusal:
    """Return the refusal of a step past what an agent's run may take."""
    message = f"This run of agent `{agent}` may take {max_steps:,} steps and has taken them."
    return Refusal("steps", message, amount=max_steps, used=max_steps)


def depth_refusal(agent: str, *, max_depth: int) -> Refusal:
    """Return the refusal of an agent that would run too deep below others."""
    message = f"Agents may run {max_depth:,} deep here, and `{agent}` would be deeper."
    return Refusal("depth", message, amount=max_depth, used=max_depth)


def loop_refusal(agent: str, *, times: int) -> Refusal:
    """Return the refusal of an agent that does the same over and over."""
    message = f"The agent `{agent}` did exactly the same {times:,} times: it seems to be stuck."
    return Refusal("loop", message, amount=times, used=times)


def unreachable_refusal(limit: Limit, scope_key: str = "") -> Refusal:
    """Return the refusal of a call whose limit cannot be checked and refuses then."""
    message = (
        f"The limit `{limit.limit_id}` ({describe(limit, scope_key)}) cannot be checked now, as "
        "the outlay server cannot be reached, and it is set to refuse calls then."
    )
    return Refusal(
        "unreachable",
        message,
        limit.limit_id,
        limit.name,
        limit.metric,
        limit.window,
        scope_key,
        limit.amount,
        retry_after_s=_BUSY_S,
        verdict="busy",
    )


def describe(limit: Limit, scope_key: str = "") -> str:
    """Say what a limit counts, over what time and whose, such as `cost per month for tenant a`."""
    what = limit.metric.replace("_", " ") if limit.metric != "concurrent_calls" else "calls at once"
    when = _window_text(limit)
    try:
        values = read_scope_key(scope_key) if scope_key else {}
    except ValueError:
        values = {}
    parts = []
    for part in limit.scope:
        field = part.field.replace("_", " ")
        if part.field in values:
            parts.append(f"{field} {values[part.field]}")
        elif part.each:
            parts.append(f"each {field}")
        elif part.values:
            more = len(part.values) - _NAMED
            names = " or ".join(part.values[:_NAMED])
            parts.append(f"{field} {names}" + (f" or {more} more" if more > 0 else ""))
    whose = f" for {', '.join(parts)}" if parts else ""
    return f"{what}{when}{whose}"


def amount_text(metric: str, amount: int) -> str:
    """Write an amount of a metric for people: `$5.00`, `1,200 tokens`, `12.5 credits`."""
    if metric == "cost":
        return format_usd(amount)
    if metric == "credits":
        whole, rest = divmod(abs(amount), 1_000_000)
        digits = f"{whole:,}" + (f".{rest:06d}".rstrip("0") if rest else "")
        sign = "-" if amount < 0 else ""
        return f"{sign}{digits} {'credit' if abs(amount) == 1_000_000 else 'credits'}"
    one, many = _WORDS.get(metric, (metric, metric))
    return f"{amount:,} {one if amount == 1 else many}"


def span_text(span_us: int) -> str:
    """Write a length of time in the largest unit that it is whole in: `24 hours` is `1 day`."""
    seconds = span_us // _SECOND
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    count = seconds // size
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def time_text(at: int) -> str:
    """Write a time, microseconds UTC, as RFC 3339 in whole seconds."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at // _SECOND)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _window_text(limit: Limit) -> str:
    if limit.window == "none":
        return ""
    if limit.window == "rolling":
        return f" in any {span_text(limit.span_us).removeprefix('1 ')}"
    if limit.window == "rate":
        return f" per {span_text(limit.span_us).removeprefix('1 ')}"
    return f" per {limit.window}"


def _is_are(amount: int, metric: str) -> str:
    one = 1_000_000 if metric == CREDITS else 1
    return "is" if metric == "cost" or amount == one else "are"


def _retry_after(
    limit: Limit, stand: Stand, allowed: int, amount: int, resets_at: int, at: int, need: int
) -> int:
    """Return after how many seconds another try may fit, rounded up; 0: not by waiting."""
    if stand.verdict == "busy" or limit.metric == "concurrent_calls":
        return _BUSY_S
    if limit.window == "rate" and amount > 0:
        if need > allowed:
            return 0
        over = max(1, stand.used + stand.held + need - allowed)
        return -(-over * limit.span_us // (amount * _SECOND))
    if limit.window == "rolling":
        return max(1, limit.span_us // _SECOND // 60)
    return max(1, -((at - resets_at) // _SECOND)) if resets_at else 0
