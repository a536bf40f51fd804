"""Clients that hang up, and configurations that change, at each stage of a call."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.gateway.house import House, chat, cost
from tests.gateway.raw import head_of, open_to

PATH = "/openai/v1/chat/completions"


def leave(url: str, sent: bytes, after_s: float) -> None:
    """Send bytes and hang up a while later, whatever comes."""
    with open_to(url) as connection:
        connection.sendall(sent)
        time.sleep(after_s)


def posted(secret: str, body: Any, path: str = PATH, **do: Any) -> bytes:
    """Return a whole request."""
    told = json.dumps(body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(told))}
    return head_of("POST", path, secret, x_do=json.dumps(do), **headers) + told


def idle(house: House) -> bool:
    """Tell whether no call is under way, and no upstream's place is taken."""
    lanes = house.gateway.lanes
    running = sum(lane.turnstile.stats().running for lane in lanes.values())
    return house.gateway.metrics.in_flight == 0 and lanes.calls == 0 and running == 0


def test_who_leaves_while_a_target_fails_is_not_sent_on_to_the_next(house: House) -> None:
    tenant = house.tenant()
    secret, seen = house.key(tenant), len(house.provider.seen)
    leave(house.url, posted(secret, chat("careful"), delay=0.5, status=500), 0.2)
    [event] = house.events(tenant, 1)
    assert (event["status"], event["http_status"]) == ("error", 500)
    house.until(lambda: idle(house))
    assert len(house.provider.seen) == seen + 1


def test_who_leaves_before_there_is_a_connection_costs_nothing(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    house.limit(tenant, cost(1000))
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        upstream = {**house.document["upstreams"]["openai"], "url": f"http://127.0.0.1:{port}"}
        with house.serving({"upstreams": {"busy": upstream}}):
            leave(house.url, posted(secret, chat(max_tokens=9), "/busy/v1/chat/completions"), 0.3)
            house.until(lambda: idle(house), 2.0)
        for one in waiting:
            one.close()
    house.events(tenant, 0)
    house.until(lambda: house.stand(tenant) == (0, 0))


def test_who_leaves_in_the_middle_of_an_upload_has_aborted_it(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    head = head_of(
        "POST", "/openai/v1/audio/transcriptions", secret, content_length="5000000",
        content_type="multipart/form-data; boundary=x",
    )  # fmt: skip
    field = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nown-1\r\n'
    leave(house.url, head + field + b"x" * 1_000_000, 0.3)
    [event] = house.events(tenant, 1)
    assert (event["status"], event["error_type"]) == ("aborted", "cancelled")
    house.until(lambda: idle(house))


def test_who_leaves_in_the_queue_frees_his_place_and_costs_nothing(house: House) -> None:
    tenant, other = house.tenant(), house.tenant()
    path, secret, mine = "/narrow/v1/chat/completions", house.key(tenant), house.key(other)
    with ThreadPoolExecutor(1) as pool, house.client(mine) as client:
        slow = {"x-do": json.dumps({"delay": 0.8})}
        first = pool.submit(client.post, path, json=chat(), headers=slow)
        house.until(lambda: house.gateway.lane("narrow").turnstile.stats().running)
        leave(house.url, posted(secret, chat(), path), 0.2)
        assert first.result().status_code == 200
    house.until(lambda: idle(house))
    house.events(tenant, 0)


def test_a_configuration_that_changes_fails_no_call_that_waits(house: House) -> None:
    tenant = house.tenant()
    path, secret = "/narrow/v1/chat/completions", house.key(tenant)
    changed = {**house.document["upstreams"]["narrow"], "timeouts": {"idle_s": 77}}
    with ThreadPoolExecutor(2) as pool, house.client(secret) as client:
        slow = {"x-do": json.dumps({"delay": 0.8})}
        calls = [pool.submit(client.post, path, json=chat(), headers=slow) for _ in range(2)]
        house.until(lambda: house.gateway.lane("narrow").turnstile.stats().waiting)
        old = house.gateway.lane("narrow")
        with house.serving({"upstreams": {"narrow": changed}}):
            assert house.gateway.lane("narrow") is not old
            assert client.post(path, json=chat()).status_code == 200
            assert [call.result().status_code for call in calls] == [200, 200]
            # What nobody uses any more is closed.
            house.until(lambda: old.client._closed)
    house.events(tenant, 3)
    house.until(lambda: idle(house))


def test_an_upstream_that_goes_while_a_call_waits_for_it_still_serves_that(house: House) -> None:
    path, secret = "/narrow/v1/chat/completions", house.key(house.tenant())
    upstreams = {k: v for k, v in house.document["upstreams"].items() if k != "narrow"}
    before = house.document
    with ThreadPoolExecutor(2) as pool, house.client(secret) as client:
        slow = {"x-do": json.dumps({"delay": 0.6})}
        calls = [pool.submit(client.post, path, json=chat(), headers=slow) for _ in range(2)]
        house.until(lambda: house.gateway.lane("narrow").turnstile.stats().waiting)
        house.reload({**before, "upstreams": upstreams})
        try:
            assert client.post(path, json=chat()).status_code == 404
            assert [call.result().status_code for call in calls] == [200, 200]
        finally:
            house.reload(before)


def test_the_end_waits_for_calls_and_leaves_no_event_behind(tmp_path: Any) -> None:
    with House(tmp_path) as house:
        tenant = house.tenant()
        secret = house.key(tenant)
        house.limit(tenant, cost(1000))
        answers: list[httpx.Response] = []

        def call() -> None:
            slow = {"x-do": json.dumps({"gap": 0.1})}
            with house.client(secret) as client:
                answers.append(
                    client.post(PATH, json=chat(out=10, max_tokens=10, stream=True), headers=slow)
                )

        running = threading.Thread(target=call)
        running.start()
        house.until(lambda: house.gateway.metrics.in_flight)
        time.sleep(0.2)
        began = time.monotonic()
        house.admin.close()
        house.server.stop()
        took = time.monotonic() - began
        running.join()
        assert answers[0].text.endswith("data: [DONE]\n\n")
        spool = house.gateway.runtime.spool
        assert spool is not None
        assert spool.pending == 0
        assert took < 6
