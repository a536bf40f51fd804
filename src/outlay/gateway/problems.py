"""What the gateway cannot or may not do for a client, and how it says so in the provider's words.

It owns `Problem`, the one error that a request's way through the gateway raises for its client, and
its answer. A call that a limit refused is none: that is `wire.refusals.refusal_response`. Neither
message nor hint may hold a secret or content.

| status | codes |
|---|---|
| 400 | what is wrong with the request itself |
| 401 | `no_key`, `unknown_key`, `key_revoked`, `key_expired` |
| 403 | `no_tenant`, `tenant_mismatch`, an upstream or a model that the key may not use |
| 404 | an upstream that is not declared |
| 405 | a method that no provider is asked with |
| 408, 413 | a body that is too slow, or too large |
| 429 | a queue that is full, or a wait that was too long |
| 502, 504 | an upstream that cannot be reached or has broken off; one that is too slow |
| 503 | `keys_stale`, an open circuit, a credential that is missing, `gateway_ends` |
"""

from __future__ import annotations

import time
from typing import Final

from outlay.errors import OutlayError
from outlay.wire.base import Endpoint
from outlay.wire.http_date import http_date
from outlay.wire.refusals import error_response

RESTART_S: Final = 1.0
"""When to try again while the gateway ends: another one may be there, or this one again."""
_PASSES: Final = frozenset((408, 429, 502, 504))
"""Statuses of what may be over when the client tries again."""


class Problem(OutlayError):  # noqa: N818 - what is in the way, whoever is at fault
    """Something that ends a request, told to its client."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        hint: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        """When to try again; `None`: not known, or of no use."""

    @property
    def passes(self) -> bool:
        """Whether it may be over when the client tries again."""
        return self.retry_after_s is not None or self.status in _PASSES


def ending() -> Problem:
    """Return what clients are told while the gateway ends."""
    return Problem(503, "gateway_ends", "The gateway is about to end.", retry_after_s=RESTART_S)


def date() -> bytes:
    """Return the date of an answer of our own: the listener says none, as providers do."""
    return http_date(int(time.time()))


def answer(
    problem: Problem, where: Endpoint | str | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (names lower case) and body of a problem's answer.

    Args:
        problem: what is wrong.
        where: where the call would have gone, which shapes the body; where no more is known, a
            surface's or a vendor's name.
    """
    return error_response(
        where,
        problem.status,
        code=problem.code,
        message=problem.message,
        hint=problem.hint,
        retry_after_s=problem.retry_after_s,
        retries=problem.passes,
    )
