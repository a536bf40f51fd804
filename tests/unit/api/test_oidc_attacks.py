"""Single sign-on attacked: other browsers, other states, used ways back, and where they lead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from outlay.api.oidc import MAX_CODE_CHARACTERS
from outlay.api.oidc_flow import FLOW_LIFE_S, MAX_NEXT_CHARACTERS
from tests.unit.api.oidc_walk import COOKIE, Stage, refused


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        yield made


class TestAttacks:
    def test_a_browser_that_began_nothing_is_not_signed_in(self, stage: Stage) -> None:
        """Login CSRF: the way back of somebody else, opened in a victim's browser."""
        stage.person()
        back = stage.walker().way_back()
        victim = stage.walker()
        assert refused(victim.client.get(back)) == "state"
        assert victim.user() is None
        assert not stage.issuer.asked["/token"]

    def test_nor_one_that_began_another(self, stage: Stage) -> None:
        stage.person()
        back = stage.walker().way_back()
        victim = stage.walker()
        own = victim.way_back()
        assert refused(victim.client.get(back)) == "state"
        assert not stage.issuer.asked["/token"]
        # His own sign-in, in another tab, goes on.
        assert victim.client.get(own).headers["location"] == "/app/"

    def test_a_state_that_is_not_ours_is_refused(self, stage: Stage) -> None:
        walker = stage.walker()
        walker.start()
        for state in ("", "x", "x" * 43, "ä", "x" * 5000):
            params = {"code": "c", "state": state}
            answer = walker.client.get(f"{stage.url}/v1/session/oidc/callback", params=params)
            assert refused(answer) == "state"
        assert not stage.issuer.asked["/token"]

    def test_the_way_back_works_once(self, stage: Stage) -> None:
        stage.person()
        walker = stage.walker()
        back = walker.way_back()
        copied = walker.client.cookies.get(COOKIE) or ""
        assert walker.client.get(back).headers["location"] == "/app/"
        assert refused(walker.client.get(back)) == "state"
        thief = stage.walker()
        thief.client.cookies.set(COOKIE, copied, domain="127.0.0.1")
        assert refused(thief.client.get(back)) == "state"
        assert stage.issuer.asked["/token"] == 1
        # A server that has not seen it asks the provider, whose codes work once.
        stage.site.app.state.single_sign_on.flows._used.clear()
        assert refused(thief.client.get(back)) == "provider"
        assert stage.reasons()[-1][1] == "the token endpoint answered 400: invalid_grant"

    def test_it_works_for_ten_minutes(self, stage: Stage) -> None:
        stage.person()
        for seconds, location in ((-1, "/app/"), (0, "/app/login?error=state")):
            walker = stage.walker()
            back = walker.way_back()
            stage.site.now += (FLOW_LIFE_S + seconds) * 1_000_000
            assert walker.client.get(back).headers["location"] == location

    def test_an_altered_cookie_is_none(self, stage: Stage) -> None:
        walker = stage.walker()
        back = walker.way_back()
        value = walker.client.cookies.get(COOKIE) or ""
        head, body, tail = value.split(".")
        other = stage.walker()
        other.start()
        theirs = (other.client.cookies.get(COOKIE) or "").split(".")
        for bad in (f"{head}.{theirs[1]}.{tail}", f"{head}.{body}.", "x", f"{value}x"):
            bent = stage.walker()
            bent.client.cookies.set(COOKIE, bad, domain="127.0.0.1")
            assert refused(bent.client.get(back)) == "state"

    def test_a_session_that_was_there_is_not_taken_over(self, stage: Stage) -> None:
        """Session fixation: who planted a session's cookie is not in the new session."""
        stage.person()
        attacker = stage.walker()
        attacker.sign_in()
        planted = attacker.client.cookies.get("outlay_session") or ""
        victim = stage.walker()
        victim.client.cookies.set("outlay_session", planted, domain="127.0.0.1", path="/")
        victim.sign_in()
        ours = [one.value for one in victim.client.cookies.jar if one.name == "outlay_session"]
        assert ours
        assert planted not in ours
        assert attacker.user() is None

    def test_next_leads_to_our_pages_only(self, stage: Stage) -> None:
        stage.person()
        longest = "/app/" + "x" * (MAX_NEXT_CHARACTERS - 5)
        assert stage.walker().sign_in(longest).headers["location"] == longest
        elsewhere = [
            "https://evil.example", "//evil.example", "/\\evil.example", "/app//evil.example",
            "/app/\\evil", "/app/../portal/", "/app/%2e%2e/v1/keys", "/app/./x", "/v1/keys",
            "/portal/", "/apple/", "app/", "/app", "", "/app/\r\nSet-Cookie: a=b", "/app/ä",
            "/app/a b", "javascript:alert(1)", "/app/login?next=/", "/app/x?u=http://e",
            longest + "x", None,
        ]  # fmt: skip
        for after in elsewhere:
            assert stage.walker().sign_in(after).headers["location"] == "/app/", after

    def test_what_the_provider_refuses_is_no_sign_in(self, stage: Stage) -> None:
        for error, word in (("access_denied", "access_denied"), ("ann@x.com", "no error code")):
            walker = stage.walker()
            back = httpx.URL(walker.way_back())
            state = back.params["state"]
            url = back.copy_with(params={"error": error, "state": state})
            assert refused(walker.client.get(url)) == "provider"
            assert stage.reasons()[-1] == ("provider", f"the provider refused: {word}")
        assert not stage.issuer.asked["/token"]

    def test_a_code_that_cannot_be_one_is_not_sent_on(self, stage: Stage) -> None:
        for code in ("", "x" * (MAX_CODE_CHARACTERS + 1)):
            walker = stage.walker()
            url = httpx.URL(walker.way_back()).copy_merge_params({"code": code})
            assert refused(walker.client.get(url)) == "provider"
        assert not stage.issuer.asked["/token"]
        walker = stage.walker()
        longest = {"code": "x" * MAX_CODE_CHARACTERS}
        walker.client.get(httpx.URL(walker.way_back()).copy_merge_params(longest))
        assert len(stage.issuer.seen) == 1

    def test_a_code_of_another_issuer_is_not_sent_on(self, stage: Stage) -> None:
        stage.person()
        for issuer, location in (
            ("https://evil.example", "/app/login?error=provider"),
            (stage.issuer.url, "/app/"),
        ):
            walker = stage.walker()
            url = httpx.URL(walker.way_back()).copy_merge_params({"iss": issuer})
            assert walker.client.get(url).headers["location"] == location

    def test_nothing_of_a_person_or_a_token_is_logged(self, stage: Stage) -> None:
        walker = stage.walker()
        back = walker.way_back()
        cookie = walker.client.cookies.get(COOKIE) or ""
        walker.client.get(back)
        log = stage.site.log_text.getvalue()
        assert stage.reasons() == [
            ("unknown_user", "the user is unknown, and `oidc_role` makes none")
        ]  # fmt: skip
        form = stage.issuer.seen[0][0]
        for secret in ("ann@", "Ann", form["code"], form["code_verifier"], cookie,
                       httpx.URL(back).params["state"], stage.issuer.secret):  # fmt: skip
            assert secret not in log
