"""Bedrock's InvokeModel for every maker that has no reader of its own here.

The body is the maker's own JSON: Nova's, Titan's, Cohere's, Llama's, Mistral's, or that of OpenAI,
which most others speak. What is read of it goes by its shape, since an ARN may hide the maker.
The counts in Bedrock's headers (in a stream, on its last chunk) come first, then the body's own,
then an estimate. Embeddings count tokens, reranking counts searches, image models count images.
Anthropic's models are `bedrock_anthropic`'s, also behind an ARN, where the request's body tells.

The ARN of an application inference profile stays `model_requested`: the price book says what it
means. Keeps counts of characters, never text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import (
    BEDROCK_ERROR_HEADER,
    BEDROCK_LATENCY_HEADER,
    BEDROCK_TIER_HEADER,
    Endpoint,
    Request,
    as_dict,
    as_list,
    as_text,
    estimate_tokens,
)
from outlay.wire.bedrock_anthropic import BedrockAnthropicReader
from outlay.wire.bedrock_bodies import (
    Outcome,
    flat_counts,
    max_tokens,
    outcome_of,
    reply_length,
    request_length,
    tool_calls,
    usage_of,
)
from outlay.wire.bedrock_names import is_opaque
from outlay.wire.bedrock_usage import (
    add_guardrail,
    error_name,
    header_counts,
    metric_counts,
    note_block,
    put_converse,
    put_counts,
    trace_units,
)
from outlay.wire.eventstream import unwrap_chunk
from outlay.wire.openai_usage import fill, has_counts, shape_of
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import is_name, merge_latest, numbers_and_names
from outlay.wire.vendors import conventions

DOCUMENTS_A_SEARCH: Final = 100
TOKENS_A_DOCUMENT: Final = 512
"""A rerank query is charged once for each hundred documents; a longer document counts as several,
the query being part of each. Source: Amazon Bedrock's price list."""

_EMBEDDED_MEDIA: Final = (
    "inputImage",
    "images",
    "image",
    "video",
    "audio",
    "singleEmbeddingParams",
)


