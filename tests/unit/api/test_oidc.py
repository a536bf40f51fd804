"""Single sign-on through a real provider and a real browser: who gets in, as whom, and who not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from outlay.api import oidc
from outlay.api.oidc_flow import FLOW_LIFE_S
from outlay.api.oidc_token import Person, SignOnError
from outlay.config import Settings
from outlay.errors import ConflictError, StorageBusyError
from outlay.store.people import UserChange
from tests.unit.api.oidc_issuer import CLIENT
from tests.unit.api.oidc_walk import COOKIE, Stage, refused
from tests.unit.api.site import Site


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        yield made


def counted(stage: Stage, outcome: str) -> float:
    value = stage.site.app.state.metrics.registry.get_sample_value(
        "outlay_sign_ins_total", {"way": "oidc", "outcome": outcome}
    )
    return float(value or 0)


class TestTheWay:
    def test_a_known_person_ends_on_the_page_he_wanted(self, stage: Stage) -> None:
        stage.person("engineer")
        walker = stage.walker()
        answer = walker.sign_in("/app/explore?last=7d#top")
        assert answer.status_code == 302
        assert answer.headers["location"] == "/app/explore?last=7d#top"
        user = walker.user()
        assert user is not None
        assert (user["email"], user["role"]) == ("ann@example.com", "engineer")
        assert user["set_password"] == "no"
        assert counted(stage, "ok") == 1
        entry = stage.site.books.audit()[0]
        assert (entry.action, entry.actor) == ("user.sign_in", "user:ann@example.com")
        assert entry.details == {"way": "oidc"}

    def test_what_the_provider_is_asked(self, stage: Stage) -> None:
        asked = urlsplit(stage.walker().start().headers["location"])
        said = {name: values[0] for name, values in parse_qs(asked.query).items()}
        secret = {said.pop(name) for name in ("state", "nonce", "code_challenge")}
        assert [len(one) for one in secret] == [43, 43, 43]
        assert said == {
            "realm": "work", "response_type": "code", "client_id": CLIENT,
            "redirect_uri": f"{stage.url}/v1/session/oidc/callback",
            "scope": "openid email profile", "code_challenge_method": "S256",
        }  # fmt: skip

    @pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
    def test_the_server_says_who_it_is(self, tmp_path: Path, method: str) -> None:
        more = {"oidc_client_secret": ""} if method == "none" else {}
        with Stage(tmp_path, **more) as stage:
            stage.issuer.said["token_endpoint_auth_methods_supported"] = [method]
            stage.person()
            assert stage.walker().sign_in().headers["location"] == "/app/"

    def test_the_cookie_of_the_way_is_short_lived_and_goes(self, stage: Stage) -> None:
        stage.person()
        walker = stage.walker()
        given = walker.start().headers["set-cookie"]
        attributes = sorted(part.strip() for part in given.split(";")[1:])
        assert attributes == ["HttpOnly", f"Max-Age={FLOW_LIFE_S}", "Path=/", "SameSite=lax"]
        assert walker.client.cookies.get(COOKIE)
        walker.sign_in()
        assert walker.client.cookies.get(COOKIE) is None

    def test_over_https_no_other_host_can_set_it(self, tmp_path: Path) -> None:
        with Stage(tmp_path, public_url="https://cost.example.com") as stage:
            stage.site.app.state.public_url = "https://cost.example.com"
            answer = stage.walker().start()
            assert answer.headers["set-cookie"].startswith("__Host-outlay_sign_on=")
            assert "Secure" in answer.headers["set-cookie"].split("; ")
            asked = parse_qs(urlsplit(answer.headers["location"]).query)
            assert asked["redirect_uri"] == [
                "https://cost.example.com/v1/session/oidc/callback"
            ]  # fmt: skip

    def test_another_name_of_this_machine_is_sent_to_ours(self, stage: Stage) -> None:
        stage.person()
        walker = stage.walker()
        local = stage.url.replace("127.0.0.1", "localhost")
        first = walker.client.get(f"{local}/v1/session/oidc/start", params={"next": "/app/a?b=c"})
        assert first.headers["location"].startswith(f"{stage.url}/v1/session/oidc/start?next=")
        at_server = walker.follow(walker.follow(walker.follow(first)))
        assert at_server.headers["location"] == "/app/a?b=c"


class TestWhoGetsIn:
    def test_an_unknown_person_does_not(self, stage: Stage) -> None:
        walker = stage.walker()
        assert refused(walker.sign_in()) == "unknown_user"
        assert walker.user() is None
        assert stage.site.books.users() == []
        assert counted(stage, "refused") == 1

    def test_a_new_one_gets_the_role_of_the_settings(self, tmp_path: Path) -> None:
        with Stage(tmp_path, oidc_role="finance", oidc_admins="Bob@example.com, x@y") as stage:
            for email, role in (("Ann@Example.com", "finance"), ("bob@EXAMPLE.com", "admin")):
                stage.issuer.claims |= {"email": email}
                walker = stage.walker()
                assert walker.sign_in().headers["location"] == "/app/"
                user = walker.user()
                assert user is not None
                assert (user["email"], user["role"], user["name"]) == (email.lower(), role, "Ann")
            made = stage.site.books.users()
            assert {one.way for one in made} == {"oidc"}
            assert "oidc" in [one.actor for one in stage.site.books.audit()]

    def test_admins_are_made_also_where_others_are_not(self, tmp_path: Path) -> None:
        with Stage(tmp_path, oidc_admins="ann@example.com") as stage:
            walker = stage.walker()
            walker.sign_in()
            user = walker.user()
            assert user is not None
            assert user["role"] == "admin"

    def test_who_is_known_keeps_his_role(self, tmp_path: Path) -> None:
        with Stage(tmp_path, oidc_role="engineer", oidc_admins="ann@example.com") as stage:
            stage.person("finance")
            walker = stage.walker()
            walker.sign_in()
            user = walker.user()
            assert user is not None
            assert user["role"] == "finance"

    def test_somebody_of_a_tenant_goes_to_the_portal(self, stage: Stage) -> None:
        stage.person("tenant", tenant_id="acme")
        assert stage.walker().sign_in("/app/explore").headers["location"] == "/portal/"

    def test_a_disabled_user_does_not(self, tmp_path: Path) -> None:
        with Stage(tmp_path, oidc_role="admin") as stage:
            user = stage.person()
            stage.site.books.change_user(
                user.user_id, UserChange(disabled=True), actor="test", at=1
            )
            walker = stage.walker()
            assert refused(walker.sign_in()) == "disabled"
            assert walker.user() is None

    def test_nobody_becomes_who_is_of_this_machine(self, tmp_path: Path) -> None:
        more = {"oidc_role": "admin", "oidc_admins": "admin@localhost"}
        with Stage(tmp_path, **more) as stage:
            for there in (False, True):
                if there:
                    stage.person("admin", "admin@localhost")
                stage.issuer.claims |= {"email": "Admin@localhost"}
                assert refused(stage.walker().sign_in()) == "unknown_user"

    def test_an_email_that_cannot_be_kept_is_none(self, tmp_path: Path) -> None:
        with Stage(tmp_path, oidc_role="admin") as stage:
            for email in ("ä@example.com", "nobody", "a b@x.com"):
                stage.issuer.claims |= {"email": email}
                assert refused(stage.walker().sign_in()) == "email"
            assert stage.site.books.users() == []

    def test_who_comes_twice_at_once_is_made_once(self, site: Site) -> None:
        class Racing:
            def __init__(self) -> None:
                self.tried = 0

            def user_by_email(self, email: str) -> Any:
                return site.books.user_by_email(email)

            def create_user(self, user: Any, *, actor: str, at: int) -> Any:
                self.tried += 1
                site.books.create_user(user, actor="the other", at=at)
                raise ConflictError

        books: Any = Racing()
        settings = Settings(oidc_role="finance")
        person = Person("ann@example.com", "Ann")
        made = oidc.user_of(books, settings, person, at=1)
        assert (made.role, books.tried) == ("finance", 1)


class TestOurOwnFailures:
    def test_books_that_are_busy_end_at_the_sign_in_page(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def busy(*_: Any, **__: Any) -> Any:
            raise StorageBusyError

        monkeypatch.setattr(stage.site.books, "user_by_email", busy)
        assert refused(stage.walker().sign_in()) == "busy"
        assert stage.reasons()[-1] == ("busy", "the server: storage_busy")

    def test_a_user_who_is_disabled_just_then_is_refused(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage.person()
        monkeypatch.setattr(stage.site.books, "open_session", lambda *_, **__: None)
        assert refused(stage.walker().sign_in()) == "disabled"
        assert counted(stage, "refused") == 1

    def test_so_many_come_back_in_a_minute(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage.person()
        sso = stage.site.app.state.single_sign_on
        monkeypatch.setattr(sso._returns, "_total", 1)
        assert stage.walker().sign_in().headers["location"] == "/app/"
        assert refused(stage.walker().sign_in()) == "busy"
        assert counted(stage, "too_many") == 1
        stage.site.now += 60_000_000
        assert stage.walker().sign_in().headers["location"] == "/app/"

    def test_so_many_come_back_at_once(self, stage: Stage) -> None:
        sso = stage.site.app.state.single_sign_on
        assert sso._returns._total == oidc.MAX_RETURNS
        sso._in_hand = oidc.MAX_IN_HAND - 1
        with sso.place(), pytest.raises(SignOnError, match="at once"), sso.place():
            pass
        assert sso._in_hand == oidc.MAX_IN_HAND - 1

    def test_without_a_provider_both_ends_lead_to_the_sign_in_page(self, site: Site) -> None:
        client = TestClient(site.app, follow_redirects=False)
        for path in (oidc.START, oidc.CALLBACK):
            assert client.get(path).headers["location"] == "/app/login?error=provider"
