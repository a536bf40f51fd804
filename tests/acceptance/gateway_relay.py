"""The least that a gateway has to do: pass requests on with another credential, and answers back.

It stands in for the gateway where a test of the tests is wanted (`OUTLAY_TEST_THROUGH=relay`): what
fails through it is the rig's fault or the SDK's. It meters, limits and checks nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import ClientSession, ClientTimeout, TCPConnector, WSMsgType, web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from tests.acceptance.gateway_accounts import ACCESS_KEYS, GATEWAY, KEYS, SECRET_KEYS
from tests.acceptance.gateway_aws import REGION, SERVICE

KEY: Final = "ov_relay"
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_HOP: Final = frozenset(
    ("connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-length")
)
_SIGNED: Final = ("authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token")


class Relay:
    """Runs in a thread from when it is made until `close`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._thread.start()
        self._runner, self._session, port = self._do(self._start())
        self.url = f"http://127.0.0.1:{port}"

    def close(self) -> None:
        """End it."""
        self._do(self._runner.cleanup())
        self._do(self._session.close())
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

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _start(self) -> tuple[web.AppRunner, ClientSession, int]:
        session = ClientSession(
            auto_decompress=False, connector=TCPConnector(limit=0), timeout=ClientTimeout(600),
            skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
        )  # fmt: skip
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
        return runner, session, int(runner.addresses[0][1])

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        url, body = URL(self._upstream + request.raw_path, encoded=True), await request.read()
        name = request.raw_path.split("/")[1]
        headers = _headers(name, request, str(url), body)
        if headers is None:
            return web.json_response({"error": {"message": "no key"}}, status=401)
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._socket(request, url, headers)
        data = io.BytesIO(body) if body else None
        async with self._session.request(
            request.method, url, headers=headers, data=data, allow_redirects=False
        ) as found:
            kept = [(n, v) for n, v in found.headers.items() if n.lower() not in _HOP]
            size = found.headers.get("content-length")
            answer = web.StreamResponse(status=found.status)
            answer.headers.extend(kept if size is None else [*kept, ("Content-Length", size)])
            await answer.prepare(request)
            try:
                async for piece in found.content.iter_any():
                    await answer.write(piece)
            except Exception:
                # A broken answer must end broken: who reads it must not take it for a whole one.
                if request.transport is not None:
                    request.transport.close()
                raise
            await answer.write_eof()
            return answer

    async def _socket(
        self, request: web.Request, url: URL, headers: list[tuple[str, str]]
    ) -> web.StreamResponse:
        own = ("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions")
        kept = [(n, v) for n, v in headers if n.lower() not in own]
        near = web.WebSocketResponse(protocols=("realtime",))
        await near.prepare(request)
        async with self._session.ws_connect(url, headers=dict(kept)) as far:
            await asyncio.wait(
                [asyncio.ensure_future(_pass(near, far)), asyncio.ensure_future(_pass(far, near))],
                return_when=asyncio.FIRST_COMPLETED,
            )
            with contextlib.suppress(ConnectionError):
                await near.close(code=far.close_code or 1000)
        return near


async def _pass(source: Any, target: Any) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)


def _headers(
    name: str, request: web.Request, url: str, body: bytes
) -> list[tuple[str, str]] | None:
    """Return the headers to send, with the upstream's credential; `None`: no key was shown."""
    shown = " ".join(value for _, value in request.headers.items())
    if KEY not in shown:
        return None
    found = []
    for key, value in request.headers.items():
        low = key.lower()
        if low in _HOP or (name == "bedrock" and low in _SIGNED):
            continue
        said = f"Bearer {KEYS[GATEWAY]}" if low == "authorization" else KEYS[GATEWAY]
        found.append((key, said if KEY in value else value))
    if name == "bedrock":
        signed = AWSRequest(request.method, url, {}, body)
        credentials = Credentials(ACCESS_KEYS[GATEWAY], SECRET_KEYS[GATEWAY])
        SigV4Auth(credentials, SERVICE, REGION).add_auth(signed)
        found += list(signed.headers.items())
    return found
