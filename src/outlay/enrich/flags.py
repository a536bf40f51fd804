"""Flags: what is notable about an event, by column over a whole batch.

It owns the flag rules and each tenant's running typical prompt. Everything is pure: the
statistics change only when the caller applies what `PromptSizes.learned` returned, which it does
after the step is durable. Findings of the capture side stay in `findings`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core import units
from outlay.enrich.hop import TenantStat

FALLBACK: Final = "fallback"
LATE: Final = "late"
CLOCK_SKEW: Final = "clock_skew"
UNKNOWN_TENANT: Final = "unknown_tenant"
LARGE_PROMPT: Final = "large_prompt"

CLOCK_SKEW_US: Final = 2_000_000
"""A call that starts or ends more than this after its arrival has a wrong clock."""
LARGE_PROMPT_TOKENS: Final = 2_000
"""No prompt up to this size is large."""
LEARNING_CALLS: Final = 20
"""Earlier calls of a tenant before its typical prompt means anything."""
MEMORY: Final = 1 / 200
"""Weight of one call in the running mean, once there are more than 200."""
MAX_TENANTS: Final = 100_000

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FlagRules:
    """Thresholds from the settings."""

    late_after_s: int = 300
    large_prompt_factor: float = 10.0


def integers(table: pa.Table, name: str) -> Ints:
    """Return a column as 64-bit integers; times are microseconds, a null is 0."""
    column = table.column(name).combine_chunks()
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: Ints = pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return values


def input_totals(table: pa.Table) -> Ints:
    """Return how many tokens each call read, cached or not, of any modality."""
    totals = np.zeros(table.num_rows, np.int64)
    for unit in units.EVENT_UNITS:
        if units.is_input(unit):
            totals += integers(table, unit)
    others = table.column("other_units").combine_chunks()
    if others.null_count < len(others):
        rows = pc.list_parent_indices(others.cast(_PAIRS))
        keys = pc.list_flatten(others.cast(_PAIRS)).field(0)
        counts = pc.list_flatten(others.cast(_PAIRS)).field(1)
        distinct = keys.dictionary_encode()
        is_input = np.array([units.is_input(u) for u in distinct.dictionary.to_pylist()], bool)
        chosen = is_input[distinct.indices.to_numpy(zero_copy_only=False)]
        at = rows.to_numpy(zero_copy_only=False)[chosen]
        np.add.at(totals, at, counts.to_numpy(zero_copy_only=False)[chosen])
    return totals


_PAIRS: Final = pa.list_(pa.struct([("key", pa.string()), ("value", pa.int64())]))


def masks(table: pa.Table, received_at: Ints, unknown: Mask, rules: FlagRules) -> dict[str, Mask]:
    """Return the rows that carry each flag which needs no memory."""
    started = integers(table, "started_at")
    ended = integers(table, "ended_at")
    fallback: Mask = pc.is_valid(table.column("fallback_from")).to_numpy()
    # An adjustment comes long after its event: that is its nature.
    usage: Mask = pc.equal(table.column("kind"), "usage").to_numpy()
    return {
        FALLBACK: fallback,
        LATE: usage & (received_at - ended > rules.late_after_s * 1_000_000),
        CLOCK_SKEW: np.maximum(started, ended) > received_at + CLOCK_SKEW_US,
        UNKNOWN_TENANT: unknown,
    }


def flag_lists(rows: int, by_flag: Mapping[str, Mask], price_flags: pa.Array | None) -> pa.Array:
    """Join masks and the flags of pricing into one list per row, in that order."""
    names = list(by_flag)
    at = [np.flatnonzero(mask) for mask in by_flag.values()]
    values = [pa.array(np.repeat(name, len(rows_)), pa.string())
              for name, rows_ in zip(names, at, strict=True)]  # fmt: skip
    if price_flags is not None:
        at.append(pc.list_parent_indices(price_flags).to_numpy(zero_copy_only=False))
        values.append(pc.list_flatten(price_flags).cast(pa.string()))
    row_of = np.concatenate(at).astype(np.int64) if at else np.zeros(0, np.int64)
    flat = pa.chunked_array(values, pa.string()).combine_chunks()
    order = np.argsort(row_of, kind="stable")
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(np.bincount(row_of, minlength=rows), out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), flat.take(pa.array(order)))


class PromptSizes:
    """Each tenant's typical prompt: a running mean in the logarithm, so that giants weigh little.

    Bounded to `max_tenants`; the longest untouched are forgotten first.
    """

    def __init__(self, saved: Mapping[str, TenantStat], *, max_tenants: int = MAX_TENANTS) -> None:
        self._stats = dict(saved)
        self._max_tenants = max_tenants

    def __len__(self) -> int:
        return len(self._stats)

    def typical(self, tenant: str) -> float | None:
        """Return a tenant's typical input tokens, None before there are enough calls."""
        stat = self._stats.get(tenant)
        enough = stat is not None and stat.count >= LEARNING_CALLS
        return math.expm1(stat.mean) if stat is not None and enough else None

    def large(self, tenant_ids: pa.Array, totals: Ints, factor: float) -> Mask:
        """Return the rows whose prompt is far above what the tenant's earlier calls had."""
        encoded = tenant_ids.dictionary_encode()
        typical = [self.typical(tenant) for tenant in encoded.dictionary.to_pylist()]
        bound = np.array([math.inf if t is None else max(t * factor, LARGE_PROMPT_TOKENS)
                          for t in typical])  # fmt: skip
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        return np.asarray(totals > bound[codes]) if len(codes) else np.zeros(0, bool)

    def learned(self, tenant_ids: pa.Array, totals: Ints) -> dict[str, TenantStat | None]:
        """Return the statistics after these calls, changed tenants only; None is forgotten."""
        said = np.flatnonzero(totals > 0)
        if not len(said):
            return {}
        encoded = tenant_ids.take(pa.array(said)).dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        names: Sequence[str] = encoded.dictionary.to_pylist()
        counts = np.bincount(codes, minlength=len(names))
        sums = np.bincount(codes, weights=np.log1p(totals[said]), minlength=len(names))
        changed: dict[str, TenantStat | None] = {}
        for name, count, total in zip(names, counts.tolist(), sums.tolist(), strict=True):
            old = self._stats.get(name, TenantStat(0.0, 0))
            weight = max(count / (old.count + count), 1 - (1 - MEMORY) ** count)
            mean = old.mean + weight * (total / count - old.mean)
            changed[name] = TenantStat(mean, old.count + count)
        return self._with_forgotten(changed)

    def apply(self, changed: Mapping[str, TenantStat | None]) -> None:
        """Take in what `learned` returned, after it was saved."""
        for name, stat in changed.items():
            self._stats.pop(name, None)
            if stat is not None:
                self._stats[name] = stat

    def _with_forgotten(
        self, changed: dict[str, TenantStat | None]
    ) -> dict[str, TenantStat | None]:
        new = sum(1 for name in changed if name not in self._stats)
        excess = len(self._stats) + new - self._max_tenants
        if excess > 0:
            idle = (name for name in self._stats if name not in changed)
            forgotten = [name for name, _ in zip(idle, range(excess), strict=False)]
            changed.update(dict.fromkeys(forgotten))
            excess -= len(forgotten)
        for name in list(changed)[: max(0, excess)]:
            changed[name] = None
        return changed
