"""Bedrock's runtime for the gateway tests: Converse and InvokeModel, signatures and frames.

Frames are written here from AWS's description of the event-stream format, checksums included, and
sharing no code with outlay's reader. Signatures are checked with botocore's own signer, against
the credentials that the account has.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.acceptance import gateway_native
from tests.acceptance.gateway_reply import (
    ARGUMENTS,
    MESSAGE,
    Asked,
    Piece,
    Reply,
    identifier,
    in_pieces,
    text_of,
    to_json,
    usage_of,
)

REGION: Final = "us-east-1"
SERVICE: Final = "bedrock"
KIND: Final = "application/vnd.amazon.eventstream"
_EXCEPTIONS: Final = {
    400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
    404: "ResourceNotFoundException", 429: "ThrottlingException",
    503: "ServiceUnavailableException",
}  # fmt: skip
_PATH: Final = re.compile(
    r"/model/(.+)/(converse|converse-stream|invoke|invoke-with-response-stream)"
)
_SIGNED: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


def access_key(authorization: str) -> str:
    """Return the access key id of a signature; empty when it is none."""
    found = _SIGNED.fullmatch(authorization)
    return found[1] if found is not None else ""


def signature_problem(
    method: str, url: str, headers: Mapping[str, str], body: bytes, secret: str
) -> str:
    """Return why a request's signature is wrong; empty when it is right.

    Args:
        method: in capitals.
        url: as it was asked for, percent-encoded as it came.
        headers: names in lower case.
        body: all of it.
        secret: the secret key of whom it says it is from.
    """
    found = _SIGNED.fullmatch(headers.get("authorization", ""))
    if found is None:
        return "no signature"
    key, day, region, service, signed, signature = found.groups()
    if (region, service) != (REGION, SERVICE):
        return f"signed for {region}/{service}"
    names = signed.split(";")
    stamp = headers.get("x-amz-date", "")
    if "host" not in names or "x-amz-date" not in names or not stamp.startswith(day):
        return f"signed headers are {signed}, the date is {stamp}"
    told = headers.get("x-amz-content-sha256")
    if told is not None and told != hashlib.sha256(body).hexdigest():
        return "the body's hash is wrong"
    request = AWSRequest(method, url, {name: headers.get(name, "") for name in names}, body)
    request.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(key, secret), service, region)
    canonical = signer.canonical_request(request)
    right = signer.signature(signer.string_to_sign(request, canonical), request)
    return "" if hmac.compare_digest(right, signature) else f"the signature is wrong: {canonical}"


def frame(payload: bytes, **headers: str) -> bytes:
    """Write one message of an event stream; `_` in a header's name stands for `-`."""
    heads = b""
    for name, value in headers.items():
        label, said = f":{name.replace('_', '-')}".encode(), value.encode()
        heads += bytes([len(label)]) + label + b"\x07" + struct.pack(">H", len(said)) + said
    prelude = struct.pack(">II", 16 + len(heads) + len(payload), len(heads))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + heads + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(kind: str, value: Mapping[str, Any], characters: int = 0) -> Piece:
    """Write an event."""
    json_type = "application/json"
    data = frame(to_json(value), event_type=kind, content_type=json_type, message_type="event")
    return Piece(data, characters)


def exception(kind: str) -> bytes:
    """Write an exception in the place of an event."""
    return frame(
        to_json({"message": MESSAGE}), exception_type=kind, content_type="application/json",
        message_type="exception",
    )  # fmt: skip


def error(status: int, message: str = MESSAGE) -> Reply:
    """Word an error as Bedrock does."""
    kind = _EXCEPTIONS.get(status, "InternalServerException")
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/", "x-amzn-requestid": "err"}
    return Reply(to_json({"message": message}), status=status, headers=headers)


def model_of(asked: Asked) -> str:
    """Return the model that a path names, by itself or at the end of an ARN."""
    found = _PATH.fullmatch(asked.path)
    return found[1].rpartition("/")[2] if found is not None else ""


