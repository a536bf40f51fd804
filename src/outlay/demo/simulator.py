"""The provider simulator: OpenAI, Anthropic, Google and one search tool on loopback.

    POST /openai/v1/{chat/completions,responses,embeddings}
    POST /anthropic/v1/messages
    POST /google/{v1,v1beta}/models/{model}:{generateContent,streamGenerateContent?alt=sse}
    POST /serp/search      a tool that costs $0.005 a call
    GET  /bill             what every tenant owes, by the simulator's own arithmetic

The tenant comes in the header `x-demo-tenant`, which serves only this bill. Faults are asked for in
`x-demo-fault` (see `faults`). `pace` scales every delay: 1 feels like a provider, 0 does not wait;
then a stream's bytes come in blocks that end anywhere, also inside a character.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import uvicorn

from outlay.demo import anthropic_wire, google_wire, openai_embeddings, openai_wire
from outlay.demo.bill import SEARCH_TOOL, Bill, Counts
from outlay.demo.children import announce, when_parent_goes
from outlay.demo.faults import REFUSALS, Attempts, Fault, applies, parse
from outlay.demo.prose import fraction, prose
from outlay.demo.reply import Call, Frame, PromptCache, Reply, WireError, to_json

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
STALL_LIMIT_S: Final = 60.0
"""A stalled stream is dropped when its caller has not walked away by then."""
BLOCK_BYTES: Final = 1400
GZIP_FROM_BYTES: Final = 1024
FIRST_BYTE_S: Final = (0.12, 0.6)
FRAME_S: Final = 0.012
RESULTS: Final = 5
"""Results of one search."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_GOOGLE = re.compile(r"/google/v1(?:beta)?/models/([^/:]+):(generateContent|streamGenerateContent)")


class _Job(NamedTuple):
    """One attempt on its way through: how to answer it, how to refuse it, and for whom."""

    model: str
    tenant: str
    answer: Callable[[Call], Reply]
    refuse: Callable[[str, str], WireError]


