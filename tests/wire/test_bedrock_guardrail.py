"""Guardrails on their own: text units by policy, what is free, and what is not known."""

from __future__ import annotations

from typing import Any

from outlay.wire.base import Reading
from tests.wire.bedrock_payloads import HOST
from tests.wire.harness import assert_same_in_any_chunking, exchange, read

APPLY = f"{HOST}/guardrail/gr1/version/DRAFT/apply"
CHECKS = f"{HOST}/guardrail-checks/invoke"
ASK = {"source": "INPUT", "content": [{"text": {"text": "secret words"}}]}


def guard(body: dict[str, Any], url: str = APPLY, **more: Any) -> Reading:
    return assert_same_in_any_chunking(exchange(url, ASK, body, **more), most=20)


def test_each_policy_is_a_unit_of_its_own_and_words_are_free() -> None:
    usage = {
        "topicPolicyUnits": 1, "contentPolicyUnits": 2, "wordPolicyUnits": 3,
        "sensitiveInformationPolicyUnits": 4, "sensitiveInformationPolicyFreeUnits": 5,
        "contextualGroundingPolicyUnits": 6, "contentPolicyImageUnits": 7,
        "automatedReasoningPolicyUnits": 8, "automatedReasoningPolicies": 1,
    }  # fmt: skip
    reading = guard({"usage": usage, "action": "GUARDRAIL_INTERVENED", "assessments": []})
    assert reading.usage == {
        "text_units_topic": 1, "text_units_content": 2, "text_units_sensitive": 4,
        "text_units_grounding": 6, "text_units_reasoning": 8, "text_units_image": 7,
    }  # fmt: skip
    assert (reading.surface, reading.operation) == ("bedrock.guardrail", "other")
    assert (reading.model_requested, reading.model_served) == ("gr1", "amazon.bedrock-guardrails")
    assert (reading.status, reading.finish_reason) == ("ok", "GUARDRAIL_INTERVENED")
    assert (reading.usage_raw, reading.usage_source, reading.findings) == (usage, "provider", [])


def test_a_guardrail_that_did_nothing_charged_costs_nothing() -> None:
    reading = guard({"usage": {"wordPolicyUnits": 3}, "action": "NONE"})
    assert (reading.usage, reading.billed, reading.usage_source) == ({}, "yes", "provider")


def test_a_new_policy_is_drift() -> None:
    assert guard({"usage": {"novelPolicyUnits": 3}}).findings == [
        "drift:guardrail.novelPolicyUnits"
    ]


def test_checks_are_counted_by_check() -> None:
    usage = {"contentFilter": {"textUnits": 1}, "promptAttack": {"textUnits": 2},
             "sensitiveInformation": {"textUnits": 3}}  # fmt: skip
    reading = guard({"results": {}, "usage": usage}, CHECKS)
    assert reading.usage == {
        "text_units_content": 1, "text_units_prompt_attack": 2, "text_units_sensitive": 3,
    }  # fmt: skip


def test_a_new_check_is_drift() -> None:
    usage = {"contentFilter": {"textUnits": 1}, "novel": {"textUnits": 2}}
    reading = guard({"usage": usage}, CHECKS)
    assert reading.findings == ["drift:guardrail.novel"]


def test_a_reply_without_counts_is_not_called_free() -> None:
    reading = guard({"action": "NONE"})
    assert (reading.usage, reading.billed) == ({}, "possible")
    assert reading.findings == ["usage_missing"]


def test_a_call_that_was_cut_may_be_billed() -> None:
    call = exchange(APPLY, ASK, {"usage": {"topicPolicyUnits": 1}})
    reading = read(call, [call.body[:9]], complete=False)
    assert (reading.status, reading.billed, reading.usage) == ("aborted", "possible", {})


def test_an_error_is_named_and_costs_nothing() -> None:
    headers = {"x-amzn-errortype": "ResourceNotFoundException"}
    reading = guard({"message": "secret words"}, status=404, headers=headers)
    assert (reading.status, reading.error_type) == ("error", "ResourceNotFoundException")
    assert (reading.billed, "secret" in repr(reading)) == ("no", False)
