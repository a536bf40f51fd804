"""What the guest writes is what the server takes: the event's bounds are kept on this side."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import outlay
from outlay.capture import events
from outlay.capture.runtime import active
from outlay.capture.scope import Scope
from outlay.capture.testing import capture_events
from outlay.core.event import BY_NAME, MAX_COUNT, MAX_FLAGS, MAX_OTHER_UNITS, MAX_RAW_BYTES
from outlay.stream.decode import Limits, decode_batch
from outlay.wire.base import Reading, Segment

NOW = time.time_ns() // 1000


def event_of(reading: Reading) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "event_id": "01890000-0000-7000-8000-000000000000",
        "started_at": NOW,
        "ended_at": NOW,
    }
    events.fill(fields, reading)
    attribution = events.attribution(Scope({}, {}), events.Defaults())
    text = events.encode(fields, f"{events.words(reading)},{attribution}")
    made: dict[str, Any] = json.loads(text)
    return made


def accepted(found: list[dict[str, Any]]) -> None:
    body = "\n".join(json.dumps(event) for event in found).encode()
    decoded = decode_batch(body, ndjson=True, now=time.time_ns() // 1000, limits=Limits())
    assert decoded.rejected == []
    assert len(decoded.events) == len(found)


def reading(**more: Any) -> Reading:
    return Reading(**{"provider": "p", "surface": "s.x", "vendor": "v", **more})


def test_only_fields_of_the_schema_are_written() -> None:
    full = reading(
        operation="chat", host_class="h", region_class="r", model_requested="a", model_served="b",
        deployment="d", tier_requested="t", tier_served="u", batch=True, speed="fast",
        streamed=True, tool_calls=2, max_tokens=9, error_type="e", http_status=200,
        finish_reason="stop", billed="possible", usage={"input": 1, "web_search": 2},
        usage_source="estimated", usage_raw={"a": 1}, segments=[Segment("m", {"input": 1})],
        provider_cost_nanos=5, provider_request_id="x", response_id="y", findings=["f"],
    )  # fmt: skip
    event = event_of(full)
    assert set(event) <= set(BY_NAME)
    assert not any(BY_NAME[name].enriched for name in event)
    assert event["segments"] == [{"model": "m", "usage": {"input": 1}, "kind": "message"}]


def test_defaults_are_left_out() -> None:
    event = event_of(reading(usage={"input": 1}, usage_source="provider"))
    assert set(event) == {
        "event_id", "started_at", "ended_at", "provider", "surface", "vendor", "operation",
        "status", "input", "tenant_id", "tenant_source",
    }  # fmt: skip


def test_everything_out_of_bounds_is_brought_inside() -> None:
    wild = reading(
        operation="prophecy", model_requested="m" * 10_000, model_served="ü" * 10_000,
        response_id="a\0b", http_status=99_999, tool_calls=2**40, max_tokens=10**30,
        provider_cost_nanos=-1, usage={"input": 10**20, **{f"u{n}": n for n in range(200)}},
        findings=[f"finding {n}" * 50 for n in range(100)],
        usage_raw={f"k{n}": n for n in range(5000)},
        segments=[Segment("m" * 400, {"input": 1}, "kind")] * 100,
    )  # fmt: skip
    event = event_of(wild)
    assert event["operation"] == "other"
    assert event["input"] == MAX_COUNT
    assert len(event["other_units"]) <= MAX_OTHER_UNITS
    assert len(event["findings"]) == MAX_FLAGS
    assert event["findings"][-2:] == ["usage_raw_too_large", "segments_too_large"]
    assert "usage_raw" not in event
    assert "segments" not in event
    event["event_id"] = _fresh_id()
    accepted([event])


def test_raw_usage_at_the_bound_is_kept_and_above_it_left_out() -> None:
    empty = len(events.dumps({"k": ""}))
    at = event_of(reading(usage_raw={"k": "x" * (MAX_RAW_BYTES - empty)}))
    over = event_of(reading(usage_raw={"k": "x" * (MAX_RAW_BYTES - empty + 1)}))
    assert "usage_raw" in at
    assert over["findings"] == ["usage_raw_too_large"]


def test_numbers_that_json_does_not_have_are_left_out() -> None:
    event = event_of(reading(usage_raw={"a": float("nan")}))
    assert "usage_raw" not in event


def test_an_attempt_of_which_nothing_is_known_is_an_object_all_the_same() -> None:
    bare = reading(operation="chat", status="timeout", error_type="timeout", billed="possible")
    fields: dict[str, Any] = {}
    events.fill(fields, bare)
    assert fields == {}
    event = json.loads(events.encode(fields, events.words(bare)))
    assert event["status"] == "timeout"


def test_ids_and_times_written_as_text_are_what_the_encoder_writes() -> None:
    made = json.loads("{" + events.head("a-1", "b-2", 1_790_000_000_000_000, 1_234_567) + "}")
    assert made == {
        "event_id": "a-1", "call_id": "b-2", "started_at": 1_790_000_000_000_000,
        "ended_at": 1_790_000_000_001_234, "latency_ms": 1.235,
    }  # fmt: skip


def _fresh_id() -> str:
    with capture_events():
        return outlay.record("tool", name="x")


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=400),
    st.binary(max_size=20), st.lists(st.integers(), max_size=3),
)  # fmt: skip


SAID = ("tenant", "user", "feature", "initiator", "run_id", "request_id", "trace_id",
        "billing_unit")  # fmt: skip
RECORDED = ("provider", "model", "cost_nanos", "cost_usd", "status", "event_id")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    context=st.fixed_dictionaries({}, optional=dict.fromkeys(SAID, anything)),
    labels=st.dictionaries(st.text(max_size=300), anything, max_size=5),
    record=st.fixed_dictionaries({}, optional=dict.fromkeys(RECORDED, anything)),
    units=st.dictionaries(st.text(max_size=300), anything, max_size=5),
    name=anything,
)
def test_whatever_the_host_says_the_server_accepts_the_event(
    context: Any, labels: Any, record: Any, units: Any, name: Any
) -> None:
    with capture_events() as found:
        assert active() is not None
        with outlay.context(labels=labels, **context), outlay.agent(name):
            outlay.record("tool", name=name, units=units, labels=labels, **record)
    accepted(found)
    assert len(found) == 1


@pytest.mark.parametrize("url", ["https://api.openai.com/v1/chat/completions"])
def test_an_event_of_the_tap_is_accepted(url: str) -> None:
    import httpx

    def handle(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(500, json={"error": {"message": "x" * 100_000, "type": "t" * 999}})

    with capture_events() as found, outlay.context(tenant="a"), outlay.agent("b"):
        client = httpx.Client(transport=httpx.MockTransport(handle))
        client.post(url, json={"model": "m" * 5000, "max_tokens": -5})
    accepted(found)
