"""OpenAI chat completions and legacy completions, as all vendors of that shape speak them.

The characters of a request, for an estimate of its input, are those of message contents (a string,
or the text of parts) and of legacy prompts, and of nothing else.
"""

from __future__ import annotations

from typing import Any, Final

from outlay.wire.base import Endpoint, Request, Status, as_dict, as_list, as_text
from outlay.wire.openai_reader import (
    OpenAiReader,
    first_count,
    messages_length,
    strings_length,
    text_length,
)
from outlay.wire.reader import BodyReader
from outlay.wire.usage_object import is_name

MAX_TOOL_CALLS: Final = 1024
"""Distinct tool calls counted in one reply."""
MAX_EXECUTED: Final = 8
"""Kinds of tools run by the vendor that are named in one reading."""

_STATUS: Final[dict[str, Status]] = {"content_filter": "refused", "length": "incomplete"}
"""Finish reasons that are not a plain end; any other is `ok`."""

_REASONING: Final = ("reasoning_content", "reasoning")
"""Where vendors put reasoning text; both may repeat the same text, so the first one counts."""


class OpenAiChatReader(OpenAiReader):
    """Reads one attempt of `/chat/completions` or `/completions`."""

    __slots__ = ("_calls", "_executed", "_finish", "_refusal")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._finish: str | None = None
        self._refusal = False
        self._calls: set[tuple[Any, Any]] = set()
        self._executed: set[str] = set()
        super().__init__(request, endpoint)

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked."""
        super().on_request(body)
        self.reading.max_tokens = first_count(body, ("max_completion_tokens", "max_tokens"))

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole completion."""
        self._take_chunk(body, "message")
        self.usage_final = self.usage is not None

    def on_event(self, name: str, body: dict[str, Any]) -> None:  # noqa: ARG002 - a hook
        """Read one chunk, or an error in its place."""
        self._take_chunk(body, "delta")

    def on_end(self) -> None:
        """Settle how it ended, then the counts."""
        reading = self.reading
        reading.tool_calls = len(self._calls)
        if self._executed:
            for kind in sorted(self._executed)[:MAX_EXECUTED]:
                reading.find(f"unpriced_tool:{kind}")
        if self._finish is not None:
            reading.finish_reason = self._finish if is_name(self._finish) else "unreadable"
            if not self.errored:
                reading.status = _STATUS.get(self._finish, "ok")
        told = self.usage is not None
        # Some servers leave [DONE] out: a finish reason with counts, or at the body's end, is it.
        if self._finish is not None and (told or self.complete):
            self.terminal = True
        if self._refusal and self.terminal and reading.status == "ok":
            reading.status = "refused"
        if told and (self.terminal or self.errored):
            self.usage_final = True
        super().on_end()
        if not self.usage_final and (reading.http_status or 0) < 400:
            # Before the end a stated cost is that of a part, or nothing yet (Perplexity).
            reading.provider_cost_nanos = None

    def count_request_characters(self) -> int:
        """Count the text of messages, or of a legacy prompt."""
        body = self.request_body
        return messages_length(body.get("messages")) + strings_length(body.get("prompt"))

    # -- inside --------------------------------------------------------------------------------

    def _take_chunk(self, body: dict[str, Any], part: str) -> None:
        self.take_facts(body)
        groq = as_dict(body["x_groq"]) if "x_groq" in body else {}
        if groq:
            self.take_usage(groq.get("usage"))
            self._take_breakdown(groq)
        if "usage_breakdown" in body:
            self._take_breakdown(body)
        for choice in as_list(body.get("choices")):
            if isinstance(choice, dict):
                self._take_choice(choice, part)
        self.take_usage(body.get("usage"))
        if error := body.get("error"):
            self.fail(error)
        if error := groq.get("error"):
            self.fail(error)

    def _take_breakdown(self, told: dict[str, Any]) -> None:
        if as_list(as_dict(told.get("usage_breakdown")).get("models")):
            # Several models worked, but each row repeats the sum: only the sum is counted.
            self.evidence["usage_breakdown"] = told["usage_breakdown"]
            self.reading.find("compound")

    def _take_choice(self, choice: dict[str, Any], part: str) -> None:
        # Moonshot puts the usage of a stream into the last choice.
        if "usage" in choice:
            self.take_usage(choice["usage"])
        reason = as_text(choice.get("finish_reason"))
        if reason is not None and self._finish != "content_filter":
            self._finish = reason
        seen = len(as_text(choice["text"]) or "") if "text" in choice else 0
        message = choice.get(part)
        if isinstance(message, dict):
            seen += self._take_message(message, choice.get("index"))
        self.output_characters += seen

    def _take_message(self, message: dict[str, Any], number: Any) -> int:
        """Read a choice's message or delta and return how many characters it has."""
        seen = text_length(message.get("content"))
        if refused := message.get("refusal"):
            refusal = text_length(refused)
            self._refusal = self._refusal or refusal > 0
            seen += refusal
        if audio := message.get("audio"):
            seen += len(as_text(as_dict(audio).get("transcript")) or "")
        for name in _REASONING:
            if text := as_text(message.get(name)):
                seen += len(text)
                break
        if "executed_tools" in message:
            self._note_executed(message["executed_tools"])
        if message.get("tool_calls") or message.get("function_call") is not None:
            seen += self._take_calls(message, number if isinstance(number, int) else 0)
        return seen

    def _note_executed(self, tools: Any) -> None:
        """Say which of its own tools Groq ran: it charges them, and tells no count."""
        kinds = {as_text(as_dict(tool).get("type")) or "unnamed" for tool in as_list(tools)}
        if len(self._executed) < MAX_EXECUTED:
            self._executed |= {kind if is_name(kind) else "unreadable" for kind in kinds}

    def _take_calls(self, message: dict[str, Any], index: int) -> int:
        """Note the tool calls of a message or delta and return how many characters they have."""
        seen = 0
        for place, call in enumerate(map(as_dict, as_list(message.get("tool_calls")))):
            number = call.get("index")
            number = number if isinstance(number, int) else place
            seen += self._note_call((index, number), as_dict(call.get("function")))
        if isinstance(message.get("function_call"), dict):
            seen += self._note_call((index, "function"), message["function_call"])
        return seen

    def _note_call(self, place: tuple[int, Any], function: dict[str, Any]) -> int:
        """Note a call or a piece of one and return how many characters its arguments have."""
        if len(self._calls) < MAX_TOOL_CALLS:
            self._calls.add(place)
        arguments = as_text(function.get("arguments")) or ""
        self.tools().add(place, as_text(function.get("name")), arguments)
        return len(arguments)


SURFACES: Final[dict[str, type[BodyReader]]] = {
    "openai.chat": OpenAiChatReader,
    "openai.completions": OpenAiChatReader,
}
"""The reader of each surface this module speaks."""
