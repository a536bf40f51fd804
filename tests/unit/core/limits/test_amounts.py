"""What a call counts for, by metric."""

from __future__ import annotations

from outlay.core.limits.amounts import amounts_of, amounts_of_event, is_call


def test_tokens_are_all_that_was_read_and_produced() -> None:
    usage = {
        "input": 100, "input_cache_read": 40, "input_audio": 5, "output": 20,
        "output_reasoning": 7, "web_search": 3,
    }  # fmt: skip
    assert amounts_of(1234, usage) == {
        "cost": 1234, "tokens": 172, "input_tokens": 145, "output_tokens": 27, "calls": 1,
        "concurrent_calls": 1,
    }  # fmt: skip


def test_credits_are_there_only_if_they_are_known() -> None:
    assert amounts_of(1, {}, 5_000_000)["credits"] == 5_000_000
    assert amounts_of(1, {}, 0)["credits"] == 0
    assert "credits" not in amounts_of(1, {})


def test_more_of_a_stream_is_no_call_of_its_own() -> None:
    more = amounts_of(10, {"output": 50}, calls=0)
    assert (more["calls"], more["concurrent_calls"], more["output_tokens"]) == (0, 0, 50)


def test_an_event_counts_by_its_columns() -> None:
    event = {
        "kind": "usage", "status": "ok", "input": 10, "output": 5, "output_reasoning": None,
        "other_units": {"input_image": 3, "images": 1}, "cost_nanos": 77, "credits_micros": None,
    }  # fmt: skip
    amounts = amounts_of_event(event)
    assert (amounts["cost"], amounts["tokens"], amounts["calls"]) == (77, 18, 1)
    assert "credits" not in amounts


def test_corrections_and_refused_calls_are_no_calls() -> None:
    correction = amounts_of_event({"kind": "adjustment", "cost_nanos": -5, "credits_micros": -9})
    assert (correction["cost"], correction["calls"], correction["credits"]) == (-5, 0, -9)
    assert not is_call({"status": "blocked"})
    assert is_call({"status": "error"})
    assert is_call({})
