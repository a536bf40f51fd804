"""How a cut stream of OpenAI's chat or text completions ends, at every vendor of that shape."""

from __future__ import annotations

import time
from typing import Any, Final

from outlay.wire.base import Endpoint, as_dict, as_list, as_text
from outlay.wire.closing import SSE, Closing, Ending
from outlay.wire.frames import SseFrames

MAX_CHOICES: Final = 128
"""Choices of one reply that are told apart."""

_HEAD: Final = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class ChatClosing(Closing):
    """Ends chat completions with finish reasons, the usage that was asked for, and `[DONE]`."""

    def __init__(self, endpoint: Endpoint, body: dict[str, Any]) -> None:
        super().__init__(SseFrames(), body)
        self._chats = endpoint.surface == "openai.chat"
        kind = "chat.completion.chunk" if self._chats else "text_completion"
        self._head: dict[str, Any] = {
            "id": "cut-off",
            "object": kind,
            "created": 0,
            "model": as_text(body.get("model")) or "",
        }
        self._open: dict[int, bool] = {}
        """Choices by their index, and whether each is still without a finish reason."""

    def see(self, name: str, body: dict[str, Any]) -> None:  # noqa: ARG002 - a hook
        """Take note of who speaks and which choices are open."""
        if not self._open:
            self._head.update({key: body[key] for key in _HEAD if body.get(key) is not None})
        for choice in map(as_dict, as_list(body.get("choices"))):
            index = choice.get("index")
            index = index if isinstance(index, int) else 0
            if index in self._open or len(self._open) < MAX_CHOICES:
                self._open[index] = self._open.get(index, True) and not choice.get("finish_reason")
        if self._open and not any(self._open.values()):
            wanted = self.asked.get("n")
            self.finished = not isinstance(wanted, int) or len(self._open) >= wanted

    def close(self, ending: Ending) -> list[bytes]:
        """Return a last chunk for each open choice, the usage if it was asked for, and `[DONE]`."""
        head = self._head
        head["created"] = head["created"] or int(time.time())
        usage_asked = as_dict(self.asked.get("stream_options")).get("include_usage") is True
        more = {"usage": None} if usage_asked else {}
        last = [
            self.event("", {**head, "choices": [self._last(index, ending.reason)], **more})
            for index, is_open in (self._open or {0: True}).items()
            if is_open
        ]
        if usage_asked:
            usage = {
                "prompt_tokens": ending.input_tokens,
                "completion_tokens": ending.output_tokens,
                "total_tokens": ending.input_tokens + ending.output_tokens,
            }
            last.append(self.event("", {**head, "choices": [], "usage": usage}))
        return [*last, self.event("", None)]

    def _last(self, index: int, reason: str) -> dict[str, Any]:
        if not self._chats:
            return {"index": index, "text": "", "logprobs": None, "finish_reason": reason}
        begun: dict[str, Any] = {} if self._open else {"role": "assistant", "content": ""}
        return {"index": index, "delta": begun, "logprobs": None, "finish_reason": reason}


def make(endpoint: Endpoint, body: dict[str, Any], kind: str) -> Closing | None:
    """Return the closing of a reply of this content type."""
    return ChatClosing(endpoint, body) if kind == SSE else None
