"""A socket's conversation becomes events: whose they are, how long they took, and when it ends."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import outlay
from outlay.capture import forks, session
from outlay.capture.runtime import active
from outlay.capture.scope import Scope
from outlay.capture.session import MAX_SESSIONS, Follower
from outlay.capture.testing import capture_events
from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.wire import openai_realtime
from tests.guest.bodies import SECRET
from tests.guest.speakers import CREATED, DELTA, DONE, SESSION, done

URL = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
ASK = json.dumps({"type": "response.create"})


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    with capture_events(tenant="default") as made:
        yield made


def follow(url: str = URL) -> Follower:
    runtime = active()
    assert runtime is not None
    follower = Follower.begin(runtime, url)
    assert follower is not None
    return follower


def hear(follower: Follower, *messages: dict[str, Any]) -> None:
    for message in messages:
        follower.received(json.dumps(message))


def test_each_response_is_one_event_with_its_times(events: list[dict[str, Any]]) -> None:
    follower = follow()
    hear(follower, SESSION, CREATED, DELTA, DONE, CREATED, DONE)
    first, second = events
    assert (first["input"], first["output"]) == (12, 7)
    assert first["other_units"] == {"output_audio": 30}
    assert (first["operation"], first["surface"]) == ("realtime", "openai.realtime")
    assert first["model_served"] == "gpt-realtime-2026"
    assert first["call_id"] == first["event_id"] != second["event_id"]
    assert first["started_at"] <= first["ended_at"] <= second["ended_at"]
    assert 0 <= first["ttft_ms"] <= first["latency_ms"]
    assert "ttft_ms" not in second
    follower.end()
    assert len(events) == 2


def test_content_is_in_no_event(events: list[dict[str, Any]]) -> None:
    follower = follow()
    follower.sent(json.dumps({"type": "response.create", "response": {"instructions": SECRET}}))
    hear(follower, CREATED, {**DELTA, "delta": SECRET}, done(output=[{"transcript": SECRET}]))
    hear(follower, CREATED)
    follower.end(ValueError(SECRET))
    assert len(events) == 2
    assert SECRET not in json.dumps(events)


# -- whose it is ---------------------------------------------------------------------------------


def test_a_response_belongs_to_the_scope_that_asked_for_it(events: list[dict[str, Any]]) -> None:
    with outlay.context(tenant="opener"):
        follower = follow()
    with outlay.context(tenant="asker"):
        follower.sent(ASK)
    with outlay.context(tenant="listener"):
        hear(follower, CREATED, DONE)
    assert [e["tenant_id"] for e in events] == ["asker"]


def test_else_to_the_scope_in_which_it_came(events: list[dict[str, Any]]) -> None:
    with outlay.context(tenant="opener"):
        follower = follow()
    with outlay.context(tenant="listener"):
        hear(follower, CREATED, DONE)
    assert [e["tenant_id"] for e in events] == ["listener"]


def test_else_to_the_scope_in_which_the_socket_was_opened(events: list[dict[str, Any]]) -> None:
    with outlay.context(tenant="opener"):
        follower = follow()
    follower.sent(ASK)
    hear(follower, CREATED, DONE, CREATED)
    follower.end()
    assert [e["tenant_id"] for e in events] == ["opener", "opener"]


def test_tenants_that_share_a_socket_pay_each_their_own(events: list[dict[str, Any]]) -> None:
    follower = follow()
    for tenant in ("a", "b"):
        with outlay.context(tenant=tenant):
            follower.sent(ASK)
    for name in ("r1", "r2"):
        hear(follower, {"type": "response.created", "response": {"id": name}})
    hear(follower, done("r2"), done("r1"))
    assert [(e["response_id"], e["tenant_id"]) for e in events] == [("r2", "b"), ("r1", "a")]


def test_a_scope_that_is_handed_in_pays_for_all_of_it(events: list[dict[str, Any]]) -> None:
    runtime = active()
    assert runtime is not None
    payer = Scope({"tenant_id": "payer", "tenant_source": "key"}, {})
    with outlay.context(tenant="opener"):
        follower = Follower.begin(runtime, URL, payer)
    assert follower is not None
    with outlay.context(tenant="asker"):
        follower.sent(ASK)
        hear(follower, CREATED, DONE)
    assert [(e["tenant_id"], e["tenant_source"]) for e in events] == [("payer", "key")]


def test_a_follower_tells_where_it_goes_and_whether_work_is_under_way() -> None:
    with capture_events():
        follower = follow()
        assert follower.endpoint.surface == "openai.realtime"
        seen = [follower.under_way]
        hear(follower, CREATED)
        seen.append(follower.under_way)
        follower.end()
        assert [*seen, follower.under_way] == [False, True, False]


def test_totals_count_the_session(events: list[dict[str, Any]]) -> None:
    with outlay.context(tenant="a"), outlay.agent("voice"):
        hear(follow(), CREATED, DONE)
        current = outlay.current()
    assert (current.agent.calls, current.agent.tokens) == (1, 49)
    assert events[0]["agent_path"] == "voice"


def test_a_session_is_spent_once_of_the_budgets_around_it() -> None:
    with capture_events() as events:
        runtime = active()
        assert runtime is not None
        runtime.rates.book = PriceBook(
            (ModelRow("openai", "gpt-realtime", '{"starts_with":"gpt-realtime"}'),),
            tuple(
                RateRow.make("openai", "gpt-realtime", unit, 1_000_000_000)
                for unit in ("input", "output", "output_audio")
            ),
        )
        with outlay.agent("voice", budget="1") as run:
            hear(follow(), CREATED, DONE)
            assert run.budget is not None
            assert run.budget.spent_nanos == run.cost_nanos == 49_000
    assert len(events) == 1


# -- its end -------------------------------------------------------------------------------------


def test_a_response_under_way_at_the_end_is_aborted(events: list[dict[str, Any]]) -> None:
    follower = follow()
    hear(follower, CREATED, DELTA)
    follower.end(ConnectionResetError())
    follower.end()
    (event,) = events
    assert (event["status"], event["billed"]) == ("aborted", "possible")
    assert event["error_type"] == "ConnectionResetError"
    assert (event["usage_source"], event["input"]) == ("estimated", 1)


def test_a_socket_that_is_dropped_is_ended_when_it_is_collected(
    events: list[dict[str, Any]],
) -> None:
    follower = follow()
    hear(follower, CREATED)
    del follower
    gc.collect()
    assert [e["status"] for e in events] == ["aborted"]


def test_sockets_that_are_open_at_exit_are_ended(events: list[dict[str, Any]]) -> None:
    followers = [follow(), follow()]
    for follower in followers:
        hear(follower, CREATED)
    session._end_all()
    assert [e["status"] for e in events] == ["aborted", "aborted"]


def test_a_forked_child_leaves_the_socket_to_its_parent(events: list[dict[str, Any]]) -> None:
    follower = follow()
    hear(follower, CREATED)
    forks.before()
    forks.after_in_parent()
    hear(follower, DONE)
    assert len(events) == 1
    hear(follower, CREATED)
    follower.forget()
    follower.end()
    assert len(events) == 1


def test_a_session_that_several_listen_to_is_one_event(events: list[dict[str, Any]]) -> None:
    closed = {
        "type": "session.closed",
        "reason": "close_requested",
        "session": {"id": "sess_1", "model": "gpt-live-1"},
        "usage": {"seconds": 7},
    }
    for path in ("sessions", "sessions/sess_1/attach"):
        follower = follow(f"wss://api.openai.com/v1/live/{path}")
        hear(follower, closed)
        follower.end()
    assert [e["other_units"] for e in events] == [{"audio_seconds": 7}]


# -- bounds and faults ---------------------------------------------------------------------------


def test_one_more_socket_than_the_bound_is_not_followed_and_counted() -> None:
    assert MAX_SESSIONS == 1024
    with capture_events():
        runtime = active()
        assert runtime is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "MAX_SESSIONS", 2)
            followers = [Follower.begin(runtime, URL) for _ in range(3)]
            assert [f is not None for f in followers] == [True, True, False]
            assert outlay.stats()["dropped"] == {"too_many_sessions": 1}
            assert followers[0] is not None
            followers[0].end()
            followers.append(Follower.begin(runtime, URL))
            assert followers[-1] is not None


@pytest.mark.parametrize("where", ["__init__", "sent", "received", "finish"])
def test_an_error_inside_a_codec_never_reaches_the_caller(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(openai_realtime.RealtimeSession, where, broken)
    with capture_events():
        runtime = active()
        assert runtime is not None
        follower = Follower.begin(runtime, URL)
        if follower is not None:
            follower.sent(ASK)
            hear(follower, CREATED)
            follower.end()
        assert sum(outlay.stats()["errors"].values()) >= 1


def test_threads_may_send_and_receive_at_once(events: list[dict[str, Any]]) -> None:
    follower = follow()

    def work(tenant: str) -> None:
        with outlay.context(tenant=tenant):
            for number in range(50):
                name = f"{tenant}-{number}"
                follower.sent(ASK)
                hear(follower, {"type": "response.created", "response": {"id": name}}, done(name))

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({e["response_id"] for e in events}) == 200
    assert {e["status"] for e in events} == {"ok"}
