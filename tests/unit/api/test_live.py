"""The live stream: one poller for all, ticks when something moved, and an end when the server ends.

Through the server's own listener, as a browser reads it.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from outlay.api import live
from outlay.api.services import Services
from outlay.core.limits.limit import Limit
from outlay.errors import UnavailableError
from outlay.store.limits import LimitChange
from tests.unit.api.served import Served
from tests.unit.api.site import NOW, Site

WAIT_S = 10.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.02)


@contextmanager
def stream(served: Served, key: str) -> Iterator[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=WAIT_S)
    try:
        connection.request("GET", "/v1/live", headers={"Authorization": f"Bearer {key}"})
        yield connection.getresponse()
    finally:
        connection.close()


def block(answer: Any) -> str:
    """Return what comes up to the next empty line; nothing at the end."""
    lines = []
    while line := answer.readline():
        if line == b"\n":
            break
        lines.append(line.decode())
    return "".join(lines)


def tick(answer: Any) -> dict[str, int]:
    event, data = block(answer).splitlines()
    assert event == "event: tick"
    said: dict[str, int] = json.loads(data.removeprefix("data: "))
    return said


def wait_for(condition: Any) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_tick_comes_at_once_and_whenever_something_moved(site: Site) -> None:
    with Served(site) as served, stream(served, site.admin) as answer:
        assert answer.status == 200
        assert answer.getheader("content-type").startswith("text/event-stream")
        assert answer.getheader("cache-control") == "no-store"
        assert block(answer) == "retry: 2000\n"
        limits, prices = site.books.revision("limits"), site.books.revision("prices")
        assert tick(answer) == {"now": NOW, "offset": 0, "limits": limits, "prices": prices}
        site.olap.stored_offset = 7
        assert tick(answer)["offset"] == 7
        limit = Limit("l", "cost", "day", 5)
        site.books.change_limits(LimitChange(limits=(limit,)), reason="r", actor="a", at=1)
        assert tick(answer)["limits"] == limits + 1


def test_nothing_moving_is_a_comment_now_and_then(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.1)
    with Served(site) as served, stream(served, site.admin) as answer:
        block(answer)
        tick(answer)
        assert block(answer) == ": \n"
        site.olap.stored_offset = 1
        while (said := block(answer)) == ": \n":
            pass
        assert said.startswith("event: tick")


def test_who_is_bound_to_a_tenant_learns_the_time_only(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "TENANT_S", 0.1)
    with Served(site) as served, stream(served, site.acme) as answer:
        block(answer)
        assert tick(answer) == {"now": NOW}
        began = time.monotonic()
        site.olap.stored_offset = 9
        assert tick(answer) == {"now": NOW}
        assert time.monotonic() - began > 0.05, "a tick does not come because something moved"


def test_many_listeners_have_one_poller_that_ends_with_the_last(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    look = live._look

    def looking(services: Services) -> dict[str, int]:
        asked.append(time.monotonic())
        return look(services)

    monkeypatch.setattr(live, "_look", looking)
    monkeypatch.setattr(live, "POLL_S", 0.1)
    watch = site.app.state.live_watch
    with Served(site) as served:
        with stream(served, site.admin) as one, stream(served, site.admin) as two:
            for answer in (one, two):
                block(answer)
                tick(answer)
            assert watch.listeners == 2
            before = len(asked)
            time.sleep(0.35)
            assert len(asked) - before <= 5
        wait_for(lambda: watch.listeners == 0)
        before = len(asked)
        time.sleep(0.25)
        assert len(asked) <= before + 1


def test_there_is_room_for_so_many_and_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_LISTENERS", 1)
    watch = site.app.state.live_watch
    with Served(site) as served:
        with stream(served, site.admin) as first:
            block(first)
            with stream(served, site.admin) as second:
                assert second.status == 503
                assert second.getheader("retry-after") == "1"
                assert json.loads(second.read())["error"]["code"] == "unavailable"
        wait_for(lambda: watch.listeners == 0)
        with stream(served, site.admin) as again:
            assert again.status == 200


@pytest.mark.parametrize("bound", [False, True])
def test_streams_end_at_once_when_the_server_ends(site: Site, *, bound: bool) -> None:
    with Served(site) as served, stream(served, site.acme if bound else site.admin) as answer:
        block(answer)
        tick(answer)
        assert served.end() < 3.0
        assert answer.read() == b""


def test_a_stream_ends_after_its_time_so_that_its_key_is_asked_for_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LISTEN_S", 0.2)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.1)
    with Served(site) as served, stream(served, site.admin) as answer:
        began = time.monotonic()
        answer.read()
        assert time.monotonic() - began < WAIT_S / 2


def test_who_reads_nothing_misses_ticks_and_gets_the_last(site: Site) -> None:
    with Served(site) as served, stream(served, site.admin) as answer:
        block(answer)
        tick(answer)
        for offset in range(1, 400):
            site.olap.stored_offset = offset
            time.sleep(0.002)
        seen = [tick(answer)["offset"]]
        while seen[-1] < 399:
            seen.append(tick(answer)["offset"])
        assert len(seen) < 200
        assert seen == sorted(seen)


def test_a_store_that_fails_for_a_while_stops_no_stream(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = site.olap.offset
    with Served(site) as served, stream(served, site.admin) as answer:
        block(answer)
        tick(answer)

        def fails() -> int:
            raise UnavailableError("closed")

        monkeypatch.setattr(site.olap, "offset", fails)
        time.sleep(0.1)
        site.olap.stored_offset = 3
        monkeypatch.setattr(site.olap, "offset", offset)
        assert tick(answer)["offset"] == 3


def test_one_caller_does_not_take_the_places_of_the_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_LISTENERS_EACH", 1)
    watch = site.app.state.live_watch
    with Served(site) as served:
        with stream(served, site.acme) as first, stream(served, site.admin) as other:
            assert (first.status, other.status) == (200, 200)
            # Another key of the same tenant is the same tenant.
            with stream(served, site.key("read", tenant="acme")) as second:
                assert second.status == 503
        wait_for(lambda: watch.listeners == 0)
        with stream(served, site.acme) as again:
            assert again.status == 200
