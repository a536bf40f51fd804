"""OpenAI's wire: chat completions and responses, as `openai` 3.x reads them.

The prefix of system, developer and instruction text is cached in steps of 128 tokens; models from
gpt-5.6 on report and charge the write. An interrupted stream never tells its usage, so it is
billed at the full input price: nobody could know of a discount.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from outlay.demo.bill import SERVED_AS, Counts
from outlay.demo.prose import fraction, pieces
from outlay.demo.reply import (
    CACHE_FROM_TOKENS,
    Answer,
    Call,
    Frame,
    Reply,
    WireError,
    answer,
    identifier,
    known_model,
    now,
    to_json,
)
from outlay.demo.tokenizer import characters, tokens

CACHE_STEP: Final = 128
_PREFIX_ROLES: Final = ("system", "developer")


def error(status: int, kind: str, message: str, code: str | None, **headers: str) -> WireError:
    """Return an error as OpenAI words it."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireError(status, body, {"x-request-id": identifier("req_"), **names})


def refusal(kind: str, model: str) -> WireError:
    """Return the error of a fault that happens before generation."""
    if kind == "rate_limit":
        text = f"Rate limit reached for {model} in organization org-demo on tokens per min (TPM)."
        return error(429, "tokens", text, "rate_limit_exceeded", retry_after_ms="20")
    status = 500 if kind == "server_error" else 503
    text = "The server had an error while processing your request. Sorry about that!"
    return error(status, "server_error", text, None, retry_after_ms="20")


def headers() -> dict[str, str]:
    """Return the headers of a successful reply."""
    return {
        "x-request-id": identifier("req_"),
        "openai-organization": "org-demo",
        "openai-version": "2020-10-01",
        "openai-processing-ms": "1",
    }


def priced_model(body: Mapping[str, Any]) -> str:
    """Return the model a request names, or refuse it."""
    model = known_model("openai", body.get("model"))
    if model is None:
        text = f"The model `{body.get('model')}` does not exist or you do not have access to it."
        raise error(404, "invalid_request_error", text, "model_not_found")
    return model


def _texts(content: Any) -> Iterator[str]:
    """Yield the text of a message's content, given as text or as parts."""
    if isinstance(content, str):
        yield content
        return
    for part in content or ():
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str):
            yield text


def _by_role(messages: Any) -> tuple[list[str], list[str]]:
    """Return the texts of the prefix and of all messages."""
    prefix: list[str] = []
    every: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        texts = list(_texts(message.get("content")))
        every += texts
        if message.get("role") in _PREFIX_ROLES:
            prefix += texts
    return prefix, every


class _Usage:
    """The token counts of one text-generating call."""

    def __init__(self, call: Call, model: str, prefix: list[str], every: list[str]) -> None:
        self.model = model
        self.input = tokens(characters(every))
        self.read = self.write = 0
        size = tokens(characters(prefix)) // CACHE_STEP * CACHE_STEP
        if size >= CACHE_FROM_TOKENS and not call.interrupted:
            if call.cache.touch(call.tenant, model, "".join(prefix)):
                self.read = size
            elif model.startswith("gpt-5.6"):
                self.write = size
        seed = "".join(every)
        self.answer: Answer = answer(seed, limit=_limit(call.body), thinks=_thinks(call.body))
        self.visible = tokens(len(self.answer.text))

    @property
    def output(self) -> int:
        return self.visible + self.answer.reasoning_tokens

    def complete(self) -> Counts:
        return Counts(
            input=self.input - self.read - self.write,
            cache_read=self.read,
            cache_write=self.write,
            output=self.output,
        )

    def cut(self, sent: int) -> Counts:
        return Counts(input=self.input, output=max(1, tokens(sent)))


def _limit(body: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"):
        if isinstance(body.get(name), int):
            return int(body[name])
    return None


def _thinks(body: Mapping[str, Any]) -> bool:
    effort = body.get("reasoning_effort") or (body.get("reasoning") or {}).get("effort")
    return effort in ("low", "medium", "high", "xhigh")


def _padding(seed: str) -> str:
    """Return obfuscation padding of a varying length, as real chunks carry."""
    return "x8Qa0LmZ4tRk7Vw2"[: 1 + int(fraction("padding", seed) * 15)]


def _sse(value: Mapping[str, Any], characters_sent: int = 0, event: str = "") -> Frame:
    head = f"event: {event}\n".encode() if event else b""
    return Frame(head + b"data: " + to_json(value) + b"\n\n", characters_sent)


# -- chat completions --------------------------------------------------------------------------


def chat(call: Call) -> Reply:
    """Answer `POST /v1/chat/completions`."""
    model = priced_model(call.body)
    prefix, every = _by_role(call.body.get("messages"))
    usage = _Usage(call, model, prefix, every)
    served = SERVED_AS.get(model, model)
    finish = "length" if usage.answer.truncated else "stop"
    head = {
        "id": identifier("chatcmpl-"),
        "created": now(),
        "model": served,
        "service_tier": "default",
        "system_fingerprint": None,
    }
    if call.body.get("stream"):
        frames = list(_chat_frames(call, usage, head, finish))
        return Reply("openai", model, usage.complete(), usage.cut, b"", frames, headers())
    message: dict[str, Any] = {
        "role": "assistant", "content": usage.answer.text, "refusal": None, "annotations": [],
    }  # fmt: skip
    body = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": _chat_usage(usage),
    }
    return Reply(
        "openai", model, usage.complete(), usage.cut, body=to_json(body), headers=headers()
    )


