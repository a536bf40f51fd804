"""The tap on httpx and httpx2: sees every attempt, changes nothing the caller sees."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import json
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

import outlay
from outlay.capture import attempt as attempts
from outlay.capture.runtime import activate
from outlay.capture.taps import http as tap
from outlay.capture.testing import capture_events
from outlay.wire.registry import open_reader
from tests.guest.bodies import (
    CHAT,
    CHAT_BODY,
    JSON,
    OPENAI_URL,
    SECRET,
    asked,
)
from tests.guest.transports import streaming, whole

pytestmark = pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])


def test_a_call_makes_one_event_and_returns_the_same_body(module: ModuleType) -> None:
    with capture_events() as events, module.Client(transport=whole(module)) as client:
        response = client.post(OPENAI_URL, json=asked())
    assert response.json() == CHAT
    (event,) = events
    assert event["provider"] == "openai"
    assert event["surface"] == "openai.chat"
    assert (event["input"], event["output"]) == (12, 7)
    assert event["status"] == "ok"
    assert event["http_status"] == 200
    assert event["provider_request_id"] == "req_1"
    assert event["call_id"] == event["event_id"]
    assert event["started_at"] <= event["ended_at"]
    assert "attempt" not in event
    assert "ttft_ms" not in event


def test_an_async_call_makes_one_event(module: ModuleType) -> None:
    async def call() -> Any:
        async with module.AsyncClient(transport=whole(module)) as client:
            return await client.post(OPENAI_URL, json=asked())

    with capture_events() as events:
        response = asyncio.run(call())
    assert response.json() == CHAT
    assert [e["input"] for e in events] == [12]


def test_content_is_in_no_event(module: ModuleType) -> None:
    with capture_events(include_usage=True) as events:
        with module.Client(transport=whole(module)) as client:
            client.post(OPENAI_URL, json=asked(), headers={"authorization": "Bearer sk-live"})
        with module.Client(transport=streaming(module)) as client:
            client.post(OPENAI_URL, json=asked(stream=True))
    assert len(events) == 2
    assert SECRET not in json.dumps(events)
    assert "sk-live" not in json.dumps(events)


def test_a_call_to_nobody_known_makes_no_event_and_passes_untouched(module: ModuleType) -> None:
    with capture_events() as events, module.Client(transport=whole(module)) as client:
        response = client.post("https://example.com/v1/chat/completions", json=asked())
        assert type(response.stream).__name__ != "OutlayStream"
    assert events == []


def test_a_known_free_endpoint_makes_no_event(module: ModuleType) -> None:
    with capture_events() as events, module.Client(transport=whole(module)) as client:
        client.get("https://api.openai.com/v1/models")
    assert events == []


def test_an_unknown_endpoint_of_a_known_host_is_an_event_with_a_finding(
    module: ModuleType,
) -> None:
    with capture_events() as events, module.Client(transport=whole(module)) as client:
        client.post("https://api.openai.com/v1/brand/new", json=asked())
    assert events[0]["findings"] == ["unknown_endpoint"]


def test_a_private_host_is_known_through_the_hosts_setting(module: ModuleType) -> None:
    with (
        capture_events(hosts={"llm.internal:8000": "openai"}) as events,
        module.Client(transport=whole(module)) as client,
    ):
        client.post("http://llm.internal:8000/v1/chat/completions", json=asked())
    assert len(events) == 1


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        ("ReadTimeout", "timeout", "timeout"),
        ("ConnectError", "error", "connect"),
        ("RemoteProtocolError", "error", "RemoteProtocolError"),
    ],
)
def test_a_transport_error_is_an_event_and_reaches_the_caller_unchanged(
    module: ModuleType, error: str, status: str, kind: str
) -> None:
    problem = getattr(module, error)("no luck with " + SECRET)

    def handle(_request: Any) -> Any:
        raise problem

    client = module.Client(transport=module.MockTransport(handle))
    request = client.build_request("POST", OPENAI_URL, json=asked(stream=True))
    with capture_events() as events, pytest.raises(getattr(module, error)) as caught:
        client.send(request, stream=True)
    assert caught.value is problem
    assert caught.value.request is request
    assert (events[0]["status"], events[0]["error_type"]) == (status, kind)
    assert SECRET not in json.dumps(events)


def test_an_http_error_is_an_event_that_was_not_billed(module: ModuleType) -> None:
    body = b'{"error":{"message":"slow down","type":"rate_limit_error"}}'
    with capture_events() as events, module.Client(transport=whole(module, 429, body)) as client:
        assert client.post(OPENAI_URL, json=asked()).status_code == 429
    assert events[0]["status"] == "error"
    assert events[0]["http_status"] == 429
    assert events[0]["billed"] == "no"
    assert "slow down" not in json.dumps(events)


def test_a_call_cancelled_before_its_answer_is_aborted(module: ModuleType) -> None:
    async def call() -> None:
        async def handle(_request: Any) -> Any:
            await asyncio.sleep(60)

        async with module.AsyncClient(transport=module.MockTransport(handle)) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.post(OPENAI_URL, json=asked()), 0.05)

    with capture_events() as events:
        asyncio.run(call())
    assert [(e["status"], e["error_type"]) for e in events] == [("aborted", "cancelled")]


def test_a_client_that_delegates_to_another_counts_once(module: ModuleType) -> None:
    class Outer(module.Client):  # type: ignore[misc, name-defined]
        inner = module.Client(transport=whole(module))

        def send(self, request: Any, **kwargs: Any) -> Any:
            return super().send(request, **kwargs)

    def handle(request: Any) -> Any:
        return Outer.inner.send(module.Request("POST", request.url, content=request.content))

    with capture_events() as events, Outer(transport=module.MockTransport(handle)) as client:
        client.post(OPENAI_URL, json=asked())
    assert len(events) == 1


def test_what_a_call_began_and_left_running_is_metered_by_itself(module: ModuleType) -> None:
    left: list[asyncio.Task[Any]] = []

    async def call() -> None:
        async with (
            module.AsyncClient(transport=whole(module)) as inner,
            module.AsyncClient(transport=whole(module)) as client,
        ):
            sent = asyncio.Event()

            async def later() -> None:
                await sent.wait()
                await inner.post(OPENAI_URL, json=asked())

            async def begin(_request: Any) -> None:
                left.append(asyncio.create_task(later()))

            client.event_hooks = {"request": [begin]}
            await client.post(OPENAI_URL, json=asked())
            sent.set()
            await left[0]

    with capture_events() as events:
        asyncio.run(call())
    assert [event["input"] for event in events] == [12, 12]


def test_redirects_and_auth_flows_count_once(module: ModuleType) -> None:
    class Twice(module.Auth):  # type: ignore[misc, name-defined]
        def auth_flow(self, request: Any) -> Iterator[Any]:
            yield request
            request.headers["authorization"] = "Bearer two"
            yield request

    with capture_events() as events, module.Client(transport=whole(module)) as client:
        client.post(OPENAI_URL, json=asked(), auth=Twice())
    assert len(events) == 1


def test_signatures_and_kinds_of_functions_stay_the_same(module: ModuleType) -> None:
    tap.remove(module)
    before = [inspect.signature(c.send) for c in (module.Client, module.AsyncClient)]
    names = [module.Client.send.__qualname__, module.Client.send.__doc__]
    with capture_events():
        after = [inspect.signature(c.send) for c in (module.Client, module.AsyncClient)]
        assert after == before
        assert [module.Client.send.__qualname__, module.Client.send.__doc__] == names
        assert inspect.iscoroutinefunction(module.AsyncClient.send)
        tapped = module.Client.send
        tap.install(module)
        assert module.Client.send is tapped


def test_wrong_arguments_raise_what_they_raised_before(module: ModuleType) -> None:
    client = module.Client(transport=whole(module))
    with capture_events(), pytest.raises(TypeError, match="request"):
        client.send()


def test_a_request_given_by_keyword_is_metered(module: ModuleType) -> None:
    client = module.Client(transport=streaming(module))
    request = client.build_request("POST", OPENAI_URL, json=asked(stream=True))
    with capture_events() as events:
        client.send(request=request, stream=True).read()
    assert events[0]["output"] == 7


@pytest.mark.parametrize("where", ["open", "response", "feed", "finish"])
def test_an_error_inside_a_reader_never_reaches_the_caller(
    module: ModuleType, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = open_reader

    def broken(*args: Any, **kwargs: Any) -> Any:
        if where == "open":
            raise ZeroDivisionError
        reader = real(*args, **kwargs)

        class Broken:
            streamed = False

            def response(self, *a: Any) -> None:
                if where == "response":
                    raise ZeroDivisionError

            def feed(self, *a: Any) -> None:
                if where == "feed":
                    raise ZeroDivisionError

            def finish(self, **k: Any) -> Any:
                if where == "finish":
                    raise ZeroDivisionError
                assert reader is not None
                return reader.finish(**k)

        return Broken()

    monkeypatch.setattr(attempts, "open_reader", broken)
    with capture_events(), module.Client(transport=whole(module)) as client:
        assert client.post(OPENAI_URL, json=asked()).json() == CHAT
        with client.stream("POST", OPENAI_URL, json=asked()) as response:
            assert json.loads(response.read()) == CHAT
        errors = outlay.stats()["errors"]
    assert sum(errors.values()) >= 2


def test_without_a_runtime_nothing_is_metered(module: ModuleType) -> None:
    with capture_events() as events:
        activate(None)
        with module.Client(transport=whole(module)) as client:
            assert client.post(OPENAI_URL, json=asked()).json() == CHAT
    assert events == []


def test_threads_keep_their_own_context(module: ModuleType) -> None:
    client = module.Client(transport=whole(module))

    def work(tenant: str) -> None:
        with outlay.context(tenant=tenant):
            for _ in range(20):
                client.post(OPENAI_URL, json=asked())

    with capture_events() as events:
        threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(e["tenant_id"] for e in events) == sorted(f"t{n % 4}" for n in range(80))
    assert len({e["event_id"] for e in events}) == 80


def test_tasks_keep_their_own_context(module: ModuleType) -> None:
    async def work(client: Any, tenant: str) -> None:
        async with outlay.context(tenant=tenant):
            await asyncio.sleep(0)
            await client.post(OPENAI_URL, json=asked())

    async def main() -> None:
        async with module.AsyncClient(transport=whole(module)) as client:
            await asyncio.gather(*(work(client, f"t{n}") for n in range(20)))

    with capture_events() as events:
        asyncio.run(main())
    assert {e["tenant_id"] for e in events} == {f"t{n}" for n in range(20)}


def test_a_streamed_upload_is_metered_without_being_read(module: ModuleType) -> None:
    def upload() -> Iterator[bytes]:
        yield json.dumps(asked()).encode()

    got: list[bytes] = []

    def handle(request: Any) -> Any:
        got.append(request.read())
        return module.Response(200, headers=JSON, stream=module.ByteStream(CHAT_BODY))

    with (
        capture_events() as events,
        module.Client(transport=module.MockTransport(handle)) as client,
    ):
        client.post(OPENAI_URL, content=upload())
    assert json.loads(got[0]) == asked()
    assert events[0]["model_served"] == CHAT["model"]


def test_an_uploaded_form_names_its_model_and_its_file_is_not_read(module: ModuleType) -> None:
    class Upload(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            return super().read(size)

    file, sent = Upload(b"RIFF" * 10), []

    def answer(request: Any) -> Any:
        sent.append(b"".join(request.stream))
        usage = {"type": "duration", "seconds": 3}
        return module.Response(200, json={"text": "hi", "usage": usage})

    with capture_events() as events, module.Client(transport=module.MockTransport(answer)) as http:
        http.post(
            "https://api.openai.com/v1/audio/transcriptions",
            data={"model": "whisper-1", "prompt": "x" * 5000},
            files={"file": ("a.wav", file)},
        )
    (event,) = events
    assert event["model_requested"] == "whisper-1"
    assert event["other_units"] == {"audio_seconds": 3}
    assert sent[0].count(b"RIFF") == 10
    assert file.reads == 2, "the client read it once, to its end"


def test_a_redirect_that_nobody_follows_is_no_attempt(module: ModuleType) -> None:
    def answer(_: Any) -> Any:
        return module.Response(307, headers={"location": "https://api.openai.com/v2"})

    with capture_events() as events, module.Client(transport=module.MockTransport(answer)) as http:
        http.post("https://api.openai.com/v1/chat/completions", json={"model": "m"})
    assert events == []


def test_the_tap_leaves_no_trace_when_removed(module: ModuleType) -> None:
    name = module.__name__
    tap.remove(module)
    original = importlib.import_module(name).Client.send
    with capture_events():
        assert module.Client.send is not original
    tap.remove(module)
    assert module.Client.send is original
