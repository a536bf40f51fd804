"""The provider behind the gateway tests: every wire on one port, its accounts, and its own bill.

Wires are told apart by the first segment of the path (`WIRES`). A caller must show the credential
of an account: `DIRECT` is what tests show that call it themselves, `GATEWAY` what a gateway has;
anything else is refused as the provider would. It bills what it has sent: a whole answer, and of a
stream the pieces that left before the caller hung up. Whoever takes gzip gets it, streams too. It
runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import gzip
import threading
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from tests.acceptance import gateway_aws, gateway_native, gateway_openai
from tests.acceptance.gateway_accounts import GATEWAY, Charge, Line, Seen, account_of
from tests.acceptance.gateway_realtime import speak
from tests.acceptance.gateway_reply import NANOS, STATUSES, Asked, Reply, Wire, behaviour, cost

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
SLOW_ANSWER_S: Final = 0.6
SLOW_PIECE_S: Final = 0.012
CUT_AFTER: Final = 5
"""Pieces with text in them that leave before a stream is cut or fails."""
SERVED: Final = {"date": "Tue, 10 Nov 2026 09:00:00 GMT", "server": "own"}
"""Sent with every answer, always the same: what a gateway changes of it shows."""

_OPENAI: Final = gateway_openai.error
_COMPATIBLE: Final = ("openai", "azure", "groq", "deepseek", "xai", "together", "openrouter")
_PAID: Final = {"xai": "x-ai"}

WIRES: Final[dict[str, Wire]] = {
    name: Wire(
        _PAID.get(name, name), partial(gateway_openai.reply, flavour=name), _OPENAI,
        gateway_openai.model_of,
    )
    for name in (*_COMPATIBLE, "huggingface", "voyage")
} | {
    "mistral": Wire(
        "mistral", partial(gateway_openai.reply, flavour="mistral"), gateway_openai.mistral_error,
        gateway_openai.model_of,
    ),
    "anthropic": Wire(
        "anthropic", gateway_native.anthropic, gateway_native.anthropic_error,
        gateway_native.body_model,
    ),
    "google": Wire(
        "google", gateway_native.google, gateway_native.google_error, gateway_native.google_model
    ),
    "cohere": Wire(
        "cohere", gateway_native.cohere, gateway_native.cohere_error, gateway_native.body_model
    ),
    "bedrock": Wire("aws", gateway_aws.reply, gateway_aws.error, gateway_aws.model_of),
}  # fmt: skip
"""By the first segment of the path, which is also the upstream's name in a gateway."""

MODELS: Final = (
    "own-chat", "own-slow", "own-cut", "own-fails", "own-flaky", "own-embed", "own-voice",
    "own-live", "own-rerank",
)  # fmt: skip
RATES: Final = [
    {"provider": provider, "model": model, "unit": unit, "price": f"{nanos / 1000:.2f}"}
    for provider in sorted({wire.provider for wire in WIRES.values()})
    for model in (
        *MODELS,
        *(f"anthropic.{name}-v1:0" for name in MODELS[:5] if provider == "aws"),
    )
    for unit, nanos in NANOS.items()
]
"""Prices in dollars a million, as a price list for outlay: so that both bill the same."""


