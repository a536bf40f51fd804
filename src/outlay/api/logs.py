"""The server's log: one JSON object a line, on a stream that is passed in.

Callers log names, counts and times only: never a body, a header, a key or a value from an event.
The logger belongs to its server; nothing global is set up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

import structlog

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    # Local variables may hold bodies and keys.
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def make_logger(stream: TextIO, level: str) -> Any:
    """Return a logger that writes JSON lines of at least a severity."""
    return structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _TRACEBACKS,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )


@contextmanager
def forwarded(log: Any, names: tuple[str, ...] = ("outlay", "uvicorn")) -> Iterator[None]:
    """Pass warnings of the standard library's loggers on to a server's log, for a while."""
    handler = _Forward(log)
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _Forward(logging.Handler):
    """Passes the standard library's log records on to a server's log, one line each."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; only the class of an exception is kept, since its text may hold data."""
        failure = record.exc_info[0] if record.exc_info else None
        more = {} if failure is None else {"exception": failure.__name__}
        write = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        write(record.getMessage(), logger=record.name, **more)
