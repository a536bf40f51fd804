"""Saved views over HTTP: one's own and shared ones, and who may change them."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.store import views
from tests.unit.api.site import NOW, Site

VIEW = {"view_id": "v1", "name": "Spend", "path": "/app/explore", "search": "?by=tenant"}


def listed(site: Site, key: str) -> list[str]:
    return [one["view_id"] for one in site.call("GET", "/v1/views", key).json()["views"]]


def make(site: Site, key: str, **said: Any) -> Any:
    return site.call("POST", "/v1/views", key, json={**VIEW, **said})


def test_a_view_is_kept_and_listed(site: Site) -> None:
    key = site.key("read")
    made = make(site, key)
    assert made.status_code == 201
    view = made.json()["view"]
    owner = view.pop("owner")
    assert view == {**VIEW, "shared": False, "mine": True, "updated_at": NOW}
    assert site.call("GET", "/v1/views", key).json()["views"] == [{**view, "owner": owner}]
    assert make(site, key).json() == {"view": {**view, "owner": owner}}


def test_others_see_it_only_when_it_is_shared(site: Site) -> None:
    mine, others = site.key("read"), site.key("read")
    make(site, mine)
    make(site, mine, view_id="v2", name="All", shared=True)
    assert listed(site, mine) == ["v2", "v1"]
    assert listed(site, others) == ["v2"]
    assert site.call("GET", "/v1/views", others).json()["views"][0]["mine"] is False


def test_a_tenants_key_sees_only_its_own_and_shares_none(site: Site) -> None:
    make(site, site.admin, shared=True)
    assert listed(site, site.acme) == []
    assert make(site, site.acme, view_id="v2", shared=True).status_code == 403
    assert make(site, site.acme, view_id="v2").status_code == 201
    assert listed(site, site.acme) == ["v2"]
    assert listed(site, site.admin) == ["v1"]
    for method in ("PUT", "DELETE"):
        parts = {"json": VIEW} if method == "PUT" else {}
        assert site.call(method, "/v1/views/v1", site.acme, **parts).status_code == 404


def test_the_owner_and_admins_change_a_shared_view_others_do_not(site: Site) -> None:
    mine, others = site.key("read"), site.key("read")
    body = {**VIEW, "shared": True}
    owner = make(site, mine, shared=True).json()["view"]["owner"]

    def put(key: str, name: str) -> Any:
        return site.call("PUT", "/v1/views/v1", key, json={**body, "name": name})

    assert put(others, "theirs").status_code == 403
    assert site.call("DELETE", "/v1/views/v1", others).status_code == 403
    assert put(mine, "own").json()["view"]["name"] == "own"
    changed = put(site.admin, "admin's").json()["view"]
    assert (changed["name"], changed["owner"], changed["mine"]) == ("admin's", owner, False)
    assert site.call("DELETE", "/v1/views/v1", site.admin).status_code == 204
    assert listed(site, mine) == []


def test_a_view_that_is_not_shared_does_not_exist_for_others(site: Site) -> None:
    mine = site.key("read")
    make(site, mine)
    for key in (site.key("read"), site.admin):
        answer = site.call("PUT", "/v1/views/v1", key, json=VIEW)
        none = site.call("PUT", "/v1/views/v9", key, json={**VIEW, "view_id": "v9"})
        assert (answer.status_code, answer.text) == (none.status_code, none.text)
        assert site.call("DELETE", "/v1/views/v1", key).status_code == 404
    assert listed(site, mine) == ["v1"]
    assert site.call("DELETE", "/v1/views/v1", mine).status_code == 204


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"view_id": None}, "view_id"),
        ({"view_id": "a/b"}, "view_id"),
        ({"path": "//evil.example"}, "path"),
        ({"path": "javascript:alert(1)"}, "path"),
        ({"name": ""}, "name"),
        ({"search": "x"}, "search"),
    ],
)
def test_what_is_wrong_is_named(site: Site, said: dict[str, Any], where: str) -> None:
    answer = make(site, site.admin, **said)
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)


def test_an_id_of_another_view_is_a_conflict(site: Site) -> None:
    make(site, site.key("read"))
    answer = make(site, site.key("read"), name="other")
    assert answer.status_code == 409
    assert "Spend" not in answer.text
    wrong = site.call("PUT", "/v1/views/v2", json=VIEW)
    assert (wrong.status_code, wrong.json()["error"]["where"]) == (400, "view_id")


def test_so_many_views_and_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MAX_OWNER_VIEWS", 1)
    assert make(site, site.admin).status_code == 201
    assert make(site, site.admin, view_id="v2").status_code == 413
