"""What of a request and of an answer goes on: headers, query and path, as bytes.

Taken out is what belongs to one connection (RFC 9110, 7.6.1), what names the client to us (its key,
its signed context, what proxies say of it), and nothing else; order, case and repeats stay. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from outlay.core.virtual_keys import PREFIX
from outlay.gateway.config import Upstream

Header = tuple[bytes, bytes]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
        b"http2-settings",
    }
)  # fmt: skip
"""What holds for one connection only."""
OURS: Final = b"outlay-"
"""How the names begin that only a gateway and its clients tell each other."""
BAGGAGE_MEMBER: Final = b"outlay"
"""The member of W3C `baggage` that carries a signed context."""
MAX_KEPT_NAMES: Final = 2048
"""Header names whose fate is remembered."""
MAX_KEPT_SETTINGS: Final = 256
"""Upstreams whose own header settings are remembered in bytes."""

_FRAMING: Final = frozenset({b"host", b"content-length", b"expect"})
"""Said anew for the next connection; `100-continue` is the listener's to answer."""
_PROXIES: Final = (b"forwarded", b"x-forwarded-", b"x-real-ip")
"""Where a client came from is nothing of the provider's."""
_CREDENTIALS: Final = frozenset(
    {
        b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-amz-date",
        b"x-amz-security-token", b"x-amz-content-sha256",
    }
)  # fmt: skip
"""Where requests carry a credential; AWS's signature has parts."""
_SOCKETS: Final = b"sec-websocket-"
"""Said anew for the next leg of a socket; one may hold a key, and plain requests need none."""
_COOKIE: Final = b"cookie"
"""Kept by the client for the gateway's host, whichever provider set it: no provider's to see."""
_EDITED: Final = frozenset({b"content-length", b"content-md5", b"digest", b"content-digest"})
"""What no longer holds for a body that was changed."""

_KEEP, _DROP, _CREDENTIAL, _CONNECTION, _BAGGAGE = range(5)

_PLAIN_PATH: Final = re.compile(rb"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)+/?")
_PATH_BYTES: Final = re.compile(rb"/(?:[!$&-;=@-\[\]^-~]|%[0-9A-Fa-f]{2})*")
_UNSENDABLE: Final = re.compile(rb"[\x00-\x20\x7f]")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_KEY: Final = b"key"
_DECODINGS: Final = 2
"""A server behind a proxy may decode a path once more."""


def to_upstream(
    raw: Iterable[Header], upstream: Upstream, *, keep_credential: bool = False
) -> list[Header]:
    """Return the headers of a request as they go on, without host, length and credential.

    Args:
        raw: as they came.
        upstream: where they go; what it sets takes the place of the client's own.
        keep_credential: the client sends the provider's credential itself.
    """
    told: list[Header] = []
    named: set[bytes] = set()
    for pair in raw:
        fate = _request_fate(pair[0])
        if fate == _KEEP or (fate == _CREDENTIAL and keep_credential):
            told.append(pair)
        elif fate == _CONNECTION:
            named.update(_names(pair[1]))
        elif fate == _BAGGAGE and (others := _others_baggage(pair[1])):
            told.append((pair[0], others))
    named -= HOP_BY_HOP
    if upstream.drop_headers or upstream.set_headers:
        removed, added = _settings(upstream.drop_headers, upstream.set_headers)
        named |= removed
        told = [pair for pair in told if pair[0].lower() not in named]
        told.extend(added)
    elif named:
        told = [pair for pair in told if pair[0].lower() not in named]
    return told


def to_client(raw: Iterable[Header], *, edited: bool = False) -> list[Header]:
    """Return the headers of an answer as they go on; with `edited`, without what told its body."""
    told: list[Header] = []
    named: set[bytes] = set()
    for pair in raw:
        fate = _answer_fate(pair[0])
        if fate == _KEEP:
            told.append(pair)
        elif fate == _CONNECTION:
            named.update(_names(pair[1]))
    named -= HOP_BY_HOP
    if edited:
        named |= _EDITED
    if named:
        told = [pair for pair in told if pair[0].lower() not in named]
    return told


