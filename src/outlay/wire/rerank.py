"""Reranking and scoring, as Cohere and the vendors of the OpenAI shape speak it.

It is charged by the search unit or by the input token, depending on the vendor's row. Where the
reply tells neither, both rules can be followed from the request, and the reading says so:

* a search unit is one query with up to 100 documents; a document that is longer than 500 tokens
  together with the query counts once for each chunk of that size (cohere.com/pricing; 4,096
  tokens for the v3.0 models, as Azure's page on them says);
* input tokens are the query's, once for each document, and the documents' own
  (docs.voyageai.com/docs/faq).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import (
    COHERE_COUNT_HEADER,
    Endpoint,
    Request,
    as_dict,
    as_list,
    estimate_tokens,
)
from outlay.wire.cohere_usage import fill
from outlay.wire.openai_cost import stated_cost, without_decimals
from outlay.wire.openai_reader import OpenAiReader
from outlay.wire.openai_usage import RESPONSES
from outlay.wire.reader import BodyReader
from outlay.wire.usage_object import count_of, note_drift, numbers_and_names

UNIT_DOCUMENTS: Final = 100
"""Documents of one search unit."""
CHUNK_TOKENS: Final = 500
LONG_CHUNK_TOKENS: Final = 4096
_LONG_CHUNK_MODELS: Final = ("rerank-english-v3.0", "rerank-multilingual-v3.0")
MAX_TEXT_FIELDS: Final = 64
"""Fields of one document that are counted."""

_DOCUMENTS: Final = ("documents", "text_2", "data_2", "items")
_QUERIES: Final = ("query", "text_1", "data_1", "queries")
_UNIT_KEYS: Final = frozenset(("search_units", "total_tokens", "cost", "cost_details", "is_byok"))


class RerankReader(OpenAiReader):
    """Reads one attempt of `/rerank` or `/score`."""

    __slots__ = ("_evidence", "_meta")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._meta: dict[str, Any] | None = None
        self._evidence: dict[str, int] = {}
        super().__init__(request, endpoint)

    def on_headers(self, headers: Mapping[str, str]) -> None:
        """Keep Cohere's sum of tokens beside the counts."""
        count = headers.get(COHERE_COUNT_HEADER, "")
        if count.isascii() and count.isdigit() and len(count) <= 15:
            self._evidence[COHERE_COUNT_HEADER] = int(count)

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply; results and documents are passed over."""
        self.take_facts(body)
        if body.get("error"):
            self.fail(body["error"])
        if isinstance(body.get("meta"), dict):
            self._meta = body["meta"]
        usage = body.get("usage")
        if isinstance(usage, dict):
            self.usage = usage

    def on_end(self) -> None:
        """Settle what is charged: as told, or as the request lets it be counted."""
        usage, self.usage = self.usage, None
        told = usage is not None and self._take_told(usage)
        if not told and self._meta is not None:
            told = fill(self.reading, self._meta, meta=True, evidence=self._evidence)
        self.usage_final = told
        if told:
            return
        super().on_end()
        status = self.reading.http_status
        if not self.errored and status is not None and status < 400:
            self._count()

    # -- inside --------------------------------------------------------------------------------

    def _take_told(self, usage: dict[str, Any]) -> bool:
        """Settle a usage object; tell whether it counted anything."""
        if (told := count_of(self.reading, usage, "search_units")) > 0:
            # OpenRouter tells tokens beside them, which are then not what is charged.
            note_drift(self.reading, usage, _UNIT_KEYS)
            self.reading.put(units.SEARCH_UNITS, told)
            self.reading.provider_cost_nanos = stated_cost(self.reading, usage, self.vendor)
            self.reading.usage_raw = numbers_and_names(without_decimals(usage))
            return True
        shape = RESPONSES if RESPONSES.input in usage else self.shape
        if shape.input not in usage:
            if not isinstance(usage.get("total_tokens"), int):
                return False
            usage = {**usage, shape.input: usage["total_tokens"]}
        self.settle(usage, shape)
        return True

    def _count(self) -> None:
        """Count what is charged from the request."""
        reading, body = self.reading, self.request_body
        reading.find("usage_missing")
        query = sum(map(_length, _listed(body, _QUERIES)))
        documents = [_length(document) for document in _listed(body, _DOCUMENTS)]
        if self.vendor.search_units:
            chunk = CHUNK_TOKENS
            if reading.model_requested in _LONG_CHUNK_MODELS:
                chunk = LONG_CHUNK_TOKENS
            chunks = [-(-estimate_tokens(query + length) // chunk) or 1 for length in documents]
            reading.put(units.SEARCH_UNITS, max(1, -(-sum(chunks) // UNIT_DOCUMENTS)))
            # How many documents there are is known, how many tokens are in them is not.
            exact = bool(documents) and sum(chunks) == len(documents)
            reading.usage_source = "counted" if exact else "estimated"
            return
        characters = query * max(1, len(documents)) + sum(documents)
        reading.put(units.INPUT, max(1, estimate_tokens(characters)))
        reading.usage_source = "estimated"
        reading.find("input_estimated")


def _listed(body: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    """Return the first of the named fields that is there, as a list."""
    for name in names:
        if body.get(name):
            value = body[name]
            return as_list(value) or [value]
    return []


def _length(document: Any) -> int:
    """Count the characters of a text, or of the texts of an object's fields."""
    if isinstance(document, str):
        return len(document)
    fields = list(as_dict(document).values())[:MAX_TEXT_FIELDS]
    return sum(len(text) for text in fields if isinstance(text, str))


SURFACES: Final[dict[str, type[BodyReader]]] = {
    "openai.rerank": RerankReader,
    "cohere.rerank": RerankReader,
}
"""The reader of each surface this module speaks."""
