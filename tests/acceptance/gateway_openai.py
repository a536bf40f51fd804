"""OpenAI's shape for the gateway tests, with what Groq, Mistral and Azure do differently.

Chat, responses, embeddings, transcriptions, speech, files and the list of models. Realtime is in
`gateway_realtime`.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.acceptance.gateway_reply import (
    ARGUMENTS,
    CREATED,
    MESSAGE,
    STRUCTURED,
    Asked,
    Piece,
    Reply,
    identifier,
    in_pieces,
    sse,
    text_of,
    to_json,
    tokens,
    usage_of,
    vector,
)

DONE: Final = b"data: [DONE]\n\n"
AUDIO_BYTES_A_SECOND: Final = 1000
KINDS: Final = {
    400: "invalid_request_error", 401: "invalid_request_error", 403: "permission_error",
    404: "invalid_request_error", 429: "rate_limit_error",
}  # fmt: skip
CODES: Final = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


def error(status: int, message: str = MESSAGE) -> Reply:
    """Word an error as OpenAI does."""
    told = {
        "message": message, "type": KINDS.get(status, "server_error"), "param": None,
        "code": CODES.get(status),
    }  # fmt: skip
    headers = {"x-request-id": "req_error", **_wait(status)}
    return Reply(to_json({"error": told}), status=status, headers=headers)


def mistral_error(status: int, message: str = MESSAGE) -> Reply:
    """Word an error as Mistral does."""
    body = {"object": "error", "message": message, "type": "error", "param": None, "code": "1000"}
    return Reply(to_json(body), status=status, headers=_wait(status))


def _wait(status: int) -> dict[str, str]:
    return {"retry-after-ms": "5", "retry-after": "0"} if status == 429 else {}


def model_of(asked: Asked) -> str:
    """Return the model asked for: in the body, a form, or the path of an Azure deployment."""
    head, found, rest = asked.path.partition("/deployments/")
    del head
    if found:
        return rest.partition("/")[0]
    return str(asked.json.get("model") or asked.parts.get("model", b"").decode())


def reply(asked: Asked, flavour: str = "openai") -> Reply:
    """Answer a request; `flavour` is whose dialect it is."""
    for end, answer in _POSTS.items():
        if asked.method == "POST" and asked.path.endswith(end):
            return answer(asked, flavour)
    if asked.method == "GET" and asked.path.endswith("/models"):
        model = {"id": "own-chat", "object": "model", "created": CREATED, "owned_by": "us"}
        return Reply(to_json({"object": "list", "data": [model]}))
    return error(404, f"Unknown request URL: {asked.path}")


def _texts(messages: Any) -> list[str]:
    """Return the texts of messages, whose contents are text or parts."""
    found: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content")
        if isinstance(content, str):
            found.append(content)
        elif isinstance(content, list):
            found += [part.get("text") or "" for part in content]
    return found


# -- chat --------------------------------------------------------------------------------------


def _chat(asked: Asked, flavour: str) -> Reply:
    body, model = asked.json, model_of(asked)
    texts = _texts(body.get("messages"))
    calls = bool(body.get("tools")) and body["messages"][-1]["role"] != "tool"
    wanted = (body.get("response_format") or {}).get("type")
    answer = STRUCTURED if wanted == "json_schema" else text_of(model, texts)
    usage = usage_of(texts, ARGUMENTS if calls else answer)
    head = {"id": identifier("chatcmpl-", *texts), "created": CREATED, "model": model}
    told = _chat_usage(usage)
    headers = {"x-request-id": identifier("req_", *texts), "X-RateLimit-Remaining": "9"}
    name = body["tools"][0]["function"]["name"] if calls else ""
    if body.get("stream"):
        failed = {"message": MESSAGE, "type": "server_error", "code": "down"}
        frames = list(_chat_frames(body, flavour, head, answer, name, told))
        return Reply(
            pieces=frames, model=model, usage=usage, headers=headers, kind="text/event-stream",
            failure=lambda _: sse({"error": failed}),
        )  # fmt: skip
    message: dict[str, Any] = {"role": "assistant", "content": None if calls else answer}
    if calls:
        message["tool_calls"] = [_call(name, ARGUMENTS)]
    finish = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    whole = {**head, "object": "chat.completion", "choices": [choice], "usage": told}
    if flavour == "groq":
        whole["x_groq"] = {"id": "req_groq"}
    return Reply(to_json(whole), model=model, usage=usage, headers=headers)


def _chat_usage(usage: Mapping[str, int]) -> dict[str, int]:
    read, written = usage["input"], usage["output"]
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _call(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": "call_own00001", "type": "function", "function": function}


def _chat_frames(
    body: Mapping[str, Any], flavour: str, head: Mapping[str, Any], answer: str, name: str,
    usage: Mapping[str, int],
) -> Iterator[Piece]:  # fmt: skip
    shared = {**head, "object": "chat.completion.chunk"}

    def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse({**shared, "choices": [choice], **more})

    yield Piece(chunk({"role": "assistant", "content": ""}))
    if name:
        if flavour == "mistral":  # tells a call at once
            yield Piece(chunk({"tool_calls": [{"index": 0, **_call(name, ARGUMENTS)}]}))
        else:
            yield Piece(chunk({"tool_calls": [{"index": 0, **_call(name, "")}]}))
            for text in (ARGUMENTS[:5], ARGUMENTS[5:]):
                call = {"index": 0, "function": {"arguments": text}}
                yield Piece(chunk({"tool_calls": [call]}), len(text))
    else:
        for text in in_pieces(answer):
            yield Piece(chunk({"content": text}), len(text))
    finish = "tool_calls" if name else "stop"
    if flavour == "mistral":
        yield Piece(chunk({"content": ""}, finish, usage=usage))
    elif flavour == "groq":
        yield Piece(chunk({}, finish, x_groq={"id": "req_groq", "usage": usage}))
    else:
        yield Piece(chunk({}, finish))
        if (body.get("stream_options") or {}).get("include_usage"):
            yield Piece(sse({**shared, "choices": [], "usage": usage}))
    yield Piece(DONE)


# -- responses ---------------------------------------------------------------------------------


def _responses(asked: Asked, flavour: str) -> Reply:
    del flavour
    body, model = asked.json, model_of(asked)
    given = body.get("input")
    texts = [given] if isinstance(given, str) else _texts(given)
    answered = isinstance(given, list) and given[-1].get("type") == "function_call_output"
    calls = bool(body.get("tools")) and not answered
    wanted = ((body.get("text") or {}).get("format") or {}).get("type")
    answer = STRUCTURED if wanted == "json_schema" else text_of(model, texts)
    usage = usage_of(texts, ARGUMENTS if calls else answer)
    item: dict[str, Any]
    if calls:
        item = {
            "id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
            "name": body["tools"][0]["name"], "arguments": ARGUMENTS,
        }  # fmt: skip
    else:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": answer}
        item = {
            "id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
            "content": [part],
        }  # fmt: skip
    read, written = usage["input"], usage["output"]
    whole = {
        "id": identifier("resp_", *texts), "object": "response", "created_at": CREATED,
        "status": "completed", "error": None, "incomplete_details": None, "instructions": None,
        "model": model, "output": [item], "parallel_tool_calls": True, "tool_choice": "auto",
        "tools": body.get("tools") or [], "metadata": {}, "temperature": 1.0, "top_p": 1.0,
        "text": body.get("text") or {"format": {"type": "text"}},
        "usage": {
            "input_tokens": read, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": written, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + written,
        },
    }  # fmt: skip
    headers = {"x-request-id": identifier("req_", *texts)}
    if not body.get("stream"):
        return Reply(to_json(whole), model=model, usage=usage, headers=headers)
    failed = {
        "type": "error", "sequence_number": 99, "code": "server_error", "message": MESSAGE,
        "param": None,
    }  # fmt: skip
    return Reply(
        pieces=list(_response_frames(whole, item)), model=model, usage=usage, headers=headers,
        kind="text/event-stream; charset=utf-8", failure=lambda _: sse(failed, "error"),
    )  # fmt: skip


def _response_frames(whole: Mapping[str, Any], item: dict[str, Any]) -> Iterator[Piece]:
    numbers = iter(range(10_000))

    def event(kind: str, characters: int = 0, /, **values: Any) -> Piece:
        told = {"type": f"response.{kind}", "sequence_number": next(numbers), **values}
        return Piece(sse(told, told["type"]), characters)

    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    yield event("created", response=begun)
    yield event("in_progress", response=begun)
    place: dict[str, Any] = {"item_id": item["id"], "output_index": 0}
    if item["type"] == "function_call":
        opened = {**item, "status": "in_progress", "arguments": ""}
        yield event("output_item.added", output_index=0, item=opened)
        for text in (ARGUMENTS[:5], ARGUMENTS[5:]):
            yield event("function_call_arguments.delta", len(text), **place, delta=text)
        done = {"arguments": ARGUMENTS, "name": item["name"]}
        yield event("function_call_arguments.done", **place, **done)
    else:
        place["content_index"] = 0
        part = item["content"][0]
        opened = {**item, "status": "in_progress", "content": []}
        yield event("output_item.added", output_index=0, item=opened)
        yield event("content_part.added", **place, part={**part, "text": ""})
        for text in in_pieces(part["text"]):
            yield event("output_text.delta", len(text), **place, delta=text, logprobs=[])
        yield event("output_text.done", **place, text=part["text"], logprobs=[])
        yield event("content_part.done", **place, part=part)
    yield event("output_item.done", output_index=0, item=item)
    yield event("completed", response=whole)


# -- embeddings, audio, files ------------------------------------------------------------------


def _embeddings(asked: Asked, flavour: str) -> Reply:
    del flavour
    body, model = asked.json, model_of(asked)
    given = body.get("input")
    texts: list[str] = [given] if isinstance(given, str) else list(given or ())
    used = tokens(sum(map(len, texts)))
    data = []
    for index, text in enumerate(texts):
        numbers: Any = vector(text)
        if body.get("encoding_format") == "base64":
            numbers = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
        data.append({"object": "embedding", "index": index, "embedding": numbers})
    whole = {
        "id": identifier("embd-", *texts), "object": "list", "data": data, "model": model,
        "usage": {"prompt_tokens": used, "total_tokens": used, "completion_tokens": 0},
    }  # fmt: skip
    return Reply(to_json(whole), model=model, usage={"input": used})


def _transcriptions(asked: Asked, flavour: str) -> Reply:
    del flavour
    audio = asked.parts.get("file", b"")
    seconds = -(-len(audio) // AUDIO_BYTES_A_SECOND)
    whole = {
        "text": f"Heard {hashlib.sha256(audio).hexdigest()}.",
        "usage": {"type": "duration", "seconds": seconds},
    }
    return Reply(to_json(whole), model=model_of(asked), usage={"audio_seconds": seconds})


def _speech(asked: Asked, flavour: str) -> Reply:
    del flavour
    text = str(asked.json.get("input"))
    audio = hashlib.sha256(text.encode()).digest() * 4000
    parts = [audio[at : at + 30_000] for at in range(0, len(audio), 30_000)]
    return Reply(
        pieces=[Piece(part) for part in parts], model=model_of(asked), kind="audio/mpeg",
        usage={"characters": len(text)},
    )  # fmt: skip


def _files(asked: Asked, flavour: str) -> Reply:
    del flavour
    data = asked.parts.get("file", b"")
    whole = {
        "id": "file-" + hashlib.sha256(data).hexdigest(), "object": "file", "bytes": len(data),
        "created_at": CREATED, "filename": "own.bin", "purpose": "batch", "status": "processed",
    }  # fmt: skip
    return Reply(to_json(whole))


_POSTS: Final = {
    "/chat/completions": _chat,
    "/responses": _responses,
    "/embeddings": _embeddings,
    "/audio/transcriptions": _transcriptions,
    "/audio/speech": _speech,
    "/files": _files,
}
