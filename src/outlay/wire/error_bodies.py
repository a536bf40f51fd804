"""The words of an error in each dialect: the shape of its body, and its type by HTTP status.

An SDK makes its own typed error of them. Facts of ours stand under `outlay`, or where the dialect
has a place for such. It decides neither what is an error nor what it is about. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from outlay.wire.base import Endpoint
from outlay.wire.vendors import BY_NAME

_DOMAIN: Final = "outlay"

_OPENAI_TYPES: Final = {402: "insufficient_quota", 429: "rate_limit_error"}
_ANTHROPIC_TYPES: Final = {
    401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    504: "timeout_error",
}  # fmt: skip
_GOOGLE_STATUSES: Final = {
    401: "UNAUTHENTICATED", 402: "RESOURCE_EXHAUSTED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED", 429: "RESOURCE_EXHAUSTED", 502: "UNAVAILABLE", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_BEDROCK_TYPES: Final = {
    401: "AccessDeniedException", 402: "ServiceQuotaExceededException",
    403: "AccessDeniedException", 404: "ResourceNotFoundException", 408: "ModelTimeoutException",
    429: "ThrottlingException", 502: "ServiceUnavailableException",
    503: "ServiceUnavailableException", 504: "ModelTimeoutException",
}  # fmt: skip


def shape_of(where: Endpoint | str | None) -> str:
    """Return the shape of errors at an endpoint, or of a surface or vendor by its name.

    Where nothing is known, it is OpenAI's.
    """
    if where is None:
        return "openai"
    if isinstance(where, str):
        name = where.partition(".")[0]
        vendor = BY_NAME.get(name)
        return _BY_NAME.get(name if vendor is None else vendor.name, "openai")
    surface = where.surface
    if where.provider == "aws" and (surface.startswith(("bedrock.", "aws.")) or where.model):
        return "bedrock"
    family = surface.partition(".")[0]
    if family == "openai":
        # Many vendors speak OpenAI's API; only Mistral's own SDK looks for another error there.
        return "mistral" if where.vendor == "mistral" else "openai"
    return family if family in _BODIES else "openai"


def error_body(shape: str, status: int, message: str, code: str, facts: Mapping[str, Any]) -> bytes:
    """Return the JSON body of an error.

    Args:
        shape: as `shape_of` tells it.
        status: the HTTP status.
        message: what is wrong, in plain words.
        code: the same in one word.
        facts: more for programs.
    """
    told = _BODIES[shape](status, message, code, dict(facts))
    return json.dumps(told, separators=(",", ":")).encode()


def error_headers(shape: str, status: int) -> dict[str, str]:
    """Return the headers that belong to such a body, names in lower case."""
    headers = {"content-type": "application/json"}
    if shape == "bedrock":
        usual = "ValidationException" if status < 500 else "InternalServerException"
        headers["x-amzn-errortype"] = _BEDROCK_TYPES.get(status, usual)
    return headers


def _openai_type(status: int) -> str:
    usual = "invalid_request_error" if status < 500 else "server_error"
    return _OPENAI_TYPES.get(status, usual)


def _openai(status: int, message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "error": {
            "message": message,
            "type": _openai_type(status),
            "param": None,
            "code": code,
            "outlay": facts,
        }
    }


def _anthropic(status: int, message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    usual = "invalid_request_error" if status < 500 else "api_error"
    kind = _ANTHROPIC_TYPES.get(status, usual)
    told = {"type": kind, "message": message, "code": code, "outlay": facts}
    return {"type": "error", "error": told, "request_id": None}


def _google(status: int, message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": code.upper(),
        "domain": _DOMAIN,
        "metadata": {name: _plain(value) for name, value in facts.items()},
    }
    usual = "INVALID_ARGUMENT" if status < 500 else "INTERNAL"
    kind = _GOOGLE_STATUSES.get(status, usual)
    told = {"code": status, "message": message, "status": kind, "details": [info]}
    return {"error": told}


def _flat(_status: int, message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {"message": message, "code": code, "outlay": facts}


def _mistral(status: int, message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "object": "error",
        "message": message,
        "type": _openai_type(status),
        "param": None,
        "code": code,
        "outlay": facts,
    }


def _ollama(_status: int, message: str, code: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {"error": message, "code": code, "outlay": facts}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_BODIES: Final[Mapping[str, Callable[[int, str, str, dict[str, Any]], dict[str, Any]]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "google": _google,
    "bedrock": _flat,
    "cohere": _flat,
    "mistral": _mistral,
    "ollama": _ollama,
}
"""How each dialect words an error."""

_BY_NAME: Final = {**{name: name for name in _BODIES}, "aws": "bedrock"}
"""The shapes of vendors, and of families of surfaces, that have one of their own."""
