"""What the product's codecs read from the simulator's bytes is what the simulator bills.

No network: whole and broken replies are fed to the readers in chunks of any size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.demo import anthropic_wire, google_wire, openai_embeddings, openai_wire
from outlay.demo.bill import Counts
from outlay.demo.reply import Call, PromptCache, Reply, to_json
from outlay.wire.base import Reading, Request
from outlay.wire.registry import open_reader

HOST = "127.0.0.1:9"
HOSTS = {f"{HOST}/{vendor}": vendor for vendor in ("openai", "anthropic", "google")}
SYSTEM = "要点 " * 1_500


@dataclass(frozen=True)
class Case:
    path: str
    body: dict[str, Any]
    answer: Callable[[Call], Reply]


def _chat(**more: Any) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": [{"type": "text", "text": "why sö?"}]},
    ]
    return {"model": "gpt-5.6-sol", "messages": messages, **more}


USAGE = {"stream": True, "stream_options": {"include_usage": True}}
RESPONSE = {"model": "gpt-5.6-luna", "instructions": SYSTEM, "input": "why?"}
MESSAGE = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 1500,
    "system": [
        {"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ],
    "messages": [{"role": "user", "content": "why?"}],
    "thinking": {"type": "adaptive"},
}
GEMINI = {
    "systemInstruction": {"parts": [{"text": SYSTEM}]},
    "contents": [{"role": "user", "parts": [{"text": "why so"}]}],
    "generationConfig": {"thinkingConfig": {"thinkingBudget": 100}},
}
GEMINI_MODEL = "gemini-2.5-flash"


def _gemini(*, streamed: bool) -> Callable[[Call], Reply]:
    return lambda call: google_wire.generate(call, GEMINI_MODEL, streamed=streamed)


CASES = {
    "chat": Case("/openai/v1/chat/completions", _chat(), openai_wire.chat),
    "chat-thinking": Case(
        "/openai/v1/chat/completions", _chat(reasoning_effort="low"), openai_wire.chat
    ),
    "chat-stream": Case("/openai/v1/chat/completions", _chat(**USAGE), openai_wire.chat),
    "responses": Case("/openai/v1/responses", RESPONSE, openai_wire.responses),
    "responses-stream": Case(
        "/openai/v1/responses", {**RESPONSE, "stream": True}, openai_wire.responses
    ),
    "responses-incomplete": Case(
        "/openai/v1/responses", {**RESPONSE, "max_output_tokens": 4}, openai_wire.responses
    ),
    "embeddings": Case(
        "/openai/v1/embeddings",
        {"model": "text-embedding-3-small", "input": ["wörds", "mörë"]},
        openai_embeddings.embeddings,
    ),
    "messages": Case("/anthropic/v1/messages", MESSAGE, anthropic_wire.messages),
    "messages-stream": Case(
        "/anthropic/v1/messages", {**MESSAGE, "stream": True}, anthropic_wire.messages
    ),
    "gemini": Case(
        f"/google/v1/models/{GEMINI_MODEL}:generateContent", GEMINI, _gemini(streamed=False)
    ),
    "gemini-stream": Case(
        f"/google/v1/models/{GEMINI_MODEL}:streamGenerateContent?alt=sse",
        GEMINI,
        _gemini(streamed=True),
    ),
}
STREAMS = [name for name in CASES if name.endswith("stream")]


def _read(case: Case, data: bytes, *, streamed: bool, complete: bool, size: int) -> Reading:
    request = Request("POST", f"http://{HOST}{case.path}", {}, to_json(case.body))
    reader = open_reader(request, hosts=HOSTS)
    assert reader is not None
    reader.response(200, {"content-type": "text/event-stream" if streamed else "application/json"})
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    return reader.finish(complete=complete, error=None if complete else "read")


def _as_billed(reading: Reading) -> Counts:
    """Put the reading's buckets under the bill's names; an unknown bucket fails the test."""
    usage = dict(reading.usage)
    counts = Counts(
        input=usage.pop("input", 0),
        cache_read=usage.pop("input_cache_read", 0),
        cache_write=usage.pop("input_cache_write", 0),
        cache_write_5m=usage.pop("input_cache_write_5m", 0),
        cache_write_1h=usage.pop("input_cache_write_1h", 0),
        output=usage.pop("output", 0) + usage.pop("output_reasoning", 0),
    )
    assert not usage
    return counts


@pytest.mark.parametrize("uses", [1, 2], ids=["first", "cached"])
@pytest.mark.parametrize("name", CASES)
def test_a_whole_reply_is_read_as_billed(name: str, uses: int) -> None:
    case, cache = CASES[name], PromptCache()
    for _ in range(uses):
        reply = case.answer(Call("acme", case.body, cache))
    data = reply.body or b"".join(frame.data for frame in reply.frames)
    reading = _read(case, data, streamed=bool(reply.frames), complete=True, size=1400)
    assert _as_billed(reading) == reply.complete
    assert reading.usage_source == "provider"
    assert reading.findings == []


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
def test_a_stream_cut_anywhere_between_its_deltas_is_read_as_billed(
    name: str, data: st.DataObject
) -> None:
    case = CASES[name]
    reply = case.answer(Call("acme", case.body, PromptCache(), interrupted=True))
    told = [n for n, frame in enumerate(reply.frames) if frame.characters]
    last = data.draw(st.sampled_from(told[:-1]))
    frames = reply.frames[: last + 1]
    size = data.draw(st.integers(min_value=1, max_value=4000))
    raw = b"".join(frame.data for frame in frames)
    reading = _read(case, raw, streamed=True, complete=False, size=size)
    assert _as_billed(reading) == reply.cut(sum(frame.characters for frame in frames))
    assert reading.status == "aborted"
