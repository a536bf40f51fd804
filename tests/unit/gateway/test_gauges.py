"""What a gateway's parts tell of themselves is read when it is asked for, as it is then."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from outlay import config
from outlay.capture.runtime import Runtime
from outlay.gateway.breaker import Breaker
from outlay.gateway.config import BreakerRule, GatewayConfig, Upstream
from outlay.gateway.gauges import watch
from outlay.gateway.keys import KeyTable
from outlay.gateway.metrics import GatewayMetrics
from outlay.gateway.queue import Turnstile
from tests.unit.gateway.socket_rig import virtual_key
from tests.unit.gateway.test_metrics import shown

UP = Upstream("up", "openai", "https://up.example", breaker=BreakerRule(failures=1))


@pytest.fixture
def gateway(tmp_path: Path) -> Any:
    """The parts themselves, held together by nothing."""
    settings = config.load(env={}, overrides={"spool_dir": str(tmp_path)})
    lane = SimpleNamespace(turnstile=Turnstile(UP), breaker=Breaker(UP.breaker))
    runtime = Runtime(settings)
    yield SimpleNamespace(
        config=GatewayConfig({"up": UP}),
        lane=lambda _name: lane,
        runtime=runtime,
        keys=KeyTable(),
        feed=SimpleNamespace(fresh=True),
        keeper=SimpleNamespace(error="", failures=0),
        draining=0,
    )
    runtime.gate = None
    runtime.close(0)


def test_parts_are_shown_as_they_are_at_each_scrape(gateway: Any) -> None:
    metrics = GatewayMetrics()
    watch(metrics, gateway)
    before = shown(metrics)
    assert (before["running", ("up",)], before["queue_depth", ("up",)]) == (0, 0)
    assert before["breaker_state", ("closed", "up")] == 1
    assert (before["keys", ()], before["keys_fresh", ()], before["config_ok", ()]) == (0, 1, 1)
    assert before["keys_age_seconds", ()] == float("inf")
    assert not [name for name, _ in before if name == "limits_total"]

    lane = gateway.lane("up")
    assert lane.turnstile.try_enter("acme", 1)
    lane.turnstile.pause(30)
    lane.breaker.failed(0.0)
    gateway.keys.apply([virtual_key()])
    gateway.keys.heard(2)
    gateway.feed.fresh, gateway.keeper.error, gateway.draining = False, "bad", 3
    gateway.keeper.failures = 2
    gateway.runtime.spool.put("{}")
    gateway.runtime.stats.drop("full")
    after = shown(metrics)
    assert after["running", ("up",)] == 1
    assert 0 < after["queue_paused_seconds", ("up",)] <= 30
    assert after["breaker_state", ("open", "up")] == 1
    assert after["breaker_state", ("closed", "up")] == 0
    assert after["breaker_openings", ("up",)] == 1
    assert (after["keys", ()], after["keys_fresh", ()], after["config_ok", ()]) == (1, 0, 0)
    assert 2 <= after["keys_age_seconds", ()] < 60
    assert after["draining", ()] == 3
    assert after["reload_failures_total", ()] == 2
    assert after["spool_events", ()] == 1
    assert after["spool_bytes", ()] > 0
    assert after["events_total", ("captured",)] == 2
    assert after["events_dropped_total", ("full",)] == 1


def test_what_limits_decided_is_shown_where_they_are_on(gateway: Any) -> None:
    gateway.runtime.gate = SimpleNamespace(stats=lambda: {"admitted": 5, "refused": 2})
    metrics = GatewayMetrics()
    watch(metrics, gateway)
    samples = shown(metrics)
    assert samples["limits_total", ("admitted",)] == 5
    assert samples["limits_total", ("refused",)] == 2


def test_an_upstream_that_is_declared_anew_is_shown_from_then_on(gateway: Any) -> None:
    metrics = GatewayMetrics()
    watch(metrics, gateway)
    gateway.config = GatewayConfig({"up": UP, "other": UP})
    assert shown(metrics)["running", ("other",)] == 0
