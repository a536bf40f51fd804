"""`POST /v1/events`: what is taken, what is refused with which words, and what is then written."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from outlay.errors import StorageBusyError, StorageFullError, UnavailableError
from outlay.stream.base import Chunk
from tests.unit.api.site import NOW, Site, event, event_ids

DAY_US = 86_400_000_000
GZIP = {"Content-Encoding": "gzip"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(e).encode() + b"\n" for e in events)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ([event(1), event(2)], {}),
        ({"events": [event(1), event(2)]}, {}),
        (lines(event(1), event(2)), NDJSON),
        (gzip.compress(json.dumps([event(1), event(2)]).encode()), GZIP),
        (gzip.compress(lines(event(1))) + gzip.compress(lines(event(2))), {**GZIP, **NDJSON}),
        ([event(1), event(2)], {"Content-Type": "application/json; charset=utf-8"}),
        ([event(1), event(2)], {"Content-Encoding": "identity"}),
    ],
)
def test_every_form_of_a_batch_is_stored(site: Site, body: Any, headers: dict[str, str]) -> None:
    answer = site.post_events(body, **headers)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 2, "rejected": []})
    assert event_ids(site.stored()) == {event(1)["event_id"], event(2)["event_id"]}


def test_an_empty_batch_is_accepted_and_writes_nothing(site: Site) -> None:
    assert site.post_events([]).json() == {"accepted": 0, "rejected": []}
    assert site.captured.head() == 0


def test_an_event_that_comes_twice_in_a_batch_is_stored_once(site: Site) -> None:
    answer = site.post_events([event(1), event(1)])
    assert answer.json() == {"accepted": 2, "rejected": []}
    assert len(site.stored()) == 1


BAD_ITEMS: list[tuple[str, dict[str, Any], str]] = [
    ("wrong version", event(1, schema_version=2), "wrong_version"),
    ("too far in the past", event(1, started_at=NOW - 36 * DAY_US), "too_old"),
    ("in the future", event(1, ended_at=NOW + 301_000_000), "in_future"),
    ("ends before it starts", event(1, ended_at=NOW - 2_000_000), "time_order"),
    ("an id that is no UUIDv7", event(1, event_id="x" * 36), "bad_uuid"),
    ("a missing field", {"event_id": event(1)["event_id"]}, "missing_field"),
    ("an unknown field", event(1, prompt="tell me"), "unknown_field"),
    ("a field that the server adds", event(1, cost_nanos=1), "unknown_field"),
    ("a negative count", event(1, input=-1), "negative"),
    ("a value that is not in its list", event(1, status="fine"), "bad_value"),
    ("a text that is too long", event(1, feature="x" * 257), "too_long"),
    ("too many labels", event(1, labels={str(i): "" for i in range(65)}), "too_many"),
]


@pytest.mark.parametrize(("bad", "code"), [b[1:] for b in BAD_ITEMS], ids=[b[0] for b in BAD_ITEMS])
def test_one_bad_item_is_refused_and_the_others_are_kept(
    site: Site, bad: dict[str, Any], code: str
) -> None:
    answer = site.post_events([event(8), bad, event(9)])
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 2
    [refusal] = answer.json()["rejected"]
    assert (refusal["index"], refusal["code"]) == (1, code)
    assert refusal["message"]
    assert event_ids(site.stored()) == {event(8)["event_id"], event(9)["event_id"]}
    [letter] = site.books.dead_letters()
    assert letter.code == code
    assert "tell me" not in letter.payload + letter.message + answer.text
    assert site.books.dead_letter_counts() == {code: 1}


def test_items_that_are_not_json_are_refused_one_by_one(site: Site) -> None:
    body = b'{"oops\n' + lines(event(8)) + b"17\n\n"
    answer = site.post_events(body, **NDJSON).json()
    assert answer["accepted"] == 1
    assert [(r["index"], r["code"]) for r in answer["rejected"]] == [
        (0, "malformed"),
        (2, "malformed"),
    ]


TOO_MANY = [event(number) for number in range(101)]
BOMB = gzip.compress(b" " * 10_000_000)

BAD_BODIES: list[tuple[str, Any, dict[str, str], int, str]] = [
    ("not JSON", b'[{"a":', {}, 400, "bad_request"),
    ("empty", b"", {}, 400, "bad_request"),
    ("another shape", b'{"event": []}', {}, 400, "bad_request"),
    ("a number", b"17", {}, 400, "bad_request"),
    ("deep nesting", b"[" * 60_000, {}, 400, "bad_request"),
    ("larger than the bound", b" " * (64 * 1024 + 1), {}, 413, "too_large"),
    ("more events than the bound", TOO_MANY, {}, 413, "too_large"),
    ("a bomb", BOMB, GZIP, 413, "too_large"),
    ("not gzip", b"[]", GZIP, 400, "bad_request"),
    ("gzip of very many members", gzip.compress(b"") * 2000, GZIP, 413, "too_large"),
    ("gzip that is cut", gzip.compress(b"[]")[:-3], GZIP, 400, "bad_request"),
    ("gzip with rubbish behind", gzip.compress(b"[]") + b"rubbish", GZIP, 400, "bad_request"),
    ("empty gzip", b"", GZIP, 400, "bad_request"),
    ("zlib instead of gzip", zlib.compress(b"[]"), GZIP, 400, "bad_request"),
    ("an unknown encoding", b"[]", {"Content-Encoding": "br"}, 415, "unsupported"),
    ("an unknown type", b"[]", {"Content-Type": "text/plain"}, 415, "unsupported"),
    ("no type", b"[]", {"Content-Type": ""}, 415, "unsupported"),
    ("another charset", b"[]", {"Content-Type": "application/json; charset=latin-1"}, 415,
     "unsupported"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [b[1:] for b in BAD_BODIES],
    ids=[b[0] for b in BAD_BODIES],
)
def test_a_body_that_cannot_be_read_is_refused_whole(
    site: Site, body: Any, headers: dict[str, str], status: int, code: str
) -> None:
    answer = site.post_events(body, **headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert error["message"]
    assert error["hint"]
    assert answer.headers["connection"] == "close"
    nothing_is_written(site)


def nothing_is_written(site: Site) -> None:
    assert site.captured.head() == 0
    assert site.books.dead_letters() == []


def test_the_bounds_themselves_are_allowed(site: Site) -> None:
    assert site.post_events(TOO_MANY[:100]).json()["accepted"] == 100
    body = json.dumps([event(500)]).encode()
    assert site.post_events(body.ljust(64 * 1024)).json()["accepted"] == 1
    assert site.post_events(gzip.compress(body.ljust(64 * 1024)), **GZIP).json()["accepted"] == 1


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("", 401, "unauthenticated"),
        ("Bearer", 401, "unauthenticated"),
        ("Basic b2s6", 401, "unauthenticated"),
        ("Bearer sk-something", 401, "unauthenticated"),
        ("Bearer ok_unknown", 401, "unauthenticated"),
        ("Bearer ok_" + "x" * 300, 401, "unauthenticated"),
        ("READ", 403, "forbidden"),
    ],
)
def test_a_request_without_a_good_key_is_refused(
    site: Site, header: str, status: int, code: str
) -> None:
    value = f"Bearer {site.key('read')}" if header == "READ" else header
    answer = site.client.post(
        "/v1/events",
        content=json.dumps([event(1)]),
        headers={"Authorization": value, "Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert ("www-authenticate" in answer.headers) == (status == 401)
    nothing_is_written(site)


class TestTenants:
    def test_a_tenants_key_gives_its_tenant_to_every_event(self, site: Site) -> None:
        site.post_events([event(1), event(2, tenant_id="acme", tenant_source="request")], site.acme)
        told = {(row["tenant_id"], row["tenant_source"]) for row in site.stored()}
        assert told == {("acme", "key")}

    def test_an_event_that_names_another_tenant_is_refused(self, site: Site) -> None:
        batch = [event(1), event(2, tenant_id="rival"), {"x": 1}, event(4, tenant_id="rival")]
        answer = site.post_events(batch, site.acme).json()
        told = [(r["index"], r["code"], r["event_id"]) for r in answer["rejected"]]
        assert told == [
            (1, "wrong_tenant", event(2)["event_id"]),
            (2, "unknown_field", ""),
            (3, "wrong_tenant", event(4)["event_id"]),
        ]
        assert event_ids(site.stored()) == {event(1)["event_id"]}

    @pytest.mark.parametrize("ndjson", [False, True])
    def test_places_are_right_when_an_event_comes_twice(self, site: Site, ndjson: bool) -> None:
        batch = [event(1), event(1), event(2, tenant_id="rival")]
        body: Any = lines(*batch) if ndjson else {"events": batch}
        answer = site.post_events(body, site.acme, **(NDJSON if ndjson else {})).json()
        assert [refusal["index"] for refusal in answer["rejected"]] == [2]

    @pytest.mark.parametrize("strange", ["NaN", '"\\ud800"', '{"input": 1e400}'])
    @pytest.mark.parametrize("ndjson", [False, True])
    def test_another_tenants_event_beside_one_that_is_not_json_is_refused_by_its_place(
        self, site: Site, strange: str, ndjson: bool
    ) -> None:
        items = [strange, json.dumps(event(1)), json.dumps(event(2, tenant_id="rival"))]
        body = ("\n".join(items) if ndjson else f"[{','.join(items)}]").encode()
        answer = site.post_events(body, site.acme, **(NDJSON if ndjson else {}))
        assert answer.status_code == 200, answer.text
        told = [(r["index"], r["code"]) for r in answer.json()["rejected"]]
        assert [index for index, _ in told] == [0, 2]
        assert told[1] == (2, "wrong_tenant")
        assert event_ids(site.stored()) == {event(1)["event_id"]}

    def test_a_refused_event_does_not_stand_for_its_own_with_the_same_id(self, site: Site) -> None:
        batch = [event(1, tenant_id="rival"), event(1, tenant_id="rival"), event(1)]
        answer = site.post_events(batch, site.acme).json()
        assert [refusal["index"] for refusal in answer["rejected"]] == [0, 1]
        assert answer["accepted"] == len(site.stored()) == 1

    def test_a_batch_of_another_tenant_alone_writes_nothing(self, site: Site) -> None:
        answer = site.post_events([event(1, tenant_id="rival")], site.acme)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 0)
        assert site.captured.head() == 0

    def test_a_key_of_no_tenant_writes_for_any(self, site: Site) -> None:
        batch = [event(1), event(2, tenant_id="rival", tenant_source="job")]
        site.post_events(batch, site.key("ingest"))
        told = {(row["tenant_id"], row["tenant_source"]) for row in site.stored()}
        assert told == {("unattributed", "none"), ("rival", "job")}


class TestStorage:
    @pytest.mark.parametrize(
        ("error", "status", "retry"),
        [
            (StorageFullError(), 507, "30"),
            (StorageBusyError(), 503, "1"),
            (UnavailableError(), 503, "1"),
        ],
    )
    def test_a_log_that_takes_nothing_is_told_with_when_to_try_again(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, retry: str
    ) -> None:
        def append(chunks: Sequence[Chunk], *, appended_at: int) -> int:
            raise error

        monkeypatch.setattr(site.captured, "append", append)
        answer = site.post_events([event(1), {"x": 1}])
        assert (answer.status_code, answer.headers["retry-after"]) == (status, retry)
        nothing_is_written(site)

    def test_dead_letters_that_cannot_be_kept_do_not_undo_the_batch(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(letters: object) -> None:
            raise StorageFullError

        monkeypatch.setattr(site.books, "dead_letter", refuse)
        assert site.post_events([event(1), {"x": 1}]).json()["accepted"] == 1
        assert len(site.stored()) == 1
        assert "dead_letters_lost" in site.log_text.getvalue()

    def test_a_defect_is_answered_without_details(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def append(chunks: Sequence[Chunk], *, appended_at: int) -> int:
            raise RuntimeError("secret detail")

        monkeypatch.setattr(site.captured, "append", append)
        answer = site.post_events([event(1)])
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
        assert "secret" not in answer.text
        assert "defect" in site.log_text.getvalue()


class TestSlowAndCutBodies:
    """Driven below HTTP, where a body's parts and the sender's leaving can be chosen."""

    def test_a_half_sent_body_writes_nothing_and_is_counted(self, site: Site) -> None:
        body = json.dumps([event(1)]).encode()
        sent = drive(site, [part(body[:50], more=True), {"type": "http.disconnect"}])
        assert sent == []
        nothing_is_written(site)
        assert site.app.state.metrics.abandoned._value.get() == 1

    def test_a_body_in_parts_is_one_batch(self, site: Site) -> None:
        body = json.dumps([event(1)]).encode()
        parts = [part(body[at : at + 7], more=True) for at in range(0, len(body), 7)]
        sent = drive(site, [*parts, part(b"")])
        assert sent[0]["status"] == 200
        assert len(site.stored()) == 1

    def test_a_body_longer_than_it_said_is_cut_off_at_the_bound(self, site: Site) -> None:
        asked: list[int] = []
        parts = [part(b" " * 30_000, more=True) for _ in range(10)]
        sent = drive(site, parts, on_receive=lambda: asked.append(1))
        assert sent[0]["status"] == 413
        assert len(asked) == 3

    def test_too_long_a_declared_length_is_refused_before_a_byte_is_read(self, site: Site) -> None:
        asked: list[int] = []
        length = (b"content-length", b"999999999999")
        sent = drive(site, [], headers=[length], on_receive=lambda: asked.append(1))
        assert (sent[0]["status"], asked) == (413, [])

    @pytest.mark.parametrize("length", [b"x", b"-1", b"1.5", b"9" * 400])
    def test_a_declared_length_that_is_no_length_is_refused(
        self, site: Site, length: bytes
    ) -> None:
        sent = drive(site, [part(b"[]")], headers=[(b"content-length", length)])
        assert sent[0]["status"] in (400, 413)

    def test_a_body_that_never_ends_is_given_up(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("outlay.api.body.BODY_TIMEOUT_S", 0.05)
        sent = drive(site, [part(b"[", more=True), "wait"])
        assert sent[0]["status"] == 400
        nothing_is_written(site)

    def test_bodies_together_are_bounded_and_give_their_memory_back(self, site: Site) -> None:
        memory = site.app.state.memory
        whole, memory.free = memory.free, 10
        assert drive(site, [part(b" " * 11)])[0]["status"] == 503
        memory.free = whole
        drive(site, [part(b"[]")])
        drive(site, [part(b"[", more=True), {"type": "http.disconnect"}])
        assert memory.free == whole


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def drive(
    site: Site,
    messages: Sequence[Any],
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    on_receive: Callable[[], Any] = lambda: None,
) -> list[dict[str, Any]]:
    """Run one ingest request on the bare application and return what it sent."""
    left, sent = list(messages), []

    async def receive() -> Any:
        on_receive()
        if left[0] == "wait":
            await asyncio.sleep(60)
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": "/v1/events", "raw_path": b"/v1/events", "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        "headers": [
            (b"authorization", f"Bearer {site.admin}".encode()),
            (b"content-type", b"application/json"),
            *headers,
        ],
    }  # fmt: skip
    asyncio.run(site.app(scope, receive, send))
    return sent
