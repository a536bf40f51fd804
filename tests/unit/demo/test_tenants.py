from __future__ import annotations

from collections import Counter

from outlay.demo.dice import Dice
from outlay.demo.tenants import FEATURES, TENANTS, feature_at, tenant_at


def test_shares_are_percents_and_the_top_three_make_most() -> None:
    assert sum(t.share for t in TENANTS) == 100
    assert sum(f.share for f in FEATURES) == 100
    assert 60 <= sum(t.share for t in TENANTS[:3]) <= 80


def test_draws_follow_the_shares() -> None:
    drawn = Counter(tenant_at(Dice(f"1/{n}").fraction("tenant")).tenant_id for n in range(5000))
    for tenant in TENANTS:
        assert abs(drawn[tenant.tenant_id] / 50 - tenant.share) < 3
    assert tenant_at(0.0) is TENANTS[0]
    assert tenant_at(0.999999) is TENANTS[-1]


def test_some_work_is_started_by_the_system() -> None:
    assert {f.initiator for f in FEATURES} == {"user", "system"}
    assert feature_at(0.0) is FEATURES[0]
