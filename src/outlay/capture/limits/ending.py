"""What ended tickets used, and what they held: back into the lines. Under the gate's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from outlay.capture.limits.leases import LeaseClient
from outlay.capture.limits.plans import Table
from outlay.capture.limits.quotes import Quotes
from outlay.capture.limits.tickets import Held

Queue = deque[tuple[Held, Mapping[str, int] | None]]
"""Tickets with the amounts that their calls used, by metric; `None`: all is given back."""


def work_off(ended: Queue, client: LeaseClient, table: Table, quotes: Quotes) -> bool:
    """Count what ended tickets used; tell whether any of them had ended.

    A garbage collection may come in on top and work off a part itself.
    """
    freed = False
    while ended:
        try:
            ticket, amounts = ended.popleft()
        except IndexError:
            break
        freed = True
        # What cost nothing teaches nothing.
        if amounts is not None and "output_tokens" in amounts:
            quotes.learn(ticket.quote, amounts)
        for period, held in ticket.holds:
            period.flying -= held
            if amounts is not None and not ticket.apart:
                ticket.counts.get(period, period).count(held, amounts)
            table.touch(period.line)
            if period.exact:
                client.give_back = True
        ticket.holds = []
        client.drop(ticket.want)
    return freed
