"""The tap on urllib3, with urllib3 and requests as callers: every request on the wire is seen once
and the caller gets what it gets without the tap."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

import outlay
from outlay.capture import attempt as attempts
from outlay.capture import guard
from outlay.capture.runtime import activate
from outlay.capture.taps import urllib3 as tap
from outlay.capture.testing import capture_events
from tests.guest.bodies import CHAT, SECRET, asked
from tests.guest.replies import BUSY, Provider

AGAIN = Retry(total=3, status_forcelist=[503], allowed_methods=None, backoff_factor=0)


@pytest.fixture
def events(provider: Provider) -> Iterator[list[dict[str, Any]]]:
    with capture_events(hosts=provider.hosts) as captured:
        yield captured


def test_a_call_of_requests_is_one_event(
    provider: Provider, session: requests.Session, events: list[dict[str, Any]]
) -> None:
    response = session.post(provider.url, json=asked(), headers={"authorization": "Bearer sk-live"})
    assert response.json() == CHAT
    (event,) = events
    assert (event["surface"], event["status"], event["http_status"]) == ("openai.chat", "ok", 200)
    assert (event["input"], event["output"]) == (12, 7)
    assert event["model_requested"] == "gpt-4o-mini"
    assert event["provider_request_id"] == "req_1"
    assert event["call_id"] == event["event_id"]
    assert "attempt" not in event
    assert SECRET not in json.dumps(events)
    assert "sk-live" not in json.dumps(events)


@pytest.mark.parametrize("body", [json.dumps(asked()), json.dumps(asked()).encode()])
def test_a_call_of_urllib3_is_one_event(
    provider: Provider, pool: urllib3.PoolManager, events: list[dict[str, Any]], body: str | bytes
) -> None:
    assert pool.request("POST", provider.url, body=body).json() == CHAT
    assert [(e["model_requested"], e["input"], e["output"]) for e in events] == [
        ("gpt-4o-mini", 12, 7)
    ]


def _failure(call: Callable[[], Any]) -> tuple[type, str]:
    with pytest.raises(Exception) as caught:
        call()
    return type(caught.value), str(caught.value.args)[:20]


def test_a_refused_connection_is_an_event_that_was_not_billed(session: requests.Session) -> None:
    url = "http://127.0.0.1:9/v1/chat/completions"
    with capture_events(hosts={"127.0.0.1:9": "openai"}) as events:
        kind, _ = _failure(lambda: session.post(url, json=asked()))
    assert kind is requests.ConnectionError
    assert [(e["status"], e["error_type"], e["billed"]) for e in events] == [
        ("error", "connect", "no")
    ]


@pytest.mark.parametrize("preload", [True, False])
def test_retries_of_urllib3_are_attempts_of_one_call(
    provider: Provider, pool: urllib3.PoolManager, events: list[dict[str, Any]], preload: bool
) -> None:
    provider.first = [BUSY, BUSY]
    with outlay.context(tenant="acme"):
        response = pool.request(
            "POST", provider.url, json=asked(), retries=AGAIN, preload_content=preload
        )
        assert response.json() == CHAT
    assert [e.get("attempt", 0) for e in events] == [0, 1, 2]
    assert [(e["status"], e["http_status"]) for e in events] == [
        ("error", 503), ("error", 503), ("ok", 200)
    ]  # fmt: skip
    assert len({e["call_id"] for e in events}) == 1
    assert len({e["event_id"] for e in events}) == 3


def test_retries_of_a_requests_adapter_are_attempts_of_one_call(
    provider: Provider, session: requests.Session, events: list[dict[str, Any]]
) -> None:
    session.mount("http://", HTTPAdapter(max_retries=AGAIN))
    provider.first = [BUSY]
    assert session.post(provider.url, json=asked()).json() == CHAT
    assert [e.get("attempt", 0) for e in events] == [0, 1]
    assert len({e["call_id"] for e in events}) == 1


@pytest.mark.parametrize("follow", [True, False])
def test_a_redirect_is_no_attempt(
    provider: Provider, session: requests.Session, events: list[dict[str, Any]], follow: bool
) -> None:
    provider.first = [(307, {"location": provider.url}, b"")]
    response = session.post(provider.url, json=asked(), allow_redirects=follow)
    assert response.status_code == (200 if follow else 307)
    assert len(events) == (1 if follow else 0)


def test_a_call_to_nobody_known_passes_untouched(
    provider: Provider, session: requests.Session
) -> None:
    with (
        capture_events() as events,
        session.post(provider.url, json=asked(), stream=True) as response,
    ):
        assert type(response.raw) is urllib3.HTTPResponse
    assert events == []


def test_a_known_free_endpoint_makes_no_event(
    provider: Provider, session: requests.Session, events: list[dict[str, Any]]
) -> None:
    assert session.get(provider.url.replace("chat/completions", "models")).json() == CHAT
    assert events == []


def test_a_proxy_that_is_told_the_whole_address_is_no_provider(provider: Provider) -> None:
    with (
        urllib3.ProxyManager(provider.server.url) as pool,
        capture_events(hosts={"llm.internal": "openai"}) as events,
    ):
        pool.request("POST", "http://llm.internal/v1/chat/completions", json=asked())
    assert [e["surface"] for e in events] == ["openai.chat"]


@pytest.mark.parametrize("kind", ["generator", "file"])
def test_an_upload_is_metered_without_being_read(
    provider: Provider, session: requests.Session, events: list[dict[str, Any]], kind: str
) -> None:
    raw = json.dumps(asked()).encode()
    upload = io.BytesIO(raw) if kind == "file" else iter([raw])
    headers = {"content-length": str(len(raw))}
    session.post(provider.url, data=upload, headers=headers if kind == "file" else None)
    assert [(e.get("model_requested"), e["model_served"]) for e in events] == [
        (None, CHAT["model"])
    ]


def test_a_client_on_top_of_requests_counts_once(
    provider: Provider, session: requests.Session, events: list[dict[str, Any]]
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        inner = session.post(str(request.url), data=request.content)
        return httpx.Response(inner.status_code, content=inner.content)

    with httpx.Client(transport=httpx.MockTransport(handle)) as client:
        client.post(provider.url, json=asked())
    assert len(events) == 1


@pytest.mark.parametrize("where", ["begin", "take", "rest", "finish"])
def test_an_error_of_outlay_never_reaches_the_caller(
    provider: Provider,
    session: requests.Session,
    events: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    def broken(*_args: Any, **_more: Any) -> Any:
        raise ZeroDivisionError

    if where == "begin":
        monkeypatch.setattr(tap, "begin", broken)
    elif where == "finish":
        monkeypatch.setattr(attempts.Attempt, "_finish", broken)
    else:
        monkeypatch.setattr("outlay.wire.reader.BodyReader.feed", broken)
        monkeypatch.setattr("outlay.wire.encoding.Decoder.flush", broken)
    assert session.post(provider.url, json=asked()).json() == CHAT
    assert sum(guard.counts().values()) >= 1


def test_without_a_runtime_nothing_is_metered(
    provider: Provider, session: requests.Session, events: list[dict[str, Any]]
) -> None:
    activate(None)
    assert session.post(provider.url, json=asked()).json() == CHAT
    assert events == []


def test_the_tap_goes_on_once_and_leaves_no_trace() -> None:
    own = urllib3.HTTPConnectionPool._make_request
    signature = inspect.signature(own)
    with capture_events():
        tapped: Any = urllib3.HTTPConnectionPool._make_request
        assert tapped is not own
        assert inspect.signature(tapped) == signature
        tap.install(urllib3)
        assert urllib3.HTTPConnectionPool._make_request is tapped
        assert urllib3.HTTPSConnectionPool._make_request is tapped
    tap.remove(urllib3)
    tap.remove(urllib3)
    assert urllib3.HTTPConnectionPool._make_request is own


def test_an_old_urllib3_is_left_alone_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    own = urllib3.HTTPConnectionPool._make_request
    monkeypatch.setattr(urllib3, "__version__", "1.26.20")
    monkeypatch.delattr(urllib3.HTTPResponse, "read1")
    monkeypatch.delattr(urllib3.BaseHTTPResponse, "read1")
    tap.install(urllib3)
    assert urllib3.HTTPConnectionPool._make_request is own
    assert "urllib3 1.26.20 is too old" in caplog.text
