"""What the gateway tells a client of an attempt, besides what the provider said.

Headers of its own, and problems for what no provider has answered. It decides nothing.
"""

from __future__ import annotations

from typing import Final

from outlay.capture.attempt_facts import EVENT_ID_HEADER
from outlay.capture.tally import UNKNOWN
from outlay.gateway import headers
from outlay.gateway.call import Call
from outlay.gateway.failures import Broken, TimedOut, Unreachable
from outlay.gateway.problems import Problem
from outlay.gateway.routing import Step
from outlay.gateway.unmetered import AnyAttempt, Unmetered

UPSTREAM_HEADER: Final = b"outlay-upstream"
"""Which upstream answered, where a call had more than one place to go."""
MODEL_HEADER: Final = b"outlay-model"
"""Which model was sent, where it is not the one that was asked for."""
ATTEMPTS_HEADER: Final = b"outlay-attempts"
COST_HEADER: Final = b"outlay-cost-nanos"
ESTIMATE_HEADER: Final = b"outlay-estimate-nanos"
LEFT_HEADER: Final = b"outlay-left-nanos"

Header = tuple[bytes, bytes]


def own_headers(
    call: Call, step: Step, attempt: AnyAttempt, *, number: int, recorded: bool
) -> list[Header]:
    """Return what is told of an attempt before its answer's body.

    Args:
        call: the request.
        step: where the attempt went.
        attempt: what meters it.
        number: its place in its call, from 0.
        recorded: it ends with an event; where nobody records it, whoever calls must.
    """
    told = []
    if recorded and not (isinstance(attempt, Unmetered) or call.surface.endswith(".free")):
        told.append((EVENT_ID_HEADER.encode(), attempt.event_id.encode()))
    if call.attempts > 1 or attempt.call_id != attempt.event_id:
        told.append((ATTEMPTS_HEADER, b"%d" % (number + 1)))
    if step.moved:
        told.append((UPSTREAM_HEADER, step.upstream.name.encode()))
    if attempt.model and attempt.model != call.asked:
        told.append((MODEL_HEADER, headers.plain(attempt.model)))
    if call.config.cost_headers and attempt.entry is not None:
        told.append((ESTIMATE_HEADER, b"%d" % attempt.entry.estimate_nanos))
        if (left := attempt.entry.left_nanos()) is not None:
            told.append((LEFT_HEADER, b"%d" % left))
    return told


def cost_of(attempt: AnyAttempt) -> int | None:
    """Return what the attempt cost, in nano-dollars, where somebody has looked it up."""
    cost = None if attempt.entry is None else attempt.entry.cost
    return None if cost == UNKNOWN else cost


def cost_headers(attempt: AnyAttempt) -> list[Header]:
    """Return what is told of an attempt that has ended."""
    cost = cost_of(attempt)
    return [] if cost is None else [(COST_HEADER, b"%d" % cost)]


def problem_of(error: Unreachable | TimedOut | Broken, upstream: str) -> Problem:
    """Return what a client is told that got no answer."""
    if isinstance(error, TimedOut):
        said = f"The upstream `{upstream}` did not answer in time."
        return Problem(504, "upstream_timeout", said)
    said = f"The upstream `{upstream}` cannot be reached."
    if isinstance(error, Broken):
        said = f"The upstream `{upstream}` broke off."
    return Problem(502, "upstream_unreachable", said)