class BedrockInvokeReader(BodyReader):
    """Reads one attempt of InvokeModel or InvokeModelWithResponseStream."""

    __slots__ = ("_calls", "_flat", "_guardrail", "_images", "_outcome", "_told", "_usage")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._told: dict[str, int] = {}
        """Bedrock's own counts, of headers or of a stream's last chunk."""
        self._usage: dict[str, Any] = {}
        """The body's usage object, each field at its latest value."""
        self._flat: dict[str, int] = {}
        """Counters that stand in the body itself."""
        self._outcome: Outcome | None = None
        self._guardrail: dict[str, int] = {}
        self._images = 0
        self._calls: set[Any] = set()
        super().__init__(request, endpoint)
        reading = self.reading
        if request.path.endswith("/invoke-with-response-stream"):
            self.streamed = reading.streamed = True
        reading.tier_requested = _name(request.headers, BEDROCK_TIER_HEADER)
        reading.speed = _name(request.headers, BEDROCK_LATENCY_HEADER)

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked."""
        self.reading.max_tokens = max_tokens(body)

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Read Bedrock's counts, what the call was served as, and the class of an error."""
        reading = self.reading
        self._told = header_counts(headers)
        reading.tier_served = _name(headers, BEDROCK_TIER_HEADER)
        reading.speed = _name(headers, BEDROCK_LATENCY_HEADER) or reading.speed
        reading.error_type = error_name(headers.get(BEDROCK_ERROR_HEADER))

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply."""
        self._take_body(body)

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one chunk of a stream, or the exception in its place."""
        if body.get("type") == "error" and name != "chunk":
            # The input was accepted; whether it is charged is not said.
            self.reading.status = "error"
            self.reading.error_type = error_name(error_type_of(body)) or "error"
            self.reading.billed = "possible"
        elif name == "chunk":
            inner = unwrap_chunk(body)
            if inner is None:
                self.reading.find("malformed_event")
            else:
                self._take_body(inner)
                self._told.update(metric_counts(inner))
                if self._outcome is not None or "amazon-bedrock-invocationMetrics" in inner:
                    self.terminal = True

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's class; its text is not kept."""
        found = error_name(as_text(as_dict(body).get("__type")) or error_type_of(body))
        self.reading.error_type = self.reading.error_type or found

    def on_end(self) -> None:
        """Turn the counts into buckets, whoever told them."""
        reading = self.reading
        if self._outcome is not None:
            reading.finish_reason = self._outcome.reason
            if reading.status == "ok":
                reading.status = self._outcome.status
        reading.tool_calls = len(self._calls)
        if reading.http_status is None or reading.http_status >= 400:
            return
        if getattr(self._sse, "damaged", 0):
            reading.find("damaged_event")
        if reading.operation == "embeddings":
            self._settle_embeddings()
        elif reading.operation == "rerank":
            self._settle_rerank()
        elif reading.operation == "image":
            self._settle_images()
        else:
            self._settle_tokens()
        counts = self._told or self._flat
        raw = {**self._usage, **({"counts": counts} if counts else {})}
        reading.usage_raw = numbers_and_names(raw) if raw else None
        add_guardrail(reading, self._guardrail)
        note_block(reading, counted=self.usage_final)

    def count_request_characters(self) -> int:
        """Count the text of prompts, messages and texts."""
        return request_length(self.request_body)

    # -- inside --------------------------------------------------------------------------------

    def _take_body(self, body: dict[str, Any]) -> None:
        """Read a whole reply or one chunk: they differ in how much is there."""
        merge_latest(self._usage, usage_of(body))
        self._flat.update(flat_counts(body))
        self._outcome = outcome_of(body, self.reading) or self._outcome
        self._calls |= tool_calls(body, len(self._calls))
        self.output_characters += reply_length(body)
        if "embedding" in body or "embeddings" in body:
            self.reading.operation = "embeddings"
        pictures = as_list(body.get("images")) or as_list(body.get("artifacts"))
        if pictures:
            self.reading.operation = "image"
        reasons = as_list(body.get("finish_reasons"))
        # Stability gives a reason for each image that was filtered out, and charges for the rest.
        self._images += len(pictures) - sum(1 for reason in reasons[: len(pictures)] if reason)
        if body.get("amazon-bedrock-guardrailAction") == "INTERVENED":
            self.reading.status = "blocked"
        if "amazon-bedrock-trace" in body:
            self._guardrail = trace_units(self.reading, body["amazon-bedrock-trace"])
        self.reading.response_id = as_text(body.get("id")) or self.reading.response_id

    def _settle_tokens(self) -> None:
        reading, usage, told = self.reading, self._usage, self._told
        ended = self.terminal or self._sse is None
        nova = "inputTokens" in usage or "outputTokens" in usage
        if "output_tokens" in told and not (not nova and _cached(usage) and not _cached(told)):
            put_counts(reading, told)
            self.usage_final = ended
        elif nova:
            put_converse(reading, usage, ttl_unit=units.CACHE_WRITE)
            self.usage_final = ended and "outputTokens" in usage
        elif has_counts(usage):
            fill(reading, usage, shape_of(usage), conventions(reading.vendor))
            self.usage_final = ended
        else:
            counts = {**self._flat, **told}
            put_counts(reading, counts)
            self.usage_final = ended and "output_tokens" in counts
        self.usage_input = bool(reading.input_total)
        if self.usage_final and not self.usage_input:
            self._estimate_input()
        if self.usage_final and not reading.usage:
            reading.usage_source = "provider"

    def _estimate_input(self) -> None:
        """Fill in an input side that final counts left out; one that they state as 0 stays 0."""
        if "input_tokens" in {**self._flat, **self._told} or has_counts(self._usage):
            return
        if "inputTokens" not in self._usage:
            count = max(1, estimate_tokens(self.count_request_characters()))
            self.reading.put(units.INPUT, count)
            self.reading.find("input_estimated")
            self.reading.usage_source = "estimated"

    def _settle_embeddings(self) -> None:
        reading = self.reading
        counts = {**self._flat, **self._told}
        if "input_tokens" in counts:
            reading.put(units.INPUT, counts["input_tokens"])
            self.usage_final = True
            if not reading.usage:
                reading.usage_source = "provider"
        elif has_counts(self._usage):
            fill(reading, self._usage, shape_of(self._usage), conventions(reading.vendor))
            self.usage_final = True
        body = self.request_body
        if isinstance(body.get("inputImage"), str):
            reading.put(units.IMAGES, 1)
        elif any(key in body for key in _EMBEDDED_MEDIA) and not _is_text(body):
            # Priced by the image or the second, which nothing on the wire counts.
            reading.find("media_uncounted")

    def _settle_rerank(self) -> None:
        """Count searches; what the provider says that it billed comes first."""
        reading = self.reading
        self.usage_final = True
        if "search_units" in self._flat:
            reading.put(units.SEARCH_UNITS, self._flat["search_units"])
            return
        body = self.request_body
        query = len(as_text(body.get("query")) or "")
        documents = 0
        for document in as_list(body.get("documents")):
            size = len(document) if isinstance(document, str) else request_length(document)
            documents += max(1, -(-estimate_tokens(query + size) // TOKENS_A_DOCUMENT))
        if documents:
            reading.put(units.SEARCH_UNITS, -(-documents // DOCUMENTS_A_SEARCH))
            reading.usage_source = "counted"
        else:
            reading.find("usage_missing")
            reading.billed = "possible"

    def _settle_images(self) -> None:
        """Count the images that came, or those asked for where the reply was cut."""
        reading = self.reading
        self.usage_final = self.terminal
        if self._images or self.terminal:
            reading.put(units.IMAGES, self._images)
            if not self._images:
                reading.find("usage_zero")
            return
        asked = as_dict(self.request_body.get("imageGenerationConfig")).get("numberOfImages")
        reading.put(units.IMAGES, asked if type(asked) is int and asked > 0 else 1)
        reading.find("output_estimated")
        reading.usage_source = "estimated"


def _name(headers: Mapping[str, str], header: str) -> str | None:
    value = headers.get(header, "")
    return value if is_name(value) else None


def _cached(counts: Mapping[str, Any]) -> bool:
    """Tell whether counts of a header's or of OpenAI's shape tell of a cache."""
    details = as_dict(counts.get("prompt_tokens_details"))
    return bool(details.get("cached_tokens") or counts.get("cache_read_input_tokens"))


def _is_text(body: dict[str, Any]) -> bool:
    parameters = as_dict(body.get("singleEmbeddingParams"))
    return "text" in parameters and not any(key in body for key in _EMBEDDED_MEDIA[:-1])


def open_invoke(request: Request, endpoint: Endpoint) -> BodyReader:
    """Return the reader of an `invoke`; behind an ARN, the body tells Anthropic's models."""
    if is_opaque(endpoint.model or "") and b'"anthropic_version"' in request.body:
        endpoint = replace(endpoint, vendor="anthropic", surface="anthropic.messages")
        return BedrockAnthropicReader(request, endpoint)
    return BedrockInvokeReader(request, endpoint)


SURFACES: Final[dict[str, Callable[[Request, Endpoint], BodyReader]]] = {
    "bedrock.invoke": open_invoke
}
"""What opens the reader of each surface this module speaks."""
