"""Anthropic's, Google's and Cohere's own shapes for the gateway tests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tests.acceptance.gateway_reply import (
    ARGUMENTS,
    MESSAGE,
    STRUCTURED,
    Asked,
    Piece,
    Reply,
    identifier,
    in_pieces,
    lines,
    sse,
    text_of,
    to_json,
    tokens,
    usage_of,
    vector,
)

_ANTHROPIC_KINDS: Final = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 429: "rate_limit_error", 503: "overloaded_error",
}  # fmt: skip
_GOOGLE_KINDS: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE",
}  # fmt: skip
_GOOGLE: Final = re.compile(r"/v1(?:beta)?/models/([^/:]+):(\w+)")


def body_model(asked: Asked) -> str:
    """Return the model that a body asks for."""
    return str(asked.json.get("model") or "")


def _texts(messages: Any) -> list[str]:
    """Return the texts of messages whose contents are text or blocks."""
    found: list[str] = []
    for message in messages or ():
        content = message.get("content")
        if isinstance(content, str):
            found.append(content)
        elif isinstance(content, list):
            found += [block.get("text") or "" for block in content]
    return found


# -- Anthropic ---------------------------------------------------------------------------------


def anthropic_error(status: int, message: str = MESSAGE) -> Reply:
    """Word an error as Anthropic does."""
    told = {"type": _ANTHROPIC_KINDS.get(status, "api_error"), "message": message}
    headers = {"request-id": "req_error"} | ({"retry-after-ms": "5"} if status == 429 else {})
    body = {"type": "error", "error": told, "request_id": "req_error"}
    return Reply(to_json(body), status=status, headers=headers)


def anthropic(asked: Asked) -> Reply:
    """Answer a request to Anthropic."""
    if asked.method == "POST" and asked.path.endswith("/messages/count_tokens"):
        read = tokens(sum(map(len, _texts(asked.json.get("messages")))))
        return Reply(to_json({"input_tokens": read}))
    if asked.method != "POST" or not asked.path.endswith("/v1/messages"):
        return anthropic_error(404)
    return messages(asked.json, body_model(asked))


def messages(body: Mapping[str, Any], model: str) -> Reply:
    """Answer a message, asked of Anthropic or of who sells its models."""
    texts = _texts(body.get("messages"))
    last = body["messages"][-1]["content"]
    answered = isinstance(last, list) and last[-1].get("type") == "tool_result"
    calls = bool(body.get("tools")) and not answered
    structured = bool((body.get("output_config") or {}).get("format"))
    answer = STRUCTURED if structured else text_of(model, texts)
    usage = usage_of(texts, ARGUMENTS if calls else answer)
    block: dict[str, Any] = {"type": "text", "text": answer}
    if calls:
        name = body["tools"][0]["name"]
        block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": json.loads(ARGUMENTS)}
    whole = {
        "id": identifier("msg_", *texts), "type": "message", "role": "assistant", "model": model,
        "content": [block], "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage["input"], "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": usage["output"],
            "service_tier": "standard",
        },
    }  # fmt: skip
    headers = {"request-id": identifier("req_", *texts), "anthropic-organization-id": "org-own"}
    if not body.get("stream"):
        return Reply(to_json(whole), model=model, usage=usage, headers=headers)
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": MESSAGE}}
    return Reply(
        pieces=list(message_frames(whole, block)), model=model, usage=usage, headers=headers,
        kind="text/event-stream; charset=utf-8", failure=lambda _: sse(failed, "error"),
    )  # fmt: skip


def message_frames(whole: dict[str, Any], block: dict[str, Any]) -> Iterator[Piece]:
    """Yield a message as a stream of events."""

    def event(kind: str, characters: int = 0, **values: Any) -> Piece:
        return Piece(sse({"type": kind, **values}, kind), characters)

    begun = {**whole, "content": [], "stop_reason": None}
    begun["usage"] = {**whole["usage"], "output_tokens": 1}
    yield event("message_start", message=begun)
    empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
    yield event("content_block_start", index=0, content_block=empty)
    yield event("ping")
    if block["type"] == "text":
        deltas = [("text_delta", "text", text) for text in in_pieces(block["text"])]
    else:
        halves = (ARGUMENTS[:5], ARGUMENTS[5:])
        deltas = [("input_json_delta", "partial_json", text) for text in halves]
    for kind, name, text in deltas:
        delta = {"type": kind, name: text}
        yield event("content_block_delta", len(text), index=0, delta=delta)
    yield event("content_block_stop", index=0)
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    told = {"output_tokens": whole["usage"]["output_tokens"]}
    yield event("message_delta", delta=ended, usage=told)
    yield event("message_stop")


# -- Google ------------------------------------------------------------------------------------


def google_error(status: int, message: str = MESSAGE) -> Reply:
    """Word an error as Google does."""
    told = {"code": status, "message": message, "status": _GOOGLE_KINDS.get(status, "INTERNAL")}
    return Reply(to_json({"error": told}), status=status)


def google_model(asked: Asked) -> str:
    """Return the model that a path names."""
    found = _GOOGLE.fullmatch(asked.path)
    return found[1] if found is not None else ""


def google(asked: Asked) -> Reply:
    """Answer a request to Gemini."""
    found = _GOOGLE.fullmatch(asked.path)
    if asked.method != "POST" or found is None:
        return google_error(404)
    model, verb = found.groups()
    body = asked.json
    if verb == "countTokens":
        return Reply(to_json({"totalTokens": tokens(sum(map(len, _parts(body["contents"]))))}))
    if verb == "batchEmbedContents":
        contents = [_parts([one["content"]]) for one in body["requests"]]
        texts = ["".join(parts) for parts in contents]
        used = tokens(sum(map(len, texts)))
        return Reply(
            to_json({"embeddings": [{"values": vector(text)} for text in texts]}),
            model=model, usage={"input": used},
        )  # fmt: skip
    return _generate(asked, model, streamed=verb == "streamGenerateContent")


def _parts(contents: Any) -> list[str]:
    return [part.get("text") or "" for one in contents for part in one.get("parts") or ()]


def _generate(asked: Asked, model: str, *, streamed: bool) -> Reply:
    body = asked.json
    texts = _parts(body["contents"])
    answered = any("functionResponse" in part for part in body["contents"][-1]["parts"])
    calls = bool(body.get("tools")) and not answered
    structured = (body.get("generationConfig") or {}).get("responseMimeType") == "application/json"
    answer = STRUCTURED if structured else text_of(model, texts)
    usage = usage_of(texts, ARGUMENTS if calls else answer)
    tail = {"modelVersion": model, "responseId": identifier("", *texts)}

    def chunk(part: Mapping[str, Any], output: int, finish: str = "STOP") -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        told = {
            "promptTokenCount": usage["input"], "candidatesTokenCount": output,
            "totalTokenCount": usage["input"] + output,
        }  # fmt: skip
        return {"candidates": [candidate], "usageMetadata": told, **tail}

    name = body["tools"][0]["functionDeclarations"][0]["name"] if calls else ""
    call: dict[str, Any] = {"functionCall": {"name": name, "args": json.loads(ARGUMENTS)}}
    headers = {"vary": "Origin", "server-timing": "own;dur=1"}
    if not streamed:
        whole = chunk(call if calls else {"text": answer}, usage["output"])
        return Reply(to_json(whole), model=model, usage=usage, headers=headers)
    if calls:
        frames = [Piece(_data(chunk(call, usage["output"])), len(ARGUMENTS))]
    else:
        frames = []
        texts_out, sent = in_pieces(answer), 0
        for place, text in enumerate(texts_out):
            sent += len(text)
            finish = "STOP" if place == len(texts_out) - 1 else ""
            frames.append(Piece(_data(chunk({"text": text}, tokens(sent), finish)), len(text)))
    failure = b"data: " + google_error(503).body + b"\r\n\r\n"
    return Reply(
        pieces=frames, model=model, usage=usage, headers=headers, kind="text/event-stream",
        failure=lambda _: failure,
    )  # fmt: skip


def _data(value: Any) -> bytes:
    return b"data: " + to_json(value) + b"\r\n\r\n"


# -- Cohere ------------------------------------------------------------------------------------


def cohere_error(status: int, message: str = MESSAGE) -> Reply:
    """Word an error as Cohere does."""
    wait = {"retry-after": "0"} if status == 429 else {}
    return Reply(to_json({"id": "own-error", "message": message}), status=status, headers=wait)


def cohere(asked: Asked) -> Reply:
    """Answer a request to Cohere's second API."""
    answers: dict[str, Callable[[Asked], Reply]] = {
        "/v2/chat": _cohere_chat, "/v2/embed": _cohere_embed, "/v2/rerank": _cohere_rerank,
    }  # fmt: skip
    answer = answers.get(asked.path)
    return cohere_error(404) if asked.method != "POST" or answer is None else answer(asked)


