"""The checks of ingest that need the whole batch, a clock or bytes: by column, not by event.

Each check adds to `problems`, from the row's place in the batch to the first thing that is wrong
with it. The compiled decoder has already checked types, counts and vocabularies. It must not
read a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from outlay.core.event import CAPTURED
from outlay.stream.explain import MAX_TIME_US, UUID, Problem, field_problem

_DAY_US: Final = 86_400_000_000
_BLANK: Final = "00000000-0000-0000-0000-000000000000"
_SPECS: Final = {spec.name: spec for spec in CAPTURED}
_TEXT_NAMES: Final = (
    *(spec.name for spec in CAPTURED if spec.type == "string"),
    "labels",
    "other_units",
    "findings",
)
_texts_of: Final = attrgetter(*_TEXT_NAMES)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that the settings may change; sizes of single fields are in `core.event`."""

    max_events: int = 10_000
    max_past_days: int = 35
    max_future_s: int = 300


def check_texts(events: list[Any], problems: dict[int, Problem]) -> None:
    """Look for texts above the bound in bytes and for NULs, skipping columns that are plain."""
    columns = zip(*map(_texts_of, events), strict=True)
    for name, column in zip(_TEXT_NAMES, columns, strict=True):
        said = [value for value in column if value]
        texts: Iterable[str] = said
        if name in ("labels", "other_units", "findings"):
            texts = chain.from_iterable(said)
        if name == "labels":
            texts = chain(texts, chain.from_iterable(labels.values() for labels in said))
        joined = "".join(texts)
        if joined.isascii() and "\0" not in joined:
            continue
        for row, value in enumerate(column):
            problem = field_problem(_SPECS[name], value) if value else None
            if problem is not None:
                problems.setdefault(row, problem)


def uuid_bytes(texts: Sequence[str]) -> npt.NDArray[np.uint8] | None:
    """Return UUID texts as rows of 16 bytes, or None when any is not in 36-character form."""
    joined = "".join(texts)
    if len(joined) != 36 * len(texts) or not joined.isascii():
        return None
    characters = np.frombuffer(joined.encode(), np.uint8).reshape(-1, 36)
    if not (characters[:, (8, 13, 18, 23)] == ord("-")).all():
        return None
    try:
        raw = bytes.fromhex(joined.replace("-", ""))
    except ValueError:
        return None
    return np.frombuffer(raw, np.uint8).reshape(-1, 16) if len(raw) == 16 * len(texts) else None


def check_ids(ids: Sequence[str], problems: dict[int, Problem]) -> npt.NDArray[np.int64]:
    """Return the milliseconds inside the ids; a bad id is a problem."""
    raw = uuid_bytes(ids)
    if raw is None:
        good = [bool(UUID.fullmatch(text)) for text in ids]
        raw = uuid_bytes([t if ok else _BLANK for t, ok in zip(ids, good, strict=True)])
        assert raw is not None
    wrong = ((raw[:, 6] >> 4) != 7) | ((raw[:, 8] >> 6) != 2)
    for row in np.flatnonzero(wrong).tolist():
        problem = field_problem(_SPECS["event_id"], ids[row])
        if problem is not None:
            problems.setdefault(row, problem)
    wide = np.zeros((len(ids), 8), np.uint8)
    wide[:, 2:] = raw[:, :6]
    return wide.view(">u8").reshape(-1).astype(np.int64)


def check_uuids(name: str, column: Sequence[str | None], problems: dict[int, Problem]) -> None:
    """Check a column of ids that may be any UUID or none."""
    said = [text for text in column if text is not None]
    if not said or uuid_bytes(said) is not None:
        return
    for row, text in enumerate(column):
        problem = None if text is None else field_problem(_SPECS[name], text)
        if problem is not None:
            problems.setdefault(row, problem)


def check_times(
    id_ms: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    problems: dict[int, Problem],
    now: int,
    limits: Limits,
) -> None:
    """Check order, age and future of the times and of the time inside each id.

    `now` is microseconds UTC.
    """
    oldest = now - limits.max_past_days * _DAY_US
    newest = now + limits.max_future_s * 1_000_000
    id_us = np.minimum(id_ms, MAX_TIME_US // 1000) * 1000
    late = f"older than {limits.max_past_days} days: send events within that time"
    early = f"more than {limits.max_future_s} s in the future: set the client's clock"
    checks = (
        (starts < oldest, "too_old", f"started_at is {late}"),
        (id_us < oldest, "too_old", f"the time inside event_id is {late}"),
        (ends < starts, "time_order", "ended_at is before started_at: swap or correct them"),
        (starts > newest, "in_future", f"started_at is {early}"),
        (ends > newest, "in_future", f"ended_at is {early}"),
        (id_us > newest, "in_future", f"the time inside event_id is {early}"),
    )
    for wrong, code, message in checks:
        for row in np.flatnonzero(wrong).tolist():
            problems.setdefault(row, Problem(code, message))
