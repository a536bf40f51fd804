"""Values as JSON carries them: ids as text, times as microseconds UTC or RFC 3339. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def rfc3339(micros: int) -> str:
    """Write microseconds UTC as RFC 3339 text."""
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.isoformat().replace("+00:00", "Z")


def micros(moment: datetime) -> int:
    """Return microseconds since 1970; a datetime without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


def plain(value: Any) -> Any:
    """Return a stored value as JSON carries it."""
    match value:
        case datetime():
            return micros(value)
        case uuid.UUID():
            return str(value)
        case bytes() if len(value) == 16:
            return str(uuid.UUID(bytes=value))
        case bytes():
            return value.hex()
        case Decimal() if value == value.to_integral_value():
            return int(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value


def cell(value: Any, kind: str) -> Any:
    """Return one cell of an answer; in a column of kind `time` as RFC 3339 text."""
    shown = plain(value)
    return rfc3339(shown) if kind == "time" and isinstance(shown, int) else shown
