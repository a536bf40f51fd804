"""What each API's counters include, in a sentence: the rule that made buckets of raw usage.

Literal text for explanations and the docs; the codecs hold the arithmetic. Keyed on surface and
vendor, as the conventions themselves are.
"""

from __future__ import annotations

from typing import Final

from outlay.wire.vendors import BY_NAME

_INCLUSIVE: Final = (
    "the input counter includes cached, written and modality tokens, the output counter includes "
    "reasoning"
)
_ADDITIVE_REASONING: Final = (
    "the input counter includes cached tokens; reasoning comes on top of the output counter"
)
_TOTAL_REASONING: Final = (
    f"{_INCLUSIVE}; what the total counts beyond both counters is reasoning on top"
)

CONVENTIONS: Final[dict[str, str]] = {
    "openai.chat": _INCLUSIVE,
    "openai.completions": _INCLUSIVE,
    "openai.responses": f"{_INCLUSIVE}; server tools are counted beside usage and charged on top",
    "openai.embeddings": "everything counted is input",
    "openai.images": "text and image tokens by side; without token counts, images",
    "openai.speech": "characters of the request, or tokens where the stream tells them",
    "openai.transcription": "tokens by modality, or seconds of audio rounded up",
    "openai.video": "seconds of video; where the vendor states the cost, once the video is done",
    "openai.realtime": (
        "each answer is counted by itself; cached tokens are part of their modality; input "
        "transcription is a call of its own"
    ),
    "openai.live": "seconds of the session, the last count told",
    "openai.translation": "seconds of the audio that was sent",
    "openai.rerank": "tokens read, or searches where the vendor charges by search",
    "anthropic.messages": (
        "the input counter excludes cache reads and writes, which come on top; output includes "
        "thinking; hidden model calls (iterations) are priced each with its own model"
    ),
    "google.generate": (
        "the prompt counter includes cached tokens; tool results come on top of it, thoughts on "
        "top of the candidates"
    ),
    "google.interactions": "input includes cached tokens; thoughts and tool results come on top",
    "google.live": "counts by turn; thoughts come on top of the response counter",
    "google.embed": "everything counted is input",
    "google.predict": "images or seconds of video, counted in the reply or the request",
    "bedrock.converse": (
        "the input counter excludes cache reads and writes, which come on top; output includes "
        "reasoning (OpenAI models streamed through Converse count cache in input: taken out)"
    ),
    "bedrock.invoke": "counts of the response headers, which exclude cache reads and writes",
    "bedrock.guardrail": "text units by policy",
    "cohere.chat": "billed units; cached tokens are told beside them and never subtracted",
    "cohere.embed": "billed units",
    "cohere.rerank": "search units",
    "mistral.chat": f"{_INCLUSIVE}; connector tokens come on top",
    "mistral.ocr": "pages processed",
    "ollama.generate": "the prompt counter excludes what its cache held; output includes thinking",
    "ollama.embed": "everything counted is input",
    "xai.grpc": "the prompt counter includes cached tokens; reasoning comes on top of completion",
}
"""By surface."""


def convention(surface: str, vendor: str) -> str:
    """Return the rule by which a surface's counters were read; empty for an unknown one."""
    row = BY_NAME.get(vendor)
    if surface == "openai.chat" and row is not None:
        if row.reasoning_additive:
            return _ADDITIVE_REASONING
        if row.reasoning_in_total:
            return _TOTAL_REASONING
    return CONVENTIONS.get(surface, "")
