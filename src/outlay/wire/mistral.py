"""Mistral's own shapes: OCR, charged by page, and conversations, whose connectors are charged too.

The tokens of connectors (what their results fed back to the model) come on top of the prompt's.
Each run of a connector is a unit of its own, `connector_<name>`. Keeps counts, never text.
"""

from __future__ import annotations

from typing import Any, Final

from outlay.core import units
from outlay.core.event import MAX_COUNT
from outlay.wire.base import Endpoint, Request, as_count, as_dict, as_list, as_text
from outlay.wire.long_values import LongValues
from outlay.wire.openai_reader import OpenAiReader, messages_length, text_length
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import count_of, drift, is_name, note_drift, numbers_and_names

MAX_CONNECTORS: Final = 16
"""Connectors of one conversation that become units; what is left out is found."""
MAX_MODELS: Final = 16
"""Different models of one conversation that are told apart."""
MAX_TOOL_CALLS: Final = 1024
"""Distinct function calls counted in one reply."""

_OCR_KEYS: Final = frozenset(("pages_processed", "doc_size_bytes"))
_ANNOTATIONS: Final = ("bbox_annotation_format", "document_annotation_format")
"""Either of them in a request makes its pages annotated ones, at another price."""


class MistralOcrReader(BodyReader):
    """Reads one attempt of `/ocr`."""

    __slots__ = ("_annotated", "_values")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._values = LongValues()
        self._annotated = False
        super().__init__(request, endpoint)
        self.request_body = {}  # it may hold a document in base64

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked."""
        self.reading.model_requested = as_text(body.get("model"))
        self._annotated = any(body.get(key) for key in _ANNOTATIONS)

    def feed(self, chunk: bytes) -> None:
        """Take decoded body bytes; pages and their images are not kept."""
        super().feed(self._values.feed(chunk))

    def on_json(self, body: dict[str, Any]) -> None:
        """Read how many pages were processed."""
        reading = self.reading
        reading.model_served = as_text(body.get("model"))
        usage = as_dict(body.get("usage_info"))
        pages = count_of(reading, usage, "pages_processed")
        if pages <= 0 and (pages := len(as_list(body.get("pages")))):
            reading.find("usage_missing")
            reading.usage_source = "counted"
        note_drift(reading, usage, _OCR_KEYS)
        reading.usage_raw = numbers_and_names(usage) if usage else None
        reading.put(units.ANNOTATED_PAGES if self._annotated else units.PAGES, pages)

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's type; its text is not kept."""
        self.reading.error_type = error_type_of(body)

    def on_end(self) -> None:
        """Say so when nothing tells how much was read."""
        reading = self.reading
        if reading.http_status is not None and reading.http_status < 400 and not reading.usage:
            reading.find("usage_missing")
            reading.billed = "possible"


class MistralConversationReader(OpenAiReader):
    """Reads one attempt to start, go on with or restart a conversation."""

    __slots__ = ("_calls", "_models")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._calls: set[Any] = set()
        self._models: set[str] = set()
        super().__init__(request, endpoint)

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked; an agent stands for its model until the reply names that."""
        super().on_request(body)
        arguments = as_dict(body.get("completion_args"))
        self.reading.max_tokens = max(0, as_count(arguments.get("max_tokens"))) or None
        if self.reading.model_requested is None:
            self.reading.model_requested = as_text(body.get("agent_id"))

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply."""
        self.take_usage(body.get("usage"))
        self.reading.response_id = as_text(body.get("conversation_id"))
        for place, entry in enumerate(map(as_dict, as_list(body.get("outputs")))):
            self._entry(as_text(entry.get("type")) or "", entry, place)
        self.usage_final = self.usage is not None

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one event of a stream."""
        kind = as_text(body.get("type")) or name
        if kind == "conversation.response.done":
            self.take_usage(body.get("usage"))
            self.terminal = True
        elif kind == "conversation.response.error":
            self.fail({"code": body.get("code")})
        elif kind == "conversation.response.started":
            self.reading.response_id = as_text(body.get("conversation_id"))
        else:
            self._entry(kind, body, body.get("output_index"))

    def on_end(self) -> None:
        """Settle the counts; those of connectors come on top."""
        reading, usage = self.reading, self.usage
        reading.tool_calls = len(self._calls)
        if len(self._models) > 1:
            reading.find("several_models")
        if usage is None:
            super().on_end()
            return
        self.usage_final = self.terminal or self.errored
        raw = numbers_and_names(usage)
        more = min(max(0, count_of(reading, usage, "connector_tokens")), MAX_COUNT)
        plain = {k: v for k, v in usage.items() if k not in ("connector_tokens", "connectors")}
        if total := as_count(plain.get("total_tokens")):
            plain["total_tokens"] = total - more
        self.usage = plain
        super().on_end()
        reading.put(units.INPUT, more)
        reading.usage_raw = raw
        self._settle_connectors(as_dict(usage.get("connectors")))

    def count_request_characters(self) -> int:
        """Count the text of the instructions and of the inputs."""
        given = self.request_body.get("inputs")
        asked = len(given) if isinstance(given, str) else messages_length(given)
        return text_length(self.request_body.get("instructions")) + asked

    # -- inside --------------------------------------------------------------------------------

    def _entry(self, kind: str, entry: dict[str, Any], place: Any) -> None:
        """Read an entry of the reply, or a piece of one."""
        model = as_text(entry.get("model"))
        if model is not None and is_name(model):
            self.reading.model_served = self.reading.model_served or model
            if len(self._models) < MAX_MODELS:
                self._models.add(model)
        if kind.startswith("message.output"):
            self.output_characters += text_length(entry.get("content"))
        elif kind.startswith("function.call"):
            self.output_characters += len(as_text(entry.get("arguments")) or "")
            call = as_text(entry.get("tool_call_id")) or str(place)[:64]
            if len(self._calls) < MAX_TOOL_CALLS:
                self._calls.add(call)

    def _settle_connectors(self, told: dict[str, Any]) -> None:
        reading = self.reading
        names = [name for name in told if is_name(name)]
        if len(names) < len(told) or len(names) > MAX_CONNECTORS:
            drift(reading, "connectors")
        for name in names[:MAX_CONNECTORS]:
            reading.put(f"connector_{name}"[:64], count_of(reading, told, name))


SURFACES: Final[dict[str, type[BodyReader]]] = {
    "mistral.ocr": MistralOcrReader,
    "mistral.chat": MistralConversationReader,
}
"""The reader of each surface this module speaks."""
