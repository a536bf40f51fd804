"""People: made, changed and disabled by admins; and what a session of each role opens."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.api.sign_in import INVITATION_LIFE_US
from outlay.store.books import people
from tests.unit.api.browser import PASSWORD, Browser, person, signed_in
from tests.unit.api.site import NOW, Site

ANN = {"email": "Ann@Example.com", "role": "finance", "name": "Ann"}


def create(site: Site, **parts: Any) -> Any:
    return site.call("POST", "/v1/users", json={**ANN, **parts})


def test_a_new_user_gets_a_link_to_set_a_password(site: Site) -> None:
    made = create(site)
    assert made.status_code == 201
    user = made.json()["user"]
    assert user == {
        "user_id": user["user_id"], "email": "ann@example.com", "name": "Ann", "role": "finance",
        "tenant_id": None, "disabled": False, "created_at": NOW, "last_seen_at": None,
        "way": "link",
    }  # fmt: skip
    assert made.json()["link_expires_at"] == NOW + INVITATION_LIFE_US
    token = made.json()["link"].partition("#link=")[2]
    site.now += INVITATION_LIFE_US - 1
    browser = Browser(site)
    assert browser.call("POST", "/v1/session", json={"link": token}).status_code == 200
    assert browser.call("POST", "/v1/session/password", json={"new": PASSWORD}).status_code == 200
    assert Browser(site).enter("ann@example.com").status_code == 200
    [listed] = site.call("GET", "/v1/users").json()["users"]
    assert (listed["way"], listed["last_seen_at"]) == ("password", site.now)


def test_a_user_with_a_password_gets_no_link(site: Site) -> None:
    made = create(site, password=PASSWORD).json()
    assert (made["link"], made["link_expires_at"]) == (None, None)
    assert made["user"]["way"] == "password"
    assert "argon2" not in site.call("GET", "/v1/users").text
    assert Browser(site).enter("ann@example.com").status_code == 200


def test_an_email_is_taken_once(site: Site) -> None:
    assert create(site).status_code == 201
    again = create(site, email="ANN@example.com")
    assert (again.status_code, again.json()["error"]["where"]) == (409, "email")


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        ({"email": "ann"}, "email"),
        ({"role": "tenant"}, "tenant_id"),
        ({"role": "finance", "tenant_id": "acme"}, "tenant_id"),
        ({"role": "boss"}, "body"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"name": "x" * 257}, "name"),
        ({"other": 1}, "body"),
    ],
)
def test_a_bad_part_is_named(site: Site, parts: dict[str, Any], where: str) -> None:
    refused = create(site, **parts)
    assert (refused.status_code, refused.json()["error"]["where"]) == (400, where)
    assert site.books.users() == []


def test_a_large_body_is_refused(site: Site) -> None:
    assert create(site, name="x" * 20_000).status_code == 413


def test_there_is_a_bound(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "MAX_USERS", 1)
    create(site)
    assert create(site, email="bob@example.com").status_code == 413


def test_lists_are_bounded(site: Site) -> None:
    create(site)
    site.now += 1
    create(site, email="bob@example.com")
    [first] = site.call("GET", "/v1/users?limit=1").json()["users"]
    assert first["email"] == "bob@example.com"
    for limit in (0, 10_001):
        assert site.call("GET", f"/v1/users?limit={limit}").status_code == 400


class TestChanges:
    def test_each_part_changes_alone(self, site: Site) -> None:
        path = f"/v1/users/{create(site).json()['user']['user_id']}"
        for part in (
            {"name": "A."}, {"role": "engineer"}, {"disabled": True}, {"disabled": False},
            {"role": "tenant", "tenant_id": "acme"}, {"tenant_id": "rival"},
        ):  # fmt: skip
            answer = site.call("PUT", path, json=part)
            assert answer.status_code == 200, answer.text
            user = answer.json()["user"]
            assert {name: user[name] for name in part} == part
        assert site.call("PUT", path, json={"role": "admin"}).json()["user"]["tenant_id"] is None
        assert len([e for e in site.books.audit() if e.action == "user.change"]) == 7

    @pytest.mark.parametrize(
        "part", [{"role": "finance"}, {"disabled": True}, {"password": "another password"}]
    )
    def test_what_takes_rights_away_ends_sessions_at_once(
        self, site: Site, part: dict[str, Any]
    ) -> None:
        browser = signed_in(site, "engineer")
        assert browser.call("GET", "/v1/query/schema").status_code == 200
        changed = site.call("PUT", "/v1/users/u-engineer@example.com", json=part)
        assert changed.status_code == 200
        assert browser.call("GET", "/v1/query/schema").status_code == 401

    def test_an_admin_sets_a_password(self, site: Site) -> None:
        person(site, "finance")
        body = {"password": "another password"}
        site.call("PUT", "/v1/users/u-finance@example.com", json=body)
        assert Browser(site).enter("finance@example.com").status_code == 401
        assert Browser(site).enter("finance@example.com", body["password"]).status_code == 200

    @pytest.mark.parametrize("part", [{"disabled": True}, {"role": "finance"}])
    def test_nobody_takes_his_own_rights_away(self, site: Site, part: dict[str, Any]) -> None:
        browser = signed_in(site, "admin")
        answer = browser.call("PUT", "/v1/users/u-admin@example.com", json=part)
        assert answer.status_code == 403
        assert browser.call("GET", "/v1/users").status_code == 200
        other = person(site, "admin", "second@example.com")
        assert browser.call("PUT", f"/v1/users/{other.user_id}", json=part).status_code == 200

    def test_ones_own_password_needs_the_current_one(self, site: Site) -> None:
        browser = signed_in(site, "admin")
        path = "/v1/users/u-admin@example.com"
        answer = browser.call("PUT", path, json={"password": "another password"})
        assert (answer.status_code, answer.json()["error"]["where"]) == (403, "password")
        assert browser.call("PUT", path, json={"name": "Me", "role": "admin"}).status_code == 200

    def test_an_unknown_user_is_not_found(self, site: Site) -> None:
        assert site.call("PUT", "/v1/users/none", json={"name": "x"}).status_code == 404

    @pytest.mark.parametrize(
        ("part", "where"), [({"role": "tenant"}, "tenant_id"), ({"password": "x"}, "password")]
    )
    def test_a_bad_part_is_named(self, site: Site, part: dict[str, Any], where: str) -> None:
        person(site, "finance")
        refused = site.call("PUT", "/v1/users/u-finance@example.com", json=part)
        assert (refused.status_code, refused.json()["error"]["where"]) == (400, where)


@pytest.mark.parametrize("role", ["engineer", "finance"])
def test_others_see_and_make_nobody(site: Site, role: Any) -> None:
    browser = signed_in(site, role)
    for method, path in (
        ("GET", "/v1/users"), ("POST", "/v1/users"), ("PUT", f"/v1/users/u-{role}@example.com"),
    ):  # fmt: skip
        answer = browser.call(method, path, json={**ANN, "role": "admin"})
        assert answer.status_code == 403, path
