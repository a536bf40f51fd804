"""The tap on gRPC: xAI's own SDK is metered in every way it calls, and nobody else is touched."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest

import outlay
from outlay.capture import taps
from outlay.capture.runtime import activate
from outlay.capture.taps import grpc as tap
from outlay.capture.testing import capture_events
from tests.guest.bodies import SECRET
from tests.guest.xai_server import ASKED, COUNTS, PIECES, Served, chat, counted, settled, stub


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    with capture_events() as made:
        yield made


# -- the SDK, blocking -----------------------------------------------------------------------------


def test_a_call_is_one_event_and_returns_the_same_message(
    served: Served, events: list[dict[str, Any]]
) -> None:
    with served.client() as client:
        response = chat(client).sample()
    assert response.content == SECRET
    (event,) = events
    assert counted(event) == COUNTS
    assert event["provider_cost_nanos"] == 104_350
    assert (event["provider"], event["surface"]) == ("x-ai", "xai.grpc")
    assert (event["model_requested"], event["model_served"]) == ("grok-4-fast", "grok-4.3")
    assert (event["status"], event["finish_reason"]) == ("ok", "stop")
    assert event["response_id"] == "r_1"
    assert event["latency_ms"] > 0
    assert "streamed" not in event


def test_a_stream_is_one_event_with_the_last_counts(
    served: Served, events: list[dict[str, Any]]
) -> None:
    with served.client() as client:
        pieces = [chunk.content for _, chunk in chat(client).stream()]
    assert pieces == [SECRET] * PIECES
    (event,) = settled(events)
    assert counted(event) == COUNTS
    assert (event["status"], event["streamed"]) == ("ok", True)
    assert 0 < event["ttft_ms"] <= event["latency_ms"]


def test_a_stream_read_slowly_keeps_its_last_counts(
    served: Served, events: list[dict[str, Any]]
) -> None:
    with served.client() as client:
        for _ in chat(client).stream():
            time.sleep(0.02)
    assert [counted(e) for e in settled(events)] == [COUNTS]


def test_a_stream_that_is_left_keeps_what_it_was_told(
    served: Served, events: list[dict[str, Any]]
) -> None:
    served.chat.pause_s = 0.05
    with served.client() as client:
        stream = chat(client).stream()
        next(stream)
        next(stream)
        stream.close()
        gc.collect()
        (event,) = settled(events)
    assert served.chat.left.wait(5), "a stream that nobody reads is still cancelled"
    assert (event["status"], event["error_type"]) == ("aborted", "cancelled")
    assert event["output"] == 2
    assert event["findings"] == ["usage_not_final"]


@pytest.mark.parametrize(
    ("code", "status", "billed"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "error", "no"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "timeout", "possible"),
    ],
)
def test_an_error_is_an_event_and_reaches_the_caller(
    served: Served,
    events: list[dict[str, Any]],
    code: grpc.StatusCode,
    status: str,
    billed: str,
) -> None:
    served.chat.code = code
    with served.client() as client, pytest.raises(grpc.RpcError) as caught:
        chat(client).sample()
    assert caught.value.code() is code
    assert caught.value.details() == "no luck"
    (event,) = events
    assert (event["status"], event["error_type"]) == (status, code.name.lower())
    assert event.get("billed", "yes") == billed
    assert "no luck" not in json.dumps(events)


def test_a_stream_that_fails_in_the_middle_keeps_what_it_was_told(
    served: Served, events: list[dict[str, Any]]
) -> None:
    served.chat.code, served.chat.failing = grpc.StatusCode.INTERNAL, 3
    heard: list[str] = []
    with served.client() as client, pytest.raises(grpc.RpcError):
        heard.extend(chunk.content for _, chunk in chat(client).stream())
    assert len(heard) == 3
    (event,) = settled(events)
    assert (event["status"], event["error_type"], event["output"]) == ("error", "internal", 3)


def test_a_deferred_completion_is_charged_once_however_often_it_is_fetched(
    served: Served, events: list[dict[str, Any]]
) -> None:
    with served.client() as client:
        assert chat(client).defer().content == SECRET
        assert chat(client).defer().content == SECRET
    assert served.chat.polls > 2
    assert [counted(e) for e in events] == [COUNTS]


def test_free_methods_and_other_services_are_untouched(
    served: Served, events: list[dict[str, Any]]
) -> None:
    with served.client() as client:
        client.models.list_language_models()
    with grpc.insecure_channel(served.where) as channel:
        say = channel.unary_unary("/other.Echo/Say")
        assert type(say).__module__ == "grpc._channel"
        assert say(b"hello") == b"hello"
    assert events == []


def test_content_and_keys_are_in_no_event(served: Served, events: list[dict[str, Any]]) -> None:
    with served.client() as client:
        chat(client).sample()
        list(chat(client).stream())
    assert len(settled(events, 2)) == 2
    assert SECRET not in json.dumps(events)
    assert "xai-secret-key" not in json.dumps(events)


def test_calls_belong_to_the_scope_that_made_them(
    served: Served, events: list[dict[str, Any]]
) -> None:
    with served.client() as client:
        for tenant in ("a", "b"):
            with outlay.context(tenant=tenant):
                list(chat(client).stream())
    assert sorted(e["tenant_id"] for e in settled(events, 2)) == ["a", "b"]


# -- every way to call a method --------------------------------------------------------------------


def test_a_future_is_metered_and_stays_what_it_is(
    served: Served, events: list[dict[str, Any]]
) -> None:
    with grpc.insecure_channel(served.where) as channel:
        future = stub(channel).GetCompletion.future(ASKED)
        assert isinstance(future, grpc.Future)
        assert future.result().id == "r_1"
        assert [counted(e) for e in settled(events)] == [COUNTS]


def test_a_future_that_is_cancelled_is_aborted(
    served: Served, events: list[dict[str, Any]]
) -> None:
    served.chat.pause_s = 0.2
    with grpc.insecure_channel(served.where) as channel:
        future = stub(channel).GetCompletion.future(ASKED)
        assert future.cancel()
        (event,) = settled(events)
    assert (event["status"], event["billed"]) == ("aborted", "possible")


def test_with_call_gives_the_call_too(served: Served, events: list[dict[str, Any]]) -> None:
    with grpc.insecure_channel(served.where) as channel:
        message, call = stub(channel).GetCompletion.with_call(request=ASKED, timeout=5)
    assert message.id == "r_1"
    assert call.code() is grpc.StatusCode.OK
    assert [counted(e) for e in events] == [COUNTS]


def test_a_stream_stays_a_call(served: Served, events: list[dict[str, Any]]) -> None:
    with grpc.insecure_channel(served.where) as channel:
        stream = stub(channel).GetCompletionChunk(ASKED)
        assert isinstance(stream, grpc.Call)
        assert type(stream).__module__ == "grpc._channel"
        assert len(list(stream)) == PIECES
        assert stream.code() is grpc.StatusCode.OK
    assert [counted(e) for e in settled(events)] == [COUNTS]


def test_a_stream_without_a_thread_of_its_own_is_metered(
    served: Served, events: list[dict[str, Any]]
) -> None:
    options = [("SingleThreadedUnaryStream", 1)]
    with grpc.insecure_channel(served.where, options=options) as channel:
        assert len(list(stub(channel).GetCompletionChunk(ASKED))) == PIECES
    assert [counted(e) for e in settled(events)] == [COUNTS]


def test_a_callable_is_one_of_its_public_kind(served: Served) -> None:
    with capture_events(), grpc.insecure_channel(served.where) as channel:
        made = stub(channel)
        assert isinstance(made.GetCompletion, grpc.UnaryUnaryMultiCallable)
        assert isinstance(made.GetCompletionChunk, grpc.UnaryStreamMultiCallable)


def test_wrong_arguments_raise_what_they_raised_before(
    served: Served, events: list[dict[str, Any]]
) -> None:
    with grpc.insecure_channel(served.where) as channel:
        for ask in (stub(channel).GetCompletion, stub(channel).GetCompletionChunk):
            with pytest.raises(TypeError, match="request"):
                ask()
    assert [(e["error_type"], e["billed"]) for e in events] == [("TypeError", "no")] * 2


def test_replies_without_a_deserializer_pass_as_bytes(
    served: Served, events: list[dict[str, Any]]
) -> None:
    with grpc.insecure_channel(served.where) as channel:
        ask = channel.unary_unary(
            "/xai_api.Chat/GetCompletion", ASKED.__class__.SerializeToString, None
        )
        assert isinstance(ask(ASKED), bytes)
    assert "usage_missing" in events[0]["findings"]


def test_without_a_runtime_nothing_is_metered(served: Served, events: list[dict[str, Any]]) -> None:
    activate(None)
    with served.client() as client:
        assert chat(client).sample().content == SECRET
    assert events == []


# -- faults, and leaving ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["__init__", "take", "finish"])
def test_an_error_of_ours_never_reaches_the_caller(
    served: Served, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(f"outlay.wire.xai_grpc.XaiCall.{where}", broken)

    async def main(client: Any) -> str:
        async with client:
            return str((await chat(client).sample()).content)

    with capture_events():
        with served.client() as client:
            assert chat(client).sample().content == SECRET
            assert len(list(chat(client).stream())) == PIECES
        assert asyncio.run(_with_aio(served, main)) == SECRET
        assert sum(outlay.stats()["errors"].values()) >= 3


async def _with_aio(served: Served, run: Callable[[Any], Any]) -> Any:
    return await run(served.aio_client())


def test_signatures_stay_the_same_and_again_is_harmless() -> None:
    channels = [channel for channel, _ in tap._channels(grpc)]
    tap.remove(grpc)
    before = [inspect.signature(getattr(c, name)) for c in channels for name in tap._KINDS]
    with capture_events():
        after = [inspect.signature(getattr(c, name)) for c in channels for name in tap._KINDS]
        assert after == before
        tapped = channels[0].unary_unary
        taps.install()
        assert channels[0].unary_unary is tapped


def test_the_tap_leaves_no_trace_when_removed() -> None:
    channels = [channel for channel, _ in tap._channels(grpc)]
    tap.remove(grpc)
    own = [dict(channel.__dict__) for channel in channels]
    with capture_events():
        assert channels[0].unary_unary is not own[0]["unary_unary"]
    tap.remove(grpc)
    assert [dict(channel.__dict__) for channel in channels] == own
