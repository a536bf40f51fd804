"""What the OpenAI-shaped codecs share: the last usage object, stated cost, errors, characters.

Subclasses know where each API keeps these. Counts of characters are kept, never text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from outlay.wire.base import Endpoint, Request, as_count, as_dict, as_list, as_text, load_json
from outlay.wire.openai_cost import load_exact, stated_cost, without_decimals
from outlay.wire.openai_usage import CHAT, Shape, fill, has_counts
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import numbers_and_names
from outlay.wire.vendors import Vendor, conventions

if TYPE_CHECKING:
    from outlay.wire.frames import Echo

MAX_TEXT_DEPTH = 4
"""Levels of nested content parts that are counted."""


class OpenAiReader(BodyReader):
    """Base of the chat, responses and embeddings readers."""

    __slots__ = ("errored", "evidence", "usage", "vendor")

    shape: ClassVar[Shape] = CHAT

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self.vendor: Vendor = conventions(endpoint.vendor)
        self.usage: dict[str, Any] | None = None
        """The latest usage object that counts: counts are cumulative, never summed."""
        self.evidence: dict[str, Any] = {}
        """What is kept beside the usage object in `usage_raw`."""
        self.errored = False
        super().__init__(request, endpoint)

    # -- hooks of the base ---------------------------------------------------------------------

    def parse(self, data: bytes) -> Any:
        """Parse exactly where the vendor states money, plainly elsewhere."""
        return load_exact(data) if self.vendor.cost else load_json(data)

    def echo_to(self, echo: Echo | None) -> None:
        """Leave events for who relays them, unless their fractions are no plain numbers here."""
        super().echo_to(None if self.vendor.cost else echo)

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked, as far as all APIs of this shape ask it alike."""
        reading = self.reading
        model = as_text(body.get("model"))
        if reading.provider == "azure" and reading.deployment is None:
            # On Azure's v1 paths the body's model is the name of the deployment.
            reading.deployment = model
        reading.model_requested = model or reading.model_requested or reading.deployment
        reading.tier_requested = as_text(body.get("service_tier"))
        self.streamed = body.get("stream") is True

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's type, and a usage object if it brings one."""
        self.reading.error_type = error_type_of(body)
        if body is not None:
            self.take_usage(body.get("usage"))

    def on_end(self) -> None:
        """Turn the last usage object into buckets."""
        if self.usage is not None:
            self.settle(self.usage, self.shape)
        elif self.errored:
            # Generation may have begun: the base estimates it when any output was seen.
            self.reading.billed = "possible" if self.output_characters else "no"
            self.terminal = not self.output_characters

    # -- for subclasses ------------------------------------------------------------------------

    def take_usage(self, usage: Any) -> None:
        """Keep a usage object if it counts something."""
        if isinstance(usage, dict) and has_counts(usage):
            self.usage = usage

    def take_facts(self, body: dict[str, Any]) -> None:
        """Read the model, id and tier that a reply, chunk or response object states."""
        reading = self.reading
        reading.model_served = as_text(body.get("model")) or reading.model_served
        reading.response_id = as_text(body.get("id")) or reading.response_id
        reading.tier_served = as_text(body.get("service_tier")) or reading.tier_served

    def fail(self, error: Any) -> None:
        """Note an error told inside a reply of status 200."""
        self.errored = True
        self.reading.status = "error"
        self.reading.error_type = error_type_of({"error": error}) or "error"

    def settle(self, usage: dict[str, Any], shape: Shape) -> None:
        """Turn a usage object into buckets, its stated cost and its raw copy."""
        reading = self.reading
        if self.vendor.cost:
            reading.provider_cost_nanos = stated_cost(reading, usage, self.vendor)
            usage = without_decimals(usage)
        plain = fill(reading, usage, shape, self.vendor)
        # A plain object is its own safe copy.
        safe = plain and not self.evidence
        reading.usage_raw = usage if safe else numbers_and_names({**usage, **self.evidence})
        self.usage_input = True
        if not reading.usage:
            reading.usage_source = "provider"
            reading.find("usage_zero")


def text_length(content: Any, depth: int = 0) -> int:
    """Count the characters of a string, or of the texts in a list of content parts."""
    if isinstance(content, str):
        return len(content)
    if isinstance(content, dict):
        content = [content]
    if depth >= MAX_TEXT_DEPTH or not isinstance(content, list):
        return 0
    total = 0
    for part in content:
        if isinstance(part, dict):
            total += len(as_text(part.get("text")) or "")
            # Mistral's thinking parts hold parts of their own.
            total += text_length(part.get("thinking"), depth + 1)
    return total


def messages_length(messages: Any) -> int:
    """Count the characters of the contents of messages."""
    return sum(text_length(as_dict(message).get("content")) for message in as_list(messages))


def strings_length(value: Any) -> int:
    """Count the characters of a string or of the strings in a list."""
    if isinstance(value, str):
        return len(value)
    return sum(len(item) for item in as_list(value) if isinstance(item, str))


def token_array_length(value: Any) -> int | None:
    """Count an input given as token ids: one array, or arrays only; `None` for anything else."""
    items = as_list(value)
    if not items:
        return None
    if all(type(item) is int for item in items):
        return len(items)
    if all(isinstance(item, list) and all(type(n) is int for n in item) for item in items):
        return sum(map(len, items))
    return None


def first_count(body: dict[str, Any], names: Iterable[str]) -> int | None:
    """Return the first positive whole number among the named fields."""
    for name in names:
        if (count := as_count(body.get(name))) > 0:
            return count
    return None
