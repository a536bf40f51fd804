"""The application's provider calls: the official SDKs, used as their documentation says.

Nothing here knows of metering: the only unusual thing is the headers, which ask the simulator for
faults and tell its bill who the tenant is. Every call is one that the SDK may send several times.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import anthropic
import httpx2
import openai
from google import genai
from google.genai import errors as google_errors
from google.genai import types

from outlay.demo.faults import NONE, Fault

THREADS: Final = 16
"""Synchronous SDK calls that run at once."""
TIMEOUT_S: Final = 60.0
MAX_OUTPUT_TOKENS: Final = 1500

FAILURES: Final = (openai.APIError, anthropic.APIError, google_errors.APIError, httpx2.HTTPError)
"""What a call may raise when the provider fails it."""

T = TypeVar("T")
_calls = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model: `system` is the same for many, `user` for one."""

    tenant: str
    system: str
    user: str
    fault: Fault = NONE
    thinks: bool = False

    def headers(self) -> dict[str, str]:
        """Return the headers that only the simulator reads."""
        told = {"x-demo-tenant": self.tenant, "x-demo-call": str(next(_calls))}
        return {**told, "x-demo-fault": self.fault.header()} if self.fault.kind else told

    def walks_away_after(self, deltas: int) -> bool:
        """Whether the reader of a stream leaves after so many deltas."""
        return self.fault.kind == "stall" and deltas >= self.fault.after


