"""A real server process for benchmarks, and bodies of realistic events to send to it."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from outlay.core.ids import uuid7
from tests.acceptance.killing import Rig

MODELS = (
    ("openai", "gpt-5.6-sol"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-flash"),
)


@contextmanager
def server() -> Iterator[Rig]:
    """Run a server on a fresh folder, and end it."""
    with tempfile.TemporaryDirectory(prefix="outlay-bench-") as folder:
        rig = Rig(Path(folder))
        rig.start_server()
        try:
            yield rig
        finally:
            rig.stop_server()


def event(chance: random.Random, now_us: int) -> dict[str, Any]:
    """Make one model-call event as the SDK sends it."""
    provider, model = chance.choice(MODELS)
    tenant = f"t{min(int(chance.paretovariate(0.9)), 4999)}"
    call = uuid7(now_us // 1000, os.urandom(10))
    read = chance.choice((0, 0, 1024, 4096))
    return {
        "event_id": call, "call_id": call, "schema_version": 1,
        "started_at": now_us - chance.randrange(200_000, 3_000_000), "ended_at": now_us,
        "latency_ms": 812.5, "ttft_ms": 210.0, "tenant_id": tenant, "tenant_source": "request",
        "user_id": f"u{chance.randrange(500)}", "initiator": "user",
        "request_id": uuid7(now_us // 1000, os.urandom(10)), "run_id": call,
        "trace_id": os.urandom(16).hex(), "span_id": os.urandom(8).hex(),
        "agent_path": chance.choice(("orchestrator", "orchestrator/research", "writer")),
        "feature": f"f{chance.randrange(12)}", "service": "api", "environment": "production",
        "operation": "chat", "provider": provider, "vendor": provider,
        "surface": f"{provider}.chat", "model_requested": model, "model_served": model,
        "tier_served": "standard", "streamed": True, "status": "ok", "http_status": 200,
        "finish_reason": "stop", "provider_request_id": "req_" + os.urandom(12).hex(),
        "input": chance.randrange(20, 8000), "input_cache_read": read,
        "output": chance.randrange(5, 900), "usage_source": "provider",
        "usage_raw": {"prompt_tokens": 1234, "completion_tokens": 99},
    }  # fmt: skip


def body(events: list[dict[str, Any]]) -> bytes:
    """Encode events as the SDK ships them: gzip NDJSON."""
    lines = (json.dumps(e, separators=(",", ":")) for e in events)
    return gzip.compress("\n".join(lines).encode(), 1)


def bodies(count: int, size: int, *, seed: int = 1) -> list[bytes]:
    """Make `count` bodies of `size` events."""
    chance = random.Random(seed)
    now = time.time_ns() // 1000
    return [body([event(chance, now) for _ in range(size)]) for _ in range(count)]


class Sender:
    """One keep-alive connection that posts bodies."""

    def __init__(self, rig: Rig) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=60)
        self._key = rig.key

    def call(self, method: str, path: str, data: bytes = b"", **headers: str) -> Any:
        """Send one request and return its decoded answer, whatever the status."""
        self._connection.request(
            method, path, data or None, {"Authorization": f"Bearer {self._key}", **headers}
        )
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else {}

    def post(self, data: bytes) -> int:
        """Post a gzip NDJSON body; return how many events were accepted."""
        while True:
            status, answer = self.call(
                "POST", "/v1/events", data,
                **{"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
            )  # fmt: skip
            if status == 200:
                return int(answer["accepted"])
            if status not in (429, 503):
                raise RuntimeError(f"{status}: {answer}")
            time.sleep(0.05)

    def stored(self) -> int:
        """Return how many events the live store holds."""
        _, answer = self.call(
            "POST", "/v1/query", b'{"metrics":["attempts"],"last":"30d"}',
            **{"Content-Type": "application/json"},
        )  # fmt: skip
        return int(answer["rows"][0][0] or 0) if answer["rows"] else 0
