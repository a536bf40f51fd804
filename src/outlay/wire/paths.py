"""What a vendor serves below its base paths: literal tables of billed and free endpoints.

A path that stands in no table is not free: it is unknown, and said to be.
"""

from __future__ import annotations

import re
from typing import Final

OPENAI: Final[dict[str, tuple[str, str]]] = {
    "/chat/completions": ("openai.chat", "chat"),
    "/fim/completions": ("openai.chat", "text_completion"),
    "/agents/completions": ("openai.chat", "chat"),
    "/completions": ("openai.completions", "text_completion"),
    "/responses": ("openai.responses", "chat"),
    "/responses/compact": ("openai.responses", "chat"),
    "/embeddings": ("openai.embeddings", "embeddings"),
}
"""Surface and operation of the OpenAI-shaped endpoints that have a codec."""

ANTHROPIC: Final[dict[str, tuple[str, str]]] = {"/messages": ("anthropic.messages", "chat")}

FREE: Final = (
    "/responses/input_tokens", "/messages/count_tokens", "/files", "/uploads",
    "/conversations", "/realtime/client_secrets", "/realtime/sessions", "/tokenize", "/detokenize",
    "/skills",
)  # fmt: skip
"""POST endpoints below a base that cost nothing, with everything below them."""

STORED: Final = re.compile(r"/chat/completions/[^/]+$")
"""A POST to a stored completion changes its metadata: free."""

RESULTS: Final = re.compile(r"/batches/[^/]+/results$")
"""The only GET whose reply carries what was used: the results of a batch."""

OPERATIONS: Final = (
    ("/images/", "image"),
    ("/audio/speech", "speech"),
    ("/audio/", "transcription"),
    ("/rerank", "rerank"),
    ("/score", "rerank"),
    ("/embed", "embeddings"),
    ("/realtime/", "realtime"),
    (":embed", "embeddings"),
    (":predict", "image"),
    (":generateImages", "image"),
)
"""Operations of endpoints without a codec, by a part of their path."""

GOOGLE: Final = re.compile(
    r"/v[0-9][a-z0-9]*"
    r"(?:/projects/[^/]+/locations/(?P<location>[^/]+))?"
    r"(?:/publishers/(?P<publisher>[^/]+))?"
    r"/(?P<kind>models|tunedModels|endpoints)/(?P<model>[^/:]+):(?P<verb>[A-Za-z]+)$"
)
"""AI Studio's and Vertex's `model:verb` paths."""

GOOGLE_CHAT: Final = re.compile(
    r"/v[0-9][a-z0-9]*/projects/[^/]+/locations/(?P<location>[^/]+)/endpoints/openapi(?P<rest>/.+)$"
)
"""Vertex's OpenAI-compatible endpoint."""

GOOGLE_VERBS: Final[dict[str, tuple[str, str]]] = {
    "generateContent": ("google.generate", "chat"),
    "streamGenerateContent": ("google.generate", "chat"),
    "embedContent": ("google.embed", "embeddings"),
    "batchEmbedContents": ("google.embed", "embeddings"),
    "rawPredict": ("raw", "chat"),
    "streamRawPredict": ("raw", "chat"),
}
GOOGLE_FREE: Final = ("countTokens", "computeTokens")

RAW: Final[dict[str, tuple[str, str]]] = {
    "anthropic": ("anthropic.messages", "anthropic"),
    "mistralai": ("openai.chat", "mistral"),
}
"""Surface and dialect behind `rawPredict`, by publisher."""

BEDROCK_INVOKE: Final = re.compile(r"/model/(?P<model>.*anthropic\.[^/]+)/invoke$")
"""Bedrock's plain invoke of an Anthropic model carries Anthropic's own JSON."""
BEDROCK_FREE: Final = re.compile(r"/model/[^/]+/count-tokens$")
