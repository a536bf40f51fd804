"""What the OpenAI-shaped image, video and audio codecs share.

They ask in JSON or in a multipart form, and their replies carry base64: the short fields of a form
are read, long strings are emptied as they pass, and no body is kept of either.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Final

from outlay.core.event import MAX_COUNT
from outlay.wire.base import Endpoint, Request
from outlay.wire.long_values import LongValues
from outlay.wire.multipart import form_fields
from outlay.wire.openai_reader import OpenAiReader
from outlay.wire.usage_object import numbers_and_names

ASKED: Final = frozenset(
    (
        "model", "n", "size", "quality", "resolution", "seconds", "duration", "stream",
        "response_format", "service_tier",
    )
)  # fmt: skip
"""Fields of a request that say what is asked; no other is kept."""

MAX_NUMBER_CHARACTERS: Final = 32
_GRAIN: Final = 3
"""Decimals that count: what is behind them is noise of single-precision floats."""


class MediaReader(OpenAiReader):
    """Base of the image, video and audio readers."""

    __slots__ = ("_form", "_values", "asked")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        kind = request.headers.get("content-type", "")
        self._form: dict[str, Any] = dict(form_fields(kind, request.body, ASKED))
        self._values = LongValues()
        self.asked: dict[str, Any] = {}
        """The short fields of the request, from JSON or a form."""
        super().__init__(request, endpoint)
        # The rest may hold images in base64, for as long as the reply takes.
        self.request_body = {}

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked, in JSON or in a form."""
        given = body or self._form
        self.asked = {key: value for key, value in given.items() if key in ASKED}
        super().on_request(self.asked)
        self.streamed = str(self.asked.get("stream")).lower() == "true"

    def feed(self, chunk: bytes) -> None:
        """Take decoded body bytes; images and audio in base64 are not kept."""
        super().feed(self._values.feed(chunk))

    def take_usage(self, usage: Any) -> None:
        """Keep a usage object, also one that counts no tokens: it may state seconds or a cost."""
        if isinstance(usage, dict) and usage:
            self.usage = usage

    def on_end(self) -> None:
        """Settle what was used, unless nothing was."""
        reading = self.reading
        if reading.http_status is not None and reading.http_status < 400 and not self.errored:
            self.count()
        else:
            super().on_end()

    def count(self) -> None:
        """Put what a reply without error used; for subclasses."""

    def missing(self) -> None:
        """Say that nothing tells what the call used: it costs something, not nothing."""
        self.reading.find("usage_missing")
        self.reading.billed = "possible"

    def keep_raw(self, usage: dict[str, Any]) -> None:
        """Keep the provider's object and what was noted beside it."""
        raw = {**usage, **self.evidence}
        self.reading.usage_raw = numbers_and_names(raw) if raw else None


def rounded_up(value: Any) -> int:
    """Return a positive number, from JSON or a form, as a whole one; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return 0
    if isinstance(value, str) and len(value) > MAX_NUMBER_CHARACTERS:
        return 0
    try:
        number = Decimal(value)
        return max(1, math.ceil(round(number, _GRAIN))) if 0 < number <= MAX_COUNT else 0
    except ArithmeticError:  # no number, or not one that compares
        return 0
