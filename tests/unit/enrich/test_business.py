"""Tenant attributes are those in force when the call started."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.core.event import UNATTRIBUTED
from outlay.enrich.business import ATTRIBUTES, TenantIndex, initiators
from outlay.store.base import Tenant
from tests.unit.enrich.fakes import ints
from tests.unit.stream.events import event, table

ACME = [
    Tenant("acme", plan="free", tier="t1", valid_from=100, valid_to=200),
    Tenant("acme", plan="pro", contract_type="annual", contract_id="c1", valid_from=200),
]


def test_the_version_in_force_at_the_start_counts() -> None:
    columns, unknown = TenantIndex(ACME).attributes(pa.array(["acme"] * 4), ints(99, 100, 199, 200))
    assert columns["plan"].to_pylist() == [None, "free", "free", "pro"]
    assert columns["contract_id"].to_pylist() == [None, None, None, "c1"]
    assert unknown.tolist() == [True, False, False, False]


def test_an_unknown_tenant_is_kept_without_attributes_and_unattributed_is_not_unknown() -> None:
    columns, unknown = TenantIndex(ACME).attributes(
        pa.array(["nobody", UNATTRIBUTED, "acme"]), ints(500, 500, 500)
    )
    assert [columns[name].to_pylist()[:2] for name in ATTRIBUTES] == [[None, None]] * 4
    assert unknown.tolist() == [True, False, False]


def test_no_tenants_and_no_rows_are_fine() -> None:
    columns, unknown = TenantIndex([]).attributes(pa.array(["a"]), ints(1))
    assert columns["plan"].to_pylist() == [None]
    assert unknown.tolist() == [True]
    columns, unknown = TenantIndex(ACME).attributes(pa.array([], pa.string()), ints())
    assert len(columns["plan"]) == len(unknown) == 0


_tenant = st.sampled_from(["a", "b", "c", UNATTRIBUTED])
_version = st.tuples(_tenant, st.integers(0, 20), st.none() | st.integers(0, 20))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(_version, max_size=8, unique_by=lambda v: v[:2]),
    st.lists(st.tuples(_tenant, st.integers(0, 25)), max_size=10),
)
def test_the_batch_look_up_equals_one_by_one(
    versions: list[tuple[str, int, int | None]], asked: list[tuple[str, int]]
) -> None:
    tenants = [Tenant(t, plan=f"{t}{a}", valid_from=a, valid_to=b) for t, a, b in versions]
    columns, _ = TenantIndex(tenants).attributes(
        pa.array([t for t, _ in asked], pa.string()), np.array([at for _, at in asked], np.int64)
    )
    for (tenant, at), plan in zip(asked, columns["plan"].to_pylist(), strict=True):
        begun = [v for v in tenants if v.tenant_id == tenant and v.valid_from <= at]
        latest = max(begun, key=lambda v: v.valid_from, default=None)
        open_ = latest is not None and (latest.valid_to is None or at < latest.valid_to)
        assert plan == (latest.plan if latest is not None and open_ else None)


def test_the_initiator_is_kept_or_follows_from_user_and_request() -> None:
    rows = table(
        [
            event(1),
            event(2, user_id="u"),
            event(3, request_id="r"),
            event(4, user_id="u", initiator="system"),
            event(5, initiator="user"),
        ]
    )
    assert initiators(rows).to_pylist() == ["system", "user", "user", "system", "user"]
