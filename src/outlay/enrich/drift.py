"""Usage keys that no codec knows: a flag on their events, and a finding for people to look at.

A provider that counts something new would else be under-billed in silence. It owns when a finding
is told again; the events carry the flag in any case.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.errors import UnavailableError
from outlay.store.base import Books, Finding

USAGE_DRIFT: Final = "usage_drift"
"""The flag, and the kind of the finding."""

PREFIX: Final = "drift:"
AGAIN_US: Final = 3_600_000_000
"""How long after it was told a drift is not told again."""
MAX_SUBJECTS: Final = 64
"""Different drifts told from one batch."""
MAX_KNOWN: Final = 4096
"""Drifts whose last telling is remembered."""

Mask = npt.NDArray[np.bool_]

_log = logging.getLogger(__name__)


def mask(table: pa.Table) -> Mask:
    """Return the rows whose usage held a key that no codec knows."""
    drifted = np.zeros(table.num_rows, bool)
    drifted[_places(table)[0]] = True
    return drifted


def _places(table: pa.Table) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Return the rows of every drift, and what drifted."""
    column = table.column("findings").combine_chunks()
    if column.null_count == len(column):
        return np.zeros(0, np.int64), pa.array([], pa.string())
    texts = pc.list_flatten(column)
    found = pc.starts_with(texts, PREFIX)
    rows = pc.list_parent_indices(column).filter(found).to_numpy(zero_copy_only=False)
    return rows.astype(np.int64), texts.filter(found)


class DriftBook:
    """Tells the books of drifts, each at most once in `AGAIN_US`."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._told: dict[str, int] = {}

    def tell(self, events: pa.Table, *, at: int) -> None:
        """Note the drifts of a batch; books that cannot answer are told another time."""
        rows, keys = _places(events)
        findings: dict[str, Finding] = {}
        names = ["vendor", "surface", "event_id"]
        picked = events.select(names).take(pa.array(rows)).to_pylist() if len(rows) else []
        for event, key in zip(picked, keys.to_pylist(), strict=True):
            subject = f"{event['vendor'] or '?'} {event['surface'] or '?'}: {key[len(PREFIX) :]}"
            if subject in findings or at - self._told.get(subject, -AGAIN_US) < AGAIN_US:
                continue
            details: dict[str, Any] = {"event_id": event["event_id"].hex()}
            findings[subject] = Finding(USAGE_DRIFT, subject, details, at, at)
            if len(findings) == MAX_SUBJECTS:
                break
        if not findings:
            return
        try:
            self._books.find(list(findings.values()), at=at)
        except UnavailableError as error:
            _log.warning("a usage drift could not be noted: %s", error.code)
            return
        if len(self._told) + len(findings) > MAX_KNOWN:
            self._told.clear()
        self._told.update(dict.fromkeys(findings, at))
