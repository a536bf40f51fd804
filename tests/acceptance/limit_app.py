"""An application under limits, in a process of its own: it does what standard input tells it.

One JSON command a line, one JSON answer a line. It is an ordinary user of outlay: `outlay.init`
with settings from the environment, and an SDK whose calls go to the test's provider. What kind of
client it uses (`openai`, `openai-threads`, `anthropic`, `httpx`) is its first argument, the
provider's URL its second, a file that notes every call that has come back its third.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import anthropic
import httpx
import openai

import outlay
from outlay.capture.runtime import active
from tests.acceptance.limit_provider import MODEL, prompt

KINDS: Final = ("openai", "openai-threads", "anthropic", "httpx")
TIMEOUT_S: Final = 60.0
READY_S: Final = 20.0
REFUSED: Final = 402
LIMIT_HEADER: Final = "outlay-limit"
DEFAULT_BOUND: Final = 4096
"""Anthropic wants to be told one."""

_numbers = count(1)


@dataclass(frozen=True)
class Call:
    """One call: whose, how long its answer will be, and how long it may be."""

    tenant: str
    output: int
    bound: int | None
    stream: bool

    def words(self) -> tuple[str, list[dict[str, str]]]:
        """Return a new id, and the messages that ask for the answer."""
        name = f"{os.getpid()}-{next(_numbers)}"
        return name, [{"role": "user", "content": prompt(self.tenant, name, self.output)}]


@dataclass(frozen=True)
class Result:
    """How a call ended: `ok`, `cut`, `refused` (with the refusal's code) or `failed`."""

    at: float
    took: float
    state: str
    code: str = ""


class App:
    """The clients of one kind."""

    def __init__(self, kind: str, provider: str, oracle: str) -> None:
        self._kind = kind
        self._provider = provider
        self._oracle = os.open(oracle, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._going: threading.Thread | None = None
        self._stop = threading.Event()
        self._results: list[Result] = []

    def open(self, *, policy: str = "", **settings: Any) -> dict[str, Any]:
        """Start metering; with the revision of a policy, wait until it and prices are here."""
        outlay.init(strict=True, limits=True, **settings)
        runtime = active()
        assert runtime is not None
        assert runtime.gate is not None
        table = runtime.gate.table
        if policy:
            runtime.wake()
            runtime.gate.client.start()
            end = time.monotonic() + READY_S
            while (
                runtime.rates.book is None
                or table.policy is None
                or table.policy.revision != policy
            ):
                assert time.monotonic() < end, "no prices or no limits"
                time.sleep(0.01)
        return {"opened": True}

    def close(self) -> dict[str, Any]:
        """Send everything and give everything back."""
        runtime = active()
        stats = runtime.gate.stats() if runtime is not None and runtime.gate is not None else {}
        flushed = outlay.flush(20)
        outlay.shutdown(10)
        return {"flushed": bool(flushed), "stats": stats}

    def stats(self) -> dict[str, int]:
        """Return what the gate has counted."""
        runtime = active()
        assert runtime is not None
        assert runtime.gate is not None
        return runtime.gate.stats()

    # -- calls -----------------------------------------------------------------------------------

    def burst(self, *, calls: int, at: float, **values: Any) -> dict[str, Any]:
        """Make calls all at once, at a moment of the clock."""
        call = Call(**values)
        time.sleep(max(0.0, at - time.time()))
        if self._kind in ("openai", "anthropic"):
            results = asyncio.run(self._at_once(call, calls))
        else:
            with ThreadPoolExecutor(calls) as pool, self._threaded() as do:
                results = list(pool.map(lambda _: self._timed(do, call), range(calls)))
        return {"results": [vars(result) for result in results], "stats": self.stats()}

    def go(self, *, workers: int, pause: float = 0.0, **values: Any) -> dict[str, Any]:
        """Begin to make calls one after the other, in some workers, until `halt`."""
        self._stop.clear()
        self._results = []
        call = Call(**values)

        def work(do: Callable[[Call], tuple[str, str, str]]) -> None:
            while not self._stop.is_set():
                self._results.append(self._timed(do, call))
                self._stop.wait(pause)

        def crew() -> None:
            with self._threaded() as do, ThreadPoolExecutor(workers) as pool:
                for _ in range(workers):
                    pool.submit(work, do)

        self._going = threading.Thread(target=crew)
        self._going.start()
        return {"going": True}

    def halt(self) -> dict[str, Any]:
        """End what `go` began and tell how its calls went."""
        self._stop.set()
        assert self._going is not None
        self._going.join()
        return {"results": [vars(result) for result in self._results], "stats": self.stats()}

    def _timed(self, do: Callable[[Call], tuple[str, str, str]], call: Call) -> Result:
        began = time.time()
        with outlay.context(tenant=call.tenant):
            name, state, code = do(call)
        return self._noted(name, began, state, code)

    def _noted(self, name: str, began: float, state: str, code: str) -> Result:
        if state in ("ok", "cut"):
            os.write(self._oracle, f"{name}\n".encode())
        ended = time.time()
        return Result(ended, ended - began, state, code)

    async def _at_once(self, call: Call, calls: int) -> list[Result]:
        made = self._openai(openai.AsyncOpenAI) if self._kind == "openai" else self._anthropic()
        async with made as client:

            async def one() -> Result:
                began = time.time()
                name, messages = call.words()
                with outlay.context(tenant=call.tenant):
                    try:
                        length = await _ask(client, call, messages)
                    except Exception as error:
                        return self._noted(name, began, *_failure(error))
                return self._noted(name, began, *_length(call, length))

            return list(await asyncio.gather(*(one() for _ in range(calls))))

    def _openai(self, kind: Any) -> Any:
        return kind(base_url=f"{self._provider}/openai/v1", api_key="sk", timeout=TIMEOUT_S)

    def _anthropic(self) -> Any:
        return anthropic.AsyncAnthropic(
            base_url=f"{self._provider}/anthropic", api_key="sk", timeout=TIMEOUT_S
        )

    def _threaded(self) -> _Threaded:
        if self._kind == "httpx":
            many = httpx.Limits(max_connections=None)
            client: Any = httpx.Client(
                base_url=f"{self._provider}/openai/v1", timeout=TIMEOUT_S, limits=many
            )
        else:
            client = self._openai(openai.OpenAI)
        return _Threaded(client)


class _Threaded:
    """A client that threads share, as a function of a call."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __enter__(self) -> Callable[[Call], tuple[str, str, str]]:
        return self.do

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def do(self, call: Call) -> tuple[str, str, str]:
        name, messages = call.words()
        try:
            if isinstance(self._client, httpx.Client):
                length = _post(self._client, call, messages)
            else:
                length = _ask_openai(self._client, call, messages)
        except Exception as error:
            return (name, *_failure(error))
        return (name, *_length(call, length))


async def _ask(client: Any, call: Call, messages: list[dict[str, str]]) -> int:
    if isinstance(client, anthropic.AsyncAnthropic):
        asked = {**_asked(call, messages), "max_tokens": call.bound or DEFAULT_BOUND}
        said: Any = await client.messages.create(**asked)
        if not call.stream:
            return len(said.content[0].text)
        pieces = [event async for event in said if event.type == "content_block_delta"]
        return sum(len(event.delta.text) for event in pieces)
    answer = await client.chat.completions.create(**_asked(call, messages))
    if not call.stream:
        return len(answer.choices[0].message.content)
    return sum([len(_delta(chunk)) async for chunk in answer])


def _ask_openai(client: openai.OpenAI, call: Call, messages: list[dict[str, str]]) -> int:
    answer: Any = client.chat.completions.create(**_asked(call, messages))
    if not call.stream:
        return len(answer.choices[0].message.content)
    return sum(len(_delta(chunk)) for chunk in answer)


def _post(client: httpx.Client, call: Call, messages: list[dict[str, str]]) -> int:
    if not call.stream:
        answer = client.post("/chat/completions", json=_asked(call, messages))
        answer.raise_for_status()
        return len(answer.json()["choices"][0]["message"]["content"])
    with client.stream("POST", "/chat/completions", json=_asked(call, messages)) as streamed:
        if streamed.is_error:
            streamed.read()
        streamed.raise_for_status()
        return sum(len(text) for text in _texts(streamed))


def _texts(streamed: httpx.Response) -> Iterator[str]:
    for line in streamed.iter_lines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                yield choice["delta"].get("content") or ""


def _asked(call: Call, messages: list[dict[str, str]]) -> dict[str, Any]:
    bound = {} if call.bound is None else {"max_tokens": call.bound}
    return {"model": MODEL, "messages": messages, "stream": call.stream, **bound}


def _delta(chunk: Any) -> str:
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


def _length(call: Call, characters: int) -> tuple[str, str]:
    return ("ok" if characters == 4 * call.output else "cut"), ""


def _failure(error: Exception) -> tuple[str, str]:
    """Tell a refusal, which comes as the provider's own typed error, from any other failure."""
    response = getattr(error, "response", None)
    if isinstance(error, (openai.APIStatusError, anthropic.APIStatusError, httpx.HTTPStatusError)):
        assert response is not None
        if response.status_code == REFUSED and LIMIT_HEADER in response.headers:
            told = response.json()["error"]
            return "refused", str(told["outlay"].get("reason") or told["code"])
    return "failed", f"{type(error).__name__}: {str(error)[:200]}"


def main() -> None:
    """Obey until standard input ends."""
    app = App(*sys.argv[1:4])
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(app, command.pop("do"))(**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
