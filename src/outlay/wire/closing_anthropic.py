"""How a cut stream of Anthropic's messages ends, on its own API and inside Bedrock's chunks."""

from __future__ import annotations

from typing import Any

from outlay.wire.base import Endpoint, as_count, as_dict, as_text
from outlay.wire.closing import EVENT_STREAM, SSE, Closing, Ending
from outlay.wire.frames import Frames, MessageFrames, SseFrames


class AnthropicClosing(Closing):
    """Closes the open blocks, then the message, as one that reached its `max_tokens`."""

    def __init__(self, frames: Frames, body: dict[str, Any], model: str) -> None:
        super().__init__(frames, body)
        self._model = model
        self._started = False
        self._blocks: set[int] = set()
        """Content blocks that are open, by index; one at a time, as the API does it."""

    def see(self, name: str, body: dict[str, Any]) -> None:
        """Take note of what is open."""
        kind = as_text(body.get("type")) or name
        index = as_count(body.get("index"))
        if kind == "message_start":
            self._started = True
        elif kind == "content_block_start":
            self._blocks.add(index)
        elif kind == "content_block_stop":
            self._blocks.discard(index)
        elif kind == "message_stop" or (
            kind == "message_delta" and as_dict(body.get("delta")).get("stop_reason")
        ):
            self.finished = True

    def close(self, ending: Ending) -> list[bytes]:
        """Return the stops of all that is open."""
        last = [] if self._started else [self._start(ending)]
        last += [self._typed("content_block_stop", index=index) for index in sorted(self._blocks)]
        reason = "max_tokens" if ending.reason == "length" else ending.reason
        delta = {"stop_reason": reason, "stop_sequence": None}
        usage = {"output_tokens": ending.output_tokens}
        last.append(self._typed("message_delta", delta=delta, usage=usage))
        return [*last, self._typed("message_stop")]

    def _start(self, ending: Ending) -> bytes:
        message: dict[str, Any] = {
            "id": "msg_cut_off",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": ending.input_tokens, "output_tokens": 0},
        }
        return self._typed("message_start", message=message)

    def _typed(self, kind: str, **more: Any) -> bytes:
        return self.event(kind, {"type": kind, **more})


def make(endpoint: Endpoint, body: dict[str, Any], kind: str) -> Closing | None:
    """Return the closing of a reply of this content type."""
    model = endpoint.model or as_text(body.get("model")) or ""
    if kind == SSE:
        return AnthropicClosing(SseFrames(named=True), body, model)
    if kind == EVENT_STREAM:
        return AnthropicClosing(MessageFrames(wrapped=True), body, model)
    return None
