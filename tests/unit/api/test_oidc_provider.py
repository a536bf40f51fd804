"""A provider that is slow, down, talkative, changing, or answers what it must not."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from outlay.api import oidc, oidc_provider
from outlay.api.oidc_flow import MAX_USED, Flows
from outlay.api.oidc_provider import (
    DISCOVERY_LIFE_US,
    KEYS_LIFE_US,
    MAX_ANSWER_BYTES,
    MAX_DISCOVERY_BYTES,
    MAX_KEYS,
    MAX_KEYS_BYTES,
    PAUSE_US,
)
from outlay.api.oidc_token import SignOnError
from tests.unit.api.oidc_issuer import CLIENT, DISCOVERY, padded
from tests.unit.api.oidc_walk import Stage, refused
from tests.unit.api.site import NOW

WAITED_S = 5.0
"""What the sign-in page promises."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        made.person()
        yield made


def forget(stage: Stage) -> None:
    """Let the server know nothing of the provider, as when it starts."""
    provider = stage.site.app.state.single_sign_on.provider
    provider._found = provider._keys = provider._failed_at = None


class TestRemembering:
    def test_what_it_can_do_and_its_keys_are_asked_once(self, stage: Stage) -> None:
        for _ in range(3):
            assert stage.walker().sign_in().headers["location"] == "/app/"
        assert (stage.issuer.asked[DISCOVERY], stage.issuer.asked["/keys"]) == (1, 1)

    def test_and_again_after_a_time(self, stage: Stage) -> None:
        stage.walker().sign_in()
        for life, paths in ((KEYS_LIFE_US, ["/keys"]), (DISCOVERY_LIFE_US, [DISCOVERY, "/keys"])):
            stage.site.now += life
            before = stage.issuer.asked.copy()
            assert stage.walker().sign_in().headers["location"] == "/app/"
            for path in paths:
                assert stage.issuer.asked[path] == before[path] + 1

    def test_of_many_who_come_at_once_one_asks(self, stage: Stage) -> None:
        stage.issuer.delays[DISCOVERY] = 0.3
        walkers = [stage.walker() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda walker: walker.start(), walkers))
        assert {answer.status_code for answer in answers} == {302}
        assert all(stage.issuer.url in answer.headers["location"] for answer in answers)
        assert stage.issuer.asked[DISCOVERY] == 1

    def test_after_a_failure_nobody_asks_for_a_moment(self, stage: Stage) -> None:
        stage.issuer.answers[DISCOVERY] = lambda: (503, {}, b"")
        for _ in range(3):
            assert refused(stage.walker().start()) == "provider"
        assert stage.issuer.asked[DISCOVERY] == 1
        assert stage.reasons()[0][1] == "discovery: the provider answered 503"
        del stage.issuer.answers[DISCOVERY]
        stage.site.now += PAUSE_US
        assert stage.walker().sign_in().headers["location"] == "/app/"


class TestKeys:
    def test_a_new_key_is_fetched_when_it_signs(self, stage: Stage) -> None:
        stage.walker().sign_in()
        stage.issuer.rotate()
        assert stage.walker().sign_in().headers["location"] == "/app/"
        assert stage.walker().sign_in().headers["location"] == "/app/"
        assert stage.issuer.asked["/keys"] == 2

    def test_also_when_keys_have_no_names(self, stage: Stage) -> None:
        stage.issuer.headers = {"kid": ...}
        stage.walker().sign_in()
        stage.issuer.rotate()
        assert stage.walker().sign_in().headers["location"] == "/app/"
        assert stage.issuer.asked["/keys"] == 2

    def test_a_key_that_is_nowhere_is_looked_for_once(self, stage: Stage) -> None:
        stage.walker().sign_in()
        stage.issuer.headers = {"kid": "nowhere"}
        assert refused(stage.walker().sign_in()) == "provider"
        assert stage.issuer.asked["/keys"] == 2

    def test_a_key_that_was_taken_back_is_believed_no_more(self, stage: Stage) -> None:
        stage.walker().sign_in()
        old, stage.issuer.keys = stage.issuer.keys, []
        stage.site.now += KEYS_LIFE_US
        assert refused(stage.walker().sign_in()) == "provider"
        stage.issuer.keys = old

    def test_so_many_are_read(self, stage: Stage) -> None:
        mine = stage.issuer.keys[0]
        others = [{"kty": "RSA", "kid": f"k{number}"} for number in range(MAX_KEYS)]
        stage.issuer.keys = [*others[1:], mine]
        assert stage.walker().sign_in().headers["location"] == "/app/"
        forget(stage)
        stage.issuer.keys = [*others, mine]
        assert refused(stage.walker().sign_in()) == "provider"
        assert "more than 64 keys" in stage.reasons()[-1][1]


