"""The three clients of `websockets`, each doing the same for one test."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Callable, Generator
from types import ModuleType
from typing import Any

import websockets.asyncio.client
import websockets.sync.client

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import websockets.legacy.client

Talk = Generator[Any, Any, Any]
"""Yields what a client returns, be it a value or to be awaited, and is sent its result."""


class Threading:
    """The `sync` client."""

    module = websockets.sync.client

    def run(self, url: str, talk: Callable[[Any], Talk]) -> Any:
        with websockets.sync.client.connect(url) as connection:
            steps, value = talk(connection), None
            while True:
                try:
                    step = steps.send(value)
                except StopIteration as stop:
                    return stop.value
                value = list(step) if inspect.isgenerator(step) else step


class Asyncio:
    """The `asyncio` client; and the legacy one, which is used alike."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def run(self, url: str, talk: Callable[[Any], Talk]) -> Any:
        async def main() -> Any:
            async with self.module.connect(url) as connection:
                steps, value = talk(connection), None
                while True:
                    try:
                        step = steps.send(value)
                    except StopIteration as stop:
                        return stop.value
                    if hasattr(step, "__aiter__"):
                        value = [item async for item in step]
                    else:
                        value = await step

        return asyncio.run(main())


CLIENTS = {
    "sync": Threading(),
    "asyncio": Asyncio(websockets.asyncio.client),
    "legacy": Asyncio(websockets.legacy.client),
}
