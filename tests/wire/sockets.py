"""Plays conversations through session codecs: recorded ones, and ones made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from outlay.wire.sessions import MessageSession, SessionReading, open_session
from tests.wire.harness import require_samples

REALTIME = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
GEMINI = (
    "wss://generativelanguage.googleapis.com/ws/"
    "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
)
VERTEX = (
    "wss://us-central1-aiplatform.googleapis.com/ws/"
    "google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"
)


def opened(url: str = REALTIME, *, hosts: Mapping[str, str] | None = None) -> MessageSession:
    session = open_session(url, hosts=hosts)
    assert isinstance(session, MessageSession), f"no codec for {url}"
    return session


def sent(session: MessageSession, *messages: Mapping[str, Any], mark: Any = None) -> None:
    for message in messages:
        session.sent(json.dumps(message), mark)


def got(
    session: MessageSession, *messages: Mapping[str, Any], mark: Any = None
) -> list[SessionReading]:
    return [r for m in messages for r in session.received(json.dumps(m), mark)]


def played(url: str, *messages: Mapping[str, Any]) -> list[SessionReading]:
    """Receive all messages, close, and return every reading."""
    session = opened(url)
    return [*got(session, *messages), *session.finish()]


def recorded(name: str) -> list[dict[str, Any]]:
    """Return the received messages of a recorded session; skip where the folder is absent."""
    lines = (require_samples() / f"{name}.messages.jsonl").read_text(encoding="utf-8").splitlines()
    messages = map(json.loads, lines[1:])
    return [m["data"] for m in messages if m["direction"] == "received"]
