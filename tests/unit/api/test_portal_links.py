"""Links into the portal: who may make them, what they say, and that they work."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.site import NOW, Site


def make(site: Site, key: str | None = None, **body: Any) -> Any:
    return site.call("POST", "/v1/portal/links", key, json={"tenant": "acme", **body})


def test_a_link_opens_the_portal_of_its_tenant(site: Site) -> None:
    theme = {"scheme": "dark", "accent": "#0f62fe"}
    made = make(site, theme=theme, user="ada@acme").json()
    assert made["url"] == f"http://testserver/portal/#token={made['token']}"
    assert made["expires_at"] == NOW + 900_000_000
    mine = site.call("GET", "/v1/portal/me", made["token"]).json()
    assert (mine["tenant"]["tenant_id"], mine["theme"]) == ("acme", theme)
    assert mine["expires_at"] == made["expires_at"]


def test_a_link_leads_to_where_people_reach_the_server(site: Site) -> None:
    object.__setattr__(site.services.settings, "public_url", "https://costs.example.com/")
    assert make(site).json()["url"].startswith("https://costs.example.com/portal/#token=")


def test_a_link_ends(site: Site) -> None:
    shown = make(site, expires_in_s=60).json()["token"]
    site.now = NOW + 66_000_000
    assert site.call("GET", "/v1/portal/me", shown).status_code == 401


def test_a_link_is_audited_without_its_token(site: Site) -> None:
    made = make(site, site.key("operate"), user="ada@acme").json()
    entry = site.books.audit()[0]
    assert (entry.action, entry.subject) == ("portal.link", "acme")
    assert (entry.details["user"], entry.details["expires_at"]) == ("ada@acme", made["expires_at"])
    assert made["token"] not in str(entry)
    assert made["token"] not in site.log_text.getvalue()


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"tenant": "a b"}, "tenant_id"),
        ({"tenant": "unattributed"}, "tenant_id"),
        ({"expires_in_s": 59}, "expires_in_s"),
        ({"expires_in_s": 86_401}, "expires_in_s"),
        ({"user": "x\n"}, "user"),
        ({"user": "x" * 257}, "user"),
        ({"theme": {"accent": "red"}}, "theme.accent"),
        ({"theme": {"css": "x"}}, "theme"),
        ({"more": 1}, "body"),
    ],
)
def test_what_is_wrong_is_named(site: Site, body: dict[str, Any], where: str) -> None:
    answer = make(site, **body)
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)
    assert site.books.audit(action="portal.link") == []


def test_the_bounds_of_a_links_life_are_allowed(site: Site) -> None:
    for life in (60, 86_400):
        made = make(site, expires_in_s=life).json()
        assert site.call("GET", "/v1/portal/me", made["token"]).status_code == 200


@pytest.mark.parametrize("scope", ["read", "ingest", "gateway"])
def test_others_make_none(site: Site, scope: str) -> None:
    assert make(site, site.key(scope)).status_code == 403
