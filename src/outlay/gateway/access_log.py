"""The access log's lines: JSON as the server's log has it, made cheaply and written together.

A line waits at most `FLUSH_S`, or until there are `FLUSH_BYTES` of them; a killed process loses
those that wait. It must not be given anything of a request's content.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TextIO

FLUSH_S: Final = 0.2
FLUSH_BYTES: Final = 64 * 1024

_LEVELS: Final = ("debug", "info", "warning", "error")
_encode: Final[Callable[[Any], str]] = json.JSONEncoder().encode


class AccessLog:
    """Writes lines of at least a severity. For one event loop."""

    def __init__(self, stream: TextIO, level: str) -> None:
        """Take where lines go, and the least severity (`debug`, `info`, `warning`, `error`)."""
        self._stream = stream
        least = _LEVELS.index(level)
        self._info = least <= _LEVELS.index("info")
        self._warning = least <= _LEVELS.index("warning")
        self._lines: list[str] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def info(self, event: str, **fields: Any) -> None:
        """Write a line of what went well."""
        if self._info:
            self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write a line of what did not."""
        if self._warning:
            self._write("warning", event, fields)

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines, self._bytes = self._lines, [], 0
        if lines:
            self._stream.write("".join(lines))
            self._stream.flush()

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        fields["event"], fields["level"] = event, level
        fields["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = _encode(fields) + "\n"
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._wait()

    def _wait(self) -> None:
        try:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._due)
        except RuntimeError:  # nobody would come back to it
            self.flush()

    def _due(self) -> None:
        self._timer = None
        self.flush()