class Clients:
    """One client of each kind, shared by all tenants as a real application shares them."""

    def __init__(self, simulator: str, *, gateway: str = "", gateway_key: str = "") -> None:
        """Make the clients.

        Args:
            simulator: URL of the providers.
            gateway: URL of outlay's gateway, for the Anthropic clients; empty: they go direct.
            gateway_key: the virtual key that they show it.
        """
        common: dict[str, Any] = {"api_key": "sk-demo", "timeout": TIMEOUT_S}
        openai_url = f"{simulator}/openai/v1"
        through: dict[str, Any] = {**common, "base_url": f"{gateway or simulator}/anthropic"}
        if gateway:
            through["api_key"] = gateway_key
        self._openai = openai.AsyncOpenAI(base_url=openai_url, **common)
        self._openai_sync = openai.OpenAI(base_url=openai_url, **common)
        self._anthropic = anthropic.AsyncAnthropic(**through)
        self._anthropic_sync = anthropic.Anthropic(**through)
        self._google = genai.Client(
            api_key="demo",
            http_options=types.HttpOptions(
                base_url=f"{simulator}/google",
                timeout=int(TIMEOUT_S * 1000),
                retry_options=types.HttpRetryOptions(
                    attempts=3, initial_delay=0.02, max_delay=0.05
                ),
            ),
        )
        self._web = httpx2.AsyncClient(base_url=simulator, timeout=TIMEOUT_S)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="demo-sdk")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._openai.close()
        await self._anthropic.close()
        await self._web.aclose()
        self._openai_sync.close()
        self._anthropic_sync.close()
        self._google.close()
        self._threads.shutdown()

    async def chat(self, model: str, prompt: Prompt) -> str:
        """Ask an OpenAI model through chat completions (async client)."""
        reply = await self._openai.chat.completions.create(
            model=model, messages=_chat_messages(prompt), extra_headers=prompt.headers()
        )
        return reply.choices[0].message.content or ""

    async def chat_stream(self, model: str, prompt: Prompt, *, include_usage: bool = False) -> str:
        """Stream from an OpenAI model, with or without asking for the usage (async client)."""
        asked: Any = {"stream_options": {"include_usage": True}} if include_usage else {}
        stream = await self._openai.chat.completions.create(
            model=model,
            messages=_chat_messages(prompt),
            stream=True,
            extra_headers=prompt.headers(),
            **asked,
        )
        texts: list[str] = []
        async with stream:
            async for chunk in stream:
                text = chunk.choices[0].delta.content if chunk.choices else None
                if text:
                    texts.append(text)
                if prompt.walks_away_after(len(texts)):
                    break
        return "".join(texts)

    async def respond(self, model: str, prompt: Prompt) -> str:
        """Ask an OpenAI model through the responses API (sync client in a thread)."""
        effort: Any = {"reasoning": {"effort": "low"}} if prompt.thinks else {}
        reply = await self._in_thread(
            lambda: self._openai_sync.responses.create(
                model=model,
                instructions=prompt.system,
                input=prompt.user,
                extra_headers=prompt.headers(),
                **effort,
            )
        )
        return str(reply.output_text)

    async def respond_stream(self, model: str, prompt: Prompt) -> str:
        """Stream from an OpenAI model through the responses API (async client)."""
        stream = await self._openai.responses.create(
            model=model,
            instructions=prompt.system,
            input=prompt.user,
            stream=True,
            extra_headers=prompt.headers(),
        )
        texts: list[str] = []
        async with stream:
            async for event in stream:
                if event.type == "response.output_text.delta":
                    texts.append(event.delta)
                if prompt.walks_away_after(len(texts)):
                    break
        return "".join(texts)

    async def embed(self, tenant: str, texts: list[str], fault: Fault = NONE) -> int:
        """Embed texts with OpenAI (sync client in a thread) and return the vectors' length."""
        headers = Prompt(tenant, "", "", fault).headers()
        reply = await self._in_thread(
            lambda: self._openai_sync.embeddings.create(
                model="text-embedding-3-small", input=texts, extra_headers=headers
            )
        )
        return len(reply.data[0].embedding)

    async def message(self, model: str, prompt: Prompt) -> str:
        """Ask an Anthropic model (sync client in a thread)."""
        reply = await self._in_thread(
            lambda: self._anthropic_sync.messages.create(
                model=model,
                max_tokens=MAX_OUTPUT_TOKENS,
                system=_cached(prompt.system, "5m"),
                messages=[{"role": "user", "content": prompt.user}],
                extra_headers=prompt.headers(),
            )
        )
        return "".join(block.text for block in reply.content if block.type == "text")

    async def message_stream(self, model: str, prompt: Prompt) -> str:
        """Stream from an Anthropic model, with a prompt cached for an hour (async client)."""
        thinking: Any = {"thinking": {"type": "adaptive"}} if prompt.thinks else {}
        stream = await self._anthropic.messages.create(
            model=model,
            max_tokens=MAX_OUTPUT_TOKENS,
            system=_cached(prompt.system, "1h"),
            messages=[{"role": "user", "content": prompt.user}],
            stream=True,
            extra_headers=prompt.headers(),
            **thinking,
        )
        deltas, texts = 0, []
        async with stream:
            async for event in stream:
                if event.type == "content_block_delta" and event.delta.type in (
                    "text_delta",
                    "thinking_delta",
                ):
                    deltas += 1
                    if event.delta.type == "text_delta":
                        texts.append(event.delta.text)
                if prompt.walks_away_after(deltas):
                    break
        return "".join(texts)

    async def gemini(self, model: str, prompt: Prompt) -> str:
        """Ask a Gemini model (sync client in a thread)."""
        config = _gemini_config(prompt)
        reply = await self._in_thread(
            lambda: self._google.models.generate_content(
                model=model, contents=prompt.user, config=config
            )
        )
        return reply.text or ""

    async def gemini_stream(self, model: str, prompt: Prompt) -> str:
        """Stream from a Gemini model (sync client in a thread)."""
        config = _gemini_config(prompt)

        def read() -> str:
            texts: list[str] = []
            stream = self._google.models.generate_content_stream(
                model=model, contents=prompt.user, config=config
            )
            with contextlib.closing(stream) as chunks:  # type: ignore[type-var]
                for chunk in chunks:
                    texts.append(chunk.text or "")
                    if prompt.walks_away_after(len(texts)):
                        break
            return "".join(texts)

        return await self._in_thread(read)

    async def search(self, tenant: str, query: str) -> int:
        """Search the web with a tool that is billed by the call; return how much was found."""
        headers = Prompt(tenant, "", "").headers()
        reply = await self._web.post("/serp/search", json={"q": query}, headers=headers)
        reply.raise_for_status()
        return len(reply.json()["results"])

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work in a thread that sees the caller's context variables."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, copy_context().run, work)


def _chat_messages(prompt: Prompt) -> Any:
    return [
        {"role": "system", "content": prompt.system},
        {"role": "user", "content": [{"type": "text", "text": prompt.user}]},
    ]


def _cached(system: str, ttl: str) -> Any:
    return [
        {"type": "text", "text": system, "cache_control": {"type": "ephemeral", "ttl": ttl}},
    ]


def _gemini_config(prompt: Prompt) -> types.GenerateContentConfig:
    budget = 512 if prompt.thinks else 0
    return types.GenerateContentConfig(
        system_instruction=prompt.system,
        max_output_tokens=MAX_OUTPUT_TOKENS,
        thinking_config=types.ThinkingConfig(thinking_budget=budget),
        http_options=types.HttpOptions(headers=prompt.headers()),
    )
