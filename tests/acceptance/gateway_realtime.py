"""A realtime conversation as OpenAI holds it, for the gateway tests: one answer to each request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from aiohttp import WSMsgType, web

from tests.acceptance.gateway_reply import Reply, in_pieces, text_of, tokens

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024


async def speak(request: web.Request, charge: Callable[[Reply], Any]) -> web.StreamResponse:
    """Hold a conversation; `charge` is told of every answer before its last message leaves."""
    socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, protocols=("realtime",))
    await socket.prepare(request)
    model, said, number = request.query["model"], "", 0
    session = {"id": "sess_1", "object": "realtime.session", "type": "realtime", "model": model}
    await socket.send_str(_message("session.created", session=session))
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            break
        told = json.loads(message.data)
        if told["type"] == "conversation.item.create":
            said = told["item"]["content"][0]["text"]
        elif told["type"] == "response.create":
            number += 1
            await _answer(socket, charge, model, said, f"resp_{number}")
        elif told["type"] == "input_audio_buffer.clear":  # how a test asks for the other's close
            await socket.close(code=4001, message=b"enough")
    return socket


async def _answer(
    socket: web.WebSocketResponse, charge: Callable[[Reply], Any], model: str, said: str, name: str
) -> None:
    text = text_of(model, [said])
    usage = {"input": tokens(len(said)), "output": tokens(len(text))}
    response: dict[str, Any] = {
        "id": name, "object": "realtime.response", "status": "in_progress", "output": [],
        "usage": None,
    }  # fmt: skip
    await socket.send_str(_message("response.created", response=response))
    place = {"response_id": name, "item_id": "item_1", "output_index": 0, "content_index": 0}
    for piece in in_pieces(text):
        await socket.send_str(_message("response.output_text.delta", delta=piece, **place))
    told = {
        "total_tokens": sum(usage.values()), "input_tokens": usage["input"],
        "output_tokens": usage["output"],
        "input_token_details": {"text_tokens": usage["input"], "cached_tokens": 0},
        "output_token_details": {"text_tokens": usage["output"]},
    }  # fmt: skip
    charged = charge(Reply(usage=usage, model=model))
    charged.whole = charged.ended = True
    done = {**response, "status": "completed", "usage": told}
    await socket.send_str(_message("response.done", response=done))


def _message(kind: str, **values: Any) -> str:
    return json.dumps({"type": kind, "event_id": f"event_{kind}", **values})
