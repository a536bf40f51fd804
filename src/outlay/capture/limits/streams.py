"""Growing streams: what a stream takes beyond its estimate, and when it is cut off.

Under the gate's lock; nothing here waits. A stream asks for more while a part of what it holds is
left, so that the answer is there when it is needed.
"""

from __future__ import annotations

from outlay.capture.limits.leases import LeaseClient
from outlay.capture.limits.lines import METRICS, Line
from outlay.capture.limits.quotes import more
from outlay.capture.limits.tickets import GROWTH, LEAST, Held


def grow(client: LeaseClient, ticket: Held, tokens: int, now: float) -> tuple[bool, Line | None]:
    """Take more for a stream that has produced so many tokens.

    Returns:
        Whether it may go on, and if it may not, the line that it does not fit.
    """
    step = max(tokens - ticket.covered, ticket.covered // GROWTH, LEAST)
    amounts = more(ticket.quote, step)
    passed = tokens > ticket.covered
    short: list[tuple[Line, int]] = []
    for period, held in ticket.holds:
        line, amount = period.line, _more(ticket, period.line, held, step, amounts)
        if not amount or period is not line.now:
            continue  # a period that is over bounds nothing any more
        if passed and line.cuts and period.spent(now) + period.flying >= period.cut_at:
            return False, line
        if line.lacks(amount, now, client.valid_until):
            short.append((line, amount))
    if not short:
        _cover(client, ticket, step, amounts, now)
        return True, None
    _ask(client, ticket, short, now)
    if not passed:
        return True, None
    want = ticket.want
    if want is None:  # only limits that are counted here are in the way
        return False, short[0][0]
    if client.away(want.answered_at or want.since, now):
        closed = next((line for line, _ in short if line.limit.on_unreachable != "open"), None)
        if closed is None:
            _cover(client, ticket, step, amounts, now)
            ticket.unchecked = True
        return closed is None, closed
    if not want.answers and not any(line.local for line, _ in short):
        return True, None  # a chunk or two pass until the answer is there
    return False, short[0][0]


def _more(ticket: Held, line: Line, held: int, step: int, amounts: tuple[int, ...]) -> int:
    """Return what a step takes more of a line that a ticket holds an amount of."""
    if not line.credit:
        return amounts[line.place]
    quote = ticket.quote
    # Of a balance the call may hold a guess though others now hold the worst case, or have it all.
    if held >= quote.amounts[-1] and ticket.covered + step <= quote.worst_output:
        return 0
    return amounts[line.place % len(METRICS)]


def _ask(client: LeaseClient, ticket: Held, short: list[tuple[Line, int]], now: float) -> None:
    """Have the lease thread ask for what is short."""
    want = ticket.want
    if want is None or want not in client.wants:
        remote = [need for need in short if not need[0].local]
        ticket.want = client.want(remote, now) if remote else None
    else:
        want.due_at = now


def _cover(
    client: LeaseClient, ticket: Held, step: int, amounts: tuple[int, ...], now: float
) -> None:
    client.drop(ticket.want)
    ticket.want = None
    holds = []
    for period, held in ticket.holds:
        line = period.line
        amount = _more(ticket, line, held, step, amounts)
        period.flying += amount
        line.taken += amount
        line.used_at = now
        holds.append((period, held + amount))
    ticket.covered += step
    ticket.holds = holds
