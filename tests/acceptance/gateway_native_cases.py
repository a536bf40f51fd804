"""What applications do with the SDKs of Anthropic, Google, Mistral, Cohere and AWS."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.acceptance.gateway_calls import (
    ASKED,
    BLOCKS,
    MESSAGES,
    QUESTION,
    cohere,
    cohere_stream,
    converse,
    converse_stream,
    google,
    google_stream,
    messages,
    mistral,
    mistral_stream,
)
from tests.acceptance.gateway_cases import SCHEMA, SHAPED, TOOL, Case, Weather
from tests.acceptance.gateway_clients import ANTHROPIC, BEDROCK, COHERE, GOOGLE, MISTRAL
from tests.acceptance.gateway_reply import ARGUMENTS, CITY

_ANTHROPIC_TOOL: Final[Any] = {
    "name": "weather",
    "description": "Tells it.",
    "input_schema": SCHEMA,
}
_ANTHROPIC_CALLED: Final[Any] = [
    *ASKED,
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": json.loads(ARGUMENTS)}
        ],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "21 °C"}],
    },
]
_GOOGLE_TOOL: Final[Any] = {
    "tools": [{"function_declarations": [{"name": "weather", "description": "Tells it."}]}]
}
_CONVERSE_TOOL: Final[Any] = {
    "tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}]
}
_CONVERSE_CALLED: Final[Any] = [
    *BLOCKS,
    {
        "role": "assistant",
        "content": [
            {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": CITY}}}
        ],
    },
    {
        "role": "user",
        "content": [{"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "21 °C"}]}}],
    },
]
_INVOKED: Final = json.dumps(
    {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": ASKED}
)
_BEDROCK_MODEL: Final = "anthropic.own-chat-v1:0"


_ANTHROPIC_CASES: Final[dict[str, Case]] = {
    "tools": Case(ANTHROPIC, messages("own-chat", tools=[_ANTHROPIC_TOOL]), (CITY, "tool_use")),
    "tools streamed": Case(
        ANTHROPIC, messages("own-chat", tools=[_ANTHROPIC_TOOL], stream=True),
        (CITY, "input_json_delta"), least=7,
    ),
    "tools answered": Case(
        ANTHROPIC,
        messages("own-chat", tools=[_ANTHROPIC_TOOL], messages=_ANTHROPIC_CALLED),
        ("end_turn",),
    ),
    "stream helper": Case(
        ANTHROPIC,
        lambda client: client.messages.stream(
            model="own-chat", max_tokens=500, messages=ASKED
        ),
        ("message_stop", "text_delta"), least=8,
    ),
    "parsed": Case(
        ANTHROPIC,
        lambda client: client.messages.parse(
            model="own-chat", max_tokens=500, messages=ASKED, output_format=Weather
        ),
        (CITY, "celsius"),
    ),
    "count of tokens": Case(
        ANTHROPIC,
        lambda client: client.messages.count_tokens(model="own-chat", messages=ASKED),
        ("input_tokens",),
    ),
}  # fmt: skip

_GOOGLE_CASES: Final[dict[str, Case]] = {
    "tools": Case(GOOGLE, google("own-chat", config=_GOOGLE_TOOL), (CITY, "function_call")),
    "tools streamed": Case(
        GOOGLE, google_stream("own-chat", config=_GOOGLE_TOOL), (CITY, "function_call")
    ),
    "structured": Case(
        GOOGLE,
        google(
            "own-chat",
            config={"response_mime_type": "application/json", "response_schema": Weather},
        ),
        (CITY, "'parsed': {'city'"),
    ),
    "embeddings": Case(
        GOOGLE,
        lambda client: client.embed_content(model="own-embed", contents=[QUESTION, "Why?"]),
        ("values",),
    ),
    "count of tokens": Case(
        GOOGLE, lambda client: client.count_tokens(model="own-chat", contents=QUESTION),
        ("total_tokens",),
    ),
}  # fmt: skip

_MISTRAL_CASES: Final[dict[str, Case]] = {
    "tools": Case(MISTRAL, mistral("own-chat", tools=[TOOL]), (CITY, "tool_calls")),
    "tools streamed": Case(
        MISTRAL, mistral_stream("own-chat", tools=[TOOL]), (CITY, "tool_calls"), least=3
    ),
    "parsed": Case(
        MISTRAL,
        lambda client: client.chat.parse(
            model="own-chat", messages=MESSAGES, response_format=Weather
        ),
        (CITY, "'parsed': {'city'"),
    ),
    "embeddings": Case(
        MISTRAL,
        lambda client: client.embeddings.create(model="own-embed", inputs=[QUESTION, "Why?"]),
        ("embedding",),
    ),
}  # fmt: skip

_COHERE_CASES: Final[dict[str, Case]] = {
    "tools": Case(COHERE, cohere("own-chat", tools=[TOOL]), (CITY, "TOOL_CALL")),
    "tools streamed": Case(
        COHERE, cohere_stream("own-chat", tools=[TOOL]), (CITY, "tool-call-delta"), least=5
    ),
    "structured": Case(
        COHERE,
        cohere("own-chat", response_format={"type": "json_object", "json_schema": SCHEMA}),
        (CITY, "celsius"),
    ),
    "embeddings": Case(
        COHERE,
        lambda client: client.embed(
            model="own-embed", texts=[QUESTION, "Why?"], input_type="search_query",
            embedding_types=["float"],
        ),
        ("float", "billed_units"),
    ),
    "reranking": Case(
        COHERE,
        lambda client: client.rerank(
            model="own-rerank", query=QUESTION, documents=["Rain.", "Snow."]
        ),
        ("relevance_score", "search_units"),
    ),
}  # fmt: skip


def _body(found: Any) -> Any:
    """Return a whole answer of `invoke_model`."""
    return json.loads(found["body"].read()), found["contentType"]


_BEDROCK_CASES: Final[dict[str, Case]] = {
    "tools": Case(
        BEDROCK, converse(_BEDROCK_MODEL, toolConfig=_CONVERSE_TOOL), (CITY, "tool_use"),
        modes=("sync",),
    ),
    "tools streamed": Case(
        BEDROCK, converse_stream(_BEDROCK_MODEL, toolConfig=_CONVERSE_TOOL),
        (CITY, "tool_use", "metadata"), least=6, modes=("sync",),
    ),
    "tools answered": Case(
        BEDROCK,
        converse(
            _BEDROCK_MODEL, toolConfig=_CONVERSE_TOOL, messages=_CONVERSE_CALLED
        ),
        ("end_turn",), modes=("sync",),
    ),
    "invoked": Case(
        BEDROCK,
        lambda client: client.invoke_model(modelId=_BEDROCK_MODEL, body=_INVOKED),
        ("end_turn", "application/json"), _body, modes=("sync",),
    ),
    "invoked, streamed": Case(
        BEDROCK,
        lambda client: client.invoke_model_with_response_stream(
            modelId=_BEDROCK_MODEL, body=_INVOKED
        )["body"],
        ("message_stop",), least=8, modes=("sync",),
    ),
    "an ARN": Case(
        BEDROCK,
        converse("arn:aws:bedrock:us-east-1::foundation-model/" + _BEDROCK_MODEL),
        ("end_turn",), modes=("sync",),
    ),
}  # fmt: skip


NATIVE: Final[dict[str, dict[str, Case]]] = {
    "anthropic": _ANTHROPIC_CASES,
    "google": _GOOGLE_CASES,
    "mistral": _MISTRAL_CASES,
    "cohere": _COHERE_CASES,
    "bedrock": _BEDROCK_CASES,
}
CASES: Final[dict[str, Case]] = {
    f"{sdk}: {name}": case
    for sdk, cases in (SHAPED | NATIVE).items()
    for name, case in cases.items()
}
"""Every case of every SDK."""
