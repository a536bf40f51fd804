"""Virtual keys over HTTP: made, shown once, rotated, revoked, and told to gateways at once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from outlay.api import virtual_keys
from outlay.api.auth import Caller
from outlay.core.virtual_keys import key_document, read_key, secret_hash
from outlay.store.virtual_keys import KeyTerms
from tests.unit.api.served import Served
from tests.unit.api.site import NOW, Site

PATH = "/v1/virtual-keys"
FULL = {
    "name": "n", "tenant_id": "acme", "feature": "f", "agent": "a", "workspace": "w",
    "initiator": "user", "upstreams": ["openai"], "models": ["gpt-*"], "priority": "interactive",
    "expires_at": NOW + 9,
}  # fmt: skip
SOON_S = 10.0


def make(site: Site, **body: Any) -> dict[str, Any]:
    answer = site.call("POST", PATH, json={"name": "n", "tenant_id": "acme", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def listed(site: Site, **params: Any) -> list[str]:
    answer = site.call("GET", PATH, params=params).json()
    return [key["key_id"] for key in answer["virtual_keys"]]


def told(site: Site, after: int = 0, key: str | None = None, wait_s: float = 0) -> dict[str, Any]:
    path = f"{PATH}/feed?after={after}&wait_s={wait_s}"
    answer = site.call("GET", path, key or site.key("gateway"))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@contextmanager
def as_admin_of(site: Site, tenant: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ask with an admin's key that is bound to a tenant; the books make none today."""
    caller = Caller("key_bound", ("admin",), tenant)
    with monkeypatch.context() as patch:
        patch.setattr(site.app.state.auth, "caller", lambda _header: caller)
        yield


class TestManaging:
    def test_a_secret_is_shown_once_and_its_hash_never(self, site: Site) -> None:
        made = make(site, **FULL)
        secret, key = made["secret"], made["virtual_key"]
        assert (len(secret), secret[:3], key["prefix"]) == (46, "ov_", secret[:8])
        assert {name: key[name] for name in FULL} == FULL
        answer = site.call("GET", PATH)
        assert answer.json() == {"virtual_keys": [key]}
        for text in (answer.text, site.call("GET", "/v1/audit").text, site.log_text.getvalue()):
            assert secret not in text
            assert secret_hash(secret) not in text

    def test_what_is_left_out_means_any(self, site: Site) -> None:
        made = site.call("POST", PATH, json={"name": "service"}).json()["virtual_key"]
        assert (made["tenant_id"], made["upstreams"], made["models"]) == (None, [], [])
        assert (made["expires_at"], made["revoked_at"], made["priority"]) == (None, None, "")

    def test_a_time_may_be_text(self, site: Site) -> None:
        made = make(site, expires_at="2099-01-01T00:00:00Z")["virtual_key"]
        assert made["expires_at"] == 4_070_908_800_000_000

    def test_the_list_is_of_a_tenant_and_of_use_if_asked(self, site: Site) -> None:
        one = make(site)["virtual_key"]["key_id"]
        site.now += 1
        two = make(site, tenant_id="rival")["virtual_key"]["key_id"]
        site.call("DELETE", f"{PATH}/{one}")
        assert listed(site) == [two, one]
        assert listed(site, limit=1) == [two]
        assert listed(site, tenant="acme") == [one]
        assert listed(site, usable=True) == [two]

    def test_a_key_is_revoked_now_or_after_a_grace(self, site: Site) -> None:
        made = make(site)["virtual_key"]
        path = f"{PATH}/{made['key_id']}"
        answer = site.call("DELETE", f"{path}?grace_s=60").json()["virtual_key"]
        assert answer == {**made, "revoked_at": NOW + 60_000_000}
        assert site.call("DELETE", path).json()["virtual_key"]["revoked_at"] == NOW

    def test_a_rotated_key_says_the_same_and_the_old_one_ends(self, site: Site) -> None:
        made = make(site, **FULL)
        path = f"{PATH}/{made['virtual_key']['key_id']}/rotate"
        answer = site.call("POST", path, json={"grace_s": 5, "expires_at": NOW + 99})
        assert answer.status_code == 201
        got = answer.json()
        assert got["secret"] != made["secret"]
        assert got["replaced"] == {**made["virtual_key"], "revoked_at": NOW + 5_000_000}
        assert got["virtual_key"]["replaces"] == made["virtual_key"]["key_id"]
        same = set(FULL) - {"expires_at"}
        assert {n: got["virtual_key"][n] for n in same} == {n: FULL[n] for n in same}
        assert got["virtual_key"]["expires_at"] == NOW + 99
        assert site.call("POST", path, json={}).status_code == 409

    @pytest.mark.parametrize(
        ("method", "path", "body", "status", "where"),
        [
            ("POST", "", {}, 400, "body"),
            ("POST", "", {"name": ""}, 400, "name"),
            ("POST", "", {"name": "n", "tenants": "x"}, 400, "body"),
            ("POST", "", {"name": "n", "tenant_id": "a b"}, 400, "tenant_id"),
            ("POST", "", {"name": "n", "upstreams": ["A"]}, 400, "upstreams"),
            ("POST", "", {"name": "n", "models": "gpt"}, 400, "body"),
            ("POST", "", {"name": "n", "priority": "high"}, 400, "body"),
            ("POST", "", {"name": "n", "expires_at": NOW}, 400, "expires_at"),
            ("POST", "", {"name": "n", "expires_at": "soon"}, 400, "expires_at"),
            ("POST", "/vk_none/rotate", {}, 404, "key_id"),
            ("POST", "/vk_none/rotate", {"grace_s": -1}, 400, "body"),
            ("POST", "/vk_none/rotate", {"grace_s": 90 * 86_400 + 1}, 400, "body"),
            ("DELETE", "/vk_none", None, 404, "key_id"),
            ("DELETE", "/vk_none?grace_s=-1", None, 400, "grace_s"),
            ("GET", "?limit=0", None, 400, "limit"),
            ("GET", "?limit=10001", None, 400, "limit"),
        ],
    )
    def test_what_is_wrong_is_named_and_changes_nothing(
        self, site: Site, method: str, path: str, body: Any, status: int, where: str
    ) -> None:
        parts = {} if body is None else {"json": body}
        answer = site.call(method, PATH + path, **parts)
        assert (answer.status_code, answer.json()["error"]["where"]) == (status, where)
        assert site.books.revision("virtual_keys") == 0

    def test_who_did_it_is_in_the_audit_log(self, site: Site) -> None:
        made = make(site)["virtual_key"]
        [entry] = site.call("GET", "/v1/audit?limit=1").json()["audit"]
        assert (entry["action"], entry["subject"]) == ("virtual_key.create", made["key_id"])
        assert entry["actor"].startswith("key_")


