"""Chat completions: how counters become buckets, and how an end is understood."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from outlay.wire.base import Reading
from tests.wire.harness import Exchange, exchange, read, reader_for, sse

OPENAI = "https://api.openai.com/v1/chat/completions"
URLS = {
    "openai": OPENAI,
    "xai": "https://api.x.ai/v1/chat/completions",
    "openrouter": "https://openrouter.ai/api/v1/chat/completions",
    "deepseek": "https://api.deepseek.com/v1/chat/completions",
    "perplexity": "https://api.perplexity.ai/chat/completions",
    "mistral": "https://api.mistral.ai/v1/chat/completions",
    "moonshot": "https://api.moonshot.ai/v1/chat/completions",
    "huggingface": "https://router.huggingface.co/nebius/v1/chat/completions",
}
ASK = {"model": "m-1", "messages": [{"role": "user", "content": "12345678"}]}


def reply(usage: dict[str, Any] | None = None, **choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "hello"}
    body = {
        "id": "c-1", "model": "m-1-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **choice}],
    }  # fmt: skip
    return body if usage is None else {**body, "usage": usage}


def chat(
    usage: dict[str, Any] | None = None,
    vendor: str = "openai",
    ask: dict[str, Any] | None = None,
    **choice: Any,
) -> Reading:
    return read(exchange(URLS[vendor], {**ASK, **(ask or {})}, reply(usage, **choice)))


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c-1", "model": "m-1-2026", "choices": [choice], **more}


def stream(*events: dict[str, Any] | str, url: str = OPENAI) -> Exchange:
    return exchange(url, {**ASK, "stream": True}, sse(*events))


def counts(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion, **more,
    }  # fmt: skip


# -- buckets -----------------------------------------------------------------------------------


def test_cached_and_written_tokens_are_taken_out_of_the_prompt() -> None:
    details = {"cached_tokens": 60, "cache_write_tokens": 30}
    reading = chat(counts(100, 5, prompt_tokens_details=details))
    assert reading.usage == {
        "input": 10, "input_cache_read": 60, "input_cache_write": 30, "output": 5,
    }  # fmt: skip
    assert (reading.usage_source, reading.findings) == ("provider", [])


def test_written_tokens_are_split_by_time_to_live_where_it_is_told() -> None:
    ttl = {"ttl_30m_tokens": 20, "ttl_12h_tokens": 7}
    details = {"cache_write_tokens": 30, "cache_write_tokens_details": ttl}
    assert chat(counts(100, 5, prompt_tokens_details=details)).usage == {
        "input": 70, "input_cache_write_30m": 20, "input_cache_write_12h": 7,
        "input_cache_write": 3, "output": 5,
    }  # fmt: skip


def test_audio_and_images_are_units_of_their_own_on_both_sides() -> None:
    usage = counts(
        100,
        50,
        prompt_tokens_details={"audio_tokens": 20, "image_tokens": 30, "text_tokens": 50},
        completion_tokens_details={"audio_tokens": 40, "text_tokens": 10},
    )
    assert chat(usage).usage == {
        "input": 50, "input_audio": 20, "input_image": 30, "output": 10, "output_audio": 40,
    }  # fmt: skip


def test_cached_tokens_of_a_modality_are_named_only_where_the_wire_names_them() -> None:
    untold = {"cached_tokens": 90, "audio_tokens": 20}
    assert chat(counts(100, 1, prompt_tokens_details=untold)).usage == {
        "input_cache_read": 90, "input_audio": 10, "output": 1,
    }  # fmt: skip
    told = {**untold, "cached_tokens_details": {"audio_tokens": 15, "text_tokens": 75}}
    assert chat(counts(100, 1, prompt_tokens_details=told)).usage == {
        "input": 5, "input_cache_read": 75, "input_cache_read_audio": 15, "input_audio": 5,
        "output": 1,
    }  # fmt: skip


def test_reasoning_is_part_of_the_completion() -> None:
    usage = counts(10, 50, completion_tokens_details={"reasoning_tokens": 40})
    assert chat(usage).usage == {"input": 10, "output": 10, "output_reasoning": 40}


def test_reasoning_is_beside_the_completion_on_xai_chat() -> None:
    usage = {
        "prompt_tokens": 10_120, "completion_tokens": 1499, "total_tokens": 14_428,
        "completion_tokens_details": {"reasoning_tokens": 2809},
    }  # fmt: skip
    reading = chat(usage, "xai")
    assert reading.usage == {"input": 10_120, "output": 1499, "output_reasoning": 2809}
    assert reading.findings == []


def test_rejected_predictions_stay_output() -> None:
    details = {"accepted_prediction_tokens": 3, "rejected_prediction_tokens": 20}
    assert chat(counts(10, 50, completion_tokens_details=details)).usage["output"] == 50


def test_deepseek_tells_hits_and_misses() -> None:
    usage = counts(10, 5, prompt_cache_hit_tokens=6, prompt_cache_miss_tokens=4)
    reading = chat(usage, "deepseek")
    assert reading.usage == {"input": 4, "input_cache_read": 6, "output": 5}
    assert reading.findings == []
    off = chat({**usage, "prompt_cache_miss_tokens": 5}, "deepseek")
    assert off.findings == ["identity:cache_hit_miss"]


def test_cached_tokens_may_stand_at_the_top_level() -> None:
    reading = chat(counts(10, 5, cached_tokens=4), "huggingface")
    assert reading.usage == {"input": 6, "input_cache_read": 4, "output": 5}
    assert reading.provider == "huggingface_nebius"


def test_perplexity_charges_citations_reasoning_and_searches_beside_the_completion() -> None:
    usage = {
        **counts(33, 7163), "citation_tokens": 20_016, "reasoning_tokens": 73_997,
        "num_search_queries": 18, "search_context_size": "low",
        "cost": {"total_cost": 1.5, "input_tokens_cost": 0.5},
    }  # fmt: skip
    reading = chat(usage, "perplexity")
    assert reading.usage == {
        "input": 33, "output": 7163, "output_reasoning": 73_997, "output_citation": 20_016,
        "web_search": 18, "requests_low": 1,
    }  # fmt: skip
    assert reading.findings == []
    assert reading.provider_cost_nanos == 1_500_000_000


def test_mistral_counts_seconds_of_audio() -> None:
    usage = counts(10, 5, prompt_audio_seconds=12)
    assert chat(usage, "mistral").usage == {"input": 10, "output": 5, "audio_seconds": 12}


# -- what does not add up ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "buckets", "findings"),
    [
        (
            counts(10, 5, prompt_tokens_details={"cached_tokens": 12}),
            {"input_cache_read": 10, "output": 5},
            ["identity:cache_read"],
        ),
        (
            counts(10, 5, prompt_tokens_details={"cached_tokens": 6, "cache_write_tokens": 6}),
            {"input_cache_read": 6, "input_cache_write": 4, "output": 5},
            ["identity:cache_write"],
        ),
        (
            counts(10, 5, completion_tokens_details={"reasoning_tokens": 9}),
            {"input": 10, "output_reasoning": 5},
            ["identity:reasoning"],
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 99},
            {"input": 10, "output": 5},
            ["identity:total"],
        ),
        (
            {"prompt_tokens": -10, "completion_tokens": 5},
            {"output": 5},
            ["negative:prompt_tokens"],
        ),
        (
            {"prompt_tokens": 10**30, "completion_tokens": 5},
            {"output": 5},
            ["too_large:prompt_tokens"],
        ),
    ],
)
def test_what_does_not_add_up_is_clamped_and_found(
    usage: dict[str, Any], buckets: dict[str, int], findings: list[str]
) -> None:
    reading = chat(usage)
    assert reading.usage == buckets
    assert reading.findings == findings


def test_a_key_that_is_not_known_is_found_and_stays_in_the_raw_object() -> None:
    usage = counts(10, 5, neural_tokens=7, nothing=None, prompt_tokens_details={"smell_tokens": 3})
    reading = chat(usage)
    assert reading.findings == ["drift:neural_tokens", "drift:input.smell_tokens"]
    assert reading.usage_raw["neural_tokens"] == 7


def test_unknown_keys_are_named_up_to_a_bound() -> None:
    reading = chat(counts(10, 5, **{f"k{n}": n + 1 for n in range(100)}))
    assert len(reading.findings) == 8


# -- stated cost -------------------------------------------------------------------------------


def cost_of(vendor: str, **usage: Any) -> int | None:
    return chat(counts(10, 5, **usage), vendor).provider_cost_nanos


def test_openrouter_states_the_cost_in_dollars_exactly() -> None:
    assert cost_of("openrouter", cost=0.00435825) == 4_358_250
    assert cost_of("openrouter", cost=0) == 0
    assert cost_of("openrouter") is None


def test_with_an_own_key_the_upstream_cost_is_added_to_the_fee() -> None:
    details = {"upstream_inference_cost": 0.02}
    assert cost_of("openrouter", cost=0.001, is_byok=True, cost_details=details) == 21_000_000
    assert cost_of("openrouter", cost=0.001, is_byok=False, cost_details=details) == 1_000_000


def test_the_stated_cost_is_exact_to_the_last_digit_on_the_wire() -> None:
    raw = b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":%s}}'
    body = exchange(URLS["openrouter"], ASK, {})
    assert read(body.with_body(raw % b"123456.0000000015")).provider_cost_nanos == 123456000000002
    assert read(body.with_body(raw % b"1e999999999")).provider_cost_nanos is None
    assert read(body.with_body(raw % b"-1")).findings == ["bad_cost"]


def test_xai_states_the_cost_in_ticks() -> None:
    assert cost_of("xai", cost_in_usd_ticks=1_043_500) == 104_350
    assert cost_of("xai", cost_in_usd_ticks=15) == 2, "half a nano-dollar rounds to even"


def test_a_cost_is_believed_only_of_vendors_that_state_one() -> None:
    assert cost_of("openai", cost=0.5) is None


# -- facts and ends ----------------------------------------------------------------------------


def test_reads_models_tiers_bounds_and_ids() -> None:
    ask = {"service_tier": "fast", "max_completion_tokens": 77, "max_tokens": 5}
    body = {**reply(counts(1, 1)), "service_tier": "priority"}
    reading = read(
        exchange(OPENAI, {**ASK, **ask}, body, headers={"x-request-id": "req_9"}),
    )
    assert (reading.model_requested, reading.model_served) == ("m-1", "m-1-2026")
    assert (reading.tier_requested, reading.tier_served) == ("fast", "priority")
    assert (reading.max_tokens, reading.response_id) == (77, "c-1")
    assert (reading.provider_request_id, reading.operation) == ("req_9", "chat")


def test_the_deployment_is_kept_and_is_not_the_model() -> None:
    url = "https://acme.openai.azure.com/openai/deployments/our-gpt/chat/completions"
    ask: dict[str, Any] = {"messages": []}
    reading = read(exchange(f"{url}?api-version=2025-01-01", ask, reply(counts(1, 1))))
    assert (reading.provider, reading.vendor, reading.deployment) == ("azure", "openai", "our-gpt")
    assert (reading.model_requested, reading.model_served) == ("our-gpt", "m-1-2026")


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("stop", "ok"),
        ("tool_calls", "ok"),
        ("length", "incomplete"),
        ("content_filter", "refused"),
        ("something_new", "ok"),
    ],
)
def test_the_finish_reason_decides_the_status(reason: str, status: str) -> None:
    reading = chat(counts(1, 1), finish_reason=reason)
    assert (reading.finish_reason, reading.status, reading.billed) == (reason, status, "yes")


def test_a_refusal_in_words_is_refused_and_billed() -> None:
    reading = chat(counts(1, 1), message={"role": "assistant", "refusal": "I cannot."})
    assert (reading.status, reading.billed) == ("refused", "yes")


def test_a_reply_that_ended_early_without_counts_is_estimated_all_the_same() -> None:
    reading = chat(None, finish_reason="length")
    assert (reading.status, reading.usage) == ("incomplete", {"input": 2, "output": 2})
    assert reading.usage_source == "estimated"


def test_tool_calls_are_counted_in_a_body_and_in_a_stream() -> None:
    calls = [{"id": "a", "function": {"arguments": "{}"}}, {"id": "b", "function": {}}]
    assert chat(counts(1, 1), message={"tool_calls": calls}).tool_calls == 2
    parts = [{"tool_calls": [{"index": n, "function": {"arguments": "12"}}]} for n in (0, 0, 1)]
    streamed = read(stream(*(chunk(part) for part in parts), chunk({}, "tool_calls"), "[DONE]"))
    assert streamed.tool_calls == 2
    assert streamed.usage["output"] == 2, "six characters of arguments"


def test_an_http_error_costs_nothing() -> None:
    body = {"error": {"message": "no", "type": "tokens", "code": "rate_limit_exceeded"}}
    reading = read(exchange(OPENAI, ASK, body, status=429))
    assert (reading.status, reading.error_type, reading.billed) == ("error", "tokens", "no")
    assert reading.usage == {}


def test_an_error_body_of_status_200_costs_nothing_unless_it_counts() -> None:
    body = {"error": {"message": "upstream", "code": 502}}
    reading = read(exchange(URLS["openrouter"], ASK, body))
    assert (reading.status, reading.error_type, reading.billed) == ("error", "502", "no")
    counted = read(exchange(URLS["openrouter"], ASK, {**body, "usage": counts(9, 1, cost=0.1)}))
    assert (counted.status, counted.billed, counted.usage["input"]) == ("error", "yes", 9)


def test_error_text_never_reaches_the_reading() -> None:
    body = {"error": "the prompt was: my secret"}
    assert "secret" not in repr(read(exchange(OPENAI, ASK, body, status=400)))
    assert "secret" not in repr(read(exchange(OPENAI, ASK, body)))


# -- streams -----------------------------------------------------------------------------------


def test_the_last_counts_win_and_are_never_summed() -> None:
    url = "http://gpu:8000/v1/chat/completions"
    events = [chunk({"content": "ab"}, usage=counts(7, n)) for n in (1, 2, 3)]
    running = exchange(url, {**ASK, "stream": True}, sse(*events, chunk({}, "stop"), "[DONE]"))
    reading = read(replace(running, hosts={"gpu:8000": "vllm"}))
    assert reading.usage == {"input": 7, "output": 3}
    assert (reading.provider, reading.usage_source) == ("vllm", "provider")


def test_running_counts_of_a_cut_stream_keep_the_input_and_raise_the_output() -> None:
    events = [chunk({"content": "x" * 40}, usage=counts(7, 1)), chunk({"content": "x" * 40})]
    reading = read(stream(*events), complete=False)
    assert reading.usage == {"input": 7, "output": 20}
    assert reading.findings == ["output_estimated"]
    assert (reading.status, reading.usage_source) == ("aborted", "estimated")


def test_moonshot_puts_counts_into_the_choice() -> None:
    last = chunk({}, "stop")
    last["choices"][0]["usage"] = counts(7, 3)
    reading = read(stream(chunk({"content": "a"}), last, "[DONE]", url=URLS["moonshot"]))
    assert (reading.usage, reading.usage_source) == ({"input": 7, "output": 3}, "provider")


def test_reasoning_that_is_sent_twice_is_estimated_once() -> None:
    delta = {"reasoning": "x" * 40, "reasoning_details": [{"text": "x" * 40}]}
    reading = read(stream(chunk(delta), url=URLS["openrouter"]), complete=False)
    assert reading.usage["output"] == 10


def test_thinking_parts_are_counted_for_the_estimate() -> None:
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "x" * 40}]}]
    reading = read(stream(chunk({"content": content}), url=URLS["mistral"]), complete=False)
    assert reading.usage["output"] == 10


def test_the_input_estimate_counts_message_text_and_nothing_else() -> None:
    messages = [
        {"role": "system", "name": "a long name", "content": "1234"},
        {"role": "user", "content": [{"type": "text", "text": "12345678"}, {"image_url": "x"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "t", "content": "1234"},
    ]
    asked = {"messages": messages, "tools": [{"function": {"description": "x" * 400}}]}
    reading = chat(None, ask=asked)
    assert reading.usage["input"] == 4
    assert reading.findings == ["usage_missing", "input_estimated", "output_estimated"]


def test_legacy_completions_are_read_alike() -> None:
    body = {"model": "m-1", "choices": [{"text": "12345678", "finish_reason": "stop"}]}
    url = "https://api.openai.com/v1/completions"
    reading = read(exchange(url, {"model": "m-1", "prompt": ["1234", "1234"]}, body))
    assert (reading.surface, reading.operation) == ("openai.completions", "text_completion")
    assert reading.usage == {"input": 2, "output": 2}


def test_a_call_that_never_connected_costs_nothing() -> None:
    asked = exchange(OPENAI, ASK, {})
    reading = reader_for(asked).finish(complete=False, error="connect")
    assert (reading.status, reading.billed, reading.usage) == ("error", "no", {})
