"""Answers that providers never gave: a call that a limit refused, in the provider's own shape.

A refusal is HTTP 402, which no SDK retries, with a body that the SDK of that dialect turns into its
own typed error. The facts (which limit, how much is left, when it resets) stand under `outlay` in
the body, or where the dialect has a place for them, and in the message in plain words. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from outlay.wire.base import Endpoint

STATUS: Final = 402
REASON: Final = "Payment Required"
LIMIT_HEADER: Final = "outlay-limit"
"""Names the limit that refused; nobody but outlay sends it."""

_DOMAIN: Final = "outlay"
_CODE: Final = "limit_exceeded"
_PLAIN: Final = "The call was refused by a limit."


def refusal_response(
    endpoint: Endpoint, refusal: Mapping[str, Any]
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (names lower case) and body of a refused call's answer.

    Args:
        endpoint: where the call would have gone; its dialect shapes the body.
        refusal: what `Refusal.as_dict()` gives; `message`, `code` and `limit_id` are read
            by name.
    """
    facts = {name: value for name, value in refusal.items() if value not in (None, "")}
    message = str(facts.pop("message", "") or _PLAIN)
    shape = _shape_of(endpoint)
    code = str(facts.pop("code", "") or _CODE)
    headers = {
        "content-type": "application/json",
        "x-should-retry": "false",
        LIMIT_HEADER: _header_text(str(facts.get("limit_id") or code)),
    }
    if shape == "bedrock":
        headers["x-amzn-errortype"] = "ServiceQuotaExceededException"
    body = json.dumps(_BODIES[shape](message, code, facts), separators=(",", ":")).encode()
    headers["content-length"] = str(len(body))
    return STATUS, headers, body


def _header_text(text: str) -> str:
    """Return what may stand in a header: the id of a limit is plain anyway."""
    return "".join(sign if " " < sign < "\x7f" else "_" for sign in text[:128])


def _shape_of(endpoint: Endpoint) -> str:
    surface = endpoint.surface
    if endpoint.provider == "aws" and (surface.startswith("bedrock.") or endpoint.model):
        return "bedrock"
    family = surface.partition(".")[0]
    if family == "openai":
        # Many vendors speak OpenAI's API; only Mistral's own SDK looks for another error there.
        return "mistral" if endpoint.vendor == "mistral" else "openai"
    return family if family in _BODIES else "openai"


def _openai(message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "error": {
            "message": message,
            "type": "insufficient_quota",
            "param": None,
            "code": code,
            "outlay": facts,
        }
    }


def _anthropic(message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    told = {"type": "billing_error", "message": message, "code": code, "outlay": facts}
    return {"type": "error", "error": told, "request_id": None}


def _google(message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": code.upper(),
        "domain": _DOMAIN,
        "metadata": {name: _plain(value) for name, value in facts.items()},
    }
    told = {"code": STATUS, "message": message, "status": "RESOURCE_EXHAUSTED", "details": [info]}
    return {"error": told}


def _bedrock(message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {"message": message, "code": code, "outlay": facts}


def _cohere(message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {"message": message, "code": code, "outlay": facts}


def _mistral(message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "object": "error",
        "message": message,
        "type": "insufficient_quota",
        "param": None,
        "code": code,
        "outlay": facts,
    }


def _ollama(message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {"error": message, "code": code, "outlay": facts}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_BODIES: Final = {
    "openai": _openai,
    "anthropic": _anthropic,
    "google": _google,
    "bedrock": _bedrock,
    "cohere": _cohere,
    "mistral": _mistral,
    "ollama": _ollama,
}
"""How each dialect words an error."""
