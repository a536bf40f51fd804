"""Health, readiness and numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from outlay.api import health
from outlay.api.services import PartState
from outlay.errors import UnavailableError
from tests.unit.api.site import Site, event


def failing(*_: Any, **__: Any) -> Any:
    raise UnavailableError("it is closed")


class _Disk(NamedTuple):
    total: int
    used: int
    free: int


def break_log(site: Site, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(site.captured, "head", failing)


def break_books(site: Site, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(site.books, "revision", failing)


def stop_part(site: Site, patch: pytest.MonkeyPatch) -> None:
    site.parts[:] = [PartState("enrich", ok=False, error="stopped")]


def fall_behind(site: Site, patch: pytest.MonkeyPatch) -> None:
    site.parts[:] = [PartState("enrich", ok=True, lag_events=health.MAX_LAG_EVENTS + 1)]


def fill_disk(site: Site, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shutil, "disk_usage", lambda _: _Disk(10, 9, 1))


def forbid_writing(site: Site, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("os.access", lambda *_: False)


def test_a_whole_server_is_ready(site: Site) -> None:
    answer = site.client.get("/readyz")
    assert answer.status_code == 200
    assert set(answer.json()["parts"]) == {"log", "books", "disk", "enrich"}


@pytest.mark.parametrize(
    ("breaks", "part"),
    [
        (break_log, "log"),
        (forbid_writing, "log"),
        (break_books, "books"),
        (fill_disk, "disk"),
        (stop_part, "enrich"),
        (fall_behind, "enrich"),
    ],
)
def test_a_part_that_does_not_work_is_named(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    breaks: Callable[[Site, pytest.MonkeyPatch], None],
    part: str,
) -> None:
    breaks(site, monkeypatch)
    answer = site.client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
    broken = [name for name, state in answer.json()["parts"].items() if not state["ok"]]
    assert broken == [part]
    assert site.client.get("/healthz").json() == {"status": "ok"}


def test_the_numbers_follow_what_happened(site: Site) -> None:
    site.parts[:] = [
        PartState("enrich", ok=True, lag_events=4, counts={"unpriced": 2}),
        PartState("maintenance", ok=False),
    ]
    site.post_events([event(1), event(1), event(2), {"x": 1}])
    site.post_events(b"{")
    site.call("POST", "/v1/query", json={"metrics": ["cost"]})
    site.call("GET", "/v1/nothing")
    text = site.client.get("/metrics").text
    for line in (
        "outlay_events_accepted_total 3.0",
        "outlay_events_duplicate_total 1.0",
        'outlay_events_rejected_total{code="unknown_field"} 1.0',
        'outlay_batches_refused_total{code="bad_request"} 1.0',
        "outlay_ingest_seconds_count 1.0",
        "outlay_query_seconds_count 1.0",
        'outlay_log_head{log="captured"} 1.0',
        'outlay_consumer_lag{part="enrich"} 4.0',
        'outlay_part_up{part="enrich"} 1.0',
        'outlay_part_up{part="maintenance"} 0.0',
        'outlay_part_events_total{kind="unpriced",part="enrich"} 2.0',
        'outlay_http_requests_total{route="/v1/events",status="200"} 1.0',
        'outlay_http_requests_total{route="unmatched",status="404"} 1.0',
    ):
        assert line in text, line


def test_two_servers_in_one_process_count_apart(site: Site) -> None:
    from outlay.api.metrics import Metrics

    site.post_events([event(1)])
    assert b"outlay_events_accepted_total 0.0" in Metrics().text()
