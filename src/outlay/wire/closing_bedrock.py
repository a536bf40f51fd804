"""How a cut ConverseStream of Bedrock ends."""

from __future__ import annotations

from typing import Any

from outlay.wire.base import Endpoint, as_count
from outlay.wire.closing import EVENT_STREAM, Closing, Ending
from outlay.wire.frames import MessageFrames


class ConverseClosing(Closing):
    """Closes the open blocks, then the message, as one that reached its `maxTokens`."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(MessageFrames(), body)
        self._started = False
        self._blocks: set[int] = set()
        """Content blocks that are open, by index; text begins without a start event."""

    def see(self, name: str, body: dict[str, Any]) -> None:
        """Take note of what is open."""
        index = as_count(body.get("contentBlockIndex"))
        if name == "messageStart":
            self._started = True
        elif name in ("contentBlockStart", "contentBlockDelta"):
            self._blocks.add(index)
        elif name == "contentBlockStop":
            self._blocks.discard(index)
        elif name == "messageStop":
            self.finished = True

    def close(self, ending: Ending) -> list[bytes]:
        """Return the stops of all that is open, and the counts."""
        last = [] if self._started else [self.event("messageStart", {"role": "assistant"})]
        last += [
            self.event("contentBlockStop", {"contentBlockIndex": index})
            for index in sorted(self._blocks)
        ]
        reason = "max_tokens" if ending.reason == "length" else ending.reason
        last.append(self.event("messageStop", {"stopReason": reason}))
        usage = {
            "inputTokens": ending.input_tokens,
            "outputTokens": ending.output_tokens,
            "totalTokens": ending.input_tokens + ending.output_tokens,
        }
        told = {"usage": usage, "metrics": {"latencyMs": 0}}
        return [*last, self.event("metadata", told)]


def make(endpoint: Endpoint, body: dict[str, Any], kind: str) -> Closing | None:  # noqa: ARG001
    """Return the closing of a reply of this content type."""
    return ConverseClosing(body) if kind == EVENT_STREAM else None