class Upstream:
    """Runs in a thread from when it is made until `close`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.charges: list[Charge] = []
        self.replay: Reply | None = None
        """Answers whatever is asked, as it is, and charges nothing."""
        self._tried: Counter[tuple[str, bytes]] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream")
        self._thread.start()
        self._runner, self.port = asyncio.run_coroutine_threadsafe(
            self._start(), self._loop
        ).result(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bill(self, account: str = GATEWAY) -> dict[tuple[str, str], Line]:
        """Return what an account owes, by provider and model."""
        found: dict[tuple[str, str], Line] = {}
        for charge in self.charges:
            if charge.account == account:
                key, usage = (charge.provider, charge.model), charge.usage
                old = found.get(key, Line(0, 0, 0, 0))
                found[key] = Line(
                    old.attempts + 1,
                    old.nanos + cost(usage),
                    old.input + usage.get("input", 0),
                    old.output + usage.get("output", 0),
                )
        return found

    @property
    def idle(self) -> bool:
        """Whether every answer that was begun has ended."""
        return all(charge.ended for charge in list(self.charges))

    def forget(self) -> None:
        """Begin a new bill."""
        self.seen.clear()
        self.charges.clear()
        self._tried.clear()
        self.replay = None

    def close(self) -> None:
        """End it; calls in hand are dropped."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(20)
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

    # -- serving -----------------------------------------------------------------------------------

    async def _start(self) -> tuple[web.AppRunner, int]:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=512)
        await site.start()
        return runner, int(runner.addresses[0][1])

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw, _, query = request.raw_path.partition("?")
        name, _, path = unquote(raw).lstrip("/").partition("/")
        wire = WIRES.get(name)
        if wire is None:
            return _whole(_OPENAI(404, f"no wire {name!r}"))
        parts: dict[str, bytes] = {}
        if request.content_type == "multipart/form-data":
            parts = await _form(request)
        body = b"" if parts else await request.read()
        headers = [(key, value) for key, value in request.headers.items()]
        asked = Asked(
            request.method, f"/{path}", dict(parse_qsl(query)),
            {key.lower(): value for key, value in headers}, body, parts,
        )  # fmt: skip
        account, problem = account_of(name, asked, request.raw_path)
        if not account:
            return _whole(wire.error(401, problem))
        self.seen.append(Seen(account, request.method, request.raw_path, headers, body, parts))
        if asked.headers.get("upgrade", "").lower() == "websocket":
            return await speak(request, partial(self._charge, account, wire, asked.query["model"]))
        if self.replay is not None:
            return await self._replay(request, self.replay)
        return await self._answer(request, wire, asked, account)

    async def _answer(
        self, request: web.Request, wire: Wire, asked: Asked, account: str
    ) -> web.StreamResponse:
        model = wire.model(asked)
        manner = behaviour(model)
        first = self._tried[account, asked.body] == 0
        self._tried[account, asked.body] += 1
        status = STATUSES.get(manner, 0)
        if status and (manner != "flaky" or first):
            charge = self._charge(account, wire, model, Reply())
            charge.failed = charge.ended = True
            return _whole(wire.error(status, f"The model {model} says no."))
        reply = wire.reply(asked)
        if reply.status >= 400 or reply.usage is None:
            return _whole(reply)
        charge = self._charge(account, wire, model, reply)
        try:
            if reply.pieces:
                return await self._stream(request, reply, charge, manner)
            if manner == "slow":
                await asyncio.sleep(SLOW_ANSWER_S)
            charge.whole = True
            return _whole(reply, packed=_packs(request))
        finally:
            charge.ended = True

    def _charge(self, account: str, wire: Wire, model: str, reply: Reply) -> Charge:
        charge = Charge(account, wire.provider, model, reply)
        self.charges.append(charge)
        return charge

    async def _stream(
        self, request: web.Request, reply: Reply, charge: Charge, manner: str
    ) -> web.StreamResponse:
        answer = web.StreamResponse(headers={**SERVED, **reply.headers, "content-type": reply.kind})
        packer = zlib.compressobj(wbits=31) if _packs(request) else None
        if packer is not None:
            answer.headers["content-encoding"] = "gzip"
        await answer.prepare(request)

        async def write(data: bytes) -> None:
            if packer is not None:
                data = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
            await answer.write(data)

        texts = 0
        for place, piece in enumerate(reply.pieces):
            if manner in ("cut", "fails") and texts == CUT_AFTER:
                if manner == "fails":
                    await write(reply.failure(charge.sent))
                    await answer.write_eof()
                elif request.transport is not None:
                    request.transport.close()
                return answer
            if manner == "slow":
                await asyncio.sleep(SLOW_PIECE_S)
            charge.sent += piece.characters
            texts += piece.characters > 0
            # Billed before the last byte leaves: who has read all of it finds it billed.
            charge.whole = place == len(reply.pieces) - 1
            await write(piece.data)
        await answer.write_eof(b"" if packer is None else packer.flush())
        return answer

    async def _replay(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        """Send a recorded answer in blocks that end anywhere."""
        answer = web.StreamResponse(
            status=reply.status, headers={**SERVED, "content-type": reply.kind, **reply.headers}
        )
        await answer.prepare(request)
        step = max(1, len(reply.body) // 7)
        for start in range(0, len(reply.body), step):
            await answer.write(reply.body[start : start + step])
            await asyncio.sleep(0)
        await answer.write_eof()
        return answer


async def _form(request: web.Request) -> dict[str, bytes]:
    """Read a multipart form; its boundary is the client's affair."""
    found: dict[str, bytes] = {}
    form = await request.post()
    for name, value in form.items():
        if isinstance(value, web.FileField):
            found[name] = value.file.read()
            found[f"{name}:name"] = f"{value.filename} {value.content_type}".encode()
            value.file.close()
        else:
            found[name] = value.encode() if isinstance(value, str) else bytes(value)
    return found


def _packs(request: web.Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _whole(reply: Reply, *, packed: bool = False) -> web.Response:
    headers = {**SERVED, "content-type": reply.kind, **reply.headers}
    body = reply.body
    if packed:
        body = gzip.compress(body, mtime=0)
        headers["content-encoding"] = "gzip"
    return web.Response(body=body, status=reply.status, headers=headers)


def recorded(body: bytes, status: int, headers: Mapping[str, str]) -> Reply:
    """Make a reply of a recording, without what its own connection needed."""
    hop = ("content-length", "transfer-encoding", "connection", "content-encoding", "keep-alive")
    kept = {name: value for name, value in headers.items() if name not in hop}
    return replace(Reply(body, status=status), headers=kept)
