"""The official SDKs as the gateway tests use them: made for a door, asked, and closed.

A test says a call once, as a function of a client; `ask` makes it with the SDK's blocking client or
its asyncio one, and returns what came in a form that can be compared: models as plain values, a
stream as the list of its parts.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import anthropic
import boto3
import cohere
import groq
import httpx
import mistralai.client as mistral
import openai
from botocore.config import Config
from google import genai
from google.genai import types as genai_types
from pydantic import BaseModel

from tests.acceptance.gateway_aws import REGION, SERVICE
from tests.acceptance.gateway_rig import Door

TIMEOUT_S: Final = 30.0
HEADERS: Final = ("HTTPHeaders", "sdk_http_response")
"""Where boto3 and Google's SDK keep an answer's headers; these have tests of their own."""
Call = Callable[[Any], Any]


@dataclass(frozen=True)
class Sdk:
    """One SDK: context managers that yield what its calls are made on."""

    blocking: Callable[..., Any]
    asyncio: Callable[..., Any] | None = None


def ask(
    sdk: Sdk, mode: str, door: Door, call: Call, then: Call | None = None, **settings: Any
) -> Any:
    """Make a call and return what came; `then` is done with it instead of collecting it."""
    if mode == "sync":
        with sdk.blocking(door, **settings) as client:
            found = call(client)
            return collected(found) if then is None else then(found)

    async def work() -> Any:
        assert sdk.asyncio is not None
        async with sdk.asyncio(door, **settings) as client:
            found = call(client)
            if inspect.isawaitable(found):
                found = await found
            if then is None:
                return await collected_async(found)
            made = then(found)
            return await made if inspect.isawaitable(made) else made

    return asyncio.run(work())


def value(found: Any) -> Any:
    """Return an SDK's object as plain values."""
    if isinstance(found, BaseModel):
        return value(found.model_dump(mode="json", warnings=False))
    if isinstance(found, dict):
        return {k: value(v) for k, v in found.items() if k not in HEADERS}
    if isinstance(found, (list, tuple)):
        return [value(one) for one in found]
    if isinstance(found, (str, bytes, int, float, bool)) or found is None:
        return found
    if hasattr(found, "dict"):
        return value(found.dict())
    return {k: value(v) for k, v in vars(found).items() if not k.startswith("_")}


def collected(found: Any) -> Any:
    """Return all that came, of a stream part by part."""
    if isinstance(found, (BaseModel, dict, list, str, bytes)):
        return value(found)
    if hasattr(found, "__enter__"):
        with found as stream:
            return [value(part) for part in stream]
    try:
        return [value(part) for part in found]
    finally:
        getattr(found, "close", lambda: None)()


async def collected_async(found: Any) -> Any:
    """Return all that came, of a stream part by part."""
    if isinstance(found, (BaseModel, dict, list, str, bytes)):
        return value(found)
    if hasattr(found, "__aenter__"):
        async with found as stream:
            return [value(part) async for part in stream]
    return [value(part) async for part in found]


# -- the SDKs ----------------------------------------------------------------------------------


def _stainless(
    blocking: Any, asynchronous: Any, make: Callable[[Door, Any], dict[str, Any]]
) -> Sdk:
    """Return an SDK whose clients are context managers; it does not retry unless told to."""

    def settings(door: Door, more: dict[str, Any]) -> dict[str, Any]:
        name = more.pop("upstream", None)
        return {"timeout": TIMEOUT_S, "max_retries": 0, **make(door, name), **more}

    return Sdk(
        lambda door, **more: blocking(**settings(door, more)),
        lambda door, **more: asynchronous(**settings(door, more)),
    )


