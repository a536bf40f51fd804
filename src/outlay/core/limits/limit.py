"""A limit: scope, metric, window and ladder, and the overrides that change one for a while.

Owns the values and their vocabulary; `document` reads them from what people write, `subject` says
what they select, `period` when they begin again, `desk` what is held and used.

Amounts are nano-dollars for `cost`, micro-credits for `credits`, else plain counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Metric = Literal[
    "cost", "tokens", "input_tokens", "output_tokens", "calls", "concurrent_calls", "credits"
]
Window = Literal["request", "run", "rolling", "rate", "hour", "day", "week", "month", "none"]
Action = Literal["warn", "throttle", "downgrade", "partial", "escalate", "block"]
Mode = Literal["enforce", "shadow", "off"]
Unreachable = Literal["open", "closed"]

METRICS: Final[tuple[Metric, ...]] = (
    "cost", "tokens", "input_tokens", "output_tokens", "calls", "concurrent_calls",
)  # fmt: skip
"""What people may limit; `credits` is a tenant's prepaid balance, which limits by itself."""
WINDOWS: Final[tuple[Window, ...]] = (
    "request", "run", "rolling", "rate", "hour", "day", "week", "month",
)  # fmt: skip
"""`none` is for `concurrent_calls` and `credits` only: there is no window to count in."""
ACTIONS: Final[tuple[Action, ...]] = (
    "warn", "throttle", "downgrade", "partial", "escalate", "block",
)  # fmt: skip
"""The ladder, mildest first."""
MODES: Final[tuple[Mode, ...]] = ("enforce", "shadow", "off")
SCOPES: Final = (
    "tenant", "plan", "billing_unit", "user", "feature", "workflow", "agent", "model", "provider",
    "initiator",
)  # fmt: skip
"""What a selector may name, in the order that counts."""

CREDITS: Final = "credits"
"""Id of the limit that a prepaid balance is."""
PPM: Final = 1_000_000
"""A threshold of the whole amount, in parts per million."""

MAX_LIMITS: Final = 10_000
MAX_VALUES: Final = 100
"""Values that one selector may list."""
MAX_THRESHOLDS: Final = 16
MAX_AMOUNT: Final = 10**18
"""Of any metric; a billion dollars."""
MAX_DELAY_MS: Final = 60_000
"""Longest delay of a throttle."""
MAX_THRESHOLD_PPM: Final = 10 * PPM
MIN_SPAN_US: Final = 1_000_000
MAX_SPAN_US: Final = 366 * 86_400_000_000
"""Bounds of the span of a rolling window and of the time that a rate is per."""
DEFAULT_PRIORITY: Final = 100


@dataclass(frozen=True, slots=True)
class Match:
    """One part of a selector: which values of a field, and whether each counts on its own.

    No values mean any. A value may end in `*`; an agent's value matches everything below it too.
    """

    field: str
    values: tuple[str, ...] = ()
    each: bool = False


@dataclass(frozen=True, slots=True)
class Threshold:
    """A rung: what happens from `at_ppm` of the amount on.

    `delay_ms` is how long a throttle holds a call up at most; `models` (asked, instead) is for a
    downgrade; `url` is called when the threshold is crossed, and is required to escalate.
    """

    at_ppm: int
    action: Action
    delay_ms: int = 0
    models: tuple[tuple[str, str], ...] = ()
    url: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit as configured; `amount` without overrides.

    `span_us` is the length of a rolling window, or the time that the amount of a rate is per;
    `burst` is what a rate allows at once. `priority` orders refusals: the lowest number is named.
    `strict` holds the worst case of every call. `on_unreachable` is what happens to a call when
    the authority cannot be asked: `open` lets it pass, `closed` refuses it.
    """

    limit_id: str
    metric: Metric
    window: Window
    amount: int
    scope: tuple[Match, ...] = ()
    thresholds: tuple[Threshold, ...] = (Threshold(PPM, "block"),)
    span_us: int = 0
    burst: int = 0
    zone: str = "UTC"
    anchor_day: int = 1
    priority: int = DEFAULT_PRIORITY
    mode: Mode = "enforce"
    on_unreachable: Unreachable = "open"
    strict: bool = False
    name: str = ""

    @property
    def block_ppm(self) -> int | None:
        """Where calls are refused, in parts per million of the amount; `None`: never."""
        return min((t.at_ppm for t in self.thresholds if t.action == "block"), default=None)

    def cap(self, amount: int) -> int | None:
        """Return what may be used and held at most for an amount; `None`: there is no bound."""
        ppm = self.block_ppm
        return None if ppm is None else amount * ppm // PPM


@dataclass(frozen=True, slots=True)
class Override:
    """A temporary change of a limit's amount, for one of its scopes or for all (`scope_key` "").

    `amount` takes the place of the limit's own; of several that hold, the largest counts. Times
    are microseconds UTC, the end excluded.
    """

    override_id: str
    limit_id: str
    amount: int
    starts_at: int
    ends_at: int
    reason: str
    actor: str
    scope_key: str = ""
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a plan may use; an empty tuple means anything. Values may end in `*`."""

    plan: str
    agents: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Named rights, such as `premium`, that `outlay.agent(…, entitlement="premium")` asks for."""


def amount_now(limit: Limit, overrides: tuple[Override, ...], scope_key: str, at: int) -> int:
    """Return the amount that holds at a time: the largest override's, or the limit's own."""
    raised = [
        o.amount
        for o in overrides
        if o.limit_id == limit.limit_id
        and o.revoked_at is None
        and o.scope_key in ("", scope_key)
        and o.starts_at <= at < o.ends_at
    ]
    return max(raised) if raised else limit.amount
