"""Recorded answers of real providers through the gateway: byte for byte, and metered as worked out.

The provider plays a recording to whoever asks. What a plain HTTP client gets through the gateway is
compared with what it gets directly: status, headers and every byte. The event then has to have the
counts that `tests.wire.golden` has by hand.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.gateway_rig import Door, Pair, Site, until, with_option
from tests.acceptance.gateway_upstream import recorded
from tests.wire.golden import FIXTURE, HTTP, NOTHING, UNDATED, Golden
from tests.wire.harness import Exchange, exchange, require_samples, sample

pytestmark = pytest.mark.heavy

HOSTS: Final = {
    "api.openai.com": "openai", "api.anthropic.com": "anthropic", "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek", "api.groq.com": "groq", "api.mistral.ai": "mistral",
    "api.voyageai.com": "voyage", "openrouter.ai": "openrouter",
    "router.huggingface.co": "huggingface", "aiplatform.googleapis.com": "google",
    "generativelanguage.googleapis.com": "google",
    "pydantic-ai-realtime-dev.openai.azure.com": "azure",
}  # fmt: skip
"""Which of the test's upstreams stands for the host of a recording; Bedrock has many hosts."""
SHOWN: Final = {"anthropic": "x-api-key", "google": "x-goog-api-key", "azure": "api-key"}
OF_THE_HOP: Final = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length"))
METRICS: Final = ["input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
                  "reasoning_tokens"]  # fmt: skip
FREE: Final = ("anthropic-count-tokens-0", "vertex-usage-limit-0")
"""Recordings of what is free: they leave no event at all."""
NAMES: Final = sorted({*HTTP, *NOTHING})


@pytest.fixture
def ways(gateway_site: Site) -> Pair:
    """Both ways, for what the provider's own bill knows nothing of."""
    return gateway_site.pair()


def load(name: str) -> Exchange:
    """Return a recorded exchange; the SDK's fixtures have no request of their own."""
    if name.startswith(FIXTURE):
        ask = {"model": "asked", "max_tokens": 64, "stream": True, "messages": []}
        raw = (require_samples() / f"{name}.response.sse").read_bytes()
        return exchange("https://api.anthropic.com/v1/messages", ask, raw)
    return sample(name)


def play(told: Exchange, door: Door) -> tuple[int, list[tuple[str, str]], bytes]:
    """Ask as the recording did; return status, headers and the bytes as they came."""
    parts = urlsplit(told.request.url)
    upstream = HOSTS.get(parts.netloc, "bedrock")
    own = ("host", "content-length", "connection", "accept-encoding")
    headers = {name: value for name, value in told.request.headers.items() if name not in own}
    shown = SHOWN.get(upstream, "authorization")
    headers[shown] = door.key if shown != "authorization" else f"Bearer {door.key}"
    url = f"{door.at(upstream)}{parts.path}" + (f"?{parts.query}" if parts.query else "")
    request = httpx.Request(
        told.request.method.upper(), url, headers=headers, content=told.request.body
    )
    with httpx.Client(timeout=30) as client:
        answer = client.send(request, stream=True)
        body = b"".join(answer.iter_raw())
        answer.close()
    kept = [
        (name.lower(), value)
        for name, value in answer.headers.multi_items()
        if name.lower() not in OF_THE_HOP and not name.lower().startswith("outlay-")
    ]
    return answer.status_code, kept, body


def totals(golden: Golden) -> list[int]:
    """Return what the event's counts have to add up to, in the order of `METRICS`."""
    usage = golden.usage

    def total(*starts: str) -> int:
        return sum(count for unit, count in usage.items() if unit.startswith(starts))

    return [
        total("input"), total("input_cache_read"), total("input_cache_write"), total("output"),
        total("output_reasoning"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_answer_is_the_same_to_the_byte_and_counted(ways: Pair, name: str) -> None:
    told = load(name)
    ways.upstream.replay = recorded(told.body, told.status, told.headers)
    direct, through = play(told, ways.direct), play(told, ways.through)
    assert direct[0] == told.status
    assert direct[2] == told.body
    assert through == direct
    one, other = ways.upstream.seen
    assert other.target == one.target
    assert other.body in (one.body, with_option(one.body))
    gateway = ways.site.gateway
    if gateway is None:
        return

    def rows() -> list[list[Any]]:
        return gateway.asked(ways.tenant, ["attempts", *METRICS], ["tenant"])

    if name in FREE:
        return
    until(lambda: bool(rows()), f"the event of {name}")
    golden = HTTP.get(name, Golden(UNDATED, []))
    assert rows() == [[ways.tenant, 1, *totals(golden)]]
