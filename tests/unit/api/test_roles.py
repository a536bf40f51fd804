"""A role opens what its scopes open, by cookie as by key; a tenant's user sees his portal only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from outlay.core.limits.limit import Limit, Threshold
from outlay.store.limits import LimitChange
from tests.unit.api.browser import Browser, signed_in
from tests.unit.api.site import NOW, Site
from tests.unit.api.test_isolation import CASES, NOBODYS, SCOPES, filled, short_streams

__all__ = ("short_streams",)

URL = "https://hooks.example.com/T0/secret-part"
SHARED = {"GET /v1/live", "GET /v1/currencies"}
"""What a portal reads beside its own endpoints."""


def opened(browser: Browser) -> Iterator[str]:
    """Give the endpoints that do not refuse a browser, but for those of signing in."""
    for case in CASES:
        name = f"{case.method} {case.route}"
        if name in NOBODYS:
            continue
        body = {} if case.body is None else {"json": filled(case.body, "acme")}
        answer = browser.call(case.method, filled(case.path, "acme"), **body)
        if name == "POST /v1/events":
            assert answer.status_code == 401, "events come with a key"
        elif answer.status_code != 403:
            assert answer.status_code != 401, name
            yield name


@pytest.mark.parametrize(
    ("role", "scopes"),
    [("finance", ["read"]), ("engineer", ["read", "operate"]),
     ("admin", ["read", "operate", "admin"])],
)  # fmt: skip
def test_a_user_opens_what_keys_of_his_scopes_open(
    site: Site, role: Any, scopes: list[str]
) -> None:
    expected = set().union(*(SCOPES[scope] for scope in scopes))
    assert set(opened(signed_in(site, role))) == expected


def test_a_tenants_user_opens_the_portal_only(site: Site) -> None:
    found = set(opened(signed_in(site, "tenant", tenant="acme")))
    portal = {name for name in found if " /v1/portal/" in name}
    assert found - portal <= SHARED
    assert "POST /v1/portal/links" not in found


def test_a_tenants_user_sees_his_tenant_only(site: Site) -> None:
    browser = signed_in(site, "tenant", tenant="acme")
    token = browser.cookie
    caller, _ = site.app.state.auth.signed_in(token)
    assert (caller.tenant_id, caller.role) == ("acme", "tenant")
    for path in ("/v1/tenants", "/v1/tenants/acme", "/v1/query/schema", "/v1/limits/policy"):
        assert browser.call("GET", path).status_code == 403, path


class TestOperator:
    @pytest.fixture
    def limit(self, site: Site) -> Limit:
        ladder = (Threshold(500_000, "warn"), Threshold(900_000, "escalate", url=URL))
        made = Limit("day", "cost", "day", 10**9, thresholds=ladder)
        site.books.change_limits(LimitChange(limits=(made,)), reason="r", actor="t", at=1)
        return made

    @pytest.mark.parametrize("who", ["key", "browser"])
    def test_who_operates_changes_limits_without_seeing_addresses(
        self, site: Site, limit: Limit, who: str
    ) -> None:
        key, browser = site.key("read", "operate"), signed_in(site, "engineer")

        def call(method: str, path: str, **parts: Any) -> Any:
            if who == "browser":
                return browser.call(method, path, **parts)
            return site.call(method, path, key, **parts)

        shown = call("GET", "/v1/limits/day").json()["limit"]
        changed = call("PUT", "/v1/limits/day?reason=r", json={**shown, "amount": "2.00"})
        assert changed.status_code == 200, changed.text
        told = [
            changed, call("GET", "/v1/limits"), call("GET", "/v1/limits/day/history"),
            call("POST", "/v1/limits?reason=r&dry_run=true", json={"limits": [shown]}),
        ]  # fmt: skip
        assert {answer.status_code for answer in told} == {200}
        assert not any("secret-part" in answer.text for answer in told)
        [stored] = site.books.limits()
        assert (stored.amount, stored.thresholds) == (2 * 10**9, limit.thresholds)
        override = {"amount": "3", "ends_at": NOW + 10**9, "reason": "r"}
        made = call("POST", "/v1/limits/day/overrides", json=override)
        assert made.status_code == 200
        revoke = f"/v1/limits/day/overrides/{made.json()['override']['override_id']}?reason=r"
        assert call("DELETE", revoke).status_code == 200
        assert call("DELETE", "/v1/limits/day?reason=r").status_code == 200

    def test_a_rung_that_moves_keeps_its_address(self, site: Site, limit: Limit) -> None:
        key = site.key("operate")
        body = {
            "amount": "1.00", "window": "day",
            "thresholds": [{"at": "80%", "action": "escalate"}, {"at": "50%", "action": "warn"}],
        }  # fmt: skip
        assert site.call("PUT", "/v1/limits/day?reason=r", key, json=body).status_code == 200
        assert [rung.url for rung in site.books.limits()[0].thresholds] == [URL, ""]

    def test_a_new_address_takes_the_place_of_the_old(self, site: Site, limit: Limit) -> None:
        rung = {"at": "90%", "action": "escalate", "url": "https://hooks.example.com/new"}
        body = {"amount": "1.00", "window": "day", "thresholds": [rung]}
        key = site.key("operate")
        assert site.call("PUT", "/v1/limits/day?reason=r", key, json=body).status_code == 200
        assert site.books.limits()[0].thresholds[0].url == rung["url"]

    def test_an_address_that_is_nowhere_must_be_said(self, site: Site, limit: Limit) -> None:
        key = site.key("operate")
        rungs = [{"at": at, "action": "escalate"} for at in ("10%", "20%")]
        body = {"amount": "1", "window": "day", "thresholds": rungs}
        answer = site.call("PUT", "/v1/limits/other?reason=r", key, json=body)
        assert (answer.status_code, "url" in answer.text) == (400, True)
        bad: tuple[Any, ...] = (
            {"thresholds": "x"},
            {"thresholds": ["x"]},
            {"thresholds": [{"at": []}]},
        )
        for wrong in bad:
            answer = site.call("PUT", "/v1/limits/day?reason=r", key, json=wrong)
            assert answer.status_code == 400
        answer = site.call("POST", "/v1/limits?reason=r", key, json={"limits": {"a": 1}})
        assert answer.status_code == 400

    def test_an_admin_takes_an_address_away_by_leaving_it_out(
        self, site: Site, limit: Limit
    ) -> None:
        body = {"amount": "1", "window": "day", "thresholds": [{"at": "90%", "action": "warn"}]}
        assert site.call("PUT", "/v1/limits/day?reason=r", json=body).status_code == 200
        assert [rung.url for rung in site.books.limits()[0].thresholds] == [""]

    def test_a_key_that_operates_is_for_all_tenants_and_a_portals_for_one(self, site: Site) -> None:
        for body, where in (
            ({"name": "n", "scopes": ["operate"], "tenant_id": "acme"}, "scopes"),
            ({"name": "n", "scopes": ["portal"]}, "tenant_id"),
        ):
            answer = site.call("POST", "/v1/keys", json=body)
            assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)
        made = site.call(
            "POST", "/v1/keys", json={"name": "n", "scopes": ["portal"], "tenant_id": "acme"}
        )
        assert made.json()["key"]["scopes"] == ["portal"]
