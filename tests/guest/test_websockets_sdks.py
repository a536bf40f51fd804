"""The official SDKs over websockets, unchanged, against a local server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google.genai
import openai
import pytest
from websockets.sync.server import ServerConnection

from outlay.capture.testing import capture_events
from tests.guest.bodies import SECRET
from tests.guest.speakers import TURN, Speaker, certified, turn

Run = Callable[..., Any]

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")


@pytest.fixture
def speak() -> Iterator[Callable[[Callable[[ServerConnection], None]], Speaker]]:
    made: list[Speaker] = []

    def start(handler: Callable[[ServerConnection], None]) -> Speaker:
        made.append(Speaker(handler))
        return made[-1]

    yield start
    for speaker in made:
        speaker.close()


def sdk(speaker: Speaker, kind: Any = openai.OpenAI) -> Any:
    return kind(api_key="sk-test", base_url=f"http://127.0.0.1:{speaker.port}/openai/v1")


def test_the_openai_sdk_is_metered(speak: Run) -> None:
    speaker = speak(turn)
    with capture_events(hosts=speaker.hosts) as events:
        with sdk(speaker).realtime.connect(model="gpt-realtime") as connection:
            connection.response.create()
            kinds = []
            for event in connection:
                kinds.append(event.type)
                if event.type == "response.done":
                    break
        assert kinds == [json.loads(message)["type"] for message in TURN]
    assert [(e["status"], e["output"]) for e in events] == [("ok", 7)]


def test_the_async_openai_sdk_is_metered(speak: Run) -> None:
    speaker = speak(turn)

    async def main() -> list[str]:
        kinds = []
        client = sdk(speaker, openai.AsyncOpenAI)
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.response.create()
            async for event in connection:
                kinds.append(event.type)
                if event.type == "response.done":
                    break
        return kinds

    with capture_events(hosts=speaker.hosts) as events:
        assert asyncio.run(main())[-1] == "response.done"
    assert [(e["status"], e["output"]) for e in events] == [("ok", 7)]


def test_the_openai_sdk_is_metered_when_it_answers_over_a_socket(speak: Run) -> None:
    usage = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    response = {"id": "resp_9", "object": "response", "model": "m-2026", "output": []}

    def answer(connection: ServerConnection) -> None:
        for _ in connection:
            for status, told in (("in_progress", None), ("completed", usage)):
                kind = "created" if told is None else "completed"
                body = {**response, "status": status, "usage": told}
                connection.send(json.dumps({"type": f"response.{kind}", "response": body}))

    speaker = speak(answer)
    with (
        capture_events(hosts=speaker.hosts) as events,
        sdk(speaker).responses.connect() as connection,
    ):
        connection.response.create(model="m", input=SECRET)
        assert [connection.recv().type for _ in range(2)][-1] == "response.completed"
    (event,) = events
    assert (event["surface"], event["input"], event["output"]) == ("openai.responses", 5, 3)
    assert SECRET not in json.dumps(events)


def test_the_google_sdk_is_metered(tmp_path: Path) -> None:
    usage = {"promptTokenCount": 11, "responseTokenCount": 4, "totalTokenCount": 15}

    def converse(connection: ServerConnection) -> None:
        connection.recv()
        connection.send(b'{"setupComplete":{}}')
        for _ in connection:
            said = {"modelTurn": {"parts": [{"text": SECRET}]}}
            connection.send(json.dumps({"serverContent": said}).encode())
            over = {"serverContent": {"turnComplete": True}, "usageMetadata": usage}
            connection.send(json.dumps(over).encode())

    server, trusting = certified(tmp_path)
    speaker = Speaker(converse, server)

    async def main() -> int:
        client = google.genai.Client(
            api_key="k",
            vertexai=False,
            http_options={
                "base_url": f"https://127.0.0.1:{speaker.port}/google",
                "async_client_args": {"ssl": trusting},
            },
        )
        async with client.aio.live.connect(model="gemini-live-2.5-flash") as session:
            await session.send_client_content(turns={"parts": [{"text": SECRET}]})
            return len([message async for message in session.receive()])

    try:
        with capture_events(hosts=speaker.hosts) as events:
            assert asyncio.run(main()) == 2
    finally:
        speaker.close()
    (event,) = events
    assert (event["surface"], event["input"], event["output"]) == ("google.live", 11, 4)
    assert (event["model_requested"], event["host_class"]) == ("gemini-live-2.5-flash", "ai_studio")
    assert SECRET not in json.dumps(events)
