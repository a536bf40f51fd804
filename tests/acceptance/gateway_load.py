"""Clients of a gateway that never stop asking, and how each of their calls ended."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Literal, Self

import aiohttp
import httpx

from tests.acceptance.limit_provider import MODEL
from tests.acceptance.limits_rig import until

CHAT: Final = "/openai/v1/chat/completions"
FIRST: Final = 1000
"""The first call's number: no estimate of what was sent so far is as large."""
FAILED_S: Final = 0.05
"""Between a call that failed and the next."""
END: Final = b"data: [DONE]\n\n"

State = Literal["ok", "refused", "error", "cut", "failed"]
"""Answered to the end; refused by a limit; another status; begun and broken off; no answer."""
_numbers = count(FIRST)


def number() -> int:
    """Return the number of a call that nobody has made."""
    return next(_numbers)


@dataclass(frozen=True)
class Result:
    """How a call ended, as its client saw it; times are seconds of the machine's clock."""

    number: int
    state: State
    at: float
    took: float
    status: int = 0
    code: str = ""


class Load:
    """Clients of one tenant in a thread; every second one asks for streams.

    Args:
        url: where they call.
        key: what they show.
        tenant: whose calls they are.
        workers: how many clients.
        pause: seconds between two calls of one.
        fresh: every call has a connection of its own.
        **do: what the provider is asked to do.
    """

    def __init__(
        self,
        url: str,
        key: str,
        tenant: str,
        *,
        workers: int = 8,
        pause: float = 0.01,
        fresh: bool = False,
        **do: Any,
    ) -> None:
        self.results: list[Result] = []
        self.workers = workers
        self._url, self._key, self._tenant = url, key, tenant
        self._pause, self._fresh, self._do = pause, fresh, do
        self._forbidden = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.stop()

    def forbid(self) -> None:
        """Let nobody make another call."""
        self._forbidden.set()

    def stop(self) -> list[Result]:
        """Let the calls under way end; return all."""
        self.forbid()
        self._thread.join(60)
        return self.results

    def of(self, *states: State) -> set[int]:
        """Return the calls that ended so."""
        return {one.number for one in tuple(self.results) if one.state in states}

    def since(self, begin: float, end: float) -> list[Result]:
        """Return the calls that began and ended in a time."""
        return [r for r in tuple(self.results) if begin <= r.at - r.took and r.at <= end]

    def more(self, calls: int, state: State = "ok") -> None:
        """Wait until so many more calls ended so."""
        wanted = len(self.of(state)) + calls
        until(lambda: len(self.of(state)) >= wanted, f"{calls} more calls end {state}")

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=60)
        pool = aiohttp.TCPConnector(limit=0, force_close=self._fresh)
        async with aiohttp.ClientSession(self._url, timeout=timeout, connector=pool) as session:
            await asyncio.gather(*(self._work(session, n % 2 == 1) for n in range(self.workers)))

    async def _work(self, session: aiohttp.ClientSession, stream: bool) -> None:
        while not self._forbidden.is_set():
            self.results.append(await call(session, self._key, self._tenant, stream, self._do))
            pause = self._pause if self.results[-1].state == "ok" else FAILED_S
            for _ in range(max(1, round(pause / FAILED_S))):
                if not self._forbidden.is_set():
                    await asyncio.sleep(min(pause, FAILED_S))


async def call(
    session: aiohttp.ClientSession, key: str, tenant: str, stream: bool, do: dict[str, Any]
) -> Result:
    """Make one call and return how it ended."""
    mine, began, status, code = number(), time.monotonic(), 0, ""
    state: State = "failed"
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with session.post(CHAT, json=chat(tenant, mine, stream), headers=head(key, do)) as a:
            status, state = a.status, "cut"
            code = a.headers.get("outlay-problem", "") or a.headers.get("outlay-limit", "")
            text = await a.read()
            whole = text.endswith(END) if stream else True
            state = "ok" if whole else "cut"
            if status != 200:
                state = "refused" if status == 402 else "error"
    now = time.time()
    return Result(mine, state, now, time.monotonic() - began, status, code)


def chat(tenant: str, mine: int, stream: bool = False) -> dict[str, Any]:
    """Return the body of a call."""
    message = {"role": "user", "content": f"{tenant} {mine} " + "." * 40}
    asked = {"model": MODEL, "messages": [message], "max_tokens": mine}
    return {**asked, "stream": True} if stream else asked


def head(key: str, do: dict[str, Any]) -> dict[str, str]:
    """Return the headers of a call."""
    return {"authorization": f"Bearer {key}", "x-do": json.dumps(do)}


def one(url: str, key: str, tenant: str, *, stream: bool = False, **do: Any) -> httpx.Response:
    """Make one call."""
    body = chat(tenant, number(), stream)
    return httpx.post(url + CHAT, json=body, headers=head(key, do), timeout=30)


def ask(
    url: str, key: str, tenant: str, *, stream: bool = False, **do: Any
) -> tuple[int, str, bool]:
    """Make a call; return its status, the problem that it was told, and whether it ended well."""
    body, told, whole = chat(tenant, number(), stream), head(key, do), False
    asked = httpx.stream("POST", url + CHAT, json=body, headers=told, timeout=30)
    with asked as answer, suppress(httpx.HTTPError):
        answer.read()
        whole = True
    return answer.status_code, answer.headers.get("outlay-problem", ""), whole


def request(key: str, body: Any, **do: Any) -> bytes:
    """Return a call as it is on the wire."""
    text = json.dumps(body).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in head(key, do).items())
    more = f"content-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
    return f"POST {CHAT} HTTP/1.1\r\nhost: gateway\r\n{lines}{more}".encode() + text
