"""Requests with a session's cookie: only our own pages may change anything with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outlay.api.origins import checked_url, is_loopback
from outlay.config import Settings
from outlay.errors import ConfigError
from tests.unit.api.browser import PASSWORD, Browser, person, signed_in
from tests.unit.api.site import Site

TENANT = {"tenant_id": "new"}


class TestCrossSite:
    def test_a_change_needs_our_header(self, site: Site) -> None:
        browser = signed_in(site, "admin")
        for method, path in (
            ("POST", "/v1/tenants"), ("PUT", "/v1/tenants/new"), ("DELETE", "/v1/session"),
            ("POST", "/v1/query"), ("POST", "/v1/session/password"),
        ):  # fmt: skip
            answer = browser.bare(method, path, json=TENANT if method != "DELETE" else None)
            assert answer.status_code == 403, path
            assert answer.json()["error"]["where"] == "X-Outlay-Client"
        assert browser.call("POST", "/v1/tenants", json=TENANT).status_code == 201

    def test_reading_does_not(self, site: Site) -> None:
        assert signed_in(site, "admin").bare("GET", "/v1/keys").status_code == 200

    def test_a_key_does_not(self, site: Site) -> None:
        assert site.call("POST", "/v1/tenants", json=TENANT).status_code == 201

    def test_a_key_beside_the_cookie_wins(self, site: Site) -> None:
        browser = signed_in(site, "admin")
        headers = {"Authorization": f"Bearer {site.acme}"}
        assert browser.bare("GET", "/v1/keys", headers=headers).status_code == 403
        wrong = {"Authorization": "Bearer ok_wrong"}
        assert browser.bare("GET", "/v1/keys", headers=wrong).status_code == 401
        assert signed_in(site, "finance").bare("GET", "/v1/keys").status_code == 403

    @pytest.mark.parametrize(
        "origin",
        ["http://evil.example.com", "https://testserver", "http://testserver:81", "null", ""],
    )
    def test_another_sites_page_changes_nothing(self, site: Site, origin: str) -> None:
        browser = signed_in(site, "admin")
        answer = browser.call("POST", "/v1/tenants", json=TENANT, headers={"Origin": origin})
        assert (answer.status_code, answer.json()["error"]["where"]) == (403, "Origin")

    @pytest.mark.parametrize("origin", ["http://testserver", "HTTP://TestServer"])
    def test_our_own_page_does(self, site: Site, origin: str) -> None:
        browser = signed_in(site, "admin")
        answer = browser.call("POST", "/v1/tenants", json=TENANT, headers={"Origin": origin})
        assert answer.status_code == 201

    def test_behind_a_proxy_the_public_url_counts(self, tmp_path: Path) -> None:
        made = Site(tmp_path, Settings(public_url="https://cost.example.com"))
        person(made, "admin")
        # The proxy speaks HTTP to us, and the browser HTTPS to the proxy.
        browser = Browser(made, "https://cost.example.com")
        assert browser.enter("admin@example.com").status_code == 200
        inner = Browser(made, "http://10.0.0.5:8787")
        inner.client.cookies.set("__Host-outlay_session", browser.cookie)
        for origin, status in (("https://cost.example.com", 201), ("https://other.example", 403)):
            answer = inner.call("POST", "/v1/tenants", json=TENANT, headers={"Origin": origin})
            assert answer.status_code == status
        made.close()

    def test_another_sites_page_signs_nobody_in(self, site: Site) -> None:
        person(site, "finance")
        headers = {"Origin": "http://evil.example.com"}
        answer = Browser(site).enter("finance@example.com", PASSWORD, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers

    def test_no_preflight_is_answered(self, site: Site) -> None:
        asked = {
            "Origin": "http://evil.example.com", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-outlay-client",
        }  # fmt: skip
        answer = site.client.request("OPTIONS", "/v1/tenants", headers=asked)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "url"),
        [
            ({}, "http://127.0.0.1:8787"),
            ({"host": "10.0.0.1", "port": 80}, "http://10.0.0.1:80"),
            ({"host": "::1"}, "http://[::1]:8787"),
            ({"public_url": "https://Cost.Example.com/"}, "https://cost.example.com"),
            ({"public_url": "http://h:8080"}, "http://h:8080"),
        ],
    )
    def test_people_reach_the_server_there(self, given: dict[str, Any], url: str) -> None:
        assert checked_url(Settings(**given)) == url

    @pytest.mark.parametrize(
        "url",
        ["cost.example.com", "ftp://h", "https://", "https://h/path", "https://h/?q", "https://h#f",
         "https://u@h", "https://h:x", "https://[::"],
    )  # fmt: skip
    def test_what_is_no_scheme_and_host_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigError) as caught:
            checked_url(Settings(public_url=url))
        assert caught.value.where == "public_url"

    @pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "cost.example.com"])
    def test_a_demo_is_refused_where_others_reach_it(self, host: str) -> None:
        with pytest.raises(ConfigError) as caught:
            checked_url(Settings(demo=True, host=host))
        assert caught.value.where == "demo"

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
    def test_a_demo_is_on_this_machine(self, host: str) -> None:
        assert checked_url(Settings(demo=True, host=host))

    @pytest.mark.parametrize("host", ["", "localhost.example.com", "127.0.0.1.nip.io", "127.1"])
    def test_what_looks_like_this_machine_is_not(self, host: str) -> None:
        assert not is_loopback(host)
