"""What passes between a call and the gate: what is asked, and what the gate says to it.

Values only. A tap builds one `Asked` for a call, hands it to `admit` or `admit_async` until it is
`Admitted` or `Refused`, and keeps the ticket of the admitted call until the call is over.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from outlay.capture.limits.bell import Bell
from outlay.capture.scope import Scope
from outlay.core.limits.refusal import Refusal


@dataclass(slots=True)
class Asked:
    """One attempt that wants to go out; `input_tokens` is an estimate.

    The fields from `downgraded_from` on are the call's own memory from one step to the next: keep
    the object while the call is on its way in.
    """

    scope: Scope
    provider: str
    model: str
    max_tokens: int | None = None
    input_tokens: int = 0
    streamed: bool = False
    operation: str = ""
    answers: int = 1
    """How many are asked for at once; `max_tokens` is of all of them."""
    most_input: int = 0
    """Bytes of the request, where they are known: its text has no more tokens than that."""
    terms: tuple[str, str, str, str] = ("", "", "", "")
    """What prices depend on besides the model: tier, speed, class of host and of region."""
    downgraded_from: str = ""
    """Set by `take`: the model that was asked for."""
    keep_model: bool = False
    """Set it when a downgrade cannot be done: the gate then goes on without it."""
    delayed: bool = False
    """It was throttled, and is not throttled again."""
    began: float = field(default_factory=time.monotonic)
    """By the monotonic clock; patience counts from here, delays of throttles not included."""
    slept: float = 0.0
    """Seconds that throttles took so far."""
    mark: str = ""
    """The strongest thing that limits did so far."""
    unchecked: bool = False
    """It goes out because the authority could not be asked."""
    waited: bool = False
    want: Any = None
    """The gate's own note of what the call waits for."""

    def take(self, downgrade: Downgrade) -> None:
        """Take over the model of a downgrade, once the request was rewritten to it."""
        self.downgraded_from = self.downgraded_from or self.model
        self.model = downgrade.model
        self.keep_model = True


class Ticket(Protocol):
    """What an admitted call holds, until it is settled or void. Every method may be called twice.

    A ticket that is dropped without either voids itself.
    """

    hold_id: str
    """Written into the call's event as `hold_id`: the lease of this process."""
    estimate_nanos: int
    limit_action: str
    """The strongest thing that limits did to the call: `warn`, `throttle`, `downgrade` or empty."""
    downgraded_from: str
    buyer: Any
    """Whose credits pay (`sales.Buyer`), for `sales.charge`; `None` where no balance does."""
    unchecked: bool
    """The authority could not be asked, and the limits let calls pass then."""
    cuts: bool
    """A stream that may not grow ends as if it were complete, instead of with an error."""

    @property
    def bounds(self) -> bool:
        """Whether any limit knows of the call, and may end a stream of it."""

    def grow(self, output_tokens: int) -> bool:
        """Tell what a stream has produced so far; false: nothing is left, cut it off.

        Never blocks, and costs next to nothing while the estimate lasts.
        """

    def begun(self, at: int) -> None:
        """Say when the call's event says that it began, microseconds UTC; once, before `settle`.

        What a call used counts in the period that its event falls in. Where this process does not
        know that one, nothing is reported and there is no `hold_id`: the event counts by itself.
        """

    def settle(self, amounts: Mapping[str, int]) -> None:
        """Say what the call used, by metric (see `core.limits.amounts`); `calls` may be left out.

        `cost` may be left out where no price is known: the estimate counts until the event comes.
        """

    def void(self) -> None:
        """Give everything back: the call was not made, or cost nothing."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may go out."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Refused:
    """The call may not go out."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Downgrade:
    """Ask again with a cheaper model: rewrite the request, call `Asked.take`, and ask again.

    Where the request cannot be rewritten set `Asked.keep_model` and ask again.
    """

    model: str
    from_model: str
    limit_id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after so many seconds, or as soon as the bell rings."""

    seconds: float
    bell: Bell | None = None


Step = Admitted | Refused | Downgrade | Wait
