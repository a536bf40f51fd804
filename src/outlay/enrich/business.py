"""Who an event is for, in business terms: tenant attributes as they were when the call started.

A pure look-up over effective-dated tenant versions, for a whole batch at once. It must not load
tenants itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.event import UNATTRIBUTED
from outlay.store.base import Tenant

ATTRIBUTES: Final = ("plan", "tier", "contract_type", "contract_id")
_OPEN: Final = 2**63 - 1


class TenantIndex:
    """Tenant versions, ready to be asked for many events at once."""

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self._versions: dict[str, list[Tenant]] = {}
        for tenant in sorted(tenants, key=lambda version: version.valid_from):
            self._versions.setdefault(tenant.tenant_id, []).append(tenant)

    def attributes(
        self, tenant_ids: pa.Array, started_at: npt.NDArray[np.int64]
    ) -> tuple[dict[str, pa.Array], npt.NDArray[np.bool_]]:
        """Return the attribute columns and which rows name an unknown tenant.

        A row whose tenant has no version in force at `started_at` (microseconds UTC) is unknown
        and gets nulls. Unattributed rows get nulls too, but are not unknown.
        """
        encoded = tenant_ids.dictionary_encode()
        names: list[str] = encoded.dictionary.to_pylist()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        versions, owners = self._of(names)
        at = _in_force(versions, owners, codes, started_at)
        rows = pa.array(at, mask=at < 0)
        columns = {
            name: pa.array([getattr(v, name) or None for v in versions], pa.string()).take(rows)
            for name in ATTRIBUTES
        }
        attributed = pc.not_equal(tenant_ids, UNATTRIBUTED).to_numpy(zero_copy_only=False)
        return columns, (at < 0) & attributed

    def _of(self, names: list[str]) -> tuple[list[Tenant], npt.NDArray[np.int64]]:
        versions: list[Tenant] = []
        owners: list[int] = []
        for code, name in enumerate(names):
            known = self._versions.get(name, ())
            versions.extend(known)
            owners.extend([code] * len(known))
        return versions, np.array(owners, np.int64)


def _in_force(
    versions: list[Tenant],
    owners: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int64],
    started_at: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return each row's index into `versions`, -1 when none is in force.

    One sorted search does for all tenants: the key is the tenant's code, then the rank of the
    time among all starts.
    """
    if not versions:
        return np.full(len(codes), -1, np.int64)
    starts = np.array([v.valid_from for v in versions], np.int64)
    ends = np.array([_OPEN if v.valid_to is None else v.valid_to for v in versions], np.int64)
    ranks = np.unique(starts)
    wide = len(ranks) + 1
    keys = owners * wide + np.searchsorted(ranks, starts, side="right")
    asked = codes * wide + np.searchsorted(ranks, started_at, side="right")
    at = np.searchsorted(keys, asked, side="right") - 1
    found = (at >= 0) & (owners[at] == codes) & (started_at < ends[at])
    result: npt.NDArray[np.int64] = np.where(found, at, -1)
    return result


def initiators(table: pa.Table) -> pa.Array:
    """Return who began each piece of work: as said, else user when a user or request is named."""
    by_user = pc.or_(pc.is_valid(table.column("request_id")), pc.is_valid(table.column("user_id")))
    guessed = pc.if_else(by_user, "user", "system")
    filled: Any = pc.coalesce(table.column("initiator"), guessed)
    return filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled
