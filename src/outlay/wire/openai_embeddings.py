"""OpenAI-shaped embeddings: input tokens, told, counted from token ids, or estimated from texts."""

from __future__ import annotations

from typing import Any, Final

from outlay.core import units
from outlay.wire.openai_reader import OpenAiReader, strings_length, token_array_length
from outlay.wire.reader import BodyReader


class OpenAiEmbeddingsReader(OpenAiReader):
    """Reads one attempt of `/embeddings`."""

    __slots__ = ()

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply; the vectors are passed over."""
        self.take_facts(body)
        if body.get("error"):
            self.fail(body["error"])
        usage = body.get("usage")
        if isinstance(usage, dict) and self.shape.input not in usage:
            # Some vendors (Voyage) tell only the total, which is all input.
            usage = {**usage, self.shape.input: usage.get("total_tokens")}
        self.take_usage(usage)
        self.usage_final = self.usage is not None

    def on_end(self) -> None:
        """Settle the counts; an input of token ids needs no estimate."""
        super().on_end()
        status = self.reading.http_status
        if self.usage is None and not self.errored and status is not None and status < 400:
            counted = token_array_length(self.request_body.get("input"))
            if counted is not None:
                self.reading.put(units.INPUT, counted)
                self.reading.usage_source = "counted"
                self.reading.find("usage_missing")
                self.usage_final = True

    def count_request_characters(self) -> int:
        """Count the characters of the texts to embed."""
        return strings_length(self.request_body.get("input"))


SURFACES: Final[dict[str, type[BodyReader]]] = {"openai.embeddings": OpenAiEmbeddingsReader}
"""The reader of each surface this module speaks."""
