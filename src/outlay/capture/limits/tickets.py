"""What an admitted call holds, until it is over.

A ticket may end anywhere, in a garbage collection on top of anything too: ending only puts it into
a queue, which whoever holds the gate's lock works off. Growing takes the lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from outlay.capture.guard import caught
from outlay.capture.limits.lines import Period
from outlay.capture.limits.quotes import Quote
from outlay.capture.limits.sales import Buyer
from outlay.capture.limits.wants import Want

GROWTH: Final = 4
"""A stream takes at least one part in so many of what it has taken more, when it takes more."""
SOON: Final = 4
"""With less than one part in so many of what it has taken left, it asks for more ahead."""
LEAST: Final = 64
"""Fewest tokens that a stream takes at once."""


class Owner(Protocol):
    """The gate as a ticket sees it."""

    def grow(self, ticket: Held, tokens: int) -> bool:
        """Take more for a stream."""

    def end(self, ticket: Held, amounts: Mapping[str, int] | None) -> None:
        """Take a ticket's end, from anywhere; `None`: it was void."""


class Held:
    """The ticket of a call that limits know of; see `steps.Ticket`."""

    __slots__ = (
        "_asked_more", "_ended", "_gate", "apart", "buyer", "counts", "covered", "cuts",
        "downgraded_from", "estimate_nanos", "hold_id", "holds", "limit_action", "quote",
        "unchecked", "want",
    )  # fmt: skip

    def __init__(
        self, gate: Owner, hold_id: str, quote: Quote, holds: list[tuple[Period, int]], covered: int
    ) -> None:
        self._gate = gate
        self._ended = False
        self._asked_more = 0
        self.hold_id = hold_id
        self.quote = quote
        self.buyer = quote.buyer
        self.holds = holds
        self.counts: Mapping[Period, Period] = {}
        """Where what was held in a period counts in another, which its event falls in."""
        self.apart = False
        """Its event alone counts: it falls in a period that is not known here."""
        self.covered = covered
        """Tokens of output that are held for."""
        self.estimate_nanos = quote.amounts[0]
        self.limit_action = ""
        self.downgraded_from = ""
        self.cuts = False
        self.unchecked = False
        self.want: Want | None = None
        """What a stream has asked of the authority in the background."""

    @property
    def bounds(self) -> bool:
        """See `steps.Ticket.bounds`."""
        return bool(self.holds)

    def grow(self, output_tokens: int) -> bool:
        """See `steps.Ticket.grow`."""
        covered = self.covered
        if output_tokens <= covered - covered // SOON or not self.holds or self._ended:
            return True
        if output_tokens <= covered and self._asked_more == covered:
            return True
        self._asked_more = covered
        try:
            return self._gate.grow(self, output_tokens)
        except Exception as error:
            caught("limits.grow", error)
            return True

    def begun(self, at: int) -> None:
        """See `steps.Ticket.begun`."""
        others = [period for period, _ in self.holds if not period.spans(at)]
        if others and not self._ended:
            self.counts = {period: period.line.now for period in others}
            self.apart = not all(now.spans(at) for now in self.counts.values())
            if self.apart:
                self.hold_id = ""

    def settle(self, amounts: Mapping[str, int]) -> None:
        """See `steps.Ticket.settle`."""
        if not self._ended:
            self._ended = True
            self._gate.end(self, amounts)

    def void(self) -> None:
        """See `steps.Ticket.void`."""
        if not self._ended:
            self._ended = True
            self._gate.end(self, None)

    def __del__(self) -> None:
        try:
            self.void()
        except Exception as error:
            caught("limits.ticket", error)


class Free:
    """The ticket of a call that no limit knows of."""

    bounds = False

    __slots__ = (
        "buyer", "cuts", "downgraded_from", "estimate_nanos", "hold_id", "limit_action",
        "unchecked",
    )  # fmt: skip

    def __init__(self, estimate_nanos: int = 0) -> None:
        self.hold_id = ""
        self.buyer: Buyer | None = None
        self.estimate_nanos = estimate_nanos
        self.limit_action = ""
        self.downgraded_from = ""
        self.cuts = False
        self.unchecked = False

    def grow(self, output_tokens: int) -> bool:  # noqa: ARG002 - nothing bounds it
        """Return true."""
        return True

    def begun(self, at: int) -> None:
        """Do nothing."""

    def settle(self, amounts: Mapping[str, int]) -> None:
        """Do nothing."""

    def void(self) -> None:
        """Do nothing."""
