"""The guest: what runs inside other people's processes.

It meters HTTP calls to model providers and whatever `record` is told, attributes each to the
ambient context, keeps it on disk and ships it. Its contract: it never raises into the caller,
never waits for the network on the caller's thread, changes no object or signature the caller
sees, bounds its memory, counts every drop, and uses the standard library only.
"""

from outlay.capture.api import (
    Current,
    agent,
    context,
    current,
    flush,
    init,
    record,
    shutdown,
    stats,
)
from outlay.capture.scope import Totals

__all__ = [
    "Current",
    "Totals",
    "agent",
    "context",
    "current",
    "flush",
    "init",
    "record",
    "shutdown",
    "stats",
]
