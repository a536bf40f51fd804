"""xAI's own gRPC API: each call of a paid method is a reading, made of the messages that pass.

Messages are read by the names of their fields alone, so protobuf is not needed here and any object
with those names will do. Counts in a stream are cumulative and the last ones are taken; reasoning
is outside of completion tokens. Nothing raises, whatever the messages hold.
Sources: xai-sdk 1.21 `proto/v6`; a recorded call whose stated cost fixes 1e10 ticks as a dollar.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, NamedTuple

from outlay.core import units
from outlay.wire.base import Reading, Status, as_count, as_text, estimate_tokens
from outlay.wire.openai_cost import stated_cost
from outlay.wire.openai_usage import CHAT, fill
from outlay.wire.reader import MAX_FINDING_CHARACTERS
from outlay.wire.vendors import BY_NAME

PACKAGE: Final = "/xai_api."
"""What the path of each method begins with."""

MAX_ITEMS: Final = 1024
"""Messages, parts, outputs, tools or results of one message that are looked at."""


class Method(NamedTuple):
    """One paid method; `kind` is how its reply is read."""

    operation: str
    kind: str = "sample"
    streamed: bool = False
    surface: str = "xai.grpc"


METHODS: Final = {
    "Chat/GetCompletion": Method("chat"),
    "Chat/GetCompletionChunk": Method("chat", streamed=True),
    "Chat/CompactContext": Method("chat"),
    "Chat/GetDeferredCompletion": Method("chat", "deferred"),
    "Sample/SampleText": Method("text_completion"),
    "Sample/SampleTextStreaming": Method("text_completion", streamed=True),
    "Embedder/Embed": Method("embeddings", "embed"),
    "Image/GenerateImage": Method("image"),
    "Video/GetDeferredVideo": Method("other", "deferred"),
    "Documents/Search": Method("retrieval"),
    "BatchMgmt/GetBatchRequestResult": Method("chat", "result"),
    "BatchMgmt/ListBatchResults": Method("chat", "results"),
}
_UNKNOWN: Final = Method("other", surface="xai.unknown")
_LOOKS: Final = ("deferred", "result", "results")
"""Kinds of methods that cost nothing and bring what was made before."""
_FREE: Final = (
    "Auth/", "Models/", "Tokenize/", "Files/", "BatchMgmt/", "Chat/StartDeferredCompletion",
    "Chat/GetStoredCompletion", "Chat/DeleteStoredCompletion", "Video/GenerateVideo",
    "Video/ExtendVideo",
)  # fmt: skip
"""What costs nothing, or is charged by what a later call brings; any other method is unknown."""

_VENDOR: Final = BY_NAME["xai"]
_COUNTERS: Final = (
    "prompt_tokens", "completion_tokens", "reasoning_tokens", "total_tokens", "prompt_text_tokens",
    "prompt_image_tokens", "cached_prompt_text_tokens", "num_sources_used",
)  # fmt: skip
_TOOLS: Final = {
    1: units.WEB_SEARCH,
    2: units.SOCIAL_SEARCH,
    3: units.CODE_EXECUTION,
    6: units.FILE_SEARCH,
    8: units.ATTACHMENT_SEARCH,
    **dict.fromkeys((4, 5, 7), ""),  # looking at images and videos, MCP: charged by tokens alone
}
"""`ServerSideTool`, and the unit that a use is charged by; of searches of images (10) and of making
them (11) no price is known."""
_FINISHES: Final = {
    1: "max_len", 2: "max_context", 3: "stop", 4: "tool_calls", 5: "time_limit",
}  # fmt: skip
_INCOMPLETE: Final = ("max_len", "max_context", "time_limit")
_TIERS: Final = {1: "default", 2: "priority"}
_DONE, _EXPIRED, _FAILED = 1, 2, 4
_CLIENT_TOOLS: Final = (0, 1)
"""Kinds of tool calls that the caller is asked to make."""
_MAYBE_BILLED: Final = ("CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "UNKNOWN")
"""Codes of calls that may have come as far as to generate."""
_CODE_STATUS: Final[dict[str, Status]] = {"CANCELLED": "aborted", "DEADLINE_EXCEEDED": "timeout"}


def is_paid(method: str) -> bool:
    """Tell whether a call of the method (`/package.Service/Name`) is to be followed."""
    name = method.removeprefix(PACKAGE)
    if name == method:
        return False
    return name in METHODS or not name.startswith(_FREE)


class XaiCall:
    """Follows one call: `take` each reply message, then `finish` once."""

    __slots__ = (
        "_characters",
        "_closed",
        "_messages",
        "_method",
        "_once",
        "_request",
        "_usage",
        "reading",
    )

    def __init__(self, method: str, request: Any) -> None:
        self._method = METHODS.get(method.removeprefix(PACKAGE), _UNKNOWN)
        self._request = request
        """Kept for an estimate until the provider tells its counts."""
        self._once = "/".join(
            filter(None, (_text(request, "batch_id"), _text(request, "request_id")))
        )
        self._usage: Any = None
        self._characters = 0
        """Characters of output that came."""
        self._messages = 0
        self._closed = False
        self.reading = reading = self._new()
        reading.model_requested = _text(request, "model")
        reading.max_tokens = _count(request, "max_tokens") or None
        reading.tier_requested = _TIERS.get(_count(request, "service_tier"))

    def take(self, message: Any) -> list[Reading]:
        """Read a message of the reply; give the readings of earlier work that it brings."""
        if self._closed:
            return []
        self._messages += 1
        try:
            kind = self._method.kind
            if kind == "deferred":
                return self._deferred(message)
            if kind == "results":
                results = _items(message, "results")
                return [made for result in results for made in self._result(result)]
            if kind == "result":
                return self._result(_get(message, "result"))
            self._characters += _facts(self.reading, message)
            if _has(message, "usage"):
                self._usage, self._request = _get(message, "usage"), None
        except Exception as problem:
            self._tripped("message", problem)
        return []

    def finish(self, *, code: str = "OK") -> Reading | None:
        """End the call and give its reading; `None` for a look at work that is charged by itself.

        Args:
            code: the name of the call's status code, `CANCELLED` for a call that was let go, or
                the class of the error that kept it from being made.
        """
        if self._closed or self._method.kind in _LOOKS:
            self._closed = True
            return None
        self._closed = True
        try:
            self._finish(code)
        except Exception as problem:
            self._tripped("end", problem)
        self._request = self._usage = None
        return self.reading

    # -- inside --------------------------------------------------------------------------------

    def _new(self) -> Reading:
        return Reading(
            provider=_VENDOR.provider,
            surface=self._method.surface,
            vendor=_VENDOR.name,
            operation=self._method.operation,
            streamed=self._method.streamed,
        )

    def _tripped(self, where: str, problem: Exception) -> None:
        self.reading.find(f"codec_error:{where}:{type(problem).__name__}"[:MAX_FINDING_CHARACTERS])

    def _deferred(self, message: Any) -> list[Reading]:
        status = _count(message, "status")
        if status not in (_DONE, _EXPIRED, _FAILED):
            return []
        return [self._whole(_get(message, "response"), self._once, failed=status != _DONE)]

    def _result(self, result: Any) -> list[Reading]:
        response = _get(result, "response")
        name = _text(result, "batch_request_id")
        for key in ("completion_response", "image_response", "video_response"):
            if _has(response, key):
                made = self._whole(_get(response, key), f"{self._once}/{name}", failed=False)
                made.batch = True
                return [made]
        return []

    def _whole(self, message: Any, once: str, *, failed: bool) -> Reading:
        """Read a response that was made before; it may be looked at again."""
        reading = self._new()
        reading.once = once
        _facts(reading, message)
        if _has(message, "usage"):
            _settle(reading, _get(message, "usage"))
        elif not failed:
            reading.find("usage_missing")
            reading.billed = "possible"
        if failed:
            reading.status, reading.error_type = "error", "deferred"
            reading.billed = "yes" if reading.usage else "no"
        return reading

    def _finish(self, code: str) -> None:
        reading, told = self.reading, self._usage is not None
        if told and self._method.kind == "embed":
            _settle_embeddings(reading, self._usage)
        elif told:
            _settle(reading, self._usage)
        if code == "OK":
            if not told:
                reading.find("unknown_endpoint" if self._method is _UNKNOWN else "usage_missing")
                reading.billed = "possible"
        else:
            reading.status = _CODE_STATUS.get(code, "error")
            reading.error_type = code.lower() if code.isupper() else code
            if told:
                reading.find("usage_not_final")
            else:
                begun = self._messages or code in _MAYBE_BILLED
                reading.billed = "possible" if begun else "no"
        if not told and self._messages and reading.operation in ("chat", "text_completion"):
            self._estimate()

    def _estimate(self) -> None:
        """Fill in what the wire did not tell, and say so."""
        reading = self.reading
        reading.put(units.INPUT, max(1, estimate_tokens(_asked_characters(self._request))))
        reading.put(units.OUTPUT, max(1, estimate_tokens(self._characters)))
        reading.find("input_estimated")
        reading.find("output_estimated")
        reading.usage_source = "estimated"


def _facts(reading: Reading, message: Any) -> int:
    """Read what a reply, or a piece of one, states; return the characters of its output."""
    reading.model_served = _text(message, "model") or reading.model_served
    reading.response_id = _text(message, "id") or reading.response_id
    reading.tier_served = _TIERS.get(_count(message, "service_tier")) or reading.tier_served
    if _has(message, "created"):
        made = _get(message, "created")
        micros = _count(made, "seconds") * 1_000_000 + _count(made, "nanos") // 1000
        reading.created_at = micros or None
    reading.put(units.IMAGES, sum(1 for _ in _items(message, "images")))
    reading.put(units.VIDEO_SECONDS, _count(_get(message, "video"), "duration"))
    characters = 0
    for output in (*_items(message, "outputs"), *_items(message, "choices")):
        # A whole reply has messages, a stream has deltas, and plain sampling has text.
        said = _get(output, "message") or _get(output, "delta") or output
        for name in ("content", "reasoning_content", "text"):
            characters += len(_text(said, name) or "")
        for call in _items(said, "tool_calls"):
            reading.tool_calls += _count(call, "type") in _CLIENT_TOOLS
            characters += len(_text(_get(call, "function"), "arguments") or "")
        finish = _FINISHES.get(_count(output, "finish_reason"))
        if finish is not None:
            reading.finish_reason = finish
            reading.status = "incomplete" if finish in _INCOMPLETE else "ok"
    return characters


def _settle(reading: Reading, usage: Any) -> None:
    """Turn a `SamplingUsage` into buckets, its stated cost and its raw copy."""
    counts = {name: _count(usage, name) for name in _COUNTERS}
    raw: dict[str, Any] = {name: count for name, count in counts.items() if count}
    if counts["prompt_tokens"] or counts["completion_tokens"]:
        reading.usage.pop(units.IMAGES, None)
    told = {
        "prompt_tokens": counts["prompt_tokens"],
        "completion_tokens": counts["completion_tokens"],
        "total_tokens": counts["total_tokens"],
        "num_sources_used": counts["num_sources_used"],
        "prompt_tokens_details": {
            "cached_tokens": counts["cached_prompt_text_tokens"],
            "text_tokens": counts["prompt_text_tokens"],
            "image_tokens": counts["prompt_image_tokens"],
        },
        "completion_tokens_details": {"reasoning_tokens": counts["reasoning_tokens"]},
    }
    fill(reading, told, CHAT, _VENDOR)
    if _has(usage, "cost_in_usd_ticks"):
        raw["cost_in_usd_ticks"] = _get(usage, "cost_in_usd_ticks")
        reading.provider_cost_nanos = stated_cost(reading, raw, _VENDOR)
    used = [as_count(tool) for tool in _items(usage, "server_side_tools_used")]
    for tool in used:
        unit = _TOOLS.get(tool)
        if unit:
            reading.put(unit, 1)
        elif unit is None and reading.provider_cost_nanos is None:
            reading.find(f"unpriced_tool:{tool}")
    if used:
        raw["server_side_tools_used"] = used[:64]
    reading.usage_raw = raw
    reading.usage_source = "provider"
    if not reading.usage:
        reading.find("usage_zero")


def _settle_embeddings(reading: Reading, usage: Any) -> None:
    for name in ("num_text_embeddings", "num_image_embeddings"):
        reading.put(name.removeprefix("num_"), _count(usage, name))
    reading.usage_raw = dict(reading.usage)
    reading.usage_source = "provider"


def _asked_characters(request: Any) -> int:
    total = sum(len(prompt) for prompt in _items(request, "prompt") if isinstance(prompt, str))
    for message in _items(request, "messages"):
        total += sum(len(_text(part, "text") or "") for part in _items(message, "content"))
    return total


def _get(message: Any, name: str) -> Any:
    return getattr(message, name, None)


def _has(message: Any, name: str) -> bool:
    """Tell whether a field is set; objects that cannot tell have what is not `None`."""
    ask = getattr(message, "HasField", None)
    if callable(ask):
        try:
            return bool(ask(name))
        except ValueError:
            return False
    return _get(message, name) is not None


def _text(message: Any, name: str) -> str | None:
    return as_text(_get(message, name))


def _count(message: Any, name: str) -> int:
    return as_count(_get(message, name))


def _items(message: Any, name: str) -> Iterable[Any]:
    found = _get(message, name)
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        return ()
    return islice(found, MAX_ITEMS)