def query_to_upstream(query: bytes, *, keep_credential: bool = False) -> str:
    """Return a query as it goes on, `?` before it, or nothing if nothing is left of it.

    The member `key`, where Google's APIs take a credential, is left out: always if it is a key of
    ours, else unless the client sends the provider's credential itself. Bytes that no request line
    may have are percent-encoded.
    """
    if not query:
        return ""
    query = _UNSENDABLE.sub(lambda found: b"%%%02X" % found[0][0], query)
    if b"key" in query or b"%" in query:
        kept = [member for member in query.split(b"&") if not _is_key(member, keep=keep_credential)]
        query = b"&".join(kept)
    return "?" + query.decode("latin-1") if query else ""


def safe_path(raw_path: bytes) -> str | None:
    """Return a path as it came, or `None` if a server might take it for another one.

    Refused are dot segments, also encoded (twice, too), backslashes, control characters, an empty
    first or second segment before others, and what is no path at all.
    """
    if _PLAIN_PATH.fullmatch(raw_path) is not None:
        return raw_path.decode("ascii")
    if raw_path == b"/":
        return "/"
    if _PATH_BYTES.fullmatch(raw_path) is None or b"//" in raw_path[: _second_end(raw_path)]:
        return None
    decoded = raw_path
    for _ in range(_DECODINGS):
        decoded = unquote_to_bytes(decoded)
        if _CONTROL.search(decoded) is not None or b"\\" in decoded:
            return None
        for segment in decoded.split(b"/"):
            # Some servers take what follows `;` for a parameter of the segment.
            if segment.partition(b";")[0] in (b".", b".."):
                return None
    return raw_path.decode("ascii")


def plain(text: str) -> bytes:
    """Return text as it may stand in a header of ours: other signs than plain ones are `_`."""
    return "".join(sign if " " <= sign < "\x7f" else "_" for sign in text).strip().encode("ascii")


@lru_cache(MAX_KEPT_NAMES)
def _request_fate(name: bytes) -> int:
    name = name.lower()
    if name == b"connection":
        return _CONNECTION
    if name == b"baggage":
        return _BAGGAGE
    if name in _CREDENTIALS:
        return _CREDENTIAL
    dropped = name in HOP_BY_HOP or name in _FRAMING or name == _COOKIE
    return _DROP if dropped or name.startswith((OURS, _SOCKETS, *_PROXIES)) else _KEEP


@lru_cache(MAX_KEPT_NAMES)
def _answer_fate(name: bytes) -> int:
    name = name.lower()
    if name == b"connection":
        return _CONNECTION
    return _DROP if name in HOP_BY_HOP or name.startswith(OURS) else _KEEP


@lru_cache(MAX_KEPT_SETTINGS)
def _settings(
    dropped: tuple[str, ...], added: tuple[tuple[str, str], ...]
) -> tuple[frozenset[bytes], tuple[Header, ...]]:
    """Return the names that an upstream's settings take out, and the headers that they put in."""
    pairs = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in added)
    names = {name.encode("latin-1").lower() for name in dropped}
    return frozenset(names | {name.lower() for name, _ in pairs}), pairs


def _names(value: bytes) -> list[bytes]:
    """Return the names in a `Connection` header."""
    return [name.strip().lower() for name in value.split(b",")]


def _others_baggage(value: bytes) -> bytes:
    """Return a `baggage` header without our member, as it came if it has none."""
    if BAGGAGE_MEMBER not in value:
        return value
    members = value.split(b",")
    kept = [member for member in members if _member_name(member) != BAGGAGE_MEMBER]
    return value if len(kept) == len(members) else b",".join(kept).strip()


def _member_name(member: bytes) -> bytes:
    return member.partition(b";")[0].partition(b"=")[0].strip()


def _is_key(member: bytes, *, keep: bool) -> bool:
    name, _, value = member.partition(b"=")
    if name != _KEY and unquote_to_bytes(name) != _KEY:
        return False
    return not keep or unquote_to_bytes(value).startswith(PREFIX.encode("ascii"))


def _second_end(path: bytes) -> int:
    """Return where the slash stands that follows the second slash, or the path's end."""
    second = path.find(b"/", 1)
    return len(path) if second < 0 else second + 2
