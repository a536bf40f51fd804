"""Managing over HTTP: tenants, keys, dead letters, audit log, state."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.api.services import PartState
from tests.unit.api.site import NOW, Site, event


class TestTenants:
    def test_a_new_tenant_holds_since_ever(self, site: Site) -> None:
        answer = site.call("PUT", "/v1/tenants/new", json={"plan": "free"})
        assert answer.status_code == 200
        assert answer.json()["tenant"]["valid_from"] == 0

    def test_a_change_holds_from_now_and_keeps_what_it_does_not_name(self, site: Site) -> None:
        site.call("PUT", "/v1/tenants/new", json={"plan": "free", "labels": {"a": "b"}})
        got = site.call("PUT", "/v1/tenants/new", json={"plan": "pro"}).json()["tenant"]
        assert (got["plan"], got["labels"], got["valid_from"]) == ("pro", {"a": "b"}, NOW)
        history = site.call("GET", "/v1/tenants/new").json()["history"]
        assert [(v["plan"], v["valid_to"]) for v in history] == [("free", NOW), ("pro", None)]

    def test_the_same_change_again_changes_nothing(self, site: Site) -> None:
        for now in (NOW, NOW + 5):
            site.now = now
            site.call("PUT", "/v1/tenants/acme", json={"plan": "free"})
        assert len(site.books.tenant_history("acme")) == 2

    @pytest.mark.parametrize("start", [1_700_000_000_000_000, "2023-11-14T22:13:20Z"])
    def test_a_change_may_begin_at_a_given_time(self, site: Site, start: Any) -> None:
        body = {"plan": "old", "valid_from": start}
        got = site.call("PUT", "/v1/tenants/acme", json=body).json()["tenant"]
        assert got["valid_from"] == 1_700_000_000_000_000

    def test_the_list_shows_what_is_in_force_now(self, site: Site) -> None:
        later = {"plan": "later", "valid_from": NOW + 1}
        site.call("PUT", "/v1/tenants/acme", json=later)
        got = site.call("GET", "/v1/tenants").json()["tenants"]
        assert [(t["tenant_id"], t["plan"]) for t in got] == [("acme", "pro"), ("rival", "pro")]
        assert site.call("GET", "/v1/tenants/acme").json()["tenant"]["plan"] == "pro"

    def test_making_one_twice_is_fine_only_if_it_is_the_same(self, site: Site) -> None:
        body = {"tenant_id": "new", "plan": "free"}
        assert site.call("POST", "/v1/tenants", json=body).status_code == 201
        assert site.call("POST", "/v1/tenants", json=body).status_code == 201
        answer = site.call("POST", "/v1/tenants", json={**body, "plan": "pro"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
        assert len(site.books.tenant_history("new")) == 1

    @pytest.mark.parametrize(
        ("method", "path", "body", "where"),
        [
            ("POST", "/v1/tenants", {}, "tenant_id"),
            ("POST", "/v1/tenants", {"tenant_id": "a b"}, "tenant_id"),
            ("POST", "/v1/tenants", {"tenant_id": "unattributed"}, "tenant_id"),
            ("PUT", "/v1/tenants/a%20b", {}, "tenant_id"),
            ("PUT", "/v1/tenants/a", {"tenant_id": "b"}, "tenant_id"),
            ("PUT", "/v1/tenants/a", {"plan": 1}, "body"),
            ("PUT", "/v1/tenants/a", {"plans": "x"}, "body"),
            ("PUT", "/v1/tenants/a", {"plan": "x" * 257}, "plan"),
            ("PUT", "/v1/tenants/a", {"valid_from": "yesterday"}, "valid_from"),
            ("PUT", "/v1/tenants/a", {"valid_from": "2026-01-01T00:00:00"}, "valid_from"),
            ("PUT", "/v1/tenants/a", {"valid_from": -1}, "valid_from"),
            ("POST", "/v1/keys", {"name": "n"}, "body"),
            ("POST", "/v1/keys", {"name": "n", "scopes": ["root"]}, "scopes"),
            ("POST", "/v1/keys", {"name": "", "scopes": ["read"]}, "name"),
            ("POST", "/v1/keys", {"name": "n", "scopes": ["admin"], "tenant_id": "a"}, "scopes"),
            ("POST", "/v1/keys", {"name": "n", "scopes": ["read"], "expires_at": 5}, "expires_at"),
        ],
    )
    def test_a_bad_body_is_refused_and_changes_nothing(
        self, site: Site, method: str, path: str, body: Any, where: str
    ) -> None:
        before = (site.books.revision("tenants"), site.books.revision("keys"))
        answer = site.call(method, path, json=body)
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)
        assert (site.books.revision("tenants"), site.books.revision("keys")) == before

    def test_an_unknown_tenant_is_404(self, site: Site) -> None:
        assert site.call("GET", "/v1/tenants/none").status_code == 404


class TestKeys:
    def test_a_key_is_shown_once_and_works(self, site: Site) -> None:
        body = {"name": "n", "scopes": ["read"], "tenant_id": "acme", "expires_at": NOW + 9}
        answer = site.call("POST", "/v1/keys", json=body)
        made = answer.json()
        assert answer.status_code == 201
        assert made["key"]["prefix"] == made["secret"][:8]
        assert site.call("GET", "/v1/tenants", made["secret"]).status_code == 200
        listed = site.call("GET", "/v1/keys")
        assert made["secret"] not in listed.text
        assert "hash" not in listed.text

    def test_an_unknown_key_cannot_be_revoked(self, site: Site) -> None:
        assert site.call("DELETE", "/v1/keys/key_none").status_code == 404

    def test_who_did_it_is_in_the_audit_log(self, site: Site) -> None:
        site.call("PUT", "/v1/tenants/acme", json={"plan": "free"})
        [entry] = site.call("GET", "/v1/audit?limit=1").json()["audit"]
        assert (entry["action"], entry["subject"], entry["at"]) == ("tenant.put", "acme", NOW)
        assert entry["actor"].startswith("key_")


class TestState:
    def test_dead_letters_come_with_counts(self, site: Site) -> None:
        site.post_events([{"x": 1}, {"y": 2}, event(1)])
        got = site.call("GET", "/v1/dead-letters?limit=1").json()
        assert (len(got["dead_letters"]), got["counts"]) == (1, {"unknown_field": 2})

    @pytest.mark.parametrize("limit", ["0", "10001", "x", "-1"])
    def test_a_limit_out_of_bounds_is_refused(self, site: Site, limit: str) -> None:
        answer = site.call("GET", f"/v1/dead-letters?limit={limit}")
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, "limit")

    def test_the_status_shows_logs_consumers_and_disk(self, site: Site) -> None:
        site.post_events([event(1)])
        site.parts.append(PartState("olap", ok=False, lag_events=5, error="it broke"))
        got = site.call("GET", "/v1/status").json()
        assert got["logs"]["captured"]["head"] == 1
        assert got["consumers"]["olap"] == {
            "ok": False, "offset": None, "lag_events": 5, "last_error": "it broke", "counts": {},
        }  # fmt: skip
        assert got["disk"]["free_bytes"] > 0
        assert set(got["versions"]) == {"outlay", "python"}
        assert got["backends"] == {"olap": "fake"}


@pytest.mark.parametrize("moment", ["9" * 19, "9" * 5000, "2026-13-01T00:00:00Z", "soon"])
def test_a_time_that_is_none_is_refused(site: Site, moment: str) -> None:
    answer = site.call("PUT", "/v1/tenants/acme", json={"valid_from": moment})
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, "valid_from")


def test_a_tenant_id_that_cannot_be_one_says_what_one_is(site: Site) -> None:
    answer = site.call("PUT", "/v1/tenants/a%2Fb", json={"plan": "pro"})
    assert answer.status_code == 400
    assert "letters, digits" in answer.json()["error"]["message"]
