"""A realistic reply of every surface, to be bent by the property tests that cover them all."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

from outlay.wire.base import Request
from outlay.wire.registry import _MODULES
from tests.wire.bedrock_payloads import STREAM, event
from tests.wire.harness import Exchange, sse, to_bytes
from tests.wire.sockets import GEMINI, REALTIME

HOSTS: Final = {"gpu.test": "ollama"}
OPENAI: Final = "https://api.openai.com/v1"
GOOGLE: Final = "https://generativelanguage.googleapis.com/v1beta"
BEDROCK: Final = "https://bedrock-runtime.us-east-1.amazonaws.com"
CLAUDE: Final = f"{BEDROCK}/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0"

Parts = list[dict[str, Any]]


class Seed(NamedTuple):
    """One reply; `form` is how its parts go over the wire: json, sse, lines or aws."""

    url: str
    parts: Parts
    form: str = "json"
    ask: dict[str, Any] | None = None
    method: str = "POST"

    def exchange(self, parts: Any, status: int = 200, ask: Any = None) -> Exchange:
        """Return the call with these parts as its reply."""
        request = Request(
            self.method, self.url, {"content-type": "application/json"},
            b"" if self.method == "GET" else to_bytes(self.ask or {} if ask is None else ask),
        )  # fmt: skip
        kind, body = self._written(parts)
        return Exchange(request, status, {"content-type": kind}, body, HOSTS)

    def _written(self, parts: Any) -> tuple[str, bytes]:
        if self.form == "sse":
            return "text/event-stream", sse(*parts)
        if self.form == "lines":
            return "application/x-ndjson", b"".join(to_bytes(part) + b"\n" for part in parts)
        if self.form == "aws":
            return STREAM, b"".join(
                event(str(part.get("type", "metadata")), part) for part in parts
            )
        return "application/json", to_bytes(parts[0] if parts else {})


CHAT: Final = {
    "id": "c", "object": "chat.completion", "created": 1_785_000_000, "model": "gpt-5",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hi"}}],
    "service_tier": "default",
    "usage": {
        "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 5, "cache_write_tokens": 7},
        "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 4},
    },
}  # fmt: skip
RESPONSE: Final = {
    "id": "r", "object": "response", "created_at": 1_785_000_000, "model": "gpt-5",
    "status": "completed", "background": False, "service_tier": "default", "error": None,
    "output": [{"type": "web_search_call", "status": "completed", "action": {"type": "search"}}],
    "usage": {
        "input_tokens": 100, "output_tokens": 30, "total_tokens": 130,
        "input_tokens_details": {"cached_tokens": 60}, "cost": 0.01,
        "output_tokens_details": {"reasoning_tokens": 20},
    },
}  # fmt: skip
MESSAGE: Final = {
    "id": "m", "type": "message", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "hi"}],
    "usage": {
        "input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 40,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 10},
        "output_tokens": 30, "output_tokens_details": {"thinking_tokens": 20},
        "server_tool_use": {"web_search_requests": 1}, "service_tier": "standard",
        "iterations": [
            {"type": "message", "input_tokens": 10, "output_tokens": 30},
            {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 7,
             "output_tokens": 2},
        ],
    },
}  # fmt: skip
CANDIDATE: Final = {
    "candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "hi"}]},
                    "groundingMetadata": {"webSearchQueries": ["a"]}}],
    "modelVersion": "gemini-2.5-flash", "responseId": "g",
    "usageMetadata": {
        "promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20, "toolUsePromptTokenCount": 4, "totalTokenCount": 154,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 70}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}],
    },
}  # fmt: skip
CONVERSE: Final = {
    "output": {"message": {"content": [{"text": "hi"}]}}, "stopReason": "end_turn",
    "usage": {"inputTokens": 10, "outputTokens": 30, "totalTokens": 140,
              "cacheReadInputTokens": 60, "cacheWriteInputTokens": 40,
              "cacheDetails": [{"ttl": "1h", "inputTokens": 40}]},
    "metrics": {"latencyMs": 5}, "trace": {"guardrail": {"actionReason": "x"}},
}  # fmt: skip
VECTORS: Final = {"object": "list", "model": "text-embedding-3-small", "data": [],
                  "usage": {"prompt_tokens": 8, "total_tokens": 8}}  # fmt: skip
IMAGES: Final = {
    "created": 1, "data": [{"b64_json": "aGk="}], "size": "1024x1024",
    "usage": {"input_tokens": 50, "output_tokens": 90, "total_tokens": 140,
              "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
              "output_tokens_details": {"image_tokens": 80, "text_tokens": 10}},
}  # fmt: skip
HEARD: Final = {
    "text": "hi", "duration": 3.2,
    "usage": {"type": "tokens", "input_tokens": 30, "output_tokens": 5, "total_tokens": 35,
              "input_token_details": {"audio_tokens": 25, "text_tokens": 5}},
}  # fmt: skip
INTERACTION: Final = {
    "id": "i", "object": "interaction", "status": "completed", "model": "gemini-3-flash",
    "created": "2026-11-02T10:00:00Z", "service_tier": "flex",
    "usage": {"total_input_tokens": 100, "total_cached_tokens": 40, "total_output_tokens": 30,
              "total_thought_tokens": 12, "total_tool_use_tokens": 8, "total_tokens": 150,
              "input_tokens_by_modality": [{"modality": "audio", "tokens": 30}]},
    "steps": [{"type": "model_output", "content": [{"type": "text", "text": "hi"}]}],
}  # fmt: skip
BILLED: Final = {"input_tokens": 20, "output_tokens": 5, "search_units": 1, "classifications": 2}
OLLAMA: Final = {"model": "llama3", "message": {"content": "hi"}, "done": True,
                 "done_reason": "stop", "prompt_eval_count": 20, "eval_count": 5,
                 "total_duration": 5_000_000_000}  # fmt: skip
GUARD: Final = {"action": "NONE", "usage": {"topicPolicyUnits": 1, "contentPolicyUnits": 2}}
TALK: Final = {"conversation_id": "v", "outputs": [{"type": "message.output", "content": "hi"}],
               "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
                         "connector_tokens": 3, "connectors": {"web_search": 1}}}  # fmt: skip
START: Final = {"type": "message_start", "message": MESSAGE | {"usage": {
    "input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 40,
    "cache_creation": {"ephemeral_1h_input_tokens": 40}}}}  # fmt: skip
ENDED: Final = {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                "usage": MESSAGE["usage"]}  # fmt: skip
STREAMED: Final = {"stream": True}


def _line(body: Any) -> dict[str, Any]:
    return {"id": "b", "custom_id": "x", "response": {"status_code": 200, "body": body}}


SEEDS: Final[dict[str, list[Seed]]] = {
    "openai.chat": [
        Seed(f"{OPENAI}/chat/completions", [CHAT]),
        Seed("https://openrouter.ai/api/v1/chat/completions", [CHAT, CHAT], "sse", STREAMED),
    ],
    "openai.completions": [Seed(f"{OPENAI}/completions", [CHAT])],
    "openai.responses": [
        Seed(f"{OPENAI}/responses", [RESPONSE]),
        Seed(f"{OPENAI}/responses", [
            {"type": "response.output_text.delta", "delta": "hi"},
            {"type": "response.completed", "response": RESPONSE},
        ], "sse", STREAMED),
    ],
    "openai.embeddings": [Seed(f"{OPENAI}/embeddings", [VECTORS])],
    "openai.images": [Seed(f"{OPENAI}/images/generations", [IMAGES])],
    "openai.speech": [Seed(f"{OPENAI}/audio/speech", [HEARD], "json", {"input": "hello"})],
    "openai.transcription": [Seed(f"{OPENAI}/audio/transcriptions", [HEARD])],
    "openai.video": [Seed(f"{OPENAI}/videos", [{"id": "v", "status": "queued", "seconds": "4"}])],
    "openai.rerank": [Seed("https://openrouter.ai/api/v1/rerank", [{"usage": BILLED}])],
    "openai.batch": [Seed(f"{OPENAI}/batches/b", [{"id": "b", "created_at": 1}], method="GET")],
    "openai.batch_results": [
        Seed(f"{OPENAI}/files/f/content", [_line(CHAT), _line(RESPONSE)], "lines", method="GET"),
    ],
    "anthropic.messages": [
        Seed("https://api.anthropic.com/v1/messages", [MESSAGE]),
        Seed("https://api.anthropic.com/v1/messages", [START, ENDED], "sse", STREAMED),
    ],
    "anthropic.batch": [
        Seed("https://api.anthropic.com/v1/messages/batches/b", [{"id": "b"}], method="GET"),
    ],
    "anthropic.batch_results": [
        Seed("https://api.anthropic.com/v1/messages/batches/b/results",
             [{"custom_id": "x", "result": {"type": "succeeded", "message": MESSAGE}}] * 2,
             "lines", method="GET"),
    ],
    "google.generate": [
        Seed(f"{GOOGLE}/models/gemini-2.5-flash:generateContent", [CANDIDATE]),
        Seed(f"{GOOGLE}/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
             [CANDIDATE, CANDIDATE], "sse"),
    ],
    "google.embed": [Seed(f"{GOOGLE}/models/gemini-embedding-001:embedContent", [CANDIDATE])],
    "google.interactions": [
        Seed(f"{GOOGLE}/interactions", [INTERACTION]),
        Seed(f"{GOOGLE}/interactions",
             [{"event_type": "interaction.completed", "interaction": INTERACTION}], "sse",
             STREAMED),
    ],
    "google.predict": [
        Seed(f"{GOOGLE}/models/imagen-4:predict", [{"predictions": [{"mimeType": "image/png",
             "bytesBase64Encoded": "aGk="}]}], "json", {"parameters": {"sampleCount": 2}}),
        Seed(f"{GOOGLE}/models/veo-3:predictLongRunning", [{"name": "o"}], "json",
             {"instances": [{}], "parameters": {"durationSeconds": 8}}),
    ],
    "google.batch_results": [
        Seed(f"{GOOGLE}/batches/b", [{"name": "batches/b", "done": True, "response": {
             "inlinedResponses": {"inlinedResponses": [{"response": CANDIDATE}]}}}], method="GET"),
        Seed(f"{GOOGLE}/files/b:download", [{"key": "x", "response": CANDIDATE}] * 2, "lines",
             method="GET"),
    ],
    "bedrock.converse": [
        Seed(f"{CLAUDE}/converse", [CONVERSE]),
        Seed(f"{CLAUDE}/converse-stream", [{"type": "metadata", **CONVERSE}], "aws"),
    ],
    "bedrock.invoke": [Seed(f"{BEDROCK}/model/cohere.embed-v4:0/invoke", [{"inputTextTokenCount": 4,
                            "usage": CONVERSE["usage"]}])],
    "bedrock.guardrail": [Seed(f"{BEDROCK}/guardrail/g/version/1/apply", [GUARD])],
    "aws:anthropic.messages": [
        Seed(f"{CLAUDE}/invoke", [MESSAGE]),
        Seed(f"{CLAUDE}/invoke-with-response-stream", [{"type": "chunk", "bytes": "e30="}], "aws"),
    ],
    "cohere.chat": [
        Seed("https://api.cohere.com/v2/chat", [{"usage": {"billed_units": BILLED,
             "tokens": BILLED, "cached_tokens": 9}}]),
        Seed("https://api.cohere.com/v2/chat", [{"type": "message-end", "delta": {
             "finish_reason": "COMPLETE", "usage": {"billed_units": BILLED}}}], "sse", STREAMED),
    ],
    "cohere.embed": [Seed("https://api.cohere.com/v2/embed", [{"meta": {"billed_units": BILLED}}])],
    "cohere.rerank": [
        Seed("https://api.cohere.com/v2/rerank", [{"meta": {"billed_units": BILLED}}]),
    ],
    "mistral.ocr": [Seed("https://api.mistral.ai/v1/ocr", [{"pages": [{"index": 0}],
                         "usage_info": {"pages_processed": 2, "doc_size_bytes": 9}}])],
    "mistral.chat": [Seed("https://api.mistral.ai/v1/conversations", [TALK])],
    "ollama.generate": [Seed("http://gpu.test/api/chat", [OLLAMA | {"done": False}, OLLAMA],
                             "lines")],
    "ollama.embed": [Seed("http://gpu.test/api/embed", [OLLAMA])],
}  # fmt: skip
"""By the surface's key in the registry."""

