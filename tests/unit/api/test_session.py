"""Signing in and out: with a password, a link, or as anybody in a demo; and what it opens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from outlay import __version__
from outlay.api import session as session_module
from outlay.api.passwords import Passwords
from outlay.api.sign_in import LINK_LIFE_US, MAX_ATTEMPTS, MAX_ATTEMPTS_PER_EMAIL, Attempts
from outlay.config import Settings
from outlay.errors import StorageBusyError
from outlay.store.people import MAX_SESSIONS_PER_USER, SEEN_STEP_US, SESSION_LIFE_US, UserChange
from tests.unit.api.browser import CHEAP, PASSWORD, Browser, person, signed_in
from tests.unit.api.site import NOW, Site, event

HOUR_US = 3_600_000_000
LOCAL = {"Host": "127.0.0.1:8787"}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, Settings(demo=True))
    yield made
    made.close()


class Watched:
    """Counts what takes time."""

    def __init__(self, inner: PasswordHasher) -> None:
        self._inner = inner
        self.hashed = 0

    def hash(self, password: bytes) -> str:
        self.hashed += 1
        return self._inner.hash(password)

    def verify(self, hashed: str, password: bytes) -> bool:
        self.hashed += 1
        return self._inner.verify(hashed, password)


def counted(site: Site, way: str, outcome: str) -> float:
    value = site.app.state.metrics.registry.get_sample_value(
        "outlay_sign_ins_total", {"way": way, "outcome": outcome}
    )
    return float(value or 0)


def link_token(answer: Any) -> str:
    assert answer.status_code == 201, answer.text
    url: str = answer.json()["url"]
    return url.partition("#link=")[2]


class TestLooking:
    def test_who_is_nobody_learns_the_ways_in(self, site: Site) -> None:
        answer = Browser(site).bare("GET", "/v1/session")
        assert answer.status_code == 200
        assert answer.json() == {
            "user": None,
            "scopes": [],
            "ways": {"password": False, "oidc": "", "demo": False},
            "version": __version__,
            "demo": False,
            "first_start": True,
        }

    def test_there_are_passwords_and_events_once_there_are(self, site: Site) -> None:
        person(site, "admin")
        site.post_events([event()])
        told = Browser(site).call("GET", "/v1/session").json()
        assert told["ways"]["password"] is True
        assert told["first_start"] is False

    def test_a_provider_is_named(self, tmp_path: Path) -> None:
        settings = Settings(
            oidc_issuer="https://id.example.com", oidc_client_id="outlay", oidc_name="Okta"
        )
        made = Site(tmp_path, settings)
        assert Browser(made).call("GET", "/v1/session").json()["ways"]["oidc"] == "Okta"
        made.close()

    def test_a_key_is_told_its_scopes_and_no_user(self, site: Site) -> None:
        told = site.call("GET", "/v1/session", site.acme).json()
        assert (told["user"], told["scopes"]) == (None, ["ingest", "read", "gateway"])
        assert site.call("GET", "/v1/session", "ok_wrong").json()["scopes"] == []

    @pytest.mark.parametrize(
        ("role", "tenant", "scopes"),
        [
            ("admin", None, ["read", "operate", "admin"]),
            ("engineer", None, ["read", "operate"]),
            ("finance", None, ["read"]),
            ("tenant", "acme", ["portal"]),
        ],
    )
    def test_a_role_is_a_set_of_scopes(
        self, site: Site, role: Any, tenant: str | None, scopes: list[str]
    ) -> None:
        told = signed_in(site, role, tenant=tenant).call("GET", "/v1/session").json()
        assert told["scopes"] == scopes
        assert told["user"] == {
            "user_id": f"u-{role}@example.com",
            "email": f"{role}@example.com",
            "name": role.title(),
            "role": role,
            "tenant_id": tenant,
            "set_password": "change",
        }


class TestPassword:
    def test_signing_in_answers_as_looking_does(self, site: Site) -> None:
        person(site, "finance")
        browser = Browser(site)
        answer = browser.enter(" Finance@Example.com")
        assert answer.status_code == 200
        assert answer.json() == browser.call("GET", "/v1/session").json()
        assert counted(site, "password", "ok") == 1
        assert site.books.audit()[0].details == {"way": "password"}

    def test_the_cookie_is_for_our_pages_only(self, site: Site) -> None:
        person(site, "finance")
        header = Browser(site).enter("finance@example.com").headers["set-cookie"]
        name, *attributes = [part.strip() for part in header.split(";")]
        assert len(name.removeprefix("outlay_session=")) == 43
        assert sorted(attributes) == ["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=strict"]

    def test_behind_https_the_cookie_is_sent_over_https_only(self, tmp_path: Path) -> None:
        made = Site(tmp_path, Settings(public_url="https://cost.example.com"))
        person(made, "finance")
        browser = Browser(made, "https://cost.example.com")
        header = browser.enter("finance@example.com").headers["set-cookie"]
        assert "Secure" in header.split("; ")
        # A site beside ours cannot plant its own: `__Host-` is for this host alone.
        assert header.startswith("__Host-outlay_session=")
        assert "domain" not in header.lower()
        planted = Browser(made)
        planted.client.cookies.set("outlay_session", browser.cookie)
        assert planted.call("GET", "/v1/session").json()["user"] is None
        assert browser.call("DELETE", "/v1/session").status_code == 204
        assert browser.cookie == ""
        made.close()

    def test_whatever_is_wrong_is_answered_alike(self, site: Site) -> None:
        person(site, "finance")
        person(site, "engineer")
        site.books.change_user("u-engineer@example.com", UserChange(disabled=True), actor="t", at=1)
        made = site.call("POST", "/v1/users", json={"email": "new@example.com", "role": "finance"})
        assert made.status_code == 201
        tries = [
            ("finance@example.com", "wrong"), ("finance@example.com", ""),
            ("finance@example.com", "x" * 300), ("nobody@example.com", PASSWORD),
            ("engineer@example.com", PASSWORD), ("new@example.com", ""), ("", ""), ("\0@x", "\0"),
        ]  # fmt: skip
        answers = [Browser(site).enter(*one) for one in tries]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.text for answer in answers}) == 1
        assert not any("set-cookie" in answer.headers for answer in answers)
        assert counted(site, "password", "refused") == len(tries)
        assert "@example.com" not in site.log_text.getvalue()

    def test_an_unknown_email_costs_a_hash_as_well(self, site: Site) -> None:
        person(site, "finance")
        person(site, "engineer")
        site.books.change_user("u-engineer@example.com", UserChange(disabled=True), actor="t", at=1)
        site.app.state.passwords = passwords = Passwords(time_cost=1, memory_kib=8)
        watched = Watched(passwords._hasher)
        passwords._hasher = watched  # type: ignore[assignment]
        for email in ("finance@example.com", "nobody@example.com", "engineer@example.com", "\0"):
            watched.hashed = 0
            assert Browser(site).enter(email, "wrong").status_code == 401
            assert watched.hashed == 1, email

    def test_hashing_keeps_neither_the_event_loop_nor_other_work_waiting(self, site: Site) -> None:
        threads: set[str] = set()

        class Noted(Passwords):
            def hash(self, password: str) -> str:
                threads.add(threading.current_thread().name)
                return super().hash(password)

            def matches(self, hashed: str | None, password: str) -> bool:
                threads.add(threading.current_thread().name)
                return super().matches(hashed, password)

        browser = signed_in(site, "admin")
        site.app.state.passwords = Noted(time_cost=2, memory_kib=8)
        Browser(site).enter("admin@example.com")
        Browser(site).enter("nobody@example.com")
        body = {"current": PASSWORD, "new": "another password"}
        browser.call("POST", "/v1/session/password", json=body)
        new = {"email": "a@x", "role": "finance", "password": PASSWORD}
        assert site.call("POST", "/v1/users", json=new).status_code == 201
        assert threads == {"outlay-password_0"}

    def test_a_hash_of_other_costs_is_renewed(self, site: Site) -> None:
        person(site, "finance")
        site.app.state.passwords = Passwords(time_cost=2, memory_kib=8)
        before = site.books.user_by_email("finance@example.com")
        browser = Browser(site)
        assert browser.enter("finance@example.com").status_code == 200
        after = site.books.user_by_email("finance@example.com")
        assert before is not None
        assert after is not None
        assert before[1] != after[1]
        assert "t=2" in (after[1] or "")
        assert browser.call("GET", "/v1/session").json()["user"] is not None
        assert Browser(site).enter("finance@example.com").status_code == 200
        assert site.books.user_by_email("finance@example.com") == after

    def test_signing_in_again_ends_the_session_before(self, site: Site) -> None:
        browser = signed_in(site, "finance")
        first = browser.cookie
        browser.enter("finance@example.com")
        assert browser.cookie != first
        other = Browser(site)
        other.client.cookies.set("outlay_session", first)
        assert other.call("GET", "/v1/query/schema").status_code == 401

    @pytest.mark.parametrize(
        "body",
        [
            {}, {"email": "a@x"}, {"password": PASSWORD}, {"demo": False},
            {"email": "a@x", "password": "x", "link": "y"}, {"link": "y", "demo": True},
            {"email": "a@x", "link": "y"}, {"email": 1, "password": "x"}, {"other": 1}, [],
        ],
    )  # fmt: skip
    def test_a_body_that_says_no_way_or_two_is_refused(self, site: Site, body: Any) -> None:
        assert Browser(site).call("POST", "/v1/session", json=body).status_code == 400

    def test_a_large_body_is_refused_before_it_is_read(self, site: Site) -> None:
        answer = Browser(site).enter("a@x", "x" * session_module.MAX_BODY_BYTES)
        assert answer.status_code == 413

    def test_a_form_of_another_site_is_no_body(self, site: Site) -> None:
        person(site, "finance")
        answer = Browser(site).call(
            "POST", "/v1/session", content='{"demo": true}', headers={"Content-Type": "text/plain"}
        )
        assert answer.status_code == 415


class TestAttempts:
    def test_an_email_may_be_tried_so_often_in_a_minute(self, site: Site) -> None:
        person(site, "finance")
        person(site, "engineer")
        for _ in range(MAX_ATTEMPTS_PER_EMAIL):
            assert Browser(site).enter("finance@example.com", "wrong").status_code == 401
        refused = Browser(site).enter("Finance@Example.com")
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "too_many_attempts"
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert counted(site, "password", "too_many") == 1
        assert Browser(site).enter("engineer@example.com").status_code == 200
        site.now += 60_000_000
        assert Browser(site).enter("finance@example.com").status_code == 200

    def test_who_gets_in_begins_anew(self, site: Site) -> None:
        person(site, "finance")
        for _ in range(2):
            for _ in range(MAX_ATTEMPTS_PER_EMAIL - 1):
                assert Browser(site).enter("finance@example.com", "wrong").status_code == 401
            assert Browser(site).enter("finance@example.com").status_code == 200

    def test_all_together_are_bounded_and_so_is_what_is_remembered(self, site: Site) -> None:
        person(site, "finance")
        site.app.state.attempts = attempts = Attempts(total=5)
        for number in range(5):
            assert Browser(site).enter(f"{number}@x", "wrong").status_code == 401
        assert Browser(site).enter("finance@example.com").status_code == 429
        assert len(attempts) == 5

    def test_who_is_kept_out_by_others_tries_comes_in_by_a_link(self, site: Site) -> None:
        person(site, "finance")
        site.app.state.attempts = Attempts(total=1)
        assert Browser(site).enter("finance@example.com", "wrong").status_code == 401
        assert Browser(site).enter("finance@example.com").status_code == 429
        made = site.call("POST", "/v1/session/links", json={"email": "finance@example.com"})
        for token, status in (("x" * 43, 401), (link_token(made), 200)):
            answer = Browser(site).call("POST", "/v1/session", json={"link": token})
            assert answer.status_code == status

    def test_the_table_has_no_more_rows_than_there_are_tries(self) -> None:
        attempts = Attempts()
        for number in range(MAX_ATTEMPTS):
            attempts.take(f"{number}@x", at=NOW)
        assert len(attempts) == MAX_ATTEMPTS
        attempts.take("other@x", at=NOW + 60_000_000)
        assert len(attempts) == 1


class TestLink:
    def test_a_link_of_a_key_signs_in_the_local_admin_once(self, site: Site) -> None:
        made = site.call("POST", "/v1/session/links")
        assert made.json()["email"] == "admin@localhost"
        assert made.json()["expires_at"] == NOW + LINK_LIFE_US
        assert made.json()["url"].startswith("http://127.0.0.1:8787/app/login#link=")
        token = link_token(made)
        browser = Browser(site)
        answer = browser.call("POST", "/v1/session", json={"link": token})
        assert answer.status_code == 200
        assert answer.json()["scopes"] == ["read", "operate", "admin"]
        assert answer.json()["user"]["set_password"] == "new"
        assert browser.call("GET", "/v1/keys").status_code == 200
        again = Browser(site).call("POST", "/v1/session", json={"link": token})
        assert again.status_code == 401
        assert counted(site, "link", "refused") == 1
        assert token not in site.log_text.getvalue()

    def test_a_second_link_is_for_the_same_user(self, site: Site) -> None:
        for _ in range(2):
            link_token(site.call("POST", "/v1/session/links"))
        assert len(site.books.users()) == 1

    def test_the_public_url_is_in_the_link(self, tmp_path: Path) -> None:
        made = Site(tmp_path, Settings(public_url="https://Cost.Example.com/"))
        url = made.call("POST", "/v1/session/links").json()["url"]
        assert url.startswith("https://cost.example.com/app/login#link=")
        made.close()

    def test_it_is_over_after_ten_minutes(self, site: Site) -> None:
        token = link_token(site.call("POST", "/v1/session/links"))
        site.now += LINK_LIFE_US
        answer = Browser(site).call("POST", "/v1/session", json={"link": token})
        assert answer.status_code == 401

    def test_a_link_may_be_for_somebody_else(self, site: Site) -> None:
        person(site, "finance")
        made = site.call("POST", "/v1/session/links", json={"email": "FINANCE@example.com"})
        assert made.json()["email"] == "finance@example.com"
        browser = Browser(site)
        answer = browser.call("POST", "/v1/session", json={"link": link_token(made)})
        assert answer.json()["scopes"] == ["read"]
        unknown = site.call("POST", "/v1/session/links", json={"email": "no@example.com"})
        assert unknown.status_code == 404

    def test_an_admin_in_a_browser_makes_one_for_himself(self, site: Site) -> None:
        browser = signed_in(site, "admin")
        made = browser.call("POST", "/v1/session/links", json={})
        assert made.json()["email"] == "admin@example.com"

    @pytest.mark.parametrize("role", ["engineer", "finance"])
    def test_others_make_none(self, site: Site, role: Any) -> None:
        assert signed_in(site, role).call("POST", "/v1/session/links").status_code == 403

    def test_of_two_at_once_one_gets_in(self, site: Site) -> None:
        token = link_token(site.call("POST", "/v1/session/links"))
        found: list[int] = []
        start = threading.Barrier(4)

        def come() -> None:
            browser = Browser(site)
            start.wait()
            found.append(browser.call("POST", "/v1/session", json={"link": token}).status_code)

        threads = [threading.Thread(target=come) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [200, 401, 401, 401]

    @pytest.mark.parametrize("token", ["", "x" * 43, "x" * 5000, "\0", "ä"])
    def test_what_is_no_link_is_refused(self, site: Site, token: str) -> None:
        answer = Browser(site).call("POST", "/v1/session", json={"link": token})
        assert answer.status_code == 401


class TestDemo:
    @pytest.mark.parametrize("host", ["[", "[::1", "[127.0.0.1"])
    def test_a_name_that_is_none_opens_nothing(self, demo: Site, host: str) -> None:
        body = {"demo": True}
        answer = Browser(demo).call("POST", "/v1/session", json=body, headers={"Host": host})
        assert answer.status_code == 403

    def test_whoever_opens_the_page_is_admin(self, demo: Site) -> None:
        browser = Browser(demo)
        told = browser.call("GET", "/v1/session").json()
        assert (told["demo"], told["ways"]["demo"]) == (True, True)
        for _ in range(2):
            answer = browser.call("POST", "/v1/session", json={"demo": True}, headers=LOCAL)
            assert answer.status_code == 200
            assert answer.json()["user"]["email"] == "demo@localhost"
            assert answer.json()["user"]["set_password"] == "no"
        assert len(demo.books.users()) == 1
        assert demo.books.audit()[0].details == {"way": "demo"}

    @pytest.mark.parametrize("host", ["evil.example.com:8787", "testserver", "", "127.0.0.1.x.org"])
    def test_a_name_that_somebody_else_leads_here_opens_nothing(
        self, demo: Site, host: str
    ) -> None:
        answer = Browser(demo).call(
            "POST", "/v1/session", json={"demo": True}, headers={"Host": host}
        )
        assert answer.status_code == 403
        assert demo.books.users() == []

    @pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.9:80", "[::1]:8787"])
    def test_this_machine_has_several_names(self, demo: Site, host: str) -> None:
        answer = Browser(demo).call(
            "POST", "/v1/session", json={"demo": True}, headers={"Host": host}
        )
        assert answer.status_code == 200

    def test_without_the_setting_there_is_none(self, site: Site) -> None:
        answer = Browser(site).call("POST", "/v1/session", json={"demo": True}, headers=LOCAL)
        assert answer.status_code == 403
        assert site.books.users() == []

    def test_a_session_of_a_demo_is_nothing_to_a_server_in_earnest(self, demo: Site) -> None:
        browser = Browser(demo, "http://127.0.0.1:8787")
        browser.call("POST", "/v1/session", json={"demo": True})
        assert browser.call("GET", "/v1/keys").status_code == 200
        demo.app.state.auth._demo = False
        assert browser.call("GET", "/v1/keys").status_code == 401

    def test_its_admin_sets_no_password(self, demo: Site) -> None:
        browser = Browser(demo, "http://127.0.0.1:8787")
        browser.call("POST", "/v1/session", json={"demo": True})
        answer = browser.call("POST", "/v1/session/password", json={"new": PASSWORD})
        assert answer.status_code == 403


class TestLeaving:
    def test_the_session_ends_for_whoever_has_its_cookie(self, site: Site) -> None:
        browser = signed_in(site, "finance")
        copied = browser.cookie
        answer = browser.call("DELETE", "/v1/session")
        assert (answer.status_code, answer.content) == (204, b"")
        assert 'outlay_session=""; HttpOnly; Max-Age=0; Path=/' in answer.headers["set-cookie"]
        assert browser.cookie == ""
        browser.client.cookies.set("outlay_session", copied)
        assert browser.call("GET", "/v1/query/schema").status_code == 401

    def test_who_is_not_signed_in_cannot_leave(self, site: Site) -> None:
        assert Browser(site).call("DELETE", "/v1/session").status_code == 401
        browser = signed_in(site, "finance")
        with_key = browser.call(
            "DELETE", "/v1/session", headers={"Authorization": f"Bearer {site.admin}"}
        )
        assert with_key.status_code == 401
        assert browser.call("GET", "/v1/query/schema").status_code == 200


class TestLife:
    def test_it_ends_after_hours_without_use(self, site: Site) -> None:
        browser = signed_in(site, "finance")
        site.now += 11 * HOUR_US
        assert browser.call("GET", "/v1/query/schema").status_code == 200
        site.now += 12 * HOUR_US - 1
        assert browser.call("GET", "/v1/query/schema").status_code == 200
        site.now += 12 * HOUR_US
        answer = browser.call("GET", "/v1/query/schema")
        assert answer.status_code == 401
        assert "ended" in answer.json()["error"]["message"]
        assert browser.call("GET", "/v1/session").json()["user"] is None

    def test_the_hours_are_a_setting(self, tmp_path: Path) -> None:
        made = Site(tmp_path, Settings(session_hours=1))
        browser = signed_in(made, "finance")
        made.now += HOUR_US
        assert browser.call("GET", "/v1/query/schema").status_code == 401
        made.close()

    def test_it_ends_after_seven_days_of_use(self, site: Site) -> None:
        browser = signed_in(site, "finance")
        for _ in range(7 * 24 // 8 - 1):
            site.now += 8 * HOUR_US
            assert browser.call("GET", "/v1/query/schema").status_code == 200
        site.now = NOW + SESSION_LIFE_US
        assert browser.call("GET", "/v1/query/schema").status_code == 401

    def test_use_is_written_once_a_minute_and_not_at_all_costs(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        browser = signed_in(site, "finance")
        written: list[int] = []

        def busy(_token: str, *, at: int) -> None:
            written.append(at)
            raise StorageBusyError

        monkeypatch.setattr(site.books, "session_seen", busy)
        site.now += SEEN_STEP_US - 1
        assert browser.call("GET", "/v1/query/schema").status_code == 200
        assert written == []
        site.now += 1
        assert browser.call("GET", "/v1/query/schema").status_code == 200
        assert written == [site.now]

    def test_a_change_of_the_user_ends_it_with_the_next_request(self, site: Site) -> None:
        browser = signed_in(site, "engineer")
        site.books.change_user("u-engineer@example.com", UserChange(disabled=True), actor="t", at=1)
        assert browser.call("GET", "/v1/query/schema").status_code == 401

    def test_the_oldest_of_too_many_ends(self, site: Site) -> None:
        first = signed_in(site, "finance")
        for _ in range(MAX_SESSIONS_PER_USER):
            site.now += 1
            assert Browser(site).enter("finance@example.com").status_code == 200
        assert first.call("GET", "/v1/query/schema").status_code == 401

    @pytest.mark.parametrize("cookie", ["", "x", "x" * 5000, "ü", '"'])
    def test_a_cookie_that_is_none_opens_nothing(self, site: Site, cookie: str) -> None:
        header = {b"Cookie": f"outlay_session={cookie}".encode()}
        answer = site.client.request("GET", "/v1/query/schema", headers=header)
        assert answer.status_code == 401

    def test_tokens_are_never_logged(self, site: Site) -> None:
        browser = signed_in(site, "finance")
        browser.call("GET", f"/v1/nothing/{browser.cookie}")
        assert browser.cookie not in site.log_text.getvalue()
        assert PASSWORD not in site.log_text.getvalue()


class TestOwnPassword:
    def test_who_has_one_must_say_it(self, site: Site) -> None:
        browser, other = signed_in(site, "finance"), Browser(site)
        other.enter("finance@example.com")
        body = {"current": "wrong", "new": "another password"}
        wrong = browser.call("POST", "/v1/session/password", json=body)
        assert (wrong.status_code, wrong.json()["error"]["where"]) == (403, "current")
        answer = browser.call("POST", "/v1/session/password", json={**body, "current": PASSWORD})
        assert answer.status_code == 200
        assert answer.json()["user"]["set_password"] == "change"
        assert browser.call("GET", "/v1/query/schema").status_code == 200, "it has a new session"
        assert other.call("GET", "/v1/query/schema").status_code == 401
        assert Browser(site).enter("finance@example.com").status_code == 401
        assert Browser(site).enter("finance@example.com", "another password").status_code == 200
        assert [entry.action for entry in site.books.audit()].count("user.change") == 1

    def test_who_came_by_a_link_need_not(self, site: Site) -> None:
        person(site, "finance")
        for new in ("a first password", "a second password"):
            made = site.call("POST", "/v1/session/links", json={"email": "finance@example.com"})
            browser = Browser(site)
            told = browser.call("POST", "/v1/session", json={"link": link_token(made)}).json()
            assert told["user"]["set_password"] == "new"
            answer = browser.call("POST", "/v1/session/password", json={"new": new})
            assert answer.status_code == 200
            assert Browser(site).enter("finance@example.com", new).status_code == 200

    def test_guessing_the_current_one_is_bounded(self, site: Site) -> None:
        browser = signed_in(site, "finance")
        body = {"current": "wrong", "new": "another password"}
        codes = [
            browser.call("POST", "/v1/session/password", json=body).status_code
            for _ in range(MAX_ATTEMPTS_PER_EMAIL + 1)
        ]
        assert codes == [403] * MAX_ATTEMPTS_PER_EMAIL + [429]

    @pytest.mark.parametrize("new", ["", "x" * 11, "x" * 257])
    def test_a_bad_one_is_refused(self, site: Site, new: str) -> None:
        browser = signed_in(site, "finance")
        body = {"current": PASSWORD, "new": new}
        answer = browser.call("POST", "/v1/session/password", json=body)
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, "new")

    def test_a_key_has_none(self, site: Site) -> None:
        answer = site.call("POST", "/v1/session/password", json={"new": PASSWORD})
        assert answer.status_code == 401

    def test_who_comes_from_a_provider_has_none(self, site: Site) -> None:
        user = person(site, "finance")
        browser = Browser(site)
        browser.enter("finance@example.com")
        found, session = site.app.state.auth.signed_in(browser.cookie)
        assert found.user_id == user.user_id
        for way, its in (
            (replace(found, way="oidc"), session),
            (found, replace(session, way="oidc")),
        ):
            assert session_module._password_change(way, its) == "no"


def test_the_real_costs_are_argon2id_with_64_mib() -> None:
    hashed = Passwords().hash(PASSWORD)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert Passwords().matches(hashed, PASSWORD)
    assert not Passwords().matches(hashed, PASSWORD + "x")
    assert not Passwords().matches("no hash", PASSWORD)
    assert CHEAP.stale(hashed)
    assert not Passwords().stale(hashed)