def _chat_usage(usage: _Usage) -> dict[str, Any]:
    details = {"cached_tokens": usage.read, "audio_tokens": 0}
    if usage.model.startswith("gpt-5.6"):
        details["cache_write_tokens"] = usage.write
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": details,
        "completion_tokens_details": {
            "reasoning_tokens": usage.answer.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chat_frames(call: Call, usage: _Usage, head: dict[str, Any], finish: str) -> Iterator[Frame]:
    asked = bool((call.body.get("stream_options") or {}).get("include_usage"))
    common: dict[str, Any] = {**head, "object": "chat.completion.chunk"}
    nothing: dict[str, Any] = {"usage": None} if asked else {}

    def chunk(delta: dict[str, Any], reason: str | None, text: str) -> Frame:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        padding = {"obfuscation": _padding(text)}
        return _sse({**common, "choices": [choice], **nothing, **padding}, len(text))

    yield chunk({"role": "assistant", "content": "", "refusal": None}, None, "")
    for text in pieces(usage.answer.text):
        yield chunk({"content": text}, None, text)
    yield chunk({}, finish, "")
    if asked:
        last = {**common, "choices": [], "usage": _chat_usage(usage)}
        yield _sse({**last, "obfuscation": _padding("usage")})
    yield Frame(b"data: [DONE]\n\n")


# -- responses ---------------------------------------------------------------------------------


def responses(call: Call) -> Reply:
    """Answer `POST /v1/responses`."""
    model = priced_model(call.body)
    given = call.body.get("input")
    prefix, every = ([], [given]) if isinstance(given, str) else _by_role(given)
    instructions = call.body.get("instructions")
    if isinstance(instructions, str):
        prefix, every = [instructions, *prefix], [instructions, *every]
    usage = _Usage(call, model, prefix, every)
    body = _response_object(call, usage, SERVED_AS.get(model, model))
    if call.body.get("stream"):
        frames = list(_response_frames(usage, body))
        return Reply("openai", model, usage.complete(), usage.cut, b"", frames, headers())
    return Reply(
        "openai", model, usage.complete(), usage.cut, body=to_json(body), headers=headers()
    )


def _response_object(call: Call, usage: _Usage, served: str) -> dict[str, Any]:
    truncated = usage.answer.truncated
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": usage.answer.text}
    details = {"cached_tokens": usage.read, "cache_write_tokens": usage.write}
    return {
        "id": identifier("resp_"),
        "object": "response",
        "created_at": now(),
        "status": "incomplete" if truncated else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if truncated else None,
        "instructions": call.body.get("instructions"),
        "max_output_tokens": call.body.get("max_output_tokens"),
        "model": served,
        "output": [
            {
                "id": identifier("msg_"),
                "type": "message",
                "status": "incomplete" if truncated else "completed",
                "role": "assistant",
                "content": [part],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": call.body.get("reasoning") or {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tool_usage": {"web_search": {"num_requests": 0}},
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": usage.input,
            "input_tokens_details": details,
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.answer.reasoning_tokens},
            "total_tokens": usage.input + usage.output,
        },
        "user": None,
        "metadata": {},
    }


def _response_frames(usage: _Usage, body: dict[str, Any]) -> Iterator[Frame]:
    number = 0

    def event(name: str, values: Mapping[str, Any], sent: int = 0) -> Frame:
        nonlocal number
        frame = _sse({"type": name, "sequence_number": number, **values}, sent, name)
        number += 1
        return frame

    item = body["output"][0]
    part = item["content"][0]
    begun = {
        **body, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None,
    }  # fmt: skip
    place: dict[str, Any] = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield event("response.created", {"response": begun})
    yield event("response.in_progress", {"response": begun})
    opened = {**item, "status": "in_progress", "content": []}
    yield event("response.output_item.added", {"output_index": 0, "item": opened})
    yield event("response.content_part.added", {**place, "part": {**part, "text": ""}})
    for text in pieces(usage.answer.text):
        delta = {"delta": text, "logprobs": [], "obfuscation": _padding(text)}
        yield event("response.output_text.delta", {**place, **delta}, len(text))
    done = {**place, "text": part["text"], "logprobs": []}
    yield event("response.output_text.done", done)
    yield event("response.content_part.done", {**place, "part": part})
    yield event("response.output_item.done", {"output_index": 0, "item": item})
    yield event(f"response.{body['status']}", {"response": body})
