"""What is sent for one attempt: where to, with which headers, whose credential, what body.

It owns that the client's own key never goes on, that the body's changes (another model, the usage
of a stream asked for) are in what is signed, and that nothing else changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from outlay.gateway import headers, sigv4
from outlay.gateway.call import Call
from outlay.gateway.config import Credential
from outlay.gateway.credentials import CredentialError, placed
from outlay.gateway.problems import Problem
from outlay.gateway.routing import Step
from outlay.gateway.unmetered import AnyAttempt

REPLACED: Final = frozenset(name.encode() for name in sigv4.REPLACED)
UNPACKED: Final = (b"accept-encoding", b"identity")
"""A stream that is edited on its way back must come unpacked."""

Header = tuple[bytes, bytes]


class Key:
    """What pays for an attempt: a credential with its value, or the client's own."""

    __slots__ = ("credential", "value")

    def __init__(self, credential: Credential | None, value: str = "") -> None:
        self.credential = credential
        self.value = value


async def key_of(call: Call, step: Step) -> Key:
    """Return what pays for an attempt.

    Raises:
        Problem: the gateway has no credential for it, or the client's own is not taken here.
    """
    gateway, caller, upstream = call.gateway, call.caller, step.upstream
    assert caller is not None
    if caller.passes_credential:
        if upstream.client_credentials and not step.moved:
            return Key(None)
        raise Problem(
            403,
            "client_credential",
            f"The upstream `{upstream.name}` takes no credentials of clients.",
            hint="Send the virtual key alone, or set `client_credentials` for the upstream.",
        )
    credential = gateway.credential_of(upstream, caller.scope.values.get("tenant_id", ""))
    if credential is None or credential.place == "aws":
        return Key(credential)
    return Key(credential, await gateway.secret_of(credential))


async def message(
    call: Call, step: Step, attempt: AnyAttempt, key: Key
) -> tuple[str, list[Header], bytes | AsyncIterator[bytes] | None]:
    """Return path with query, headers and body to send.

    Raises:
        Problem: the request cannot be signed.
    """
    upstream, body = step.upstream, call.body
    request = attempt.changed or step.request
    sent: bytes | AsyncIterator[bytes] | None = request.body or None
    if body.more is not None:
        sent = body.pieces()
    elif (asking := attempt.body_with_usage()) is not None:
        sent = asking
    told = headers.to_upstream(
        call.scope["headers"],
        upstream,
        keep_credential=call.caller is not None and call.caller.passes_credential,
    )
    if attempt.edits:
        told = [pair for pair in told if pair[0] != b"accept-encoding"]
        told.append(UNPACKED)
    if body.more is not None and body.length is not None:
        told.append((b"content-length", b"%d" % body.length))
    target = request.url.removeprefix(upstream.url)
    credential = key.credential
    if credential is not None and credential.place == "aws":
        if not isinstance(sent, bytes | None):
            said = "A request to AWS is signed with its whole body; this one is too large for that."
            raise Problem(413, "body_too_large", said)
        told = await _signed(call, step, credential, request.url, told, sent or b"")
        return target, told, sent
    if credential is not None:
        name, value = placed(credential.place, key.value)
        told.append((name.encode("latin-1"), value.encode("latin-1")))
    return target, told, sent


async def _signed(
    call: Call,
    step: Step,
    credential: Credential,
    url: str,
    told: list[Header],
    body: bytes,
) -> list[Header]:
    """Return the headers with AWS's signature over what is sent."""
    plain = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in told if n not in REPLACED]
    try:
        added = await call.gateway.credentials.headers_for(
            credential,
            step.upstream,
            method=call.scope["method"],
            url=url,
            headers=plain,
            body=body,
        )
    except CredentialError as error:
        raise Problem(503, error.code, f"The gateway cannot sign: {error.message}") from error
    return [(n.encode("latin-1"), v.encode("latin-1")) for n, v in (*plain, *added) if n != "host"]
