"""Limits over HTTP: a document taken whole, changes with history, overrides, how scopes stand."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core.limits.holds import Reserve
from outlay.core.limits.subject import Subject
from tests.unit.api.site import NOW, Site

DAY = 86_400_000_000
YAML = """
limits:
  - id: tenant-month
    scope: {tenant: each}
    window: month
    amount: "500.00"
    thresholds:
      - {at: 80%, action: warn, url: "https://hooks.example/x"}
      - {at: 100%, action: block}
  - {id: acme-day, scope: {tenant: acme}, window: day, amount: 2}
  - {id: everybody, window: day, amount: 1000, mode: shadow}
entitlements:
  - {plan: free, models: [gpt-5-mini]}
"""


def apply(site: Site, text: str = YAML, **asked: Any) -> Any:
    params = {"reason": "launch", **asked}
    headers = {"Content-Type": "application/yaml"}
    return site.call("POST", "/v1/limits", content=text.encode(), params=params, headers=headers)


def put(site: Site, limit_id: str, **values: Any) -> Any:
    return site.call("PUT", f"/v1/limits/{limit_id}", json={"reason": "because", **values})


def listed(site: Site, key: str | None = None) -> list[str]:
    return [one["id"] for one in site.call("GET", "/v1/limits", key).json()["limits"]]


def spend(site: Site, tenant: str, nanos: int, hold_id: str = "h") -> None:
    subject = Subject(tenant=tenant, plan="pro", model="gpt", provider="openai")
    site.services.policy.expire()
    needs = site.services.policy.current().needs(subject, {"cost": nanos}, NOW)
    op = Reserve(hold_id, hold_id, tuple(needs), NOW, NOW + DAY)
    assert site.books.apply([op])[0].status == "ok"


class TestChanging:
    def test_a_document_is_taken_whole_with_who_and_why(self, site: Site) -> None:
        answer = apply(site).json()
        assert [one["id"] for one in answer["added"]] == ["tenant-month", "acme-day", "everybody"]
        assert answer["entitlements"] == [{"plan": "free", "models": ["gpt-5-mini"]}]
        assert sorted(listed(site)) == ["acme-day", "everybody", "tenant-month"]
        history = site.call("GET", "/v1/limits/acme-day/history").json()["versions"]
        assert [(one["version"], one["reason"]) for one in history] == [(1, "launch")]

    def test_the_same_document_again_changes_nothing(self, site: Site) -> None:
        apply(site)
        answer = apply(site).json()
        assert not answer["added"]
        assert not answer["changed"]
        assert len(site.call("GET", "/v1/limits/acme-day/history").json()["versions"]) == 1

    def test_a_dry_run_writes_nothing(self, site: Site) -> None:
        assert apply(site, dry_run=True).json()["added"]
        assert listed(site) == []

    def test_pruning_removes_what_the_document_does_not_name(self, site: Site) -> None:
        apply(site)
        answer = apply(site, "limits:\n  - {id: only, window: day, amount: 5}\n", prune=True).json()
        assert sorted(answer["removed"]) == ["acme-day", "everybody", "tenant-month"]
        assert answer["removed_plans"] == ["free"]
        assert listed(site) == ["only"]

    def test_a_changed_amount_keeps_what_was_used(self, site: Site) -> None:
        apply(site)
        spend(site, "acme", 1_500_000_000)
        put(site, "acme-day", scope={"tenant": "acme"}, window="day", amount="3.00")
        counter = site.call("GET", "/v1/limits/acme-day").json()["counters"][0]
        assert (counter["held"], counter["amount"]) == (1_500_000_000, 3_000_000_000)
        assert counter["left"] == 1_500_000_000

    def test_what_contradicts_a_limit_in_force_is_refused(self, site: Site) -> None:
        apply(site)
        answer = put(site, "acme-day-2", scope={"tenant": "acme"}, window="day", amount="9")
        assert answer.status_code == 409
        assert "`acme-day`" in answer.json()["error"]["message"]
        assert "acme-day-2" not in listed(site)

    def test_what_it_counts_cannot_change(self, site: Site) -> None:
        apply(site)
        for change in ({"metric": "tokens", "amount": 5}, {"window": "rate 1m"}):
            base = {"scope": {"tenant": "acme"}, "window": "rolling 1h", "amount": "2"}
            put(site, "x", **base)
            answer = put(site, "x", **{**base, **change})
            assert answer.status_code == 409, answer.text
            assert answer.json()["error"]["where"] == f"limits[0].{next(iter(change))}"

    def test_a_removed_limit_keeps_its_history(self, site: Site) -> None:
        apply(site)
        params = {"reason": "not needed"}
        assert site.call("DELETE", "/v1/limits/acme-day", params=params).status_code == 200
        assert "acme-day" not in listed(site)
        versions = site.call("GET", "/v1/limits/acme-day/history").json()["versions"]
        assert [one["limit"] is None for one in versions] == [True, False]

    @pytest.mark.parametrize(
        ("text", "where"),
        [
            ("limits:\n  - {id: x, window: day, amount: 0}", "limits[0].amount"),
            ("limits:\n  - {id: x, window: fortnight, amount: 1}", "limits[0].window"),
            ("limits:\n  - {id: x, window: day, zone: Mars/Base, amount: 1}", "limits[0].zone"),
            (
                "limits:\n  - {id: x, window: day, amount: 1, scope: {tenant: []}}",
                "limits[0].scope",
            ),
            ("limits:\n  - {id: state, window: day, amount: 1}", "limits[0].id"),
            ("limits: [&a 1, *a]", "line 1"),
            ("limits: {", "line"),
            ("", "body"),
        ],
    )
    def test_what_cannot_be_is_refused_with_the_place(
        self, site: Site, text: str, where: str
    ) -> None:
        answer = apply(site, text)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["where"].startswith(where)
        assert listed(site) == []

    def test_a_change_needs_a_reason(self, site: Site) -> None:
        answer = apply(site, reason=" ")
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, "reason")


class TestOverrides:
    def test_one_raises_a_scope_until_its_end(self, site: Site) -> None:
        apply(site)
        spend(site, "acme", 1)
        body = {
            "amount": "750", "ends_at": NOW + DAY, "reason": "ticket 7", "scope": {"tenant": "acme"}
        }  # fmt: skip
        made = site.call("POST", "/v1/limits/tenant-month/overrides", json=body).json()["override"]
        assert (made["scope_key"], made["amount"]) == ('[["tenant","acme"]]', 750 * 10**9)
        rows = site.call("GET", "/v1/limits/tenant-month").json()["counters"]
        assert [row["amount"] for row in rows] == [750 * 10**9]
        site.now = NOW + DAY
        assert [
            row["amount"] for row in site.call("GET", "/v1/limits/tenant-month").json()["counters"]
        ] == [500 * 10**9]

    def test_one_is_ended_by_hand(self, site: Site) -> None:
        apply(site)
        body = {"amount": 750, "ends_at": NOW + DAY, "reason": "ticket 7", "override_id": "o1"}
        site.call("POST", "/v1/limits/tenant-month/overrides", json=body)
        path = "/v1/limits/tenant-month/overrides/o1"
        ended = site.call("DELETE", path, params={"reason": "done"}).json()["override"]
        assert ended["revoked_at"] == NOW
        assert site.call("GET", "/v1/limits/tenant-month").json()["overrides"] == []

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"ends_at": NOW}, "ends_at"),
            ({"amount": "0"}, "amount"),
            ({"amount": "1.0000000001"}, "amount"),
            ({"scope": {"user": "u"}}, "scope"),
            ({"scope": "["}, "scope"),
            ({"reason": ""}, "reason"),
        ],
    )
    def test_a_bad_one_is_refused_with_the_place(
        self, site: Site, change: dict[str, Any], where: str
    ) -> None:
        apply(site)
        body = {"amount": "750", "ends_at": NOW + DAY, "reason": "r", **change}
        answer = site.call("POST", "/v1/limits/tenant-month/overrides", json=body)
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)

    def test_there_is_none_of_an_unknown_limit(self, site: Site) -> None:
        body = {"amount": "750", "ends_at": NOW + DAY, "reason": "r"}
        assert site.call("POST", "/v1/limits/none/overrides", json=body).status_code == 404


class TestLooking:
    def test_the_fullest_scope_comes_first(self, site: Site) -> None:
        apply(site)
        spend(site, "rival", 100 * 10**9)
        spend(site, "acme", 10**9, "h2")
        rows = site.call("GET", "/v1/limits/state").json()["counters"]
        shares = [row["share"] for row in rows]
        assert shares == sorted(shares, reverse=True)
        assert {row["limit"] for row in rows} == {"tenant-month", "acme-day", "everybody"}

    def test_of_a_tenant_only_its_own_scopes_show(self, site: Site) -> None:
        apply(site)
        spend(site, "rival", 10**9)
        spend(site, "acme", 10**9, "h2")
        for asked, key in (({"tenant": "acme"}, None), ({}, site.acme)):
            rows = site.call("GET", "/v1/limits/state", key, params=asked).json()["counters"]
            assert {(row["limit"], str(row["scope"])) for row in rows} == {
                ("tenant-month", "{'tenant': 'acme'}"),
                ("acme-day", "{}"),
            }

    def test_a_tenants_key_sees_its_limits_and_no_addresses(self, site: Site) -> None:
        apply(site)
        found = site.call("GET", "/v1/limits", site.acme).json()
        assert sorted(one["id"] for one in found["limits"]) == ["acme-day", "tenant-month"]
        assert found["entitlements"] == []
        assert "hooks.example" not in str(found)
        assert "hooks.example" in str(site.call("GET", "/v1/limits").json())

    def test_another_tenants_limit_is_not_there(self, site: Site) -> None:
        put(site, "rival-day", scope={"tenant": "rival"}, window="day", amount="9")
        assert site.call("GET", "/v1/limits/rival-day", site.acme).status_code == 404
        assert site.call("GET", "/v1/limits/rival-day").status_code == 200


@pytest.mark.parametrize(("since", "status"), [(0, 200), (-1, 400), (10**15, 200), (2**63, 400)])
def test_notices_are_asked_since_a_time(site: Site, since: int, status: int) -> None:
    answer = site.call("GET", f"/v1/limits/notices?since={since}", site.acme)
    assert answer.status_code == status
