"""The guest: what runs inside other people's processes.

It meters HTTP calls to model providers and whatever `record` is told, attributes each to the
ambient context, keeps it on disk and ships it. Its contract: it never raises into the caller
(but for a bad rule in `agent`, and `RunStopped` in the place of an error that is on its way),
never waits for the network on the caller's thread, changes no object or signature the caller
sees, bounds its memory, counts every drop, and uses the standard library only.
"""

from outlay.capture.agents import AgentRun
from outlay.capture.api import (
    Current,
    agent,
    carried,
    carry,
    context,
    current,
    flush,
    init,
    partial,
    record,
    shutdown,
    stats,
)
from outlay.capture.limits.callbacks import Notice, on
from outlay.capture.scope import BudgetState, Totals
from outlay.errors import RunStopped

__all__ = [
    "AgentRun",
    "BudgetState",
    "Current",
    "Notice",
    "RunStopped",
    "Totals",
    "agent",
    "carried",
    "carry",
    "context",
    "current",
    "flush",
    "init",
    "on",
    "partial",
    "record",
    "shutdown",
    "stats",
]
