"""How a cut stream of Gemini's `streamGenerateContent` ends, as events or as one JSON array."""

from __future__ import annotations

from typing import Any, Final

from outlay.wire.base import Endpoint, as_count, as_dict, as_list
from outlay.wire.closing import SSE, Closing, Ending
from outlay.wire.frames import ArrayFrames, Frames, SseFrames

MAX_CANDIDATES: Final = 64
"""Candidates of one reply that are told apart; the API allows 8."""

_HEAD: Final = ("modelVersion", "responseId", "usageMetadata")


class GoogleClosing(Closing):
    """Ends every candidate as one that reached its `maxOutputTokens`."""

    def __init__(self, frames: Frames, body: dict[str, Any]) -> None:
        super().__init__(frames, body)
        self._head: dict[str, Any] = {}
        self._open: dict[int, bool] = {}
        """Candidates by their index, and whether each is still without a finish reason."""

    def see(self, name: str, body: dict[str, Any]) -> None:  # noqa: ARG002 - a hook
        """Take note of the candidates, and of counts told on the way."""
        self._head.update({key: body[key] for key in _HEAD if body.get(key) is not None})
        for place, candidate in enumerate(map(as_dict, as_list(body.get("candidates")))):
            index = max(0, as_count(candidate.get("index"))) or place
            if index in self._open or len(self._open) < MAX_CANDIDATES:
                done = bool(candidate.get("finishReason"))
                self._open[index] = self._open.get(index, True) and not done
        blocked = as_dict(body.get("promptFeedback")).get("blockReason")
        self.finished = bool(blocked or (self._open and not any(self._open.values())))

    def close(self, ending: Ending) -> list[bytes]:
        """Return a last chunk, and the end of the array if it is one."""
        reason = "MAX_TOKENS" if ending.reason == "length" else ending.reason
        candidates = [
            {
                "content": {"parts": [{"text": ""}], "role": "model"},
                "finishReason": reason,
                "index": index,
            }
            for index, is_open in (self._open or {0: True}).items()
            if is_open
        ]
        last = self.event("", {"candidates": candidates, **self._counted(ending)})
        ended = self.event("", None) if isinstance(self._frames, ArrayFrames) else b""
        return [last, ended]

    def _counted(self, ending: Ending) -> dict[str, Any]:
        """Return what is known of the reply; counts told on the way may lag, so they are raised."""
        told = as_dict(self._head.get("usageMetadata"))
        prompt = as_count(told.get("promptTokenCount")) or ending.input_tokens
        thoughts = as_count(told.get("thoughtsTokenCount"))
        visible = max(
            as_count(told.get("candidatesTokenCount")), ending.output_tokens - thoughts, 0
        )
        total = prompt + visible + thoughts + as_count(told.get("toolUsePromptTokenCount"))
        usage = {
            **told,
            "promptTokenCount": prompt,
            "candidatesTokenCount": visible,
            "totalTokenCount": total,
        }
        return {**self._head, "usageMetadata": usage}


def make(endpoint: Endpoint, body: dict[str, Any], kind: str) -> Closing | None:  # noqa: ARG001
    """Return the closing of a reply of this content type."""
    if kind == SSE:
        return GoogleClosing(SseFrames(), body)
    return GoogleClosing(ArrayFrames(), body) if kind == "application/json" else None
