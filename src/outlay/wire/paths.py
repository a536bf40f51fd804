"""What a vendor serves below its base paths: literal tables of billed and free endpoints.

A path that stands in no table is not free: it is unknown, and said to be.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Native(NamedTuple):
    """An endpoint of a vendor's own shape; `path` is matched whole and may name the `model`."""

    method: str
    path: re.Pattern[str]
    surface: str
    operation: str


def _native(method: str, path: str, surface: str, operation: str) -> Native:
    return Native(method, re.compile(path), surface, operation)


OPENAI: Final[dict[str, tuple[str, str]]] = {
    "/chat/completions": ("openai.chat", "chat"),
    "/fim/completions": ("openai.chat", "text_completion"),
    "/agents/completions": ("openai.chat", "chat"),
    "/completions": ("openai.completions", "text_completion"),
    "/responses": ("openai.responses", "chat"),
    "/responses/compact": ("openai.responses", "chat"),
    "/embeddings": ("openai.embeddings", "embeddings"),
    "/images/generations": ("openai.images", "image"),
    "/images/edits": ("openai.images", "image"),
    "/images/variations": ("openai.images", "image"),
    "/images": ("openai.images", "image"),
    "/audio/speech": ("openai.speech", "speech"),
    "/audio/transcriptions": ("openai.transcription", "transcription"),
    "/audio/translations": ("openai.transcription", "transcription"),
    "/rerank": ("openai.rerank", "rerank"),
    "/score": ("openai.rerank", "rerank"),
    "/videos": ("openai.video", "other"),
    "/videos/edits": ("openai.video", "other"),
    "/videos/extensions": ("openai.video", "other"),
    "/videos/generations": ("openai.video", "other"),
}
"""Surface and operation of the OpenAI-shaped endpoints that have a codec."""

ANTHROPIC: Final[dict[str, tuple[str, str]]] = {"/messages": ("anthropic.messages", "chat")}

FREE: Final = (
    "/responses/input_tokens", "/messages/count_tokens", "/files", "/uploads",
    "/conversations", "/realtime/client_secrets", "/realtime/sessions", "/tokenize", "/detokenize",
    "/skills", "/batches", "/batch/jobs", "/messages/batches",
)  # fmt: skip
"""POST endpoints below a base that cost nothing, with everything below them."""

STORED: Final = re.compile(r"/chat/completions/[^/]+$")
"""A POST to a stored completion changes its metadata: free."""

LOOKS: Final = (
    (re.compile("/files/[^/]+/content"), ("openai.batch_results", "chat")),
    (re.compile("/batches/[^/]+|/batch/jobs/[^/]+"), ("openai.batch", "other")),
    (re.compile("/videos/[^/]+"), ("openai.video", "other")),
)
"""What a GET below an OpenAI base brings of interest: a batch is billed by its results, and some
vendors state what a video cost where it is done."""

RESULTS: Final = re.compile(r"/batches/[^/]+/results$")
"""A GET that is not free though it has no codec: the results of a batch of another shape."""

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

_INTERACTIONS: Final = (
    r"/v[0-9][a-z0-9]*(?:/projects/[^/]+/locations/(?P<location>[^/]+))?/interactions"
)
GOOGLE_INTERACTIONS: Final = {
    "POST": re.compile(_INTERACTIONS + r"(?:/[^/]+/cancel)?$"),
    "GET": re.compile(_INTERACTIONS + r"/[^/]+$"),
}
"""Interactions, by method: made, cancelled, or looked at when they may be done."""

GOOGLE_VERBS: Final[dict[str, tuple[str, str]]] = {
    "generateContent": ("google.generate", "chat"),
    "streamGenerateContent": ("google.generate", "chat"),
    "embedContent": ("google.embed", "embeddings"),
    "batchEmbedContents": ("google.embed", "embeddings"),
    "predict": ("google.predict", "image"),
    "predictLongRunning": ("google.predict", "other"),
    "rawPredict": ("raw", "chat"),
    "streamRawPredict": ("raw", "chat"),
}
GOOGLE_FREE: Final = (
    "countTokens", "computeTokens", "batchGenerateContent", "asyncBatchEmbedContent", "cancel",
)  # fmt: skip
"""A batch is billed by its results, not when it is asked for."""

RAW: Final[dict[str, tuple[str, str]]] = {
    "anthropic": ("anthropic.messages", "anthropic"),
    "mistralai": ("openai.chat", "mistral"),
}
"""Surface and dialect behind `rawPredict`, by publisher."""

_BEDROCK: Final = r"/model/(?P<model>.+)/"
_GUARDRAIL: Final = r"/guardrail/(?P<model>.+)/version/[^/]+/apply"
_GEMINI_FILE: Final = "(?:/download)?/v[0-9][a-z0-9]*/files/[^/]+:download"

NATIVE: Final[dict[str, tuple[Native, ...]]] = {
    "aws": (
        _native("POST", _BEDROCK + "converse(?:-stream)?", "bedrock.converse", "chat"),
        _native("POST", _BEDROCK + "invoke(?:-with-response-stream)?", "bedrock.invoke", "chat"),
        _native("POST", _GUARDRAIL, "bedrock.guardrail", "other"),
        _native("POST", "/guardrail-checks/invoke", "bedrock.guardrail", "other"),
    ),
    "anthropic": (
        _native("GET", "/v1/messages/batches/[^/]+/results", "anthropic.batch_results", "chat"),
        _native("GET", "/v1/messages/batches/[^/]+", "anthropic.batch", "other"),
    ),
    "openai": (
        _native("POST", "/v1/videos/[^/]+/remix", "openai.video", "other"),
    ),
    "azure": (
        _native("POST", "/openai/v1/videos/[^/]+/remix", "openai.video", "other"),
    ),
    "together": (
        _native("POST", "/v2/videos", "openai.video", "other"),
    ),
    "mistral": (
        _native("POST", "/v1/ocr", "mistral.ocr", "other"),
        _native("POST", "/v1/conversations(?:/[^/]+(?:/restart)?)?", "mistral.chat", "chat"),
    ),
    "cohere": (
        _native("POST", "/v[12]/(?:chat|generate|summarize)", "cohere.chat", "chat"),
        _native("POST", "/v[12]/(?:classify|parse)", "cohere.chat", "other"),
        _native("POST", "/v[12]/embed", "cohere.embed", "embeddings"),
        _native("POST", "/v[12]/rerank", "cohere.rerank", "rerank"),
    ),
    "databricks": (
        _native("POST", "/serving-endpoints/(?P<model>[^/]+)/invocations", "openai.chat", "chat"),
    ),
    "minimax": (
        _native("POST", "/v1/text/chatcompletion_v2", "openai.chat", "chat"),
    ),
    "ollama": (
        _native("POST", "/api/(?:chat|generate)", "ollama.generate", "chat"),
        _native("POST", "/api/(?:embed|embeddings)", "ollama.embed", "embeddings"),
    ),
    "google": (
        _native("GET", "/v[0-9][a-z0-9]*/batches/[^/]+", "google.batch_results", "chat"),
        _native("GET", _GEMINI_FILE, "google.batch_results", "chat"),
    ),
}  # fmt: skip
"""Endpoints of a vendor's own shape, by vendor."""

BEDROCK_FREE: Final = re.compile(r"/model/.+/count-tokens$")
