"""What the gateway tests ask of each SDK, in its own words: the calls, and `CHATS`.

`CHATS` is a plain question, whole and streamed, to a model of one's choice. What else applications
do with an SDK is in `gateway_cases`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.acceptance.gateway_clients import (
    ANTHROPIC,
    AZURE,
    BEDROCK,
    BEDROCK_ANTHROPIC,
    BEDROCK_BEARER,
    COHERE,
    GOOGLE,
    GROQ,
    MISTRAL,
    OPENAI,
    Call,
    Sdk,
)

QUESTION: Final = "What is the weather like in Zürich — and why?"
MESSAGES: Final[Any] = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": QUESTION},
]
ASKED: Final[Any] = MESSAGES[1:]
BLOCKS: Final[Any] = [{"role": "user", "content": [{"text": QUESTION}]}]
"""The question as Converse has it."""


@dataclass(frozen=True)
class Chat:
    """A question to a model by name, whole and streamed."""

    sdk: Sdk
    whole: Callable[[str], Call]
    streamed: Callable[[str], Call]
    model: str = "own-{}"
    modes: tuple[str, ...] = ("sync", "async")
    settings: tuple[tuple[str, Any], ...] = ()

    def name(self, behaviour: str) -> str:
        """Return the model that behaves so."""
        return self.model.format(behaviour)


def chat(model: str, **more: Any) -> Call:
    asked = {"model": model, "messages": MESSAGES, **more}
    return lambda client: client.chat.completions.create(**asked)


def responses(model: str, **more: Any) -> Call:
    asked = {"model": model, "input": QUESTION, **more}
    return lambda client: client.responses.create(**asked)


def messages(model: str, **more: Any) -> Call:
    asked = {"model": model, "max_tokens": 500, "messages": ASKED, **more}
    return lambda client: client.messages.create(**asked)


def google(model: str, **more: Any) -> Call:
    return lambda client: client.generate_content(model=model, contents=QUESTION, **more)


def google_stream(model: str, **more: Any) -> Call:
    return lambda client: client.generate_content_stream(model=model, contents=QUESTION, **more)


def mistral(model: str, **more: Any) -> Call:
    return lambda client: client.chat.complete(model=model, messages=MESSAGES, **more)


def mistral_stream(model: str, **more: Any) -> Call:
    return lambda client: client.chat.stream(model=model, messages=MESSAGES, **more)


def cohere(model: str, **more: Any) -> Call:
    return lambda client: client.chat(model=model, messages=MESSAGES, **more)


def cohere_stream(model: str, **more: Any) -> Call:
    return lambda client: client.chat_stream(model=model, messages=MESSAGES, **more)


def converse(model: str, **more: Any) -> Call:
    asked = {"modelId": model, "messages": BLOCKS, **more}
    return lambda client: client.converse(**asked)


def converse_stream(model: str, **more: Any) -> Call:
    asked = {"modelId": model, "messages": BLOCKS, **more}
    return lambda client: client.converse_stream(**asked)["stream"]


CHATS: Final[dict[str, Chat]] = {
    "openai chat": Chat(OPENAI, chat, lambda model: chat(model, stream=True)),
    "openai responses": Chat(OPENAI, responses, lambda model: responses(model, stream=True)),
    "azure": Chat(AZURE, chat, lambda model: chat(model, stream=True)),
    "anthropic": Chat(ANTHROPIC, messages, lambda model: messages(model, stream=True)),
    "google": Chat(GOOGLE, google, google_stream),
    "mistral": Chat(MISTRAL, mistral, mistral_stream),
    "cohere": Chat(COHERE, cohere, cohere_stream),
    "groq": Chat(GROQ, chat, lambda model: chat(model, stream=True)),
    "bedrock converse": Chat(
        BEDROCK, converse, converse_stream, "anthropic.own-{}-v1:0", ("sync",)
    ),
    "bedrock anthropic": Chat(
        BEDROCK_ANTHROPIC, messages, lambda model: messages(model, stream=True),
        "anthropic.own-{}-v1:0",
    ),
    "bedrock bearer": Chat(
        BEDROCK_BEARER, messages, lambda model: messages(model, stream=True),
        "anthropic.own-{}-v1:0",
    ),
} | {
    name: Chat(
        OPENAI, chat, lambda model: chat(model, stream=True), modes=("sync",),
        settings=(("upstream", name),),
    )
    for name in ("deepseek", "xai", "together", "openrouter")
}  # fmt: skip
"""By what they are called in the tests' names."""
