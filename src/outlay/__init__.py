"""Know, cap and charge what every tenant's AI agents cost."""

from __future__ import annotations

__version__ = "0.1.0"

# Type checkers read this as true; `typing` itself would cost more than everything else here.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from outlay.capture import (
        RunStopped,
        agent,
        carried,
        carry,
        context,
        current,
        flush,
        init,
        on,
        partial,
        record,
        shutdown,
        stats,
    )

__all__ = [
    "RunStopped",
    "__version__",
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


def __getattr__(name: str) -> Any:
    """Load the guest when its first function is asked for: a bare import costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import outlay.capture

    value = globals()[name] = getattr(outlay.capture, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