class TestAnAdminOfOneTenant:
    def test_sees_and_makes_its_tenants_keys_only(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mine, other = make(site), make(site, tenant_id="rival")
        service = make(site, tenant_id=None)
        with as_admin_of(site, "acme", monkeypatch):
            assert listed(site) == [mine["virtual_key"]["key_id"]]
            assert listed(site, tenant="rival") == []
            assert make(site)["virtual_key"]["tenant_id"] == "acme"
            for tenant in ("rival", None):
                answer = site.call("POST", PATH, json={"name": "n", "tenant_id": tenant})
                assert answer.status_code == 403
            for foreign in (other, service):
                path = f"{PATH}/{foreign['virtual_key']['key_id']}"
                assert site.call("DELETE", path).status_code == 404
                assert site.call("POST", f"{path}/rotate", json={}).status_code == 404
            path = f"{PATH}/{mine['virtual_key']['key_id']}"
            assert site.call("POST", f"{path}/rotate", json={}).status_code == 201
            assert site.call("DELETE", path).status_code == 200
        assert len(listed(site, tenant="rival")) == 1


class TestTheFeed:
    def test_it_tells_hashes_and_what_changed_since(self, site: Site) -> None:
        made = make(site, **FULL)
        first = told(site)
        assert (first["now"], first["after"], first["revision"]) == (NOW, 0, 1)
        assert first["complete"] is True
        [key] = [read_key(row) for row in first["keys"]]
        assert key == site.books.virtual_key(made["virtual_key"]["key_id"])
        assert key.secret_hash == secret_hash(made["secret"])
        assert told(site, 1)["keys"] == []
        site.call("DELETE", f"{PATH}/{key.key_id}")
        again = told(site, 1)
        assert (again["after"], again["revision"]) == (1, 2)
        assert [row["revoked_at"] for row in again["keys"]] == [NOW]

    def test_a_row_leaves_out_what_is_not_said(self, site: Site) -> None:
        make(site, tenant_id=None)
        [row] = told(site)["keys"]
        assert set(row) == {"key_id", "name", "secret_hash", "prefix", "created_at"}
        assert key_document(read_key(row)) == row

    def test_pages_are_bounded(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(virtual_keys, "PAGE", 2)
        names = [make(site)["virtual_key"]["key_id"] for _ in range(5)]
        seen: list[str] = []
        after, complete = 0, False
        while not complete:
            page = told(site, after)
            assert len(page["keys"]) <= 2
            seen += [row["key_id"] for row in page["keys"]]
            after, complete = page["revision"], page["complete"]
        assert seen == names

    def test_a_revision_that_never_was_begins_anew_and_does_not_wait(self, site: Site) -> None:
        make(site)
        began = time.monotonic()
        page = told(site, 77, wait_s=SOON_S)
        assert (page["after"], len(page["keys"])) == (0, 1)
        assert time.monotonic() - began < SOON_S / 2

    def test_a_tenants_gateway_is_told_its_tenants_keys_only(self, site: Site) -> None:
        mine = make(site)["virtual_key"]["key_id"]
        make(site, tenant_id="rival")
        make(site, tenant_id=None)
        rows = told(site, key=site.key("gateway", tenant="acme"))["keys"]
        assert [row["key_id"] for row in rows] == [mine]

    @pytest.mark.parametrize(
        "query", ["after=-1", "after=x", "wait_s=61", "wait_s=-1", "wait_s=nan"]
    )
    def test_a_number_out_of_bounds_is_refused(self, site: Site, query: str) -> None:
        answer = site.call("GET", f"{PATH}/feed?{query}", site.key("gateway"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")

    def test_it_waits_no_longer_than_asked(self, site: Site) -> None:
        make(site)
        began = time.monotonic()
        assert told(site, 1, wait_s=0.2)["keys"] == []
        assert 0.2 <= time.monotonic() - began < SOON_S

    def test_too_many_that_wait_are_told_to_come_back(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(virtual_keys, "MAX_WAITING", 0)
        answer = site.call("GET", f"{PATH}/feed?wait_s=1", site.key("gateway"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert told(site)["complete"] is True

    def test_its_good_answers_are_not_in_the_log(self, site: Site) -> None:
        told(site)
        text = site.log_text.getvalue()
        assert f"{PATH}/feed" in text
        assert '"level": "info"' not in text


def wait(
    served: Served, after: int, answers: list[tuple[float, dict[str, Any]]]
) -> threading.Thread:
    """Begin a long poll; its answer and when it came are put into a list."""
    headers = {"Authorization": f"Bearer {served.site.key('gateway')}"}

    def ask() -> None:
        url = f"{served.url}{PATH}/feed?after={after}&wait_s=30"
        answer = httpx.get(url, headers=headers, timeout=40, trust_env=False)
        answers.append((time.monotonic(), answer.json()))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


@pytest.fixture
def served(site: Site) -> Iterator[Served]:
    made = Served(site)
    yield made
    made.end()


class TestTheLongPoll:
    @pytest.mark.parametrize("other_process", [False, True])
    def test_a_change_is_told_within_100_ms(self, served: Served, other_process: bool) -> None:
        site, took = served.site, []
        for _ in range(5):
            answers: list[tuple[float, dict[str, Any]]] = []
            after = site.books.revision("virtual_keys")
            threads = [wait(served, after, answers) for _ in range(3)]
            time.sleep(0.3)
            assert answers == []
            if other_process:  # another server on the same books writes beside this one
                terms = KeyTerms("n")
                secret = f"ov_{after:043}"
                site.books.create_virtual_key(terms, secret=secret, actor="x", at=NOW)
            else:
                make(site)
            changed_at = time.monotonic()
            for thread in threads:
                thread.join()
            assert [(a["revision"], len(a["keys"])) for _, a in answers] == [(after + 1, 1)] * 3
            took.append(max(at for at, _ in answers) - changed_at)
        assert min(took) < 0.1, took

    def test_the_end_of_the_server_waits_for_no_poll(self, site: Site) -> None:
        served = Served(site)
        answers: list[tuple[float, dict[str, Any]]] = []
        thread = wait(served, 0, answers)
        time.sleep(0.3)
        assert served.end() < 3.0
        thread.join()
        assert answers[0][1]["keys"] == []

    def test_who_leaves_gives_its_place_back(
        self, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(virtual_keys, "MAX_WAITING", 1)
        watch = served.site.app.state.key_watch
        key = served.site.key("gateway")
        host, _, port = served.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as connection:
            head = f"GET {PATH}/feed?wait_s=0.5 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}"
            connection.sendall(f"{head}\r\n\r\n".encode())
            until = time.monotonic() + SOON_S
            while not watch._waiting:
                assert time.monotonic() < until
                time.sleep(0.01)
        while watch._waiting:
            assert time.monotonic() < until
            time.sleep(0.01)
        answers: list[tuple[float, dict[str, Any]]] = []
        thread = wait(served, 0, answers)
        time.sleep(0.2)
        make(served.site)
        thread.join()
        assert len(answers[0][1]["keys"]) == 1
