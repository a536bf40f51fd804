"""The shipper: events leave the spool only when acknowledged, whatever the server answers."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import outlay
from outlay.capture import ship
from outlay.capture.runtime import active
from tests.guest.conftest import Collector

Start = Callable[..., None]


@pytest.fixture
def start(collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    monkeypatch.setattr(ship, "BACKOFF_S", (0.01, 0.05))
    monkeypatch.setattr(ship, "IDLE_S", 0.05)

    def init(**settings: Any) -> None:
        given = {"spool_dir": str(tmp_path / "spool"), "ship_interval_s": 0.01, **settings}
        outlay.init(collector.url, "ok_test", strict=True, **given)

    return init


def send(count: int = 1) -> list[str]:
    return [outlay.record("tool", name=f"t{n}", units={"requests": 1}) for n in range(count)]


def settled(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_events_arrive_in_order_with_the_key(start: Start, collector: Collector) -> None:
    start()
    ids = send(20)
    assert outlay.flush(5)
    assert collector.ids == ids
    posts = [r for r in collector.loopback.requests if r[0] == "POST"]
    headers = posts[0][2]
    assert headers["authorization"] == "Bearer ok_test"
    assert headers["content-type"] == "application/x-ndjson"
    assert headers["content-encoding"] == "gzip"


def test_events_arrive_without_a_flush(start: Start, collector: Collector) -> None:
    start()
    send()
    assert settled(lambda: len(collector.events) == 1)
    send()
    assert settled(lambda: len(collector.events) == 2)


def test_stats_count_every_step(start: Start, collector: Collector) -> None:
    start()
    send(7)
    assert outlay.flush(5)
    stats = outlay.stats()
    counted = {k: stats[k] for k in ("captured", "spooled", "shipped", "acknowledged", "pending")}
    assert counted == {
        "captured": 7, "spooled": 7, "shipped": 7, "acknowledged": 7, "pending": 0,
    }  # fmt: skip
    assert (stats["dropped"], stats["rejected"], stats["shipping"]) == ({}, 0, "on")


def test_batches_are_bounded_in_events(start: Start, collector: Collector) -> None:
    start(ship_batch_events=10)
    collector.answers = [(503, {}, b"")]
    send(35)
    assert settled(lambda: outlay.flush(5))
    assert max(collector.batches) <= 10
    assert sum(collector.batches) == 35


@pytest.mark.parametrize(
    "answer",
    [(503, {}, b""), (500, {}, b"oops"), (429, {"retry-after": "0"}, b""), (507, {}, b"")],
    ids=lambda a: str(a[0]),
)
def test_a_failing_server_gets_the_events_again(
    start: Start, collector: Collector, answer: Any
) -> None:
    collector.answers = [answer, answer]
    start()
    ids = send(3)
    assert settled(lambda: len(collector.events) >= 3)
    assert collector.ids == ids
    assert settled(lambda: outlay.stats()["pending"] == 0)


def test_retry_after_is_honoured(start: Start, collector: Collector) -> None:
    collector.answers = [(429, {"retry-after": "0.3"}, b"")]
    start()
    began = time.monotonic()
    send()
    assert settled(lambda: outlay.stats()["acknowledged"] == 1)
    assert 0.3 <= time.monotonic() - began < 5


def test_an_answer_that_is_no_acknowledgement_keeps_the_events(
    start: Start, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship, "REFUSED_S", 0.05)
    collector.answers = [(200, {}, b"<html>welcome to the hotel</html>")]
    start()
    ids = send(2)
    assert settled(lambda: collector.ids == ids)


def test_a_wrong_key_is_said_once_and_events_are_kept(
    start: Start, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.answers = [(401, {}, b"{}")] * 3
    start()
    send(2)
    for _ in range(3):
        assert outlay.flush(5) is False
    assert outlay.stats()["pending"] == 2
    assert caplog.text.count("HTTP 401") == 1
    assert "ok_test" not in caplog.text
    assert outlay.flush(5)


def test_a_rejected_item_is_counted_dropped_and_said_once_per_code(
    start: Start, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    def judge(lines: list[bytes]) -> Any:
        rejected = [{"index": n, "code": "bad_value", "message": "secret"} for n in range(2)]
        body = {"accepted": len(lines) - 2, "rejected": rejected}
        return 200, {}, json.dumps(body).encode()

    collector.judge = judge
    start()
    collector.answers = [(503, {}, b"")]
    send(5)
    assert settled(lambda: outlay.flush(5))
    stats = outlay.stats()
    assert stats["rejected_by_code"] == {"bad_value": stats["rejected"]}
    assert stats["acknowledged"] + stats["rejected"] == 5
    assert caplog.text.count("bad_value") == 1
    assert "secret" not in caplog.text


def test_a_poison_event_is_found_by_halving_and_the_rest_arrives(
    start: Start, collector: Collector
) -> None:
    def judge(lines: list[bytes]) -> Any:
        if any(b'"poison"' in line for line in lines):
            return 400, {}, b"{}"
        return None

    collector.judge = judge
    start()
    collector.answers = [(503, {}, b"")]
    good = send(10)
    outlay.record("tool", name="poison")
    good += send(10)
    assert settled(lambda: outlay.flush(5))
    assert sorted(collector.ids) == sorted(good)
    assert outlay.stats()["dropped"] == {"refused": 1}


def test_a_batch_too_large_is_halved(start: Start, collector: Collector) -> None:
    collector.judge = lambda lines: (413, {}, b"{}") if len(lines) > 3 else None
    start()
    collector.answers = [(503, {}, b"")]
    ids = send(20)
    assert settled(lambda: outlay.flush(5))
    assert sorted(collector.ids) == sorted(ids)
    assert outlay.stats()["dropped"] == {}


def test_spools_of_dead_processes_are_sent_too(
    start: Start, collector: Collector, tmp_path: Path
) -> None:
    from outlay.capture.spool import Spool

    folder = tmp_path / "spool"
    dead = [Spool(folder, 1024 * 1024) for _ in range(3)]
    for number, spool in enumerate(dead):
        spool.put(json.dumps({"event_id": f"dead-{number}"}))
    for spool in dead:
        spool.close()
    start()
    mine = send()
    assert settled(lambda: len(collector.events) == 4)
    assert set(collector.ids) == {"dead-0", "dead-1", "dead-2", *mine}
    assert outlay.shutdown(5)
    assert list(folder.glob("spool-*")) == []


def test_without_an_endpoint_events_stay_and_stats_say_so(tmp_path: Path) -> None:
    outlay.init(spool_dir=str(tmp_path))
    send(3)
    stats = outlay.stats()
    assert stats["pending"] == 3
    assert stats["shipping"].startswith("off: no endpoint")
    assert outlay.flush(0.1) is False


def test_a_dead_server_makes_exit_quick_and_keeps_the_events(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outlay.init(f"http://127.0.0.1:{port}", spool_dir=str(tmp_path), flush_timeout_s=30)
    send(3)
    began = time.monotonic()
    assert outlay.shutdown() is False
    assert time.monotonic() - began < 5
    outlay.init(spool_dir=str(tmp_path))
    send()
    assert outlay.stats()["pending"] == 4


def test_shutdown_flushes_and_leaves_no_file(
    start: Start, collector: Collector, tmp_path: Path
) -> None:
    start()
    ids = send(3)
    assert outlay.shutdown(5)
    assert collector.ids == ids
    assert [p.name for p in (tmp_path / "spool").iterdir() if p.suffix != ".json"] == []


def test_a_bad_endpoint_is_said_and_events_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "outlay"):
        outlay.init("ftp://somewhere", spool_dir=str(tmp_path))
    assert "http://" in caplog.text
    send()
    assert outlay.stats()["pending"] == 1


def test_the_shipper_starts_with_the_first_work(start: Start) -> None:
    start()
    runtime = active()
    assert runtime is not None
    assert runtime.shipper is not None
    assert not runtime.shipper.running
    send()
    assert runtime.shipper.running
