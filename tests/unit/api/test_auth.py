"""Keys: cached, but revoked at once, expired on time, and never shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from outlay.api import auth
from outlay.api.app import create_app
from outlay.api.auth import Authenticator, Caller, new_secret
from outlay.api.logs import make_logger
from outlay.errors import AuthError
from tests.unit.api.site import NOW, Site, event


def test_a_secret_is_32_random_bytes_with_its_prefix() -> None:
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    assert all(len(secret) == 46 and secret.startswith("ok_") for secret in made)


def test_a_revoked_key_is_refused_at_its_next_request(site: Site) -> None:
    assert site.call("GET", "/v1/tenants", site.acme).status_code == 200
    key_id = next(key.key_id for key in site.books.keys() if key.tenant_id == "acme")  # noqa: SIM118
    assert site.call("DELETE", f"/v1/keys/{key_id}").json()["key"]["revoked_at"] == NOW
    answer = site.call("GET", "/v1/tenants", site.acme)
    assert answer.status_code == 401
    assert "revoked" in answer.json()["error"]["message"]


def test_an_expired_key_is_refused_from_that_microsecond_on(site: Site) -> None:
    key = site.key("read", expires_at=NOW + 10)
    site.now = NOW + 9
    assert site.call("GET", "/v1/tenants", key).status_code == 200
    site.now = NOW + 10
    answer = site.call("GET", "/v1/tenants", key)
    assert (answer.status_code, "expired" in answer.text) == (401, True)


def test_a_key_is_read_from_the_books_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = Authenticator(site.books, lambda: NOW)
    authenticator.caller(f"Bearer {site.acme}")
    monkeypatch.setattr(site.books, "key_by_secret", None)
    assert authenticator.caller(f"bearer  {site.acme} ").tenant == "acme"


def test_the_cache_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MAX_CACHED_KEYS", 1)
    authenticator = Authenticator(site.books, lambda: NOW)
    for secret in (site.admin, site.acme):
        authenticator.caller(f"Bearer {secret}")
    assert len(authenticator._keys) == 1
    assert len(authenticator.take_used()) == 1


def test_use_is_noted_once(site: Site) -> None:
    authenticator = Authenticator(site.books, lambda: NOW)
    caller = authenticator.caller(f"Bearer {site.acme}")
    assert authenticator.take_used() == {caller.key_id: NOW}
    assert authenticator.take_used() == {}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", "ok_x", "Bearer ok_\ud800"])
def test_what_is_no_key_is_refused(site: Site, header: str | None) -> None:
    for own in ("", new_secret()):
        with pytest.raises(AuthError):
            Authenticator(site.books, lambda: NOW, own_key=own).caller(header)


def test_the_gateway_in_the_process_may_do_what_a_gateway_does_and_no_more(site: Site) -> None:
    own = new_secret()
    app = create_app(replace(site.services, own_key=own), log=make_logger(site.log_text, "debug"))
    site.client = TestClient(app)
    assert site.call("GET", "/v1/virtual-keys/feed", own).status_code == 200
    assert site.call("GET", "/v1/limits/policy", own).status_code == 200
    assert site.post_events({"events": [event()]}, own).status_code == 200
    for path in ("/v1/keys", "/v1/virtual-keys", "/v1/tenants", "/v1/status"):
        assert site.call("GET", path, own).status_code == 403, path
    assert own not in repr(app.state.services)
    assert own not in site.log_text.getvalue()
    listed = site.call("GET", "/v1/keys").json()["keys"]
    assert all(own[:8] != key["prefix"] for key in listed)
    assert site.call("GET", "/v1/virtual-keys/feed", new_secret()).status_code == 401


def test_without_a_gateway_in_the_process_nothing_is_its_key(site: Site) -> None:
    authenticator = Authenticator(site.books, lambda: NOW)
    for header in ("Bearer ok_", "Bearer "):
        with pytest.raises(AuthError):
            authenticator.caller(header)


def test_secrets_are_never_logged(site: Site) -> None:
    site.call("GET", "/v1/tenants", site.acme)
    site.call("GET", "/v1/tenants", "ok_wrong")
    site.call("GET", f"/v1/nothing/{site.acme}?key={site.acme}", site.acme)
    made = site.call("POST", "/v1/keys", json={"name": "n", "scopes": ["read"]}).json()["secret"]
    text = site.log_text.getvalue()
    assert text.count("\n") == 4
    for secret in (site.acme, site.admin, made, "ok_wrong"):
        assert secret not in text


class TestPortalTokens:
    def test_a_bearer_with_two_dots_is_the_portals(self, site: Site) -> None:
        asked: list[str] = []

        def portal(token: str) -> Caller | None:
            asked.append(token)
            return Caller("portal:acme", ("portal",), "acme") if token == "a.b.c" else None

        authenticator = Authenticator(site.books, lambda: NOW, portal=portal)
        assert authenticator.caller("Bearer a.b.c").tenant == "acme"
        assert authenticator.caller("bearer  a.b.c ").scopes == ("portal",)
        with pytest.raises(AuthError, match="portal"):
            authenticator.caller("Bearer x.y.z")
        assert asked == ["a.b.c", "a.b.c", "x.y.z"]

    @pytest.mark.parametrize(
        "header",
        ["Bearer ok_a.b.c", "Bearer a.b", "Bearer a.b.c.d", "Basic a.b.c", "a.b.c",
         "Bearer " + "a" * auth.MAX_PORTAL_CHARACTERS + ".b.c"],
    )  # fmt: skip
    def test_others_are_not_asked_about(self, site: Site, header: str) -> None:
        authenticator = Authenticator(site.books, lambda: NOW, portal=lambda _: auth.OWN)
        with pytest.raises(AuthError):
            authenticator.caller(header)

    def test_without_a_portal_it_is_no_key(self, site: Site) -> None:
        with pytest.raises(AuthError, match="Bearer ok_"):
            Authenticator(site.books, lambda: NOW).caller("Bearer a.b.c")
