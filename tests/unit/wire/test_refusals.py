"""Answers of our own in each dialect: to a refused call, with what refused, what is left and when
it resets, and to one with which something else is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlay.core.limits.refusal import Refusal
from outlay.wire.base import Request
from outlay.wire.refusals import error_response, refusal_response
from outlay.wire.registry import find_endpoint

REFUSAL = Refusal(
    "limit", "The limit `acme-month` allows $5.00; $5.00 is used.", "acme-month", metric="cost",
    window="month", amount=5_000_000_000, used=5_000_000_000, left=0,
    resets_at=1_800_000_000_000_000,
)  # fmt: skip


def answer(url: str, refusal: dict[str, Any] | None = None) -> tuple[int, dict[str, str], Any]:
    endpoint = find_endpoint(Request("POST", url))
    assert endpoint is not None
    told = REFUSAL.as_dict() if refusal is None else refusal
    status, headers, body = refusal_response(endpoint, told)
    assert headers["content-length"] == str(len(body))
    return status, headers, json.loads(body)


def test_openai() -> None:
    status, headers, body = answer("https://api.openai.com/v1/chat/completions")
    assert status == 402
    assert headers["x-should-retry"] == "false"
    assert headers["outlay-limit"] == "acme-month"
    assert headers["content-type"] == "application/json"
    assert body["error"].pop("outlay") == {
        "reason": "limit", "limit_id": "acme-month", "metric": "cost", "window": "month",
        "amount": 5_000_000_000, "used": 5_000_000_000, "held": 0, "left": 0,
        "resets_at": 1_800_000_000_000_000, "retry_after_s": 0, "verdict": "over",
    }  # fmt: skip
    assert body["error"] == {
        "message": REFUSAL.message, "type": "insufficient_quota", "param": None,
        "code": "limit_exceeded",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://api.anthropic.com/v1/messages", ("error", "message")),
        ("https://generativelanguage.googleapis.com/v1beta/models/g:generateContent",
         ("error", "message")),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-lite-v1:0/converse",
         ("message",)),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-x/invoke",
         ("message",)),
        ("https://api.cohere.com/v2/chat", ("message",)),
        ("https://api.mistral.ai/v1/chat/completions", ("message",)),
        ("http://localhost:11434/api/chat", ("error",)),
        ("https://api.groq.com/openai/v1/chat/completions", ("error", "message")),
        ("https://api.openai.com/v1/unheard-of", ("error", "message")),
    ],
)  # fmt: skip
def test_each_dialect_has_the_message_where_its_sdk_looks(url: str, place: tuple[str]) -> None:
    if "localhost" in url:
        endpoint = find_endpoint(Request("POST", url), hosts={"localhost:11434": "ollama"})
        assert endpoint is not None
        body = json.loads(refusal_response(endpoint, REFUSAL.as_dict())[2])
    else:
        body = answer(url)[2]
    for name in place:
        body = body[name]
    assert body == REFUSAL.message


def test_anthropic_and_google_name_their_own_types() -> None:
    assert answer("https://api.anthropic.com/v1/messages")[2]["error"]["type"] == "billing_error"
    url = "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent"
    error = answer(url)[2]["error"]
    assert (error["code"], error["status"]) == (402, "RESOURCE_EXHAUSTED")
    metadata = error["details"][0]["metadata"]
    assert (metadata["limit_id"], metadata["left"]) == ("acme-month", "0")
    assert all(isinstance(value, str) for value in metadata.values())


def test_bedrock_names_the_exception_in_a_header() -> None:
    url = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-lite-v1:0/converse"
    assert answer(url)[1]["x-amzn-errortype"] == "ServiceQuotaExceededException"


def test_anthropics_own_api_at_aws_keeps_its_own_shape() -> None:
    url = "https://bedrock-mantle.eu-west-1.api.aws/anthropic/v1/messages"
    assert answer(url)[2]["error"]["type"] == "billing_error"


def test_other_reasons_have_their_own_codes_and_no_limit() -> None:
    told = Refusal("credits", "No credits are left.").as_dict()
    _, headers, body = answer("https://api.openai.com/v1/chat/completions", told)
    assert body["error"]["code"] == "credits_exhausted"
    assert headers["outlay-limit"] == "credits_exhausted"


def test_whatever_is_told_there_is_an_answer_and_headers_stay_one_line() -> None:
    url = "https://api.openai.com/v1/chat/completions"
    assert answer(url, {})[2]["error"]["message"]
    told = {"message": "x", "limit_id": "a\r\nb: c\u00e9"}
    assert answer(url, told)[1]["outlay-limit"] == "a__b:_c_"


# -- errors ----------------------------------------------------------------------------------------

CHAT = "https://api.openai.com/v1/chat/completions"
MESSAGES = "https://api.anthropic.com/v1/messages"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent"
CONVERSE = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-lite-v1:0/converse"


def error(where: str | None, status: int = 401, **more: Any) -> tuple[dict[str, str], Any]:
    """The answer at a URL, or at what is only known by name."""
    found: Any = where
    if where is not None and "://" in where:
        found = find_endpoint(Request("POST", where))
        assert found is not None
    told: dict[str, Any] = {"code": "unknown_key", "message": "No such key.", **more}
    given, headers, body = error_response(found, status, **told)
    assert given == status
    assert headers["content-length"] == str(len(body))
    assert headers["outlay-problem"] == told["code"]
    return headers, json.loads(body)


@pytest.mark.parametrize(
    ("where", "place"),
    [
        (CHAT, ("error", "message")),
        (MESSAGES, ("error", "message")),
        (GEMINI, ("error", "message")),
        (CONVERSE, ("message",)),
        ("https://api.cohere.com/v2/chat", ("message",)),
        ("https://api.mistral.ai/v1/chat/completions", ("message",)),
        ("ollama", ("error",)),
        ("aws", ("message",)),
        ("aws.unknown", ("message",)),
        ("bedrock.converse", ("message",)),
        ("cohere", ("message",)),
        ("mistral.ocr", ("message",)),
        ("anthropic.messages", ("error", "message")),
        ("google.generate", ("error", "message")),
        ("groq", ("error", "message")),
        ("a vendor of somebody", ("error", "message")),
        ("", ("error", "message")),
        (None, ("error", "message")),
    ],
)
def test_an_error_has_its_message_where_the_sdk_looks(
    where: str | None, place: tuple[str, ...]
) -> None:
    found: Any = error(where, hint="Make one.")[1]
    for name in place:
        found = found[name]
    assert found == "No such key. Make one."


@pytest.mark.parametrize(
    ("status", "openai", "anthropic", "google", "bedrock"),
    [
        (400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT",
         "ValidationException"),
        (401, "invalid_request_error", "authentication_error", "UNAUTHENTICATED",
         "AccessDeniedException"),
        (403, "invalid_request_error", "permission_error", "PERMISSION_DENIED",
         "AccessDeniedException"),
        (404, "invalid_request_error", "not_found_error", "NOT_FOUND",
         "ResourceNotFoundException"),
        (413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT",
         "ValidationException"),
        (429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED",
         "ThrottlingException"),
        (500, "server_error", "api_error", "INTERNAL", "InternalServerException"),
        (502, "server_error", "api_error", "UNAVAILABLE", "ServiceUnavailableException"),
        (503, "server_error", "api_error", "UNAVAILABLE", "ServiceUnavailableException"),
        (504, "server_error", "timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"),
    ],
)  # fmt: skip
def test_a_status_has_the_type_that_the_provider_gives_it(
    status: int, openai: str, anthropic: str, google: str, bedrock: str
) -> None:
    assert error(CHAT, status)[1]["error"]["type"] == openai
    assert error(MESSAGES, status)[1]["error"]["type"] == anthropic
    found = error(GEMINI, status)[1]["error"]
    assert (found["code"], found["status"]) == (status, google)
    assert error(CONVERSE, status)[0]["x-amzn-errortype"] == bedrock


def test_when_to_try_again_is_said_in_every_way_that_sdks_read() -> None:
    headers, body = error(CHAT, 429, code="queue_full", retry_after_s=0.25)
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "250")
    assert body["error"]["outlay"] == {"retry_after_s": 0.25}
    assert "x-should-retry" not in headers
    headers, body = error(CHAT, 403, code="no_tenant", hint="Send one.", retries=False)
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers
    assert body["error"]["outlay"] == {"hint": "Send one."}
    assert body["error"]["code"] == "no_tenant"
