"""A provider over real HTTP whose answers a test asks for, and which remembers what it was sent.

It speaks OpenAI's chat and Anthropic's messages. The header `x-do` (JSON) asks for something else:
`status`, `headers`, `body`, `delay` (seconds before the answer), `pieces` (of the body), `gap`
(seconds between them), `at_once` (tokens in a piece), `die` (break off after the pieces). A prompt
of the form `out=N` gets N tokens of output.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from outlay.api.listen_http import PEER

WORD: Final = "word"
"""Four characters: one token by outlay's estimate and by this provider's count."""
INPUT_TOKENS: Final = 10


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    sent: int = 0
    """Pieces that left."""
    gone: bool = False
    """The caller hung up before the end."""

    def header(self, name: str) -> str:
        return next((v.decode() for n, v in self.headers if n == name.encode()), "")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Provider:
    """The provider; `url` when it runs."""

    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    fails: dict[str, int] = field(default_factory=dict)
    """HTTP status by model, instead of an answer."""
    delay: float = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        seen = Seen(
            scope["method"],
            scope["raw_path"].decode(),
            scope["query_string"].decode(),
            scope["headers"],
            body,
        )
        self.seen.append(seen)
        do = json.loads(seen.header("x-do") or "{}")
        await asyncio.sleep(do.get("delay", self.delay))
        peer = scope["extensions"][PEER]
        status, headers, pieces = self._answer(seen, do)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(do.get("gap", 0))
            if peer.gone:
                seen.gone = True
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            seen.sent += 1
        if do.get("die"):
            peer.abort()
            return
        await send({"type": "http.response.body", "body": b""})

    def _answer(self, seen: Seen, do: dict[str, Any]) -> tuple[int, list[Any], list[bytes]]:
        headers = [(k.encode(), v.encode()) for k, v in do.get("headers", {}).items()]
        if "pieces" in do:
            return do.get("status", 200), headers, [p.encode() for p in do["pieces"]]
        if "body" in do:
            return do.get("status", 200), headers, [do["body"].encode()]
        asked = json.loads(seen.body) if seen.body[:1] == b"{" else {}
        model = asked.get("model", "")
        status = do.get("status") or self.fails.get(model, 200)
        if status >= 400:
            told = {"error": {"message": "no", "type": "server_error", "code": None}}
            return status, [*headers, (b"content-type", b"application/json")], [_json(told)]
        found = re.search(r"out=(\d+)", json.dumps(asked.get("messages", "")))
        tokens = int(found[1]) if found else 5
        if seen.path.endswith("/messages"):
            kind, answer = _anthropic(model, tokens)
        elif asked.get("stream"):
            usage = bool((asked.get("stream_options") or {}).get("include_usage"))
            kind, answer = (
                b"text/event-stream",
                chat_stream(model, tokens, usage=usage, at_once=do.get("at_once", 1)),
            )
        else:
            kind, answer = b"application/json", [_json(chat(model, tokens))]
        return 200, [*headers, (b"content-type", kind), (b"x-request-id", b"req-1")], answer


def chat(model: str, tokens: int) -> dict[str, Any]:
    """Return a whole chat completion."""
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": model,
        "choices": [
            {
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": WORD * tokens},
            }
        ],
        "usage": {
            "prompt_tokens": INPUT_TOKENS, "completion_tokens": tokens,
            "total_tokens": INPUT_TOKENS + tokens,
        },
    }  # fmt: skip


def chat_stream(model: str, tokens: int, *, usage: bool, at_once: int = 1) -> list[bytes]:
    """Return a chat stream, so many tokens a piece."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    choice: dict[str, Any] = {
        "index": 0,
        "delta": {"content": WORD * at_once},
        "finish_reason": None,
    }
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    made = [{**head, "choices": [choice]} for _ in range(tokens // at_once)] + [
        {**head, "choices": [end]}
    ]
    if usage:
        made.append({**head, "choices": [], "usage": chat(model, tokens)["usage"]})
    return [b"data: %s\n\n" % _json(one) for one in made] + [b"data: [DONE]\n\n"]


def _anthropic(model: str, tokens: int) -> tuple[bytes, list[bytes]]:
    told = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": WORD * tokens}],
        "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": tokens},
    }  # fmt: skip
    return b"application/json", [_json(told)]


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
