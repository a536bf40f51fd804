"""One attempt at the limits: from what its request says to a ticket, and back to what it used.

The gate decides about the server's limits, then the agents around about their own rules; what both
let pass is held until the attempt is over. It owns what an attempt asks for, the rewriting of a
request that is downgraded, the growth of streams, and what is settled. A failure of its own lets
the call pass (and is counted): nothing of outlay breaks a call but a refusal.
"""

from __future__ import annotations

import time
from typing import Any, Final, Protocol

from outlay.capture.guard import caught
from outlay.capture.limits import runs
from outlay.capture.limits.asking import Metered, asked_of
from outlay.capture.limits.latch import latch
from outlay.capture.limits.quotes import Quote, quotes_of
from outlay.capture.limits.sales import charge
from outlay.capture.limits.steps import Admitted, Asked, Downgrade, Refused, Step, Ticket, Wait
from outlay.capture.limits.tickets import Free
from outlay.capture.limits.waiting import Entrance, admit, admit_async
from outlay.capture.rates import Rates
from outlay.capture.scope import Scope
from outlay.capture.tally import UNKNOWN
from outlay.config import Settings
from outlay.core.limits.amounts import amounts_of
from outlay.core.limits.refusal import Refusal
from outlay.wire.base import Endpoint, Reading, Request, estimate_tokens
from outlay.wire.reader import BodyReader
from outlay.wire.registry import Route, open_reader
from outlay.wire.remodel import with_model

BUSY_S: Final = 0.02
"""How often an agent's budget is asked again while calls on their way hold it."""
LEAST_GROWTH: Final = 64
"""Tokens that a stream takes of an agent's budget at once, at least."""
FAILED: Final = {"cost": 0, "credits": 0, "calls": 1}
"""What a call counts for that cost nothing: its event comes, and must not pass for another's."""


class Guest(Protocol):
    """What of the runtime is needed here."""

    rates: Rates
    settings: Settings

    def route(self, method: str, url: str) -> Route | None:
        """Return where a request goes."""

    def tenant(self, scope: Scope) -> str:
        """Return whose work a scope's events are."""


