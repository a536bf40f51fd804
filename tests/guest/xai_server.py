"""A local gRPC server that answers as xAI does, and ways to ask it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import xai_sdk.aio
import xai_sdk.sync
from xai_sdk.chat import user
from xai_sdk.proto import (
    chat_pb2,
    chat_pb2_grpc,
    deferred_pb2,
    models_pb2,
    models_pb2_grpc,
    usage_pb2,
)

from tests.guest.bodies import SECRET

USAGE = usage_pb2.SamplingUsage(
    prompt_tokens=189, cached_prompt_text_tokens=128, prompt_text_tokens=189,
    completion_tokens=5, reasoning_tokens=7, total_tokens=201, cost_in_usd_ticks=1_043_500,
)  # fmt: skip
PIECES = 5


class Chat(chat_pb2_grpc.ChatServicer):  # type: ignore[misc]
    """Answers in full, or in pieces with growing counts; `code` fails after `failing` pieces."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.failing = 0
        self.pause_s = 0.0
        self.polls = 0
        self.left = threading.Event()

    def _reply(self) -> Any:
        message = chat_pb2.CompletionMessage(content=SECRET, role=chat_pb2.ROLE_ASSISTANT)
        output = chat_pb2.CompletionOutput(message=message, finish_reason=3)
        return chat_pb2.GetChatCompletionResponse(
            id="r_1", model="grok-4.3", outputs=[output], usage=USAGE
        )

    def GetCompletion(self, request: Any, context: Any) -> Any:
        time.sleep(self.pause_s)
        if self.code is not None:
            context.abort(self.code, "no luck")
        return self._reply()

    def GetCompletionChunk(self, request: Any, context: Any) -> Iterator[Any]:
        context.add_callback(self.left.set)
        for number in range(1, PIECES + 1):
            if self.code is not None and number > self.failing:
                context.abort(self.code, "no luck")
            usage = usage_pb2.SamplingUsage()
            usage.CopyFrom(USAGE)
            usage.completion_tokens = number
            usage.total_tokens = 196 + number
            delta = chat_pb2.Delta(content=SECRET, role=chat_pb2.ROLE_ASSISTANT)
            output = chat_pb2.CompletionOutputChunk(delta=delta)
            yield chat_pb2.GetChatCompletionChunk(
                id="r_1", model="grok-4.3", outputs=[output], usage=usage
            )
            time.sleep(self.pause_s)

    def StartDeferredCompletion(self, request: Any, context: Any) -> Any:
        return deferred_pb2.StartDeferredResponse(request_id="d_1")

    def GetDeferredCompletion(self, request: Any, context: Any) -> Any:
        self.polls += 1
        if self.polls == 1:
            return chat_pb2.GetDeferredCompletionResponse(status=3)
        return chat_pb2.GetDeferredCompletionResponse(status=1, response=self._reply())


class Models(models_pb2_grpc.ModelsServicer):  # type: ignore[misc]
    def ListLanguageModels(self, request: Any, context: Any) -> Any:
        return models_pb2.ListLanguageModelsResponse()


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Somebody else's service."""

    def service(self, details: Any) -> Any:
        if details.method == "/other.Echo/Say":
            return grpc.unary_unary_rpc_method_handler(lambda request, _context: request)
        return None


class Served:
    """A gRPC server on 127.0.0.1 that is xAI, and somebody else too."""

    def __init__(self) -> None:
        self.chat = Chat()
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        chat_pb2_grpc.add_ChatServicer_to_server(self.chat, self._server)
        models_pb2_grpc.add_ModelsServicer_to_server(Models(), self._server)
        self._server.add_generic_rpc_handlers((Echo(),))
        self.where = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def client(self) -> xai_sdk.sync.client.Client:
        return xai_sdk.sync.client.Client(
            api_key="xai-secret-key", api_host=self.where, use_insecure_channel=True
        )

    def aio_client(self) -> xai_sdk.aio.client.Client:
        return xai_sdk.aio.client.Client(
            api_key="xai-secret-key", api_host=self.where, use_insecure_channel=True
        )

    def close(self) -> None:
        self._server.stop(0).wait()


def chat(client: Any) -> Any:
    return client.chat.create(model="grok-4-fast", messages=[user(SECRET)])


def settled(events: list[dict[str, Any]], count: int = 1) -> list[dict[str, Any]]:
    """Wait until the events are there: a call's end is heard of on a thread of gRPC's."""
    deadline = time.monotonic() + 5
    while len(events) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return events


COUNTS = {"input": 61, "input_cache_read": 128, "output": 5, "output_reasoning": 7}


def counted(event: dict[str, Any]) -> dict[str, int]:
    return {unit: event[unit] for unit in COUNTS}


def stub(channel: Any) -> Any:
    return chat_pb2_grpc.ChatStub(channel)


ASKED = chat_pb2.GetCompletionsRequest(model="grok-4-fast")
