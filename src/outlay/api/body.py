"""Reading request bodies within bounds: bytes, time, memory of all at once, and gzip bombs."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.types import Receive

from outlay.errors import BadRequestError, TooLargeError, UnavailableError

BODY_TIMEOUT_S: Final = 30.0
"""A body that is not whole after this is given up, so that slow senders hold nothing for long."""
MAX_DOCUMENT_BYTES: Final = 1024 * 1024
"""Bound of JSON bodies other than event batches."""
MAX_GZIP_MEMBERS: Final = 1024
"""Members of one gzip body: each costs a start, so a body of empty ones would cost minutes."""
_GZIP_PIECE: Final = 64 * 1024
"""Bytes given to the decoder at once: what is behind a member's end is copied for the next."""
_GZIP: Final = 16 + zlib.MAX_WBITS

T = TypeVar("T")


class UnsupportedError(BadRequestError):
    """The body's type or encoding is not one that is read."""

    code = "unsupported"
    status = 415
    hint = "Send `application/json` or `application/x-ndjson`, plain or gzip."


class Memory:
    """Bytes that all bodies in hand may fill together. Used on one event loop only."""

    def __init__(self, most: int) -> None:
        self.free = most

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Give a function that takes bytes; what it took is given back at the end.

        It raises `UnavailableError` when there are not as many bytes left.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self.free:
                raise UnavailableError("The server has too many large bodies in hand.")
            self.free -= size
            taken += size

        try:
            yield take
        finally:
            self.free += taken


def declared_length(value: str | None, most: int) -> int | None:
    """Return the declared length of a body, checked before a byte of it is read.

    Raises:
        BadRequestError: it is not a number.
        TooLargeError: it is above the bound.
    """
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise BadRequestError("`Content-Length` is not a number.", where="Content-Length")
    length = int(value) if len(value) < 20 else most + 1
    if length > most:
        raise _too_large(most)
    return length


async def read_body(receive: Receive, *, most: int, take: Callable[[int], None]) -> bytes | None:
    """Read a body to its end; `None` when the sender left before it.

    Args:
        receive: the ASGI channel.
        most: bound of the body in bytes.
        take: called with each part's size before it is kept; see `Memory.share`.

    Raises:
        TooLargeError: it is longer than the bound, whatever was declared.
        BadRequestError: it did not arrive in time.
        UnavailableError: other bodies hold all the memory there is for them.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part: bytes = message.get("body", b"")
                if size + len(part) > most:
                    raise _too_large(most)
                take(len(part))
                size += len(part)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise BadRequestError(
            f"The body did not arrive within {BODY_TIMEOUT_S:.0f} seconds.", where="body"
        ) from None


def gunzip(body: bytes, *, most: int) -> bytes:
    """Decode gzip, several members included, without ever holding more than the bound.

    Raises:
        BadRequestError: it is not gzip, or is cut.
        TooLargeError: it decodes to more than the bound, or has too many members.
    """
    if not body:
        raise BadRequestError("The gzip body is empty.", where="body")
    parts: list[bytes] = []
    size, at, members = 0, 0, 0
    try:
        while at < len(body):
            members += 1
            if members > MAX_GZIP_MEMBERS:
                raise TooLargeError(
                    f"The gzip body has more than {MAX_GZIP_MEMBERS} members.", where="body"
                )
            member = zlib.decompressobj(_GZIP)
            while not member.eof:
                piece = body[at : at + _GZIP_PIECE]
                if not piece:
                    raise BadRequestError("The gzip body is cut before its end.", where="body")
                part = member.decompress(piece, most - size + 1)
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
                at += len(piece) - len(member.unused_data)
    except zlib.error as error:
        raise BadRequestError("The body is not valid gzip.", where="body") from error
    return b"".join(parts)


async def read_document(request: Request, shape: type[T], *, most: int = MAX_DOCUMENT_BYTES) -> T:
    """Read a JSON body into a shape; messages name the place, never the value.

    Raises:
        UnsupportedError: it does not say that it is JSON, or is encoded.
        BadRequestError: it is not JSON or has another shape.
        TooLargeError: it is longer than `most` bytes.
    """
    check_media(request.headers.get("content-type"), ("application/json",))
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedError("This body must not be encoded.", where="Content-Encoding")
    declared_length(request.headers.get("content-length"), most)
    memory: Memory = request.app.state.memory
    with memory.share() as take:
        body = await read_body(request.receive, most=most, take=take)
    try:
        return msgspec.json.decode(body or b"", type=shape)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"{error}.", where="body") from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadRequestError("The body is not valid JSON.", where="body") from error


def check_media(content_type: str | None, known: tuple[str, ...]) -> str:
    """Return the media type, lower case, if it is a known one in UTF-8.

    Raises:
        UnsupportedError: it is missing, unknown or in another character set.
    """
    media, _, parameters = (content_type or "").partition(";")
    media = media.strip().lower()
    names: dict[str, Any] = {}
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        names[name.strip().lower()] = value.strip().strip('"').lower()
    if media not in known or names.get("charset", "utf-8") not in ("utf-8", "utf8"):
        wanted = " or ".join(f"`{name}`" for name in known)
        raise UnsupportedError(f"`Content-Type` must be {wanted}, in UTF-8.", where="Content-Type")
    return media


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(f"The body is larger than {most} bytes.", where="body")
