"""Google embeddings: `embedContent`, `batchEmbedContents`, and Vertex `:predict`.

AI Studio may state no usage at all: then the input is estimated from the request's text and the
reading says so. Vertex counts tokens per prediction. Keeps counts of characters, never text.
"""

from __future__ import annotations

from typing import Any

from outlay.core import units
from outlay.wire.base import as_count, as_dict, as_list, as_text
from outlay.wire.google_usage import metadata_buckets
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import numbers_and_names


def text_characters(content: Any) -> int:
    """Count the characters of a content's text parts; plain text counts as itself."""
    if isinstance(content, str):
        return len(content)
    parts = as_list(as_dict(content).get("parts"))
    return sum(len(as_text(as_dict(part).get("text")) or "") for part in parts)


class GoogleEmbedReader(BodyReader):
    """Reads one attempt of an embeddings call."""

    __slots__ = ()

    def on_json(self, body: dict[str, Any]) -> None:
        """Read the counts where there are any."""
        reading = self.reading
        predictions = [as_dict(item) for item in as_list(body.get("predictions"))]
        statistics = [
            as_dict(as_dict(item.get("embeddings")).get("statistics")) for item in predictions
        ]
        usage = as_dict(body.get("usageMetadata"))
        if usage.get("promptTokenCount") is not None:
            for unit, count in metadata_buckets(reading, usage).items():
                reading.put(unit, count)
            reading.usage_raw = numbers_and_names(usage)
        elif any("token_count" in item for item in statistics):
            total = sum(max(0, as_count(item.get("token_count"))) for item in statistics)
            reading.put(units.INPUT, total)
            characters = as_count(as_dict(body.get("metadata")).get("billableCharacterCount"))
            reading.usage_raw = {"token_count": total, "billableCharacterCount": characters}
            if not all("token_count" in item for item in statistics):
                reading.find("statistics_incomplete")
        self.usage_final = bool(reading.usage)

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's status name; its text is not kept."""
        self.reading.error_type = error_type_of(body)

    def count_request_characters(self) -> int:
        """Count the text to embed, in any of the three request shapes."""
        body = self.request_body
        contents = [body.get("content")]
        contents += [as_dict(item).get("content") for item in as_list(body.get("requests"))]
        contents += [as_dict(item).get("content") for item in as_list(body.get("instances"))]
        return sum(map(text_characters, contents))