_TURN: Final = {"id": "r", "status": "completed", "output": [], "usage": {
    "input_tokens": 20, "output_tokens": 9, "total_tokens": 29,
    "input_token_details": {"text_tokens": 5, "audio_tokens": 15, "cached_tokens": 10,
                            "cached_tokens_details": {"audio_tokens": 10}},
    "output_token_details": {"text_tokens": 3, "audio_tokens": 6}}}  # fmt: skip
SESSIONS: Final[dict[str, tuple[str, Parts]]] = {
    "openai.realtime": (REALTIME, [
        {"type": "session.updated", "session": {"model": "gpt-realtime"}},
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "conversation.item.input_audio_transcription.completed",
         "usage": {"type": "duration", "seconds": 3}},
        {"type": "response.done", "response": _TURN},
    ]),
    "openai.responses": ("wss://api.openai.com/v1/responses", [
        {"type": "response.completed", "response": RESPONSE},
    ]),
    "openai.live": ("wss://api.openai.com/v1/live/sessions", [
        {"type": "session.created", "session": {"id": "s", "model": "gpt-live-1"}},
        {"type": "session.usage.updated", "usage": {"seconds": 4.5}},
        {"type": "session.closed", "usage": {"seconds": 9}},
    ]),
    "openai.translation": ("wss://api.openai.com/v1/realtime/translations?model=m", [
        {"type": "session.updated", "session": {"model": "m"}},
        {"type": "session.closed"},
    ]),
    "google.live": (GEMINI, [
        {"setupComplete": {}},
        {"serverContent": {"turnComplete": True}, "usageMetadata": {
            "promptTokenCount": 30, "responseTokenCount": 9, "totalTokenCount": 39,
            "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 9}]}},
    ]),
}  # fmt: skip
"""By surface: where the socket goes, and what the server says on it."""

_SHARED: Final = ("openai_usage", "anthropic_usage", "google_usage", "bedrock_usage",
                  "cohere_usage", "openai_cost", "usage_object")  # fmt: skip
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_.:-]{1,40}")


@cache
def words(surface: str) -> tuple[str, ...]:
    """Return every word that the surface's codec looks for, read from its own source."""
    modules = {_MODULES[surface], *(name for name in _SHARED if _near(name, surface))}
    found = set()
    for name in modules:
        spec = find_spec(f"outlay.wire.{name}")
        assert spec is not None
        assert spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return tuple(sorted(word for word in found if _WORD.fullmatch(word)))


def _near(module: str, surface: str) -> bool:
    return module == "usage_object" or module.partition("_")[0] in surface
