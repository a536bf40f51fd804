"""`carry` and `carried`: a context goes to another process and is opened there, and nothing that
nobody signed is believed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

import outlay
from outlay.capture.carrying import MAX_HEADERS, SEALED_FOR_S
from outlay.capture.runtime import active
from outlay.capture.scope import current_scope
from outlay.capture.taps import http
from outlay.capture.testing import capture_events
from outlay.core.envelope import MAX_CHARACTERS, Sealed, envelope_in, seal, secret_id, unseal
from outlay.core.event import MAX_LABELS
from tests.guest.bodies import CHAT, asked, openai_stream
from tests.guest.transports import pieces

SECRET = "0123456789abcdef-one"
OTHER = "0123456789abcdef-two"
HOSTS = {"gateway:8787/openai": "openai"}
PUBLIC = {"api.groq.com": "groq"}
URL = "http://gateway:8787/openai/v1/chat/completions"
GARBAGE = f"outlay={seal({'tenant_id': 'evil'}, {}, secret=OTHER, now=time.time_ns() // 1000)}"


def tick() -> None:
    outlay.record("tool", name="t", units={"requests": 1}, cost_nanos=10)


def read(baggage: str, secret: str = SECRET) -> Sealed:
    found = unseal(envelope_in(baggage), [secret], time.time_ns() // 1000)
    assert found is not None
    return found


def outcomes() -> dict[str, int]:
    counts: dict[str, int] = outlay.stats().get("contexts", {})
    return counts


@pytest.fixture
def elsewhere() -> str:
    """What another process sends."""
    with (
        capture_events(context_secret=SECRET, service="web", environment="prod"),
        outlay.context(
            tenant="acme", user="u1", workspace="w1", billing_unit=("campaign", "c1"),
            feature="f", workflow="wf", initiator="user", request_id="r1", run_id="run1",
            trace_id="a" * 32, labels={"team": "core"},
        ),
        outlay.agent("boss"),
        outlay.agent("web"),
    ):  # fmt: skip
        return outlay.carry()["baggage"]


# -- carry -----------------------------------------------------------------------------------------


def test_the_context_of_the_running_code_is_carried(elsewhere: str) -> None:
    sealed = read(elsewhere)
    values = dict(sealed.values)
    assert len(values.pop("span_id")) == len(values.pop("parent_span_id")) == 16
    assert values == {
        "tenant_id": "acme", "user_id": "u1", "workspace_id": "w1",
        "billing_unit_type": "campaign", "billing_unit_id": "c1", "feature": "f",
        "workflow": "wf", "initiator": "user", "request_id": "r1", "run_id": "run1",
        "trace_id": "a" * 32, "agent_path": "boss/web", "service": "web", "environment": "prod",
    }  # fmt: skip
    assert sealed.labels == {"team": "core"}


def test_without_a_context_or_a_secret_nothing_is_carried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert outlay.carry() == {}
    with capture_events(context_secret=SECRET):
        assert outlay.carry() == {}
    with capture_events(), outlay.context(tenant="acme"):
        assert outlay.carry() == {}
        assert outlay.carry() == {}
    assert "before outlay.init()" in caplog.text
    assert caplog.text.count("`context_secret` is empty") == 1


def test_the_configured_tenant_is_carried_from_outside_any_context() -> None:
    with capture_events(context_secret=SECRET, tenant="house"):
        assert read(outlay.carry()["baggage"]).values == {"tenant_id": "house"}


def test_a_context_without_a_tenant_is_carried_without_one() -> None:
    with capture_events(context_secret=SECRET), outlay.context(feature="f"):
        values = read(outlay.carry()["baggage"]).values
    assert "tenant_id" not in values
    assert values["feature"] == "f"


def test_the_first_secret_signs() -> None:
    with capture_events(context_secret=f"{OTHER},{SECRET}"), outlay.context(tenant="acme"):
        assert read(outlay.carry()["baggage"], OTHER).key_id == secret_id(OTHER)


def test_a_context_is_sealed_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    with capture_events(context_secret=SECRET), outlay.context(tenant="acme"):
        first = outlay.carry()
        monkeypatch.setattr(time, "time_ns", lambda: now + (SEALED_FOR_S - 1) * 10**9)
        assert outlay.carry() == first
        with outlay.context(feature="f"):
            assert outlay.carry() != first, "each context has its own"
        monkeypatch.setattr(time, "time_ns", lambda: now + (SEALED_FOR_S + 1) * 10**9)
        assert outlay.carry() != first


def test_another_secret_seals_anew() -> None:
    with capture_events(context_secret=SECRET), outlay.context(tenant="acme"):
        first = outlay.carry()
        with capture_events(context_secret=OTHER):
            assert read(outlay.carry()["baggage"], OTHER).values["tenant_id"] == "acme"
        assert read(outlay.carry()["baggage"]).key_id == read(first["baggage"]).key_id


def test_what_does_not_fit_is_not_carried_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    long = "x" * 256
    with (
        capture_events(context_secret=SECRET),
        outlay.context(tenant=long, user=long, workspace=long, feature=long),
    ):
        assert outlay.carry() == {}
        assert outlay.carry() == {}
    assert caplog.text.count(f"more than {MAX_CHARACTERS} characters") == 1


def test_labels_that_do_not_fit_are_left_out_and_said_where_they_are_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    labels = {f"label{n}": "x" * 100 for n in range(MAX_LABELS)}
    with capture_events(context_secret=SECRET) as events:
        with outlay.context(tenant="acme", labels=labels):
            told = outlay.carry()
        with outlay.carried(told):
            tick()
    assert events[0]["tenant_id"] == "acme"
    assert 0 < len(events[0]["labels"]) < MAX_LABELS
    assert "without its last labels" in caplog.text


# -- carried ---------------------------------------------------------------------------------------


def test_what_was_carried_is_true_inside_and_only_there(elsewhere: str) -> None:
    with capture_events(context_secret=SECRET, service="worker", environment="test") as events:
        with outlay.carried({"baggage": elsewhere}):
            tick()
            assert outlay.current().context.tenant == "acme"
            assert outlay.current().calls == 1
        tick()
        assert outcomes() == {"verified": 1}
    inside, outside = events
    assert {
        "tenant_id": "acme", "tenant_source": "request", "context_verified": True,
        "context_key_id": secret_id(SECRET), "user_id": "u1", "request_id": "r1",
        "run_id": "run1", "trace_id": "a" * 32, "agent_path": "boss/web",
        "labels": {"team": "core"}, "service": "worker", "environment": "test",
    }.items() <= inside.items()  # fmt: skip
    assert outside["tenant_id"] == "unattributed"
    assert "context_verified" not in outside


def test_agents_inside_hang_below_the_one_that_was_carried(elsewhere: str) -> None:
    with (
        capture_events(context_secret=SECRET) as events,
        outlay.carried({"baggage": elsewhere}),
        outlay.agent("child"),
    ):
        tick()
    assert events[0]["agent_path"] == "boss/web/child"
    assert events[0]["parent_span_id"] == read(elsewhere).values["span_id"]
    assert events[0]["run_id"] == "run1"


def test_nobody_vouches_for_a_tenant_that_is_named_inside(elsewhere: str) -> None:
    with capture_events(context_secret=SECRET) as events, outlay.carried({"baggage": elsewhere}):
        with outlay.context(feature="inner"):
            tick()
        with outlay.context(tenant="other"):
            tick()
            with outlay.agent("deep"):
                tick()
    assert [event.get("context_verified") for event in events] == [True, None, None]
    assert [event["tenant_id"] for event in events] == ["acme", "other", "other"]
    assert "context_key_id" not in events[2]


def test_nobody_vouches_for_a_tenant_that_was_named_around() -> None:
    now = time.time_ns() // 1000
    untold = {"baggage": f"outlay={seal({'feature': 'f'}, {}, secret=SECRET, now=now)}"}
    with capture_events(context_secret=SECRET) as events:
        with outlay.carried(untold):
            tick()
        with outlay.context(tenant="local"), outlay.carried(untold):
            tick()
    assert [event.get("context_verified") for event in events] == [True, None]
    assert [event["feature"] for event in events] == ["f", "f"]
    assert events[1]["tenant_id"] == "local"


def test_it_goes_on_over_a_third_process(elsewhere: str) -> None:
    with capture_events(context_secret=SECRET), outlay.carried({"baggage": elsewhere}):
        again = outlay.carry()["baggage"]
    first, second = dict(read(elsewhere).values), dict(read(again).values)
    for of_its_maker in ("service", "environment"):
        first.pop(of_its_maker)
    assert second == first


@pytest.mark.parametrize("form", ["upper", "pairs", "bytes", "several", "multi", "generator"])
def test_headers_come_in_many_forms(elsewhere: str, form: str) -> None:
    def each() -> Iterator[tuple[str, str]]:
        yield "Host", "x"
        yield "Baggage", elsewhere

    headers: dict[str, Any] = {
        "upper": {"Host": "x", "BAGGAGE": elsewhere},
        "pairs": [("host", "x"), ("baggage", f"a=1, {elsewhere};p=1")],
        "bytes": [(b"host", b"x"), (b"baggage", elsewhere.encode())],
        "several": [("baggage", "a=1"), ("baggage", elsewhere)],
        "multi": httpx.Headers([("baggage", "a=1"), ("baggage", elsewhere)]),
        "generator": each(),
    }
    with capture_events(context_secret=SECRET) as events, outlay.carried(headers[form]):
        tick()
    assert events[0]["tenant_id"] == "acme"


def test_it_is_looked_for_in_a_bounded_number_of_headers(elsewhere: str) -> None:
    with capture_events(context_secret=SECRET):
        for others, there in ((MAX_HEADERS - 1, True), (MAX_HEADERS, False)):
            headers = [("x", "y")] * others + [("baggage", elsewhere)]
            with outlay.carried(headers):
                assert (current_scope() is not None) is there


@pytest.mark.parametrize("headers", [{}, [], None, {"baggage": "a=1"}, {"baggage": None}], ids=str)
def test_without_a_context_nothing_is_opened(
    headers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_events(context_secret=SECRET):
        with outlay.carried(headers):
            assert current_scope() is None
        assert outcomes() == {"absent": 1}
    assert caplog.text == "", "strangers send none every day"


@pytest.mark.parametrize(
    ("baggage", "outcome", "said"),
    [
        (GARBAGE, "unknown_secret", "none of `context_secret`"),
        ("outlay=tenant-acme", "malformed", "damaged"),
        (GARBAGE.replace(secret_id(OTHER), secret_id(SECRET)), "bad_signature", "does not hold"),
        ("outlay=" + seal({}, {}, secret=SECRET, now=10**15), "expired", "too old"),
        ("outlay=" + seal({}, {}, secret=SECRET, now=3 * 10**15), "not_yet", "clocks"),
    ],
    ids=["another secret", "plain text", "forged", "old", "ahead"],
)
def test_what_is_not_believed_is_counted_and_logged_once(
    baggage: str, outcome: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "outlay")
    with capture_events(context_secret=SECRET) as events, outlay.context(tenant="mine"):
        for _ in range(2):
            with outlay.carried({"baggage": baggage}):
                tick()
        assert outcomes() == {outcome: 2}
    assert [event["tenant_id"] for event in events] == ["mine", "mine"]
    assert "context_verified" not in events[0]
    assert caplog.text.count(said) == 1
    assert baggage not in caplog.text


def test_without_a_secret_nothing_is_believed(
    elsewhere: str, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_events(), outlay.carried({"baggage": elsewhere}):
        assert current_scope() is None
        assert outcomes() == {"no_secret": 1}
    assert "`context_secret` is empty" in caplog.text


def test_before_init_nothing_is_opened_and_nothing_raised(elsewhere: str) -> None:
    assert active() is None
    with outlay.carried({"baggage": elsewhere}):
        assert current_scope() is None


def test_headers_that_are_none_are_survived(elsewhere: str) -> None:
    with capture_events(context_secret=SECRET):
        for odd in ("baggage", 5, [1, 2], {1: elsewhere}, object()):
            with outlay.carried(odd):  # type: ignore[arg-type]
                assert current_scope() is None
        assert outlay.stats()["errors"] == {"carried": 4}


def test_it_opens_for_coroutines_and_closes_when_they_fail(elsewhere: str) -> None:
    async def work() -> None:
        async with outlay.carried({"baggage": elsewhere}):
            await asyncio.sleep(0)
            tick()
            raise ValueError

    async def main() -> None:
        with pytest.raises(ValueError):
            await work()
        assert current_scope() is None

    with capture_events(context_secret=SECRET) as events:
        asyncio.run(main())
    assert events[0]["tenant_id"] == "acme"


# -- the taps of httpx and httpx2 ------------------------------------------------------------------

both = pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])


class Seen:
    """A transport that keeps the requests as they arrive."""

    def __init__(self, module: ModuleType) -> None:
        self.module: Any = module
        self.requests: list[Any] = []
        self.transport = self.module.MockTransport(self._answer)

    def _answer(self, request: Any) -> Any:
        request.read()
        self.requests.append(request)
        if b'"stream": true' in request.content or b'"stream":true' in request.content:
            chunks = pieces(self.module, openai_stream(request.content))
            kind = {"content-type": "text/event-stream"}
            return self.module.Response(200, headers=kind, stream=chunks)
        return self.module.Response(200, json=CHAT)

    @property
    def baggage(self) -> str:
        found: str = self.requests[-1].headers.get("baggage", "")
        return found


@both
def test_a_request_to_a_host_of_ours_carries_the_context(module: Any) -> None:
    seen = Seen(module)
    with (
        capture_events(hosts=HOSTS, context_secret=SECRET) as events,
        module.Client(transport=seen.transport) as client,
        outlay.context(tenant="acme"),
        outlay.agent("boss"),
    ):
        request = client.build_request("POST", URL, json=asked())
        response = client.send(request)
    assert read(seen.baggage).values["tenant_id"] == "acme"
    assert read(seen.baggage).values["agent_path"] == "boss"
    assert "baggage" not in request.headers, "the caller's own request stays as it is"
    assert response.request is request
    assert seen.requests[0].content == request.content
    assert len(events) == 1


@both
def test_streams_and_async_clients_carry_it_too(module: Any) -> None:
    seen = Seen(module)

    async def call(**more: Any) -> None:
        async with (
            module.AsyncClient(transport=seen.transport) as client,
            client.stream("POST", URL, json=asked(**more)) as response,
        ):
            async for _ in response.aiter_bytes():
                pass

    with (
        capture_events(hosts=HOSTS, context_secret=SECRET) as events,
        outlay.context(tenant="acme"),
    ):
        asyncio.run(call())
        asyncio.run(call(stream=True))
    assert [read(r.headers["baggage"]).values["tenant_id"] for r in seen.requests] == ["acme"] * 2
    assert b"include_usage" in seen.requests[1].content
    assert [event["output"] for event in events] == [7, 7]


@both
@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("https://api.openai.com/v1/chat/completions", {"context_secret": SECRET}),
        ("https://api.groq.com/openai/v1/chat/completions", {"context_secret": SECRET}),
        ("https://example.com/v1/chat/completions", {"context_secret": SECRET}),
        (URL, {}),
    ],
    ids=["a provider", "a provider among the hosts", "a stranger", "without a secret"],
)
def test_nobody_else_is_told(module: Any, url: str, settings: dict[str, str]) -> None:
    seen = Seen(module)
    with (
        capture_events(hosts=HOSTS | PUBLIC, **settings),
        module.Client(transport=seen.transport) as client,
        outlay.context(tenant="acme"),
    ):
        request = client.build_request("POST", url, json=asked())
        client.send(request)
    assert seen.requests == [request]
    assert seen.baggage == ""


@both
@pytest.mark.parametrize("other", ["", "a=1,b=2"])
def test_a_redirect_takes_the_context_to_no_other_host(module: Any, other: str) -> None:
    told: list[tuple[str, str | None]] = []
    moved = {"//gateway:8787/": "https://gateway:9000/x", "//gateway:9000/": "https://out.example/"}

    def answer(request: Any) -> Any:
        told.append((request.url.host, request.headers.get("baggage")))
        for place, next_place in moved.items():
            if place in str(request.url):
                return module.Response(307, headers={"location": next_place})
        return module.Response(200, json=CHAT)

    async def call(transport: Any) -> None:
        async with module.AsyncClient(transport=transport, follow_redirects=True) as client:
            await client.post(URL, json=asked(), headers={"baggage": other} if other else {})

    with capture_events(hosts=HOSTS, context_secret=SECRET), outlay.context(tenant="acme"):
        asyncio.run(call(module.MockTransport(answer)))
        with module.Client(transport=module.MockTransport(answer), follow_redirects=True) as client:
            client.post(URL, json=asked(), headers={"baggage": other} if other else {})
    for first, second, last in (told[:3], told[3:]):
        assert read(first[1] or "").values["tenant_id"] == "acme"
        assert second[1] == first[1], "it is the same host"
        assert last == ("out.example", other or None)


@both
def test_a_redirect_leaves_other_baggage_alone(module: Any) -> None:
    told: list[str] = []

    def answer(request: Any) -> Any:
        told.append(request.headers.get("baggage"))
        moved = {"location": "https://out.example/"}
        return module.Response(307 if len(told) == 1 else 200, headers=moved)

    with (
        capture_events(hosts=HOSTS),
        module.Client(transport=module.MockTransport(answer), follow_redirects=True) as client,
    ):
        client.get("https://in.example/", headers={"baggage": "a=1 , b = 2;c"})
    assert told == ["a=1 , b = 2;c"] * 2


@both
def test_a_context_that_cannot_be_told_leaves_the_call_as_it_is(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> str:
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr(http, "outgoing", broken)
    seen = Seen(module)
    with (
        capture_events(hosts=HOSTS, context_secret=SECRET) as events,
        module.Client(transport=seen.transport) as client,
        outlay.context(tenant="acme"),
    ):
        client.post(URL, json=asked())
    assert seen.baggage == ""
    assert len(events) == 1, "it is metered all the same"


@both
def test_outside_any_context_a_request_stays_the_callers_own(module: Any) -> None:
    seen = Seen(module)
    with (
        capture_events(hosts=HOSTS, context_secret=SECRET),
        module.Client(transport=seen.transport) as client,
    ):
        request = client.build_request("POST", URL, json=asked())
        client.send(request)
    assert seen.requests[0] is request


@both
def test_other_baggage_goes_along(module: Any) -> None:
    seen = Seen(module)
    with (
        capture_events(hosts=HOSTS, context_secret=SECRET),
        module.Client(transport=seen.transport) as client,
        outlay.context(tenant="acme"),
    ):
        client.post(URL, json=asked(), headers=[("baggage", "a=1"), ("Baggage", "b=2;p")])
    (baggage,) = seen.requests[0].headers.get_list("baggage")
    assert read(baggage).values["tenant_id"] == "acme"
    assert baggage.endswith(",a=1,b=2;p")


@both
def test_what_the_caller_carries_stays_and_what_a_stranger_sent_does_not(
    module: Any, elsewhere: str
) -> None:
    seen = Seen(module)
    with (
        capture_events(hosts=HOSTS, context_secret=SECRET),
        module.Client(transport=seen.transport) as client,
        outlay.context(tenant="mine"),
    ):
        client.post(URL, json=asked(), headers={"baggage": elsewhere})
        assert seen.baggage == elsewhere
        client.post(URL, json=asked(), headers={"baggage": f"{GARBAGE},a=1"})
        assert read(seen.baggage).values["tenant_id"] == "mine"
        assert seen.baggage.endswith(",a=1")


@both
def test_a_body_that_is_sent_in_pieces_or_as_a_form_arrives_as_before(module: Any) -> None:
    def body() -> Iterator[bytes]:
        yield b'{"model":'
        yield b'"m"}'

    seen = Seen(module)
    with (
        capture_events(hosts=HOSTS, context_secret=SECRET),
        module.Client(transport=seen.transport) as client,
        outlay.context(tenant="acme"),
    ):
        client.post(URL, content=body())
        audio = URL.replace("chat/completions", "audio/transcriptions")
        client.post(audio, data={"model": "m"}, files={"file": ("a.wav", b"RIFF")})
        client.get(URL.replace("chat/completions", "models"))
    pieces_, form, empty = seen.requests
    assert pieces_.content == b'{"model":"m"}'
    assert pieces_.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in pieces_.headers
    assert int(form.headers["content-length"]) == len(form.content)
    assert b"RIFF" in form.content
    assert "content-length" not in empty.headers
    assert all(read(r.headers["baggage"]).values["tenant_id"] == "acme" for r in seen.requests)


@both
def test_hooks_of_the_client_find_the_body(module: Any) -> None:
    bodies: list[bytes] = []
    seen = Seen(module)
    hooks = {"request": [lambda request: bodies.append(request.content)]}
    with (
        capture_events(hosts=HOSTS, context_secret=SECRET),
        module.Client(transport=seen.transport, event_hooks=hooks) as client,
        outlay.context(tenant="acme"),
    ):
        client.post(URL, json=asked())
    assert bodies == [seen.requests[0].content]
    assert b"gpt-4o-mini" in bodies[0]