class Entry:
    """One attempt's way past the limits, and what it holds of them."""

    __slots__ = (
        "_asked", "_gate", "_grown", "_guest", "_quote", "_reserved", "_retry", "_room", "_scope",
        "_ticket", "changed", "cost", "cut", "endpoint", "reader", "request",
    )  # fmt: skip

    def __init__(
        self,
        guest: Guest,
        gate: Entrance | None,
        scope: Scope,
        reader: Metered,
        request: Request,
        endpoint: Endpoint,
        *,
        retry: bool = False,
    ) -> None:
        self._guest = guest
        self._gate = gate
        self._scope = scope
        self._retry = retry
        self._ticket: Ticket | None = None
        self._reserved: runs.Reserved | None = None
        self._quote: Quote | None = None
        self._grown = 0
        """Tokens of output that were told to the ticket."""
        self._room = 0
        """Tokens of output that the budgets of the agents around hold for."""
        self._asked = asked_of(scope, reader, request)
        self.request: Request | None = request
        """What is to be sent: another one after a downgrade; gone once the reply is here."""
        self.changed = False
        self.reader = reader
        self.endpoint = endpoint
        self.cost: int | None = UNKNOWN
        """What the attempt cost, as far as it was looked up."""
        self.cut = False
        """Nothing is left for the stream: it ends here."""

    # -- on the way in -------------------------------------------------------------------------

    def enter(self) -> Refusal | None:
        """Wait to be let in; a refusal says why not. Blocks."""
        try:
            if self._gate is not None:
                step = admit(self._gate, self._asked)
                while isinstance(step, Downgrade):
                    self._downgrade(step)
                    step = admit(self._gate, self._asked)
                if (refusal := self._taken(step)) is not None:
                    return refusal
            if self._scope.run is None:
                return None
            return self._passed(admit(_Budgets(self), self._asked))
        except Exception as error:
            caught("limits.enter", error)
            return None
        except BaseException:
            self.drop()
            raise

    async def enter_async(self) -> Refusal | None:
        """Wait to be let in; a refusal says why not. Awaits."""
        try:
            if self._gate is not None:
                step = await admit_async(self._gate, self._asked)
                while isinstance(step, Downgrade):
                    self._downgrade(step)
                    step = await admit_async(self._gate, self._asked)
                if (refusal := self._taken(step)) is not None:
                    return refusal
            if self._scope.run is None:
                return None
            return self._passed(await admit_async(_Budgets(self), self._asked))
        except Exception as error:
            caught("limits.enter", error)
            return None
        except BaseException:
            self.drop()
            raise

    def _taken(self, step: Admitted | Refused | Downgrade) -> Refusal | None:
        """Take the gate's word."""
        if isinstance(step, Refused):
            runs.refused(self._scope, step.refusal)
            return step.refusal
        if isinstance(step, Admitted):
            self._ticket = step.ticket
            if step.ticket.unchecked:
                self.reader.reading.find("limits_unchecked")
        return None

    def _passed(self, step: Admitted | Refused | Downgrade) -> Refusal | None:
        """Take the word of the agents around; what the gate gave goes back if they refuse."""
        if not isinstance(step, Refused):
            return None
        if self._ticket is not None:
            self._ticket.void()
            self._ticket = None
        return step.refusal

    def _downgrade(self, step: Downgrade) -> None:
        """Rewrite the request to the cheaper model, or say that it cannot be."""
        asked = self._asked
        sent = None
        if self.request is not None:
            sent = with_model(self.request, self.endpoint, step.model)
        route = None if sent is None else self._guest.route(sent.method, sent.url)
        reader = None if route is None or sent is None else open_reader(sent, route=route)
        if sent is None or route is None or not isinstance(reader, BodyReader):
            asked.keep_model = True
            self.reader.reading.find("not_downgraded")
            return
        for finding in self.reader.reading.findings:
            reader.reading.find(finding)
        self.request, self.reader, self.endpoint = sent, reader, route.endpoint
        self.changed = True
        asked.take(step)

    def estimate(self) -> int:
        """Return what the attempt is thought to cost, in nano-dollars; 0: nobody knows."""
        if self._guest.rates.book is not None:
            tenant, agent = self._names()
            self._quote = latch.ask(
                lambda: quotes_of(self._guest.rates).of(
                    self._asked, tenant, agent, time.monotonic()
                )
            )
            self._room = self._quote.output
        if self._ticket is not None and self._ticket.estimate_nanos:
            return self._ticket.estimate_nanos
        return 0 if self._quote is None else self._quote.amounts[0]

    def reserve(self) -> Step:
        """Ask the agents around once: they let it pass, refuse, or could later."""
        estimate = self.estimate()
        refusal = runs.check(self._scope, estimate)
        if refusal is not None and refusal.verdict == "busy":
            waited = time.monotonic() - self._asked.began - self._asked.slept
            if waited < self._guest.settings.limits_patience_s:
                return Wait(BUSY_S)
        got = runs.reserve(self._scope, estimate, retry=self._retry)
        if isinstance(got, Refusal):
            return Refused(got)
        self._reserved = got
        return Admitted(Free())

    def left_nanos(self) -> int | None:
        """Return what the tightest cost limit has left, without what calls on their way hold.

        `None` where the attempt counts in none.
        """
        holds = getattr(self._ticket, "holds", ())
        now = time.monotonic()
        left = [
            period.amount - period.spent(now) - period.flying
            for period, _ in holds
            if period.line.limit.metric == "cost"
        ]
        return max(0, min(left)) if left else None

    @property
    def estimate_nanos(self) -> int:
        """What limits hold for the attempt; 0: nothing, or not known."""
        return 0 if self._ticket is None else self._ticket.estimate_nanos

    # -- while it streams ----------------------------------------------------------------------

    @property
    def bounds(self) -> bool:
        """Whether anything holds for this attempt, so that a stream of it may be cut."""
        ticket = self._ticket
        return (ticket is not None and ticket.bounds) or self._reserved is not None

    def grow(self) -> bool:
        """Tell what the stream has produced so far; false: it may not go on."""
        tokens = estimate_tokens(self.reader.output_characters)
        if tokens <= self._grown:
            return True
        self._grown = tokens
        if self._ticket is not None and not self._ticket.grow(tokens):
            return False
        return tokens <= self._room or self._grow_reserved(tokens)

    def _grow_reserved(self, tokens: int) -> bool:
        reserved, quote = self._reserved, self._quote
        if reserved is None or quote is None or not quote.output_rate:
            return True
        for room in (max(tokens + tokens // 4, tokens + LEAST_GROWTH), tokens):
            more = room - quote.output
            if reserved.grow(quote.amounts[0] - -(more * quote.output_rate // 1_000_000)):
                self._room = room
                return True
        return False

    def tokens(self) -> tuple[int, int]:
        """Return the estimates of input and output so far, for the last word of a cut stream."""
        return self._asked.input_tokens, estimate_tokens(self.reader.output_characters)

    # -- at the end ----------------------------------------------------------------------------

    def settle(self, reading: Reading, at: int, took_us: int, *, elsewhere: bool = False) -> None:
        """Say what the attempt used; only the first end counts. Raises nothing.

        Args:
            reading: what the attempt's codec read.
            at: when it started, microseconds UTC.
            took_us: how long it took, in microseconds.
            elsewhere: somebody else's event counts for the limits.
        """
        try:
            self._settle(reading, at, took_us, elsewhere=elsewhere)
        except Exception as error:
            caught("limits.settle", error)

    def _settle(self, reading: Reading, at: int, took_us: int, *, elsewhere: bool) -> None:
        ticket, self._ticket = self._ticket, None
        reserved, self._reserved = self._reserved, None
        amounts: dict[str, int] = {}
        if reading.billed == "no":
            if ticket is not None and elsewhere:
                ticket.void()
            elif ticket is not None:
                ticket.settle(FAILED)
            if reserved is not None:
                reserved.void()
                reserved = None
        else:
            amounts = self._amounts(reading, at, took_us)
            if ticket is not None and elsewhere:
                ticket.void()
            elif ticket is not None:
                if ticket.buyer is not None:
                    charge(amounts, ticket.buyer, self._guest.rates.book, reading, at, took_us)
                ticket.settle(amounts)
            quote = self._quote
            if quote is not None:
                latch.do(lambda: quotes_of(self._guest.rates).learn(quote, amounts))
        if self._scope.run is not None:
            runs.finished(self._scope, amounts, reading.tool_keys, reserved)

    def drop(self) -> None:
        """Give everything back that was not settled: no event tells of this attempt."""
        ticket, self._ticket = self._ticket, None
        reserved, self._reserved = self._reserved, None
        if ticket is not None:
            ticket.void()
        if reserved is not None:
            reserved.void(sent=False)

    def fill(self, fields: dict[str, Any], at: int = 0) -> None:
        """Add what limits did to the fields of an event that began at a time; before `settle`."""
        ticket = self._ticket
        if ticket is not None:
            if at:
                ticket.begun(at)
            if ticket.hold_id:
                fields["hold_id"] = ticket.hold_id
            if ticket.estimate_nanos:
                fields["estimate_nanos"] = ticket.estimate_nanos
            if ticket.limit_action:
                fields["limit_action"] = ticket.limit_action
        if self._asked.downgraded_from:
            fields["downgraded_from"] = self._asked.downgraded_from
            fields.setdefault("limit_action", "downgrade")
        if self.cut:
            fields["cut_off"] = True
            fields["limit_action"] = "partial"

    def _amounts(self, reading: Reading, at: int, took_us: int) -> dict[str, int]:
        """Return what the attempt counts for; without a price there is no `cost`."""
        cost = self._guest.rates.cost(reading, at, self._guest.tenant(self._scope), took_us)
        self.cost = cost
        amounts = amounts_of(cost or 0, reading.usage)
        if cost is None:
            del amounts["cost"]
        return amounts

    def _names(self) -> tuple[str, str]:
        scope = self._scope
        return self._guest.tenant(scope), scope.values.get("agent_path", "")


class _Budgets:
    """The rules of the agents around, asked as the gate is."""

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def enter(self, asked: Asked) -> Step:  # noqa: ARG002 - the entry knows
        """Decide without waiting."""
        return self._entry.reserve()
