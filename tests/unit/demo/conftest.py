"""A simulator process, the official SDKs pointed at it, and the bill it keeps."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from outlay.demo.children import Child


class Site:
    """The running simulator, with a client of each vendor and a tenant of its own."""

    def __init__(self, url: str, tenant: str) -> None:
        self.url = url
        self.tenant = tenant
        headers = {"x-demo-tenant": tenant}
        self.openai: Any = openai.OpenAI(
            api_key="sk-demo", base_url=f"{url}/openai/v1", default_headers=headers
        )
        self.anthropic: Any = anthropic.Anthropic(
            api_key="sk-demo", base_url=f"{url}/anthropic", default_headers=headers
        )
        retry = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.02)
        self.google: Any = genai.Client(
            api_key="demo",
            http_options=types.HttpOptions(
                base_url=f"{url}/google", headers=headers, retry_options=retry
            ),
        )

    def whole_bill(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/bill", timeout=10) as reply:
            bill: dict[str, Any] = json.load(reply)
        return bill

    def bill(self) -> dict[str, Any]:
        empty = {"nanos": 0, "attempts": 0, "failed": 0, "cut": 0, "models": {}}
        account: dict[str, Any] = self.whole_bill()["tenants"].get(self.tenant, empty)
        return account

    def close(self) -> None:
        self.openai.close()
        self.anthropic.close()
        self.google.close()


@pytest.fixture(scope="session")
def simulator_url() -> Iterator[str]:
    child = Child("simulator", "outlay.demo.simulator", [])
    try:
        yield child.first_line()["url"]
    finally:
        child.stop()


@pytest.fixture
def site(simulator_url: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    found = Site(simulator_url, request.node.name[:80])
    try:
        yield found
    finally:
        found.close()