def _cohere_embed(asked: Asked) -> Reply:
    texts = asked.json["texts"]
    used = tokens(sum(map(len, texts)))
    whole = {
        "id": identifier("emb-", *texts), "response_type": "embeddings_by_type", "texts": texts,
        "embeddings": {"float": [vector(text) for text in texts]},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": used}},
    }  # fmt: skip
    return Reply(to_json(whole), model=body_model(asked), usage={"input": used})


def _cohere_rerank(asked: Asked) -> Reply:
    count = len(asked.json["documents"])
    results = [{"index": place, "relevance_score": 1 / (place + 1)} for place in range(count)]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    whole = {"id": "rerank-1", "results": results, "meta": meta}
    return Reply(to_json(whole), model=body_model(asked), usage={"search_units": 1})


def _cohere_chat(asked: Asked) -> Reply:
    body, model = asked.json, body_model(asked)
    texts = _texts(body["messages"])
    calls = bool(body.get("tools")) and body["messages"][-1]["role"] != "tool"
    structured = (body.get("response_format") or {}).get("type") == "json_object"
    answer = STRUCTURED if structured else text_of(model, texts)
    usage = usage_of(texts, ARGUMENTS if calls else answer)
    counts = {"input_tokens": usage["input"], "output_tokens": usage["output"]}
    told: dict[str, Any] = {
        "billed_units": counts, "tokens": {**counts, "input_tokens": usage["input"] + 100}
    }  # fmt: skip
    finish = "TOOL_CALL" if calls else "COMPLETE"
    name = identifier("", *texts)
    headers = {"num_tokens": str(sum(usage.values())), "x-debug-trace-id": name}
    function = {
        "name": body["tools"][0]["function"]["name"] if calls else "", "arguments": ARGUMENTS
    }  # fmt: skip
    call = {"id": "call_1", "type": "function", "function": function}
    if not body.get("stream"):
        message: dict[str, Any] = {"role": "assistant"}
        if calls:
            message |= {"tool_plan": "Look it up.", "tool_calls": [call]}
        else:
            message["content"] = [{"type": "text", "text": answer}]
        whole = {"id": name, "message": message, "finish_reason": finish, "usage": told}
        return Reply(to_json(whole), model=model, usage=usage, headers=headers)
    end = {"finish_reason": finish, "usage": told}
    middle = _cohere_calls(call) if calls else _cohere_text(answer)
    begun = {"id": name, "delta": {"message": {"role": "assistant", "content": []}}}
    frames = [
        *lines([_event("message-start", **begun)]),
        *middle,
        *lines([_event("message-end", id=name, delta=end)]),
    ]

    def failed(sent: int) -> bytes:
        used = {"input_tokens": usage["input"], "output_tokens": max(1, tokens(sent))}
        told = {"billed_units": used, "tokens": used}
        delta = {"error": MESSAGE, "finish_reason": "ERROR", "usage": told}
        return _event("message-end", id=name, delta=delta)

    return Reply(
        pieces=frames, model=model, usage=usage, headers=headers, kind="text/event-stream",
        failure=failed,
    )  # fmt: skip


def _event(kind: str, **values: Any) -> bytes:
    return sse({"type": kind, **values}, kind)


def _cohere_text(answer: str) -> Iterator[Piece]:
    begun = {"message": {"content": {"type": "text", "text": ""}}}
    yield Piece(_event("content-start", index=0, delta=begun))
    for text in in_pieces(answer):
        delta = {"message": {"content": {"text": text}}}
        yield Piece(_event("content-delta", index=0, delta=delta), len(text))
    yield Piece(_event("content-end", index=0))


def _cohere_calls(call: Mapping[str, Any]) -> Iterator[Piece]:
    begun = {**call, "function": {**call["function"], "arguments": ""}}
    yield Piece(_event("tool-call-start", index=0, delta={"message": {"tool_calls": begun}}))
    for text in (ARGUMENTS[:5], ARGUMENTS[5:]):
        delta = {"message": {"tool_calls": {"function": {"arguments": text}}}}
        yield Piece(_event("tool-call-delta", index=0, delta=delta), len(text))
    yield Piece(_event("tool-call-end", index=0))
