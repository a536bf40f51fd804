"""What the name of a Bedrock model tells: the API behind `invoke`, the operation, the region.

A name is a model id, the id of an inference profile (`eu.`, `global.`, …), or an ARN. Prices are
not here: the catalogue tells global from regional models by the name's prefix.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from outlay.wire.base import Endpoint

APPLICATION_PROFILE: Final = ":application-inference-profile/"

_ARN: Final = re.compile(r"arn:[^/]+:(?P<kind>[a-z-]+)/(?P<name>.+)")
_NAMED_KINDS: Final = ("foundation-model", "inference-profile")
"""Kinds of ARN that end in a model's or a profile's own id."""

_HOST: Final = re.compile(
    r"bedrock-(?:runtime|mantle)(?:-fips)?\.(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d+)\..+"
)
_OPERATIONS: Final = (
    ("embed", "embeddings"),
    (".rerank", "rerank"),
    ("titan-image", "image"),
    ("nova-canvas", "image"),
    ("stability.", "image"),
)
"""Operations by a part of the model's id; all else is `chat`."""


def is_opaque(model: str) -> bool:
    """Tell whether the name is an ARN that does not say which model is behind it."""
    found = _ARN.fullmatch(model)
    return found is not None and found["kind"] not in _NAMED_KINDS


def short_name(model: str) -> str:
    """Return the model's or the profile's id, without the ARN around it."""
    found = _ARN.fullmatch(model)
    return found["name"] if found is not None and found["kind"] in _NAMED_KINDS else model


def is_anthropic(model: str) -> bool:
    """Tell whether `invoke` of this model speaks Anthropic's messages API."""
    return "anthropic." in model


def is_openai(model: str) -> bool:
    """Tell whether it is one of OpenAI's models."""
    return "openai." in model


def operation_of(model: str) -> str:
    """Return the operation that `invoke` of this model is."""
    if APPLICATION_PROFILE in model:
        return "chat"
    return next((operation for part, operation in _OPERATIONS if part in model), "chat")


def invoked(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint of an `invoke`, with what its model's name tells."""
    model = endpoint.model or ""
    if is_anthropic(model):
        return replace(endpoint, vendor="anthropic", surface="anthropic.messages")
    return replace(endpoint, operation=operation_of(model))


def region_of(host: str) -> str:
    """Return the region in one of Bedrock's own host names, else nothing.

    The price is that of the region asked, also where a profile sends the request elsewhere.
    """
    found = _HOST.fullmatch(host)
    return found["region"] if found is not None else ""


def served_name(requested: str, served: str) -> str:
    """Return the name to price a served model by, given what was asked for.

    Replies name a model as its maker does (`claude-x`), which the catalogue takes for the regional
    one. What was asked through a global profile is priced as the global one.
    """
    if not short_name(requested).startswith("global.") or not served.startswith("claude-"):
        return served
    return f"global.anthropic.{served}"