def reply(asked: Asked) -> Reply:
    """Answer a request to the runtime."""
    found = _PATH.fullmatch(asked.path)
    if asked.method != "POST" or found is None:
        return error(404)
    model, verb = found.groups()
    if verb.startswith("converse"):
        return _converse(asked.json, model, streamed=verb == "converse-stream")
    return _invoke(asked.json, model, streamed=verb != "invoke")


# -- Converse ----------------------------------------------------------------------------------


def _converse(body: Mapping[str, Any], model: str, *, streamed: bool) -> Reply:
    blocks = [block for message in body["messages"] for block in message["content"]]
    texts = [block["text"] for block in blocks if "text" in block]
    tools = (body.get("toolConfig") or {}).get("tools") or []
    calls = bool(tools) and "toolResult" not in blocks[-1]
    answer = text_of(model, texts)
    usage = usage_of(texts, ARGUMENTS if calls else answer)
    told = {
        "inputTokens": usage["input"], "outputTokens": usage["output"],
        "totalTokens": usage["input"] + usage["output"],
    }  # fmt: skip
    tool = {"toolUseId": "tooluse_1", "name": tools[0]["toolSpec"]["name"]} if calls else {}
    stop = "tool_use" if calls else "end_turn"
    headers = {"x-amzn-requestid": identifier("", *texts)}
    if not streamed:
        block = {"toolUse": {**tool, "input": json.loads(ARGUMENTS)}} if calls else {"text": answer}
        whole = {
            "output": {"message": {"role": "assistant", "content": [block]}}, "stopReason": stop,
            "usage": told, "metrics": {"latencyMs": 7},
        }  # fmt: skip
        return Reply(to_json(whole), model=model, usage=usage, headers=headers)
    deltas: Iterator[tuple[dict[str, Any], int]]
    if calls:
        halves = (ARGUMENTS[:5], ARGUMENTS[5:])
        deltas = (({"toolUse": {"input": text}}, len(text)) for text in halves)
    else:
        deltas = (({"text": text}, len(text)) for text in in_pieces(answer))
    start = [event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": tool}})]
    frames = [
        event("messageStart", {"role": "assistant"}),
        *(start if calls else []),
        *(
            event("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}, size)
            for delta, size in deltas
        ),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        event("messageStop", {"stopReason": stop}),
        event("metadata", {"usage": told, "metrics": {"latencyMs": 7}}),
    ]
    return Reply(
        pieces=frames, model=model, usage=usage, headers=headers, kind=KIND,
        failure=lambda _: exception("modelStreamErrorException"),
    )  # fmt: skip


# -- InvokeModel -------------------------------------------------------------------------------


def _invoke(body: Mapping[str, Any], model: str, *, streamed: bool) -> Reply:
    """Answer as Anthropic's models do, which is what `own` models speak here."""
    inner = gateway_native.messages({**body, "stream": streamed}, model)
    usage = dict(inner.usage or {})
    headers = {
        "x-amzn-requestid": inner.headers["request-id"],
        "x-amzn-bedrock-input-token-count": str(usage["input"]),
        "x-amzn-bedrock-output-token-count": str(usage["output"]),
    }
    if not streamed:
        return Reply(inner.body, model=model, usage=usage, headers=headers)
    frames = [Piece(_chunk(piece.data), piece.characters) for piece in inner.pieces]
    del headers["x-amzn-bedrock-input-token-count"], headers["x-amzn-bedrock-output-token-count"]
    return Reply(
        pieces=frames, model=model, usage=usage, headers=headers, kind=KIND,
        failure=lambda _: exception("modelStreamErrorException"),
    )  # fmt: skip


def _chunk(event_bytes: bytes) -> bytes:
    """Wrap one of the maker's events, as a chunk of base64."""
    data = event_bytes.partition(b"data: ")[2].rstrip()
    return event("chunk", {"bytes": base64.b64encode(data).decode()}).data
