"""Anthropic's models on Bedrock: Anthropic's own JSON, in Bedrock's envelope.

Owns what Bedrock adds: chunks of an event stream around Anthropic's events, exceptions in their
place, guardrails, the latency header, and the name to price by. All else is Anthropic's reader's.
The surface is Anthropic's, and who is paid is AWS.

What a reply names is the maker's name of the model. It is kept as `model_served`, with the prefix
of a global profile where one was asked for, since that has a price of its own. Where an ARN hides
the model, the ARN is what the price book is asked for first: the name in the reply then is kept
as `deployment` for an application inference profile, which is priced as its model, and not at all
for other ARNs (provisioned and custom models), which are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlay.wire.anthropic import AnthropicMessagesReader
from outlay.wire.base import BEDROCK_LATENCY_HEADER, BEDROCK_TIER_HEADER, Endpoint, Request, as_text
from outlay.wire.bedrock_names import APPLICATION_PROFILE, is_opaque, served_name
from outlay.wire.bedrock_usage import add_guardrail, note_block, trace_units
from outlay.wire.eventstream import unwrap_chunk
from outlay.wire.reader import BodyReader
from outlay.wire.usage_object import is_name


class BedrockAnthropicReader(AnthropicMessagesReader):
    """Reads one attempt of an Anthropic model on Bedrock, invoked or through its own API there."""

    __slots__ = ("_guardrail",)

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._guardrail: dict[str, int] = {}
        super().__init__(request, endpoint)
        reading = self.reading
        tier = request.headers.get(BEDROCK_TIER_HEADER, "")
        reading.tier_requested = reading.tier_requested or (tier if is_name(tier) else None)
        latency = request.headers.get(BEDROCK_LATENCY_HEADER, "")
        reading.speed = reading.speed or (latency if is_name(latency) else None)

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Read what Bedrock tells in headers."""
        super().on_headers(headers)
        latency = headers.get(BEDROCK_LATENCY_HEADER, "")
        if is_name(latency):
            self.reading.speed = latency

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply."""
        self._envelope(body)
        super().on_json(body)

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one event; what `invoke` streams is wrapped in chunks."""
        if name != "chunk":
            super().on_event(name, body)
            return
        inner = unwrap_chunk(body)
        if inner is None:
            self.reading.find("malformed_event")
            return
        self._envelope(inner)
        super().on_event("", inner)

    def on_end(self) -> None:
        """Settle the counts, then names and guardrails."""
        super().on_end()
        reading = self.reading
        if getattr(self._sse, "damaged", 0):
            reading.find("damaged_event")
        self._settle_names()
        if reading.http_status is not None and reading.http_status < 400:
            add_guardrail(reading, self._guardrail)
            note_block(reading, counted=self.usage_final)

    # -- inside --------------------------------------------------------------------------------

    def _envelope(self, body: dict[str, Any]) -> None:
        """Read what Bedrock adds to a reply or chunk, and the text of the completions of old."""
        if body.get("amazon-bedrock-guardrailAction") == "INTERVENED":
            self.reading.status = "blocked"
        if "amazon-bedrock-trace" in body:
            self._guardrail = trace_units(self.reading, body["amazon-bedrock-trace"])
        if (text := as_text(body.get("completion"))) is not None:
            self.output_characters += len(text)
        if body.get("type") == "completion" and as_text(body.get("stop_reason")) is not None:
            self._stop_reason = as_text(body["stop_reason"])
            self.terminal = True

    def _settle_names(self) -> None:
        reading = self.reading
        requested = reading.model_requested or ""
        if is_opaque(requested):
            served = reading.model_served if reading.model_served != requested else None
            reading.deployment = served if APPLICATION_PROFILE in requested else None
            reading.model_served = None
            return
        if reading.model_served is not None:
            reading.model_served = served_name(requested, reading.model_served)
        for segment in reading.segments:
            segment.model = served_name(requested, segment.model)


SURFACES: Final[dict[str, type[BodyReader]]] = {"aws:anthropic.messages": BedrockAnthropicReader}
"""The reader of each surface this module speaks, as the registry asks for it."""
