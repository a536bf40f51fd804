"""How a cut stream of OpenAI's Responses API ends: with `response.incomplete`.

The last event repeats the whole output, so the text that the caller has seen is kept here while
the stream lasts, up to `MAX_KEPT_CHARACTERS`; of a longer output only the end is told.
"""

from __future__ import annotations

import time
from typing import Any, Final

from outlay.wire.base import Endpoint, as_count, as_dict, as_list, as_text
from outlay.wire.closing import SSE, Closing, Ending
from outlay.wire.frames import SseFrames

MAX_KEPT_CHARACTERS: Final = 4 * 1024 * 1024
MAX_ITEMS: Final = 1024
"""Output items kept of one response."""

_ENDS: Final = frozenset(
    ("response.completed", "response.failed", "response.incomplete", "response.cancelled")
)
_TEXTS: Final = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}
"""Parts that come in deltas, by the start of the delta's kind, and where their text stands."""


class ResponsesClosing(Closing):
    """Ends the open items, then the response, as one that reached its `max_output_tokens`."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(SseFrames(named=True), body)
        self._response: dict[str, Any] = {}
        self._items: dict[int, dict[str, Any]] = {}
        """Output items by their place; those that are open fill up."""
        self._open: set[int] = set()
        self._kept = 0
        self._number = -1

    def see(self, name: str, body: dict[str, Any]) -> None:
        """Take note of the items and their texts."""
        kind = as_text(body.get("type")) or name
        self._number = max(self._number, as_count(body.get("sequence_number")))
        if kind in _ENDS or kind == "error":
            self.finished = True
            return
        if isinstance(body.get("response"), dict):
            self._response = body["response"]
            return
        place = as_count(body.get("output_index"))
        if kind == "response.output_item.added" and len(self._items) < MAX_ITEMS:
            self._items[place] = as_dict(body.get("item"))
            self._open.add(place)
        elif kind == "response.output_item.done" and place in self._items:
            self._items[place] = as_dict(body.get("item"))
            self._open.discard(place)
        elif place in self._open:
            self._fill(kind, self._items[place], body)

    def _fill(self, kind: str, item: dict[str, Any], body: dict[str, Any]) -> None:
        if kind == "response.content_part.added":
            item.setdefault("content", []).append(as_dict(body.get("part")))
            return
        if not kind.endswith(".delta"):
            return
        delta = as_text(body.get("delta")) or ""
        self._kept += len(delta)
        if self._kept > MAX_KEPT_CHARACTERS:
            return
        what = kind.removeprefix("response.").removesuffix(".delta")
        if what == "function_call_arguments":
            item["arguments"] = (as_text(item.get("arguments")) or "") + delta
        elif (key := _TEXTS.get(what)) is not None:
            parts = as_list(item.get("content"))
            at = as_count(body.get("content_index"))
            if at < len(parts):
                parts[at][key] = (as_text(parts[at].get(key)) or "") + delta

    def close(self, ending: Ending) -> list[bytes]:
        """Return the ends of the open items and of the response."""
        if self._kept > MAX_KEPT_CHARACTERS:
            self._items.clear()
            self._open.clear()
        begun = self._begun()
        last: list[bytes] = []
        if not self._response:  # an SDK believes no end of what never began
            first = {**begun, "status": "in_progress", "output": []}
            last.append(self._numbered("response.created", response=first))
        for place in sorted(self._open):
            last += self._item_ends(place, self._items[place])
        reason = "max_output_tokens" if ending.reason == "length" else ending.reason
        usage = {
            "input_tokens": ending.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": ending.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": ending.input_tokens + ending.output_tokens,
        }
        response = {
            **begun,
            "status": "incomplete",
            "incomplete_details": {"reason": reason},
            "output": [self._items[place] for place in sorted(self._items)],
            "usage": usage,
        }
        return [*last, self._numbered("response.incomplete", response=response)]

    def _begun(self) -> dict[str, Any]:
        return self._response or {
            "id": "resp_cut_off",
            "object": "response",
            "created_at": int(time.time()),
            "model": as_text(self.asked.get("model")) or "",
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }

    def _item_ends(self, place: int, item: dict[str, Any]) -> list[bytes]:
        where = {"item_id": item.get("id") or "", "output_index": place}
        ends = []
        for at, part in enumerate(map(as_dict, as_list(item.get("content")))):
            kind = as_text(part.get("type"))
            if kind == "output_text":
                told = {**where, "content_index": at, "text": part.get("text", ""), "logprobs": []}
                ends.append(self._numbered("response.output_text.done", **told))
            elif kind == "refusal":
                told = {**where, "content_index": at, "refusal": part.get("refusal", "")}
                ends.append(self._numbered("response.refusal.done", **told))
            if kind is not None:
                told = {**where, "content_index": at, "part": part}
                ends.append(self._numbered("response.content_part.done", **told))
        # A call with half of its arguments is told as what it is, and never as done.
        if "status" in item:
            item["status"] = "incomplete"
        ends.append(self._numbered("response.output_item.done", output_index=place, item=item))
        return ends

    def _numbered(self, kind: str, **more: Any) -> bytes:
        self._number += 1
        return self.event(kind, {"type": kind, "sequence_number": self._number, **more})


def make(endpoint: Endpoint, body: dict[str, Any], kind: str) -> Closing | None:  # noqa: ARG001
    """Return the closing of a reply of this content type."""
    return ResponsesClosing(body) if kind == SSE else None