class TestAnswers:
    def test_they_are_read_to_their_bounds(self, stage: Stage) -> None:
        issuer = stage.issuer
        token = {"id_token": "", "error": "x"}
        bounds: list[tuple[str, Any, int]] = [
            (DISCOVERY, issuer.discovery(), MAX_DISCOVERY_BYTES),
            ("/keys", {"keys": issuer.keys}, MAX_KEYS_BYTES),
            ("/token", token, MAX_ANSWER_BYTES),
        ]
        for path, document, most in bounds:
            for more, long in ((0, False), (1, True)):
                forget(stage)
                size = most + more
                issuer.answers[path] = partial(padded, document, size)
                walker = stage.walker()
                answer = walker.start()
                if stage.issuer.url in answer.headers["location"]:
                    answer = walker.client.get(walker.follow(answer).headers["location"])
                del issuer.answers[path]
                if path != "/token" and not long:
                    assert answer.headers["location"] == "/app/"
                else:
                    assert refused(answer) == "provider"
                    assert ("longer than" in stage.reasons()[-1][1]) == long, (path, size)

    def test_an_endless_one_is_left(self, stage: Stage) -> None:
        stage.issuer.answers[DISCOVERY] = lambda: (200, {}, b"[" * 50_000_000)
        began = time.monotonic()
        assert refused(stage.walker().start()) == "provider"
        assert time.monotonic() - began < WAITED_S

    @pytest.mark.parametrize(
        "answer",
        [
            (302, {"location": "/elsewhere"}, b""),
            (500, {}, b"{}"),
            (200, {}, b""),
            (200, {}, b"null"),
            (200, {}, b"\xff"),
            (200, {}, b"[" * 60_000),
            (200, {}, b'{"issuer": 1}'),
            (200, {"content-encoding": "gzip"}, gzip.compress(b"{}" + b" " * 10_000_000)),
        ],
    )
    def test_what_is_not_what_it_must_be_is_an_error(self, stage: Stage, answer: Any) -> None:
        for path in (DISCOVERY, "/keys", "/token"):
            forget(stage)
            stage.issuer.answers[path] = lambda: answer
            assert refused(stage.walker().start() if path == DISCOVERY else
                           stage.walker().sign_in()) == "provider"  # fmt: skip
            del stage.issuer.answers[path]
        assert not stage.issuer.asked["/elsewhere"]

    @pytest.mark.parametrize(
        "said",
        [
            {"issuer": "https://evil.example"},
            {"token_endpoint": "http://example.com/token"},
            {"authorization_endpoint": "javascript:alert(1)"},
            {"authorization_endpoint": "http://example.com/"},
            {"jwks_uri": "file:///etc/passwd"},
            {"jwks_uri": "https://user:word@example.com/"},
            {"token_endpoint": ""},
            {"id_token_signing_alg_values_supported": ["HS256", "none"]},
            {"token_endpoint_auth_methods_supported": ["private_key_jwt"]},
        ],
    )
    def test_a_discovery_that_leads_astray_is_not_followed(
        self, stage: Stage, said: dict[str, Any]
    ) -> None:
        stage.issuer.said |= said
        assert refused(stage.walker().start()) == "provider"

    def test_a_provider_elsewhere_does_not_lead_to_this_machine(self, stage: Stage) -> None:
        provider = stage.site.app.state.single_sign_on.provider
        provider._local = False
        assert refused(stage.walker().start()) == "provider"

    def test_one_that_announces_its_name_says_it(self, stage: Stage) -> None:
        stage.issuer.said["authorization_response_iss_parameter_supported"] = True
        assert refused(stage.walker().sign_in()) == "provider"
        assert stage.reasons()[-1][1] == "the answer is of another issuer"

    def test_a_wrong_secret_is_told_to_the_log(self, stage: Stage) -> None:
        stage.issuer.secret = "another"
        assert refused(stage.walker().sign_in()) == "provider"
        assert stage.reasons()[-1][1] == "the token endpoint answered 401: invalid_client"


