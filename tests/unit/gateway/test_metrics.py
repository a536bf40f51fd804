"""A gateway's numbers and its access log: what is shown, what never is, and what it costs."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from outlay.gateway import counting
from outlay.gateway.access_log import AccessLog
from outlay.gateway.config import CAUSES
from outlay.gateway.counting import KINDS, OUTCOMES, Times
from outlay.gateway.metrics import GatewayMetrics, access

PREFIX = "outlay_gateway_"
CALL: dict[str, Any] = {
    "upstream": "openai", "surface": "openai.chat", "status": 200, "attempts": 1, "ms": 1.23456,
    "added_ms": 0.98765, "key": "vk_1", "tenant": "acme", "bytes_in": 10, "bytes_out": 20,
}  # fmt: skip


def shown(metrics: GatewayMetrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return every sample by its name and its labels' values in order of the labels' names."""
    return {
        (
            sample.name.removeprefix(PREFIX),
            tuple(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_attempts_are_counted_by_how_they_ended() -> None:
    metrics = GatewayMetrics()
    for status in (200, 204, 302, 400, 404, 429, 500, 503, 529, 600):
        metrics.answered("a", status)
    metrics.failed("a", "timeout")
    metrics.refused("a")
    metrics.cut("a")
    metrics.left("a")
    metrics.drained("a")
    samples = shown(metrics)
    assert {o: samples["attempts_total", (o, "a")] for o in OUTCOMES} == {
        "ok": 3, "error": 8, "refused": 1, "cut_off": 1, "left": 1,
    }  # fmt: skip
    assert {k: samples["errors_total", (k, "a")] for k in KINDS} == {
        "error": 4, "timeout": 1, "rate_limited": 1, "open": 0, "client_error": 2,
    }  # fmt: skip
    for name in ("refusals_total", "cut_offs_total", "drained_total"):
        assert samples[name, ("a",)] == 1


def test_no_attempt_is_counted_while_a_circuit_is_open() -> None:
    metrics = GatewayMetrics()
    metrics.failed("a", "open")
    samples = shown(metrics)
    assert samples["errors_total", ("open", "a")] == 1
    assert samples["attempts_total", ("error", "a")] == 0


def test_every_cause_of_going_on_is_a_kind() -> None:
    assert set(CAUSES) < set(KINDS)


def test_upstreams_are_counted_apart() -> None:
    metrics = GatewayMetrics()
    metrics.answered("a", 200)
    metrics.answered("b", 500)
    samples = shown(metrics)
    assert [samples["attempts_total", ("ok", name)] for name in "ab"] == [1, 0]


def test_times_are_histograms_with_their_bounds_inside() -> None:
    metrics = GatewayMetrics()
    for seconds in (0.001, 0.0011, 99):
        metrics.added.observe(seconds)
    metrics.queued("a", 0.2)
    metrics.first_byte("a", 0.3)
    samples = shown(metrics)
    assert samples["added_seconds_bucket", ("0.0005",)] == 0
    assert samples["added_seconds_bucket", ("0.001",)] == 1
    assert samples["added_seconds_bucket", ("0.0025",)] == 2
    assert samples["added_seconds_bucket", ("5.0",)] == 2
    assert samples["added_seconds_bucket", ("+Inf",)] == 3
    assert samples["added_seconds_count", ()] == metrics.added.count == 3
    assert samples["added_seconds_sum", ()] == pytest.approx(99.0021)
    assert samples["queue_wait_seconds_bucket", ("0.25", "a")] == 1
    assert samples["first_byte_seconds_bucket", ("0.25", "a")] == 0
    assert samples["first_byte_seconds_bucket", ("0.5", "a")] == 1


def test_what_is_now_is_shown_as_it_is_now() -> None:
    metrics = GatewayMetrics()
    metrics.in_flight, metrics.sockets = 3, 2
    assert (shown(metrics)["in_flight", ()], shown(metrics)["sockets", ()]) == (3, 2)
    metrics.in_flight, metrics.sockets = 0, 0
    assert (shown(metrics)["in_flight", ()], shown(metrics)["sockets", ()]) == (0, 0)


def test_one_revision_is_shown_at_a_time_and_reloads_are_counted() -> None:
    metrics = GatewayMetrics()
    assert not [name for name, _ in shown(metrics) if name == "config"]
    for revision in ("a1", "a1", "b2"):
        metrics.reloaded(revision)
    samples = shown(metrics)
    assert [labels for name, labels in samples if name == "config"] == [("b2",)]
    assert samples["reloads_total", ()] == 1


def test_a_signed_context_is_counted_by_what_became_of_it() -> None:
    metrics = GatewayMetrics()
    for became in ("", "verified", "verified", "expired"):
        metrics.context(became)
    samples = {k: v for k, v in shown(metrics).items() if k[0] == "contexts_total"}
    assert samples == {
        ("contexts_total", ("verified",)): 2,
        ("contexts_total", ("expired",)): 1,
    }


def test_what_others_keep_is_read_at_each_scrape() -> None:
    metrics = GatewayMetrics()
    age = [1.5]
    depth: dict[tuple[str, ...], float] = {("a",): 3.0}
    metrics.watch("keys_age_seconds", "Age.", lambda: age[0])
    metrics.watch("queue_depth", "Waiting.", lambda: depth, labels=("upstream",))
    age[0] = 2.5
    depth["b",] = 4.0
    samples = shown(metrics)
    assert samples["keys_age_seconds", ()] == 2.5
    assert (samples["queue_depth", ("a",)], samples["queue_depth", ("b",)]) == (3, 4)


def test_a_name_is_watched_once() -> None:
    metrics = GatewayMetrics()
    metrics.watch("keys_age_seconds", "Age.", lambda: 1)
    with pytest.raises(ValueError, match="keys_age_seconds"):
        metrics.watch("keys_age_seconds", "Age.", lambda: 2)


# -- bounds --------------------------------------------------------------------------------------


def test_upstreams_past_the_bound_are_counted_together() -> None:
    metrics = GatewayMetrics()
    for number in range(counting.MAX_UPSTREAMS + 10):
        metrics.answered(f"u{number}", 200)
    metrics.answered("u0", 200)
    samples = shown(metrics)
    oks = {labels[1]: n for (name, labels), n in samples.items()
           if name == "attempts_total" and labels[0] == "ok"}  # fmt: skip
    assert len(oks) == counting.MAX_UPSTREAMS + 1
    assert (oks["u0"], oks[counting.OTHER]) == (2, 10)


def test_codes_past_the_bound_are_counted_together() -> None:
    metrics = GatewayMetrics()
    for number in range(counting.MAX_CODES + 10):
        metrics.problem(f"c{number}")
    samples = {k: v for k, v in shown(metrics).items() if k[0] == "problems_total"}
    assert len(samples) == counting.MAX_CODES + 1
    assert samples["problems_total", (counting.OTHER,)] == 10


def test_times_take_any_number() -> None:
    times = Times((1.0, 2.0))
    for seconds in (0.0, 1.0, 2.0, 1e9):
        times.observe(seconds)
    assert times.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]


def test_counting_a_request_costs_less_than_three_microseconds() -> None:
    metrics = GatewayMetrics()

    def request() -> None:
        metrics.in_flight += 1
        metrics.first_byte("openai", 0.2)
        metrics.answered("openai", 200)
        metrics.added.observe(0.0004)
        metrics.in_flight -= 1

    def best() -> float:
        began = time.perf_counter()
        for _ in range(2000):
            request()
        return (time.perf_counter() - began) / 2000

    assert min(best() for _ in range(20)) < 3e-6


# -- the access log ------------------------------------------------------------------------------


def lines(level: str = "info", **call: Any) -> list[dict[str, Any]]:
    written = io.StringIO()
    access(AccessLog(written, level), **{**CALL, **call})
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_call_is_one_line() -> None:
    (line,) = lines(code="limit")
    del line["timestamp"]
    assert line == {
        **CALL, "event": "call", "level": "info", "ms": 1.23, "added_ms": 0.99, "code": "limit",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "level"),
    [(0, "info"), (101, "info"), (200, "info"), (429, "info"), (500, "warning"), (504, "warning")],
)
def test_only_failures_of_servers_are_warnings(status: int, level: str) -> None:
    (line,) = lines(status=status)
    assert line["level"] == level
    assert bool(lines("warning", status=status)) == (level == "warning")
