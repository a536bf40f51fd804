"""Readers for endpoints without a codec: known free ones, and unknown ones of known vendors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.core import units
from outlay.wire.base import Endpoint, Reading, Request, as_text
from outlay.wire.openai_reader import OpenAiReader
from outlay.wire.openai_usage import has_counts, shape_of
from outlay.wire.usage_object import count_of, numbers_and_names

_ADDITIVE = {
    "input_tokens": units.INPUT,
    "cache_read_input_tokens": units.CACHE_READ,
    "cache_creation_input_tokens": units.CACHE_WRITE,
    "output_tokens": units.OUTPUT,
}
"""Anthropic's counters, which do not include each other."""


class FreeReader:
    """Follows a call that costs nothing; no event is made of its reading."""

    __slots__ = ("_reading", "ready", "streamed")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.streamed = False
        self.ready: list[Reading] = []
        reading.billed = "no"

    def response(self, status: int, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        """Take the status; headers say nothing of interest."""
        self._reading.http_status = status

    def feed(self, chunk: bytes) -> None:
        """Pass over the body."""

    def finish(self, *, complete: bool = True, error: str | None = None) -> Reading:
        """Give the reading."""
        reading = self._reading
        if error is not None:
            reading.status = "timeout" if error == "timeout" else "error"
        elif (reading.http_status or 0) >= 400:
            reading.status = "error"
        elif not complete:
            reading.status = "aborted"
        return reading


def open_free(request: Request, endpoint: Endpoint) -> FreeReader:  # noqa: ARG001 - like the others
    """Return a reader for a known free endpoint."""
    return FreeReader(Reading(endpoint.provider, endpoint.surface, endpoint.vendor))


class UnknownReader(OpenAiReader):
    """Reads a call to an endpoint that is not known: nobody can say what it costs.

    A top-level usage object is read if there is one; nothing is estimated.
    """

    __slots__ = ()

    def on_json(self, body: dict[str, Any]) -> None:
        """Read what most APIs state at the top level."""
        self._look(body)

    def on_event(self, name: str, body: dict[str, Any]) -> None:  # noqa: ARG002 - a hook
        """Read a top-level usage object of a stream event; the last one wins."""
        self._look(body)

    def on_end(self) -> None:
        """Settle the counts and say that the endpoint is not known."""
        reading = self.reading
        reading.find("unknown_endpoint")
        reading.billed = "possible"
        self.terminal = self.terminal or self.complete
        if self.usage is None:
            return
        self.usage_final = self.complete
        if not has_counts(self.usage):
            reading.usage_raw = numbers_and_names(self.usage)
        elif reading.vendor == "anthropic":
            reading.usage_raw = numbers_and_names(self.usage)
            for key, unit in _ADDITIVE.items():
                reading.put(unit, count_of(reading, self.usage, key))
        else:
            self.settle(self.usage, shape_of(self.usage))

    def _look(self, body: dict[str, Any]) -> None:
        self.take_facts(body)
        if as_text(body.get("modelVersion")):
            self.reading.model_served = body["modelVersion"]
        if isinstance(body.get("usage"), dict):
            self.usage = body["usage"]
        elif isinstance(body.get("usageMetadata"), dict):
            self.reading.usage_raw = numbers_and_names(body["usageMetadata"])