class TestTime:
    def test_one_that_is_down_is_told_at_once(self, tmp_path: Path) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            with Stage(tmp_path, oidc_issuer=url) as stage:
                began = time.monotonic()
                assert refused(stage.walker().start()) == "provider"
                assert time.monotonic() - began < WAITED_S
                assert stage.reasons() == [("provider", "discovery: ConnectError")]

    @pytest.mark.parametrize("path", [DISCOVERY, "/token", "/keys"])
    def test_a_slow_one_is_waited_for_so_long_in_all(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        assert oidc_provider.PATIENCE_S < WAITED_S
        walker = stage.walker()
        back = walker.way_back() if path != DISCOVERY else ""
        forget(stage)
        stage.issuer.delays |= {path: 2.0}
        monkeypatch.setattr(oidc, "PATIENCE_S", 0.4)
        began = time.monotonic()
        assert refused(walker.client.get(back) if back else walker.start()) == "provider"
        assert time.monotonic() - began < 1.9
        assert stage.reasons()[-1] == ("provider", "no answer in 0.4 seconds")


class TestSeveralServers:
    def test_one_takes_what_another_began(self) -> None:
        first = Flows(["a" * 32], lambda: NOW)
        flow, cookie = first.begin("/app/x")
        # The second is about to change its secret.
        second = Flows(["b" * 32, "a" * 32], lambda: NOW)
        assert second.resume(cookie, flow.state) == flow
        with pytest.raises(SignOnError, match="begun no sign-in"):
            Flows(["b" * 32], lambda: NOW).resume(cookie, flow.state)

    def test_so_many_are_known_to_be_used(self) -> None:
        now = NOW
        flows = Flows(["a" * 32], lambda: now)
        flow, cookie = flows.begin("/app/")
        flows.resume(cookie, flow.state)
        flows._used |= {f"s{number}": flow.exp for number in range(MAX_USED - 1)}
        with pytest.raises(SignOnError, match="used already"):
            flows.resume(cookie, flow.state)
        other, others = flows.begin("/app/")
        flows.resume(others, other.state)
        assert len(flows._used) == MAX_USED
        assert flow.state not in flows._used
        now += 600_000_000
        last, cookie = flows.begin("/app/")
        flows.resume(cookie, last.state)
        assert list(flows._used) == [last.state]

    def test_a_portals_token_is_no_sign_in(self, stage: Stage) -> None:
        tokens = stage.site.app.state.portal_tokens
        token = tokens.sign("acme", life_s=60, theme={})[0]
        with pytest.raises(SignOnError, match="begun no sign-in"):
            stage.site.app.state.single_sign_on.flows.resume(token, "x")


def test_the_client_is_named_as_in_the_settings(stage: Stage) -> None:
    stage.walker().sign_in()
    form, header = stage.issuer.seen[0]
    assert header.startswith("Basic ")
    assert CLIENT not in json.dumps(form)
