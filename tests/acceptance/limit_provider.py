"""A provider with known prices over real HTTP, for tests of limits: OpenAI's and Anthropic's wire.

A prompt says whose call it is and how long the answer shall be: `acme call-17 out=100 ...`. Every
four characters are a token, both ways. It bills what it has sent: a whole answer to a caller that
is still there, and of a stream the pieces that left before the caller hung up.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
from collections import defaultdict
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

MODEL: Final = "own-1"
INPUT_NANOS: Final = 2_000
OUTPUT_NANOS: Final = 10_000
"""What one token costs: $2 and $10 a million."""
RATES: Final = [
    {"provider": provider, "model": MODEL, "unit": unit, "price": price}
    for provider in ("openai", "anthropic")
    for unit, price in (("input", "2.00"), ("output", "10.00"))
]
PROMPT_CHARACTERS: Final = 80
PIECE_TOKENS: Final = 16
PIECE: Final = "sixteen letters " * (PIECE_TOKENS // 4)
"""The text of one piece of a stream."""
BACKLOG: Final = 512


def prompt(tenant: str, call: str, output: int) -> str:
    """Return a prompt of always the same length."""
    return f"{tenant} {call} out={output}".ljust(PROMPT_CHARACTERS, ".")


def cost(output: int) -> int:
    """Return what a call with so many tokens of output costs, in nano-dollars."""
    return PROMPT_CHARACTERS // 4 * INPUT_NANOS + output * OUTPUT_NANOS


@dataclass
class Charge:
    """One call that reached the provider, and what it owes for it so far."""

    call: str
    asked: int
    sent: int = 0
    """Tokens of output that were sent."""
    whole: bool = False
    billed: bool = False

    @property
    def nanos(self) -> int:
        return cost(self.sent) if self.billed else 0


class Provider:
    """Runs in a thread. `delay_s` is how long an answer, `pace_s` how long a piece takes."""

    def __init__(self, *, delay_s: float = 0.03, pace_s: float = 0.004) -> None:
        self.delay_s = delay_s
        self.pace_s = pace_s
        self.charges: dict[str, list[Charge]] = defaultdict(list)
        """By tenant."""
        self.flying = 0
        self.most_flying = 0
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="provider")
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=BACKLOG)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def hosts(self) -> str:
        """What the setting `hosts` has to say of it."""
        place = f"127.0.0.1:{self.port}"
        return f"{place}/openai=openai,{place}/anthropic=anthropic"

    def bill(self, tenant: str) -> int:
        """Return what a tenant owes, in nano-dollars."""
        return sum(charge.nanos for charge in self.charges[tenant])

    def close(self) -> None:
        """End it; calls in hand are dropped."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        try:
            with contextlib.suppress(*gone):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                    size = next(
                        int(line[15:])
                        for line in head.split("\r\n")
                        if line.startswith("content-length:")
                    )
                    body = json.loads(await reader.readexactly(size))
                    self.flying += 1
                    self.most_flying = max(self.most_flying, self.flying)
                    try:
                        await self._answer(head, body, reader, writer)
                    finally:
                        self.flying -= 1
        finally:
            writer.close()

    async def _answer(
        self, head: str, body: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        text = body["messages"][0]["content"]
        tenant, call, rest = text.split(" ", 2)
        output = int(rest.removeprefix("out=").split(".")[0])
        charge = Charge(call, output)
        self.charges[tenant].append(charge)
        number = next(self._numbers)
        wire: type[_Wire] = _Anthropic if head.startswith("post /anthropic") else _OpenAI
        await asyncio.sleep(self.delay_s)
        if reader.at_eof():
            raise ConnectionError("the caller has hung up")
        if not body.get("stream"):
            charge.sent, charge.billed, charge.whole = output, True, True
            data = json.dumps(wire.whole(number, output)).encode()
            top = f"content-type: application/json\r\ncontent-length: {len(data)}\r\n"
            writer.write(f"HTTP/1.1 200 OK\r\n{top}\r\n".encode() + data)
            await writer.drain()
            return
        top = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{top}\r\n".encode())
        charge.billed = True
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        writer.write(_chunk(wire.begin(number)))
        while charge.sent < output:
            piece = min(PIECE_TOKENS, output - charge.sent)
            if self.pace_s:
                await asyncio.sleep(self.pace_s)
            if reader.at_eof() or writer.is_closing():
                raise ConnectionError("the caller has hung up")
            charge.sent += piece
            writer.write(_chunk(wire.piece(number, PIECE[: piece * 4])))
            await writer.drain()
        charge.whole = True
        writer.write(_chunk(wire.end(number, output, usage=usage)) + b"0\r\n\r\n")
        await writer.drain()


class _Wire:
    """How one provider words an answer and a stream."""

    @staticmethod
    def whole(number: int, output: int) -> Any:
        raise NotImplementedError

    @staticmethod
    def begin(number: int) -> bytes:
        raise NotImplementedError

    @staticmethod
    def piece(number: int, text: str) -> bytes:
        raise NotImplementedError

    @staticmethod
    def end(number: int, output: int, *, usage: bool) -> bytes:
        raise NotImplementedError


class _OpenAI(_Wire):
    @staticmethod
    def _usage(output: int) -> dict[str, int]:
        read = PROMPT_CHARACTERS // 4
        return {
            "prompt_tokens": read, "completion_tokens": output, "total_tokens": read + output
        }  # fmt: skip

    @staticmethod
    def _frame(number: int, choices: list[Any], **more: Any) -> bytes:
        shared = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1}
        return _sse({**shared, "model": MODEL, "choices": choices, **more})

    @staticmethod
    def whole(number: int, output: int) -> Any:
        message = {"role": "assistant", "content": (PIECE * output)[: output * 4]}
        return {
            "id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _OpenAI._usage(output),
        }  # fmt: skip

    @staticmethod
    def begin(number: int) -> bytes:
        delta = {"role": "assistant", "content": ""}
        return _OpenAI._frame(number, [{"index": 0, "delta": delta, "finish_reason": None}])

    @staticmethod
    def piece(number: int, text: str) -> bytes:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        return _OpenAI._frame(number, [choice])

    @staticmethod
    def end(number: int, output: int, *, usage: bool) -> bytes:
        last = _OpenAI._frame(number, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if usage:
            last += _OpenAI._frame(number, [], usage=_OpenAI._usage(output))
        return last + b"data: [DONE]\n\n"


class _Anthropic(_Wire):
    @staticmethod
    def _message(number: int, output: int, content: list[Any]) -> dict[str, Any]:
        return {
            "id": f"msg_{number}", "type": "message", "role": "assistant", "model": MODEL,
            "content": content, "stop_reason": "end_turn" if content else None,
            "stop_sequence": None,
            "usage": {"input_tokens": PROMPT_CHARACTERS // 4, "output_tokens": output},
        }  # fmt: skip

    @staticmethod
    def whole(number: int, output: int) -> Any:
        text = {"type": "text", "text": (PIECE * output)[: output * 4]}
        return _Anthropic._message(number, output, [text])

    @staticmethod
    def begin(number: int) -> bytes:
        message = _Anthropic._message(number, 1, [])
        block = {"type": "text", "text": ""}
        return _sse({"type": "message_start", "message": message}) + _sse(
            {"type": "content_block_start", "index": 0, "content_block": block}
        )

    @staticmethod
    def piece(number: int, text: str) -> bytes:
        del number
        delta = {"type": "text_delta", "text": text}
        return _sse({"type": "content_block_delta", "index": 0, "delta": delta})

    @staticmethod
    def end(number: int, output: int, *, usage: bool) -> bytes:
        del number, usage
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        told = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": output}}
        stop = _sse({"type": "content_block_stop", "index": 0})
        return stop + _sse(told) + _sse({"type": "message_stop"})


def _sse(value: dict[str, Any]) -> bytes:
    named = f"event: {value['type']}\n" if "type" in value else ""
    return f"{named}data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
