"""What a request shows of who makes it: a key of ours, and where; a context; a trace.

It owns the places where a virtual key may stand, which are those where the providers' SDKs put
their own. It decides nothing: what it returns is as the client says. Pure, and asked for every
request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from outlay.core.virtual_keys import PREFIX

KEY_HEADER: Final = b"outlay-key"
"""Where a client shows its key that sends the provider's own credential beside it."""
Carrier = Literal[
    "outlay-key", "authorization", "aws", "x-api-key", "api-key", "x-goog-api-key", "query",
    "subprotocol",
]  # fmt: skip
"""Where the key stood; `aws`: as the access key's id in a signature."""
Headers = Sequence[tuple[bytes, bytes]]

_PREFIX: Final = PREFIX.encode()
_SUBPROTOCOL: Final = b"openai-insecure-api-key."
_PLACES: Final[dict[bytes, Carrier]] = {
    KEY_HEADER: "outlay-key",
    b"authorization": "authorization",
    b"x-api-key": "x-api-key",
    b"api-key": "api-key",
    b"x-goog-api-key": "x-goog-api-key",
    b"sec-websocket-protocol": "subprotocol",
}
_READ: Final = frozenset((*_PLACES, b"baggage", b"traceparent"))
_TRACE: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_NO_TRACE: Final = b"0" * 32


class Shown(NamedTuple):
    """What of a request tells who makes it."""

    carrier: Carrier | None
    secret: bytes
    foreign: bool
    """Some place of credentials holds one that is not ours."""
    mixed: bool
    """Some place other than the carrier holds a key of ours."""
    baggage: str
    trace: str


def read_request(headers: Headers, query: bytes) -> Shown:
    """Look through a request once; of several keys that of `outlay-key` counts, else the first.

    Args:
        headers: as they came; names in any case.
        query: without the question mark.
    """
    carrier: Carrier | None = None
    secret = baggage = trace = b""
    foreign = mixed = False
    for raw, value in headers:
        name = raw.lower()
        if name not in _READ:
            continue
        if name == b"baggage":
            baggage = baggage + b"," + value if baggage else value
            continue
        if name == b"traceparent":
            trace = value
            continue
        place, found = _credential(_PLACES[name], value.strip())
        if not found:
            continue
        ours = found.startswith(_PREFIX)
        if place == "outlay-key" or (ours and carrier is None):
            mixed = mixed or carrier is not None
            carrier, secret = place, found
        elif ours:
            mixed = True
        else:
            foreign = True
    if query and b"key=" in query:
        found = _in_query(query)
        if not found.startswith(_PREFIX):
            foreign = foreign or bool(found)
        elif carrier is None:
            carrier, secret = "query", found
        else:
            mixed = True
    return Shown(
        carrier, secret, foreign, mixed, baggage.decode("latin-1"), _trace(trace) if trace else ""
    )


def _credential(place: Carrier, value: bytes) -> tuple[Carrier, bytes]:
    """Return a credential without what stands around it, and what kind of place it is in."""
    if place == "authorization":
        scheme, _, rest = value.partition(b" ")
        if scheme.lower() == b"bearer":
            return place, rest.strip()
        if scheme.startswith(b"AWS4-"):
            found = rest.partition(b"Credential=")[2].partition(b"/")[0]
            return "aws", found or value
    elif place == "subprotocol":
        found = value.partition(_SUBPROTOCOL)[2]
        return place, found.partition(b",")[0].strip()
    return place, value


def _in_query(query: bytes) -> bytes:
    """Return the query's `key`; it is looked for as clients write it, not percent-encoded."""
    for part in query.split(b"&"):
        if part.startswith(b"key="):
            return part[4:]
    return b""


def _trace(value: bytes) -> str:
    """Return the trace id of a `traceparent`; it says where a call belongs, and not whose it is."""
    found = _TRACE.fullmatch(value.strip())
    if found is None or found[1] == _NO_TRACE or value.startswith(b"ff"):
        return ""
    return found[1].decode()
