"""Answers that providers never gave, in the provider's own shape: a refused call, and an error.

A refusal is HTTP 402, which no SDK retries, with a body that the SDK of that dialect turns into its
own typed error. The facts (which limit, how much is left, when it resets) stand under `outlay` in
the body, or where the dialect has a place for them, and in the message in plain words. An error is
what a gateway of ours has to say itself. The shapes are in `error_bodies`. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from outlay.wire.base import PROBLEM_HEADER, Endpoint
from outlay.wire.error_bodies import error_body, error_headers, shape_of

STATUS: Final = 402
REASON: Final = "Payment Required"
LIMIT_HEADER: Final = "outlay-limit"
"""Names the limit that refused; nobody but outlay sends it."""

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
    shape = shape_of(endpoint)
    code = str(facts.pop("code", "") or _CODE)
    headers = {
        **error_headers(shape, STATUS),
        "x-should-retry": "false",
        LIMIT_HEADER: _header_text(str(facts.get("limit_id") or code)),
    }
    body = error_body(shape, STATUS, message, code, facts)
    headers["content-length"] = str(len(body))
    return STATUS, headers, body


def error_response(
    where: Endpoint | str | None,
    status: int,
    *,
    code: str,
    message: str,
    hint: str = "",
    retry_after_s: float | None = None,
    retries: bool = True,
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (names lower case) and body of an error that is ours to tell.

    Args:
        where: where the call would have gone; where no more is known, a surface's or a vendor's
            name.
        status: the HTTP status, which is what SDKs choose their typed error by.
        code: what is wrong, in one word.
        message: the same in a sentence.
        hint: what helps; it follows the message.
        retry_after_s: when to try again.
        retries: false tells SDKs that would try again that it is of no use.
    """
    shape = shape_of(where)
    headers = {**error_headers(shape, status), PROBLEM_HEADER: _header_text(code)}
    facts: dict[str, Any] = {"hint": hint} if hint else {}
    if retry_after_s is not None:
        facts["retry_after_s"] = round(retry_after_s, 3)
        headers["retry-after"] = str(max(1, math.ceil(retry_after_s)))
        # SDKs made by Stainless look for it first, and need not wait a whole second.
        headers["retry-after-ms"] = str(math.ceil(retry_after_s * 1000))
    if not retries:
        headers["x-should-retry"] = "false"
    body = error_body(shape, status, f"{message} {hint}".rstrip(), code, facts)
    headers["content-length"] = str(len(body))
    return status, headers, body


def _header_text(text: str) -> str:
    """Return what may stand in a header: the id of a limit is plain anyway."""
    return "".join(sign if " " < sign < "\x7f" else "_" for sign in text[:128])