OPENAI: Final = _stainless(
    openai.OpenAI,
    openai.AsyncOpenAI,
    lambda door, name: {"base_url": f"{door.at(name or 'openai')}/v1", "api_key": door.key},
)
AZURE: Final = _stainless(
    openai.AzureOpenAI,
    openai.AsyncAzureOpenAI,
    lambda door, _: {
        "azure_endpoint": door.at("azure"), "api_key": door.key, "api_version": "2024-10-21"
    },
)  # fmt: skip
ANTHROPIC: Final = _stainless(
    anthropic.Anthropic,
    anthropic.AsyncAnthropic,
    lambda door, _: {"base_url": door.at("anthropic"), "api_key": door.key},
)
BEDROCK_ANTHROPIC: Final = _stainless(
    anthropic.AnthropicBedrock,
    anthropic.AsyncAnthropicBedrock,
    lambda door, _: {
        "base_url": door.at("bedrock"), "aws_region": REGION, "aws_access_key": door.access_key,
        "aws_secret_key": door.secret_key,
    },
)  # fmt: skip
BEDROCK_BEARER: Final = _stainless(
    anthropic.AnthropicBedrock,
    anthropic.AsyncAnthropicBedrock,
    lambda door, _: {
        "base_url": door.at("bedrock"), "aws_region": REGION, "api_key": door.key,
    },
)  # fmt: skip
"""Bedrock's API keys are shown as others' are; a gateway signs all the same."""
GROQ: Final = _stainless(
    groq.Groq,
    groq.AsyncGroq,
    lambda door, _: {"base_url": door.at("groq"), "api_key": door.key},
)


def _google(door: Door) -> genai.Client:
    options = genai_types.HttpOptions(base_url=door.at("google"), timeout=int(TIMEOUT_S * 1000))
    return genai.Client(api_key=door.key, http_options=options)


@contextmanager
def _google_blocking(door: Door) -> Iterator[Any]:
    client = _google(door)
    try:
        yield client.models
    finally:
        client.close()


@asynccontextmanager
async def _google_asyncio(door: Door) -> AsyncIterator[Any]:
    client = _google(door)
    try:
        yield client.aio.models
    finally:
        await client.aio.aclose()
        client.close()


GOOGLE: Final = Sdk(_google_blocking, _google_asyncio)


class _Suffixed:
    """Mistral's client as if its asyncio methods had the names of the blocking ones."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, f"{name}_async", None)
        return found if found is not None else _Suffixed(getattr(self._target, name))


def _mistral(door: Door, **settings: Any) -> mistral.Mistral:
    milliseconds = int(TIMEOUT_S * 1000)
    return mistral.Mistral(
        api_key=door.key, server_url=door.at("mistral"), timeout_ms=milliseconds, **settings
    )


@contextmanager
def _mistral_blocking(door: Door, **settings: Any) -> Iterator[Any]:
    with _mistral(door, **settings) as client:
        yield client


@asynccontextmanager
async def _mistral_asyncio(door: Door, **settings: Any) -> AsyncIterator[Any]:
    async with _mistral(door, **settings) as client:
        yield _Suffixed(client)


MISTRAL: Final = Sdk(_mistral_blocking, _mistral_asyncio)


@contextmanager
def _cohere_blocking(door: Door, max_retries: int = 0) -> Iterator[Any]:
    with httpx.Client(timeout=TIMEOUT_S) as http:
        yield cohere.ClientV2(
            door.key, base_url=door.at("cohere"), max_retries=max_retries, httpx_client=http
        )


@asynccontextmanager
async def _cohere_asyncio(door: Door, max_retries: int = 0) -> AsyncIterator[Any]:
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
        yield cohere.AsyncClientV2(
            door.key, base_url=door.at("cohere"), max_retries=max_retries, httpx_client=http
        )


COHERE: Final = Sdk(_cohere_blocking, _cohere_asyncio)


@contextmanager
def _bedrock(door: Door, attempts: int = 1) -> Iterator[Any]:
    client = boto3.session.Session().client(
        f"{SERVICE}-runtime",
        region_name=REGION,
        endpoint_url=door.at("bedrock"),
        aws_access_key_id=door.access_key,
        aws_secret_access_key=door.secret_key,
        config=Config(retries={"total_max_attempts": attempts}, read_timeout=TIMEOUT_S),
    )
    try:
        yield client
    finally:
        client.close()


BEDROCK: Final = Sdk(_bedrock)
