"""What applications do with the SDKs of OpenAI's shape: tools, structure, media, and more.

A case says what its answer must hold, so that two empty answers are not taken for equal ones.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from tests.acceptance.gateway_calls import MESSAGES, QUESTION, chat, responses
from tests.acceptance.gateway_clients import AZURE, GROQ, OPENAI, Call, Sdk
from tests.acceptance.gateway_reply import ARGUMENTS, CITY

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
AUDIO: Final = bytes(range(256)) * 20
BIG: Final = b"outlay" * 1_500_000
"""Nine million bytes: more than anything keeps in one piece."""


class Weather(BaseModel):
    """A structured answer."""

    city: str
    celsius: int


@dataclass(frozen=True)
class Case:
    """One thing to ask, and what the answer must hold."""

    sdk: Sdk
    call: Call
    holds: tuple[str, ...]
    then: Call | None = None
    least: int = 1
    """Parts of a stream."""
    modes: tuple[str, ...] = ("sync", "async")


TOOL: Final[Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA},
}
_JSON: Final[Any] = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
_CALLED: Final[Any] = [
    *MESSAGES,
    {
        "role": "assistant", "content": "",
        "tool_calls": [
            {
                "id": "call_own00001", "type": "function",
                "function": {"name": "weather", "arguments": ARGUMENTS},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_own00001", "content": "21 °C"},
]  # fmt: skip
_RESPONSE_TOOL: Final[Any] = {
    "type": "function", "name": "weather", "parameters": SCHEMA, "strict": True
}  # fmt: skip


def _shaped(sdk: Sdk) -> dict[str, Case]:
    """Return the cases of an SDK with OpenAI's chat."""
    tools = {"tools": [TOOL]}
    return {
        "tools": Case(sdk, chat("own-chat", **tools), (CITY, "tool_calls")),
        "tools streamed": Case(
            sdk, chat("own-chat", stream=True, **tools), (CITY, "tool_calls"), least=4
        ),
        "tools answered": Case(
            sdk, chat("own-chat", **tools | {"messages": _CALLED}), ("chatcmpl-", "stop")
        ),
        "structured": Case(sdk, chat("own-chat", response_format=_JSON), (CITY, "celsius")),
    }


_OPENAI_CASES: Final[dict[str, Case]] = _shaped(OPENAI) | {
    "streamed with counts": Case(
        OPENAI,
        chat("own-chat", stream=True, stream_options={"include_usage": True}),
        ("completion_tokens", "stop"), least=8,
    ),
    "parsed": Case(
        OPENAI,
        lambda client: client.chat.completions.parse(
            model="own-chat", messages=MESSAGES, response_format=Weather
        ),
        (CITY, "'parsed': {'city'"),
    ),
    "stream helper": Case(
        OPENAI,
        lambda client: client.chat.completions.stream(model="own-chat", messages=MESSAGES),
        ("content.delta", "content.done"), least=8,
    ),
    "raw": Case(
        OPENAI,
        lambda client: client.chat.completions.with_raw_response.create(
            model="own-chat", messages=MESSAGES
        ),
        ("req_", "own", "X-RateLimit-Remaining".lower()),
        lambda raw: (raw.status_code, _own_headers(raw.headers), raw.text),
    ),
    "response tools": Case(
        OPENAI, responses("own-chat", tools=[_RESPONSE_TOOL]), (CITY, "function_call")
    ),
    "response tools streamed": Case(
        OPENAI, responses("own-chat", tools=[_RESPONSE_TOOL], stream=True),
        (CITY, "function_call_arguments.done"), least=6,
    ),
    "response parsed": Case(
        OPENAI,
        lambda client: client.responses.parse(
            model="own-chat", input=QUESTION, text_format=Weather
        ),
        (CITY, "'parsed': {'city'"),
    ),
    "response stream helper": Case(
        OPENAI,
        lambda client: client.responses.stream(model="own-chat", input=QUESTION),
        ("response.output_text.delta", "response.completed"), least=8,
    ),
    "embeddings": Case(
        OPENAI,
        lambda client: client.embeddings.create(model="own-embed", input=[QUESTION, "Why?"]),
        ("embedding", "prompt_tokens"),
    ),
    "transcription": Case(
        OPENAI,
        lambda client: client.audio.transcriptions.create(
            model="own-voice", file=("own.wav", io.BytesIO(AUDIO), "audio/wav"), language="de"
        ),
        ("Heard ",),
    ),
    "speech": Case(
        OPENAI,
        lambda client: client.audio.speech.create(
            model="own-voice", voice="alloy", input=QUESTION
        ),
        ("128000",), lambda found: (len(found.content), found.content[:100]),
    ),
    "a big file": Case(
        OPENAI,
        lambda client: client.files.create(
            file=("own.bin", io.BytesIO(BIG)), purpose="batch"
        ),
        (str(len(BIG)), "processed"),
    ),
    "list of models": Case(
        OPENAI, lambda client: client.models.list(), ("own-chat",),
        modes=("sync",),
    ),
}  # fmt: skip


def _own_headers(headers: Any) -> list[tuple[str, str]]:
    """Return the headers that are the provider's own."""
    hop = ("content-length", "transfer-encoding", "connection", "keep-alive")
    return [
        (name.lower(), value)
        for name, value in headers.multi_items()
        if name.lower() not in hop and not name.lower().startswith("outlay-")
    ]


SHAPED: Final[dict[str, dict[str, Case]]] = {
    "openai": _OPENAI_CASES,
    "azure": _shaped(AZURE),
    "groq": _shaped(GROQ),
}
"""Cases of OpenAI's shape, by SDK; the rest is in `gateway_native_cases`."""