class Simulator:
    """The ASGI application; one event loop serves it, so that its state needs no locks."""

    def __init__(self, *, pace: float = 0.0) -> None:
        self.bill = Bill()
        self._pace = pace
        self._cache = PromptCache()
        self._attempts = Attempts()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        path = unquote(scope["path"])
        if scope["method"] == "GET" and path == "/bill":
            await _whole(send, 200, to_json(self.bill.as_dict()), {})
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self.bill.in_flight += 1
        try:
            body = await _read_json(receive)
            job = _route(scope["method"], path, scope["query_string"], headers, body)
            await self._serve(job, headers, body, receive, send)
        except WireError as refused:
            await _whole(send, refused.status, to_json(refused.body), refused.headers)
        finally:
            self.bill.in_flight -= 1

    async def _serve(
        self, job: _Job, headers: dict[str, str], body: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        try:
            fault = applies(parse(headers.get("x-demo-fault", "")), self._attempts.next(headers))
        except ValueError as wrong:
            raise openai_wire.error(400, "invalid_request_error", str(wrong), None) from None
        if fault.kind == "slow":
            await asyncio.sleep(fault.ms / 1000)
        if self._pace:
            low, high = FIRST_BYTE_S
            await asyncio.sleep(
                self._pace * (low + (high - low) * fraction(headers.get("x-demo-call")))
            )
        if fault.kind in REFUSALS:
            self.bill.fail(job.tenant, job.model)
            raise job.refuse(fault.kind, job.model)
        call = Call(job.tenant, body, self._cache, fault.interrupts)
        try:
            reply = job.answer(call)
        except WireError:
            self.bill.fail(job.tenant, job.model)
            raise
        if reply.frames:
            await self._stream(job, reply, fault, receive, send)
            return
        self.bill.charge(job.tenant, reply.model, reply.nanos(reply.complete))
        extra = dict(reply.headers)
        data = reply.body
        if "gzip" in headers.get("accept-encoding", "") and len(data) >= GZIP_FROM_BYTES:
            data = gzip.compress(data, compresslevel=1)
            extra["content-encoding"] = "gzip"
        await _whole(send, 200, data, extra)

    async def _stream(
        self, job: _Job, reply: Reply, fault: Fault, receive: Receive, send: Send
    ) -> None:
        frames, sent, interrupted = _until(reply.frames, fault)
        # Billed before the last byte leaves: whoever has read the whole stream finds it billed.
        counts = reply.cut(sent) if interrupted else reply.complete
        self.bill.charge(job.tenant, reply.model, reply.nanos(counts), cut=interrupted)
        await _start(
            send, 200, {"content-type": "text/event-stream; charset=utf-8", **reply.headers}
        )
        if self._pace:
            for frame in frames:
                await _chunk(send, frame.data)
                await asyncio.sleep(self._pace * FRAME_S)
        else:
            for block in _blocks(frames):
                await _chunk(send, block)
        if not interrupted:
            await send({"type": "http.response.body", "body": b""})
        elif fault.kind == "stall":
            await _until_gone(receive)
        # A cut returns without ending the body: the server then drops the connection.


def _route(
    method: str, path: str, query: bytes, headers: dict[str, str], body: dict[str, Any]
) -> _Job:
    tenant = headers.get("x-demo-tenant", "(none)")
    model = str(body.get("model"))
    answers: dict[str, tuple[Callable[[Call], Reply], Callable[[str, str], WireError]]] = {
        "/openai/v1/chat/completions": (openai_wire.chat, openai_wire.refusal),
        "/openai/v1/responses": (openai_wire.responses, openai_wire.refusal),
        "/openai/v1/embeddings": (openai_embeddings.embeddings, openai_wire.refusal),
        "/anthropic/v1/messages": (anthropic_wire.messages, anthropic_wire.refusal),
    }
    if method == "POST":
        if path in answers:
            return _Job(model, tenant, *answers[path])
        if path == "/serp/search":
            return _Job(SEARCH_TOOL, tenant, _search, openai_wire.refusal)
        if found := _GOOGLE.fullmatch(path):
            name, streamed = found[1], found[2].startswith("stream")
            if streamed and b"alt=sse" not in query:
                raise google_wire.error(400, "INVALID_ARGUMENT", "This simulator streams as SSE.")
            return _Job(
                name,
                tenant,
                lambda call: google_wire.generate(call, name, streamed=streamed),
                google_wire.refusal,
            )
    raise openai_wire.error(404, "invalid_request_error", f"Unknown request URL: {path}.", None)


def _search(call: Call) -> Reply:
    """Answer the search tool; its price is by the call."""
    query = str(call.body.get("q", ""))
    results = [
        {"title": prose(f"title {i} {query}", 60), "snippet": prose(f"snippet {i} {query}", 200)}
        for i in range(RESULTS)
    ]
    counts = Counts(calls=1)
    return Reply("serp", SEARCH_TOOL, counts, lambda _: counts, to_json({"results": results}))


def _until(frames: list[Frame], fault: Fault) -> tuple[list[Frame], int, bool]:
    """Return the frames to send, the characters of output in them, and if the stream is cut.

    A stream with fewer deltas than the fault waits for is not cut: it is over before.
    """
    deltas = sent = 0
    for number, frame in enumerate(frames):
        sent += frame.characters
        deltas += frame.characters > 0
        if fault.interrupts and deltas == fault.after:
            return frames[: number + 1], sent, True
    return frames, sent, False


def _blocks(frames: list[Frame]) -> Iterator[bytes]:
    data = b"".join(frame.data for frame in frames)
    for start in range(0, len(data), BLOCK_BYTES):
        yield data[start : start + BLOCK_BYTES]


async def _read_json(receive: Receive) -> dict[str, Any]:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
        if sum(map(len, parts)) > MAX_BODY_BYTES:
            raise openai_wire.error(413, "invalid_request_error", "Request too large.", None)
    try:
        body = json.loads(b"".join(parts))
    except ValueError:
        body = None
    if not isinstance(body, dict):
        text = "We could not parse the JSON body of your request."
        raise openai_wire.error(400, "invalid_request_error", text, None)
    return body


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def _whole(send: Send, status: int, data: bytes, headers: dict[str, str]) -> None:
    fixed = {"content-type": "application/json", "content-length": str(len(data))}
    await _start(send, status, {**fixed, **headers})
    await send({"type": "http.response.body", "body": data})


async def _chunk(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    """Wait until the caller walks away, or the limit is over."""
    try:
        async with asyncio.timeout(STALL_LIMIT_S):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


def main(arguments: list[str] | None = None) -> int:
    """Serve until the parent goes; the first line on standard output says where."""
    parser = argparse.ArgumentParser(prog="outlay.demo.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 is any free one")
    parser.add_argument("--pace", type=float, default=0.0, help="1 is as slow as real providers")
    chosen = parser.parse_args(arguments)
    listener = socket.create_server(("127.0.0.1", chosen.port), backlog=512)
    config = uvicorn.Config(
        Simulator(pace=chosen.pace),
        log_level="critical",  # a cut stream is an error to uvicorn, and the point of it to us
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    when_parent_goes(stop)
    announce({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"})
    server.run(sockets=[listener])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
