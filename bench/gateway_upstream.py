"""A provider that answers at once, in a process of its own: the far side of the gateway bench.

    python -m bench.gateway_upstream

It speaks just enough HTTP/1.1 to be fast, so that what is measured is the gateway before it. A
chat completion gets a canned body with an id of its own; one with `stream` gets as many pieces as
its prompt says, `tokens=32 pace_us=50000`, each a chunk of server-sent events that tells when it
was sent, on the clock that all processes of a machine share. `GET /bill` tells what each
credential has used, so that what others counted can be compared.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import time
from collections import defaultdict
from typing import Any, Final, cast

import uvloop

MODEL: Final = "gpt-4o-mini"
MAX_TOKENS: Final = 4096
MAX_PACE_US: Final = 10_000_000
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 1024 * 1024
BACKLOG: Final = 1024

ASKED_TOKENS: Final = 120
ANSWERED_TOKENS: Final = 48
STREAM: Final = re.compile(rb'"stream"\s*:\s*true')
SHAPE: Final = re.compile(rb"tokens=(\d{1,6}) pace_us=(\d{1,9})")
SHOWN: Final = re.compile(rb"\r\nauthorization:\s*bearer\s+([!-~]{1,200})", re.IGNORECASE)
LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d{1,9})", re.IGNORECASE)
SENT: Final = re.compile(rb"sent=(\d+);")
"""How a piece tells the nanoseconds of the monotonic clock at which it was sent."""

_numbers = itertools.count(1)
_bill: defaultdict[str, dict[str, int]] = defaultdict(lambda: {"calls": 0, "output": 0})


def usage(output: int) -> dict[str, Any]:
    """Return what an answer of so many tokens says it used."""
    return {
        "prompt_tokens": ASKED_TOKENS,
        "completion_tokens": output,
        "total_tokens": ASKED_TOKENS + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


def _whole() -> bytes:
    message: dict[str, Any] = {
        "role": "assistant", "content": "A short summary. " * 12, "refusal": None,
        "annotations": [],
    }  # fmt: skip
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return json.dumps(
        {
            "id": "chatcmpl-%020d", "object": "chat.completion", "created": 1_790_000_000,
            "model": "gpt-4o-mini-2024-07-18", "choices": [choice],
            "usage": usage(ANSWERED_TOKENS), "service_tier": "default",
            "system_fingerprint": "fp_0000000000",
        }
    ).encode()  # fmt: skip


def _piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    document = {
        "id": "chatcmpl-%020d", "object": "chat.completion.chunk", "created": 1_790_000_000,
        "model": "gpt-4o-mini-2024-07-18", "service_tier": "default",
        "system_fingerprint": "fp_0000000000", "choices": choices, "usage": None, **more,
    }  # fmt: skip
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


COMMON: Final = (
    b"date: Sun, 22 Nov 2026 09:00:00 GMT\r\n"
    b"x-request-id: req_%020d\r\n"
    b"openai-processing-ms: 1\r\n"
    b"openai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 10000\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\n"
)
BODY: Final = _whole()
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
    + str(len(BODY % 0)).encode() + b"\r\n" + COMMON + b"\r\n" + BODY
)  # fmt: skip
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n" + COMMON + b"\r\n"
)
FIRST: Final = _piece({"role": "assistant", "content": "", "refusal": None})
TOKEN: Final = _piece({"content": "sent=%020d;"})
LAST: Final = _piece({}, "stop")
NOT_FOUND: Final = (
    b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
)


def chunk(data: bytes) -> bytes:
    """Frame a piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def tail(tokens: int, number: int) -> bytes:
    """Return the end of a stream: why it ended, what it used, that it is done."""
    used = _piece({}, None, usage=usage(tokens), choices=[])
    return chunk(LAST % number) + chunk(used % number) + chunk(b"data: [DONE]\n\n") + chunk(b"")


class Answers(asyncio.Protocol):
    """One connection; requests on it are answered one after the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._buffer = b""
        self._streaming = False
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        """Take bytes, and answer a request that is whole."""
        self._buffer += data
        while self._buffer and not self._streaming:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(head) > MAX_HEAD_BYTES or size > MAX_BODY_BYTES:
                self._transport.abort()
                return
            if not found or len(rest) < size:
                return
            self._buffer = rest[size:]
            self._answer(head, rest[:size])

    def _answer(self, head: bytes, body: bytes) -> None:
        if b"/chat/completions" not in head.partition(b"\r\n")[0]:
            self._tell(head.startswith(b"GET /bill "))
            return
        number = next(_numbers)
        shown = SHOWN.search(head)
        owes = _bill[shown[1].decode() if shown else ""]
        owes["calls"] += 1
        if not STREAM.search(body):
            owes["output"] += ANSWERED_TOKENS
            self._transport.write(ANSWER % (number, number))
            return
        shape = SHAPE.search(body)
        tokens, pace_us = (int(shape[1]), int(shape[2])) if shape else (ANSWERED_TOKENS, 0)
        self._streaming = True
        self._transport.write(HEAD % number + chunk(FIRST % number))
        tokens = min(tokens, MAX_TOKENS)
        owes["output"] += tokens
        pace_s = min(pace_us, MAX_PACE_US) / 1e6
        # Streams that begin together must not send each token together.
        first = self._loop.time() + pace_s * random.random()
        self._go_on(number, 0, tokens, pace_s, first)

    def _tell(self, bill: bool) -> None:
        """Answer what is no chat completion."""
        if not bill:
            self._transport.write(NOT_FOUND)
            return
        text = json.dumps(_bill).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(text), text)
        )

    def _go_on(self, number: int, sent: int, tokens: int, pace_s: float, at: float) -> None:
        """Send a token at its time, or in the loop's next turn, and then the end."""
        if pace_s:
            self._loop.call_at(at, self._token, number, sent, tokens, pace_s, at)
        else:
            self._loop.call_soon(self._token, number, sent, tokens, pace_s, at)

    def _token(self, number: int, sent: int, tokens: int, pace_s: float, at: float) -> None:
        if self._transport.is_closing():
            return
        if sent < tokens:
            self._transport.write(chunk(TOKEN % (number, time.monotonic_ns())))
            self._go_on(number, sent + 1, tokens, pace_s, at + pace_s)
            return
        self._transport.write(tail(tokens, number))
        self._streaming = False
        self.data_received(b"")


async def serve() -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(
        Answers, "127.0.0.1", 0, backlog=BACKLOG
    )
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
