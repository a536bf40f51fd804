"""Undoes `Content-Encoding`, incrementally, for bytes tapped before the client decodes them.

gzip and deflate are in the standard library; br and zstd are undone with whatever module the host
application has, looked up when first needed. Never raises: bad data sets `failed` and gives no
more bytes. Output is bounded, so a small body cannot fill the memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Protocol

MAX_DECODED_BYTES: Final = 64 * 1024 * 1024
"""Bound of all bytes that one decoder gives; past it, it has failed."""
MAX_CODINGS: Final = 4
"""Codings of one body; more are not supported."""
MAX_PIECE_BYTES: Final = 256
"""Input given at once to a module that cannot bound its output."""

MAX_STEP_BYTES: Final = 1024 * 1024
"""Output asked for at once from a module that can bound it."""

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class _Coding(Protocol):
    def feed(self, chunk: bytes, most: int) -> bytes:
        """Decode a chunk; more than `most` bytes may be cut, since that is a failure anyway."""

    def flush(self) -> bytes:
        """Give what is left."""


class Decoder:
    """Decodes a body by its `Content-Encoding` header value (empty or `identity`: as it is).

    `supported` is `False` when a coding is unknown or its module is missing; then nothing is given.
    """

    __slots__ = ("_codings", "_left", "failed", "supported")

    def __init__(self, content_encoding: str = "") -> None:
        self.failed = False
        self.supported = True
        self._left = MAX_DECODED_BYTES
        self._codings: list[_Coding] = []
        names = [name.strip().lower() for name in (content_encoding or "").split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > MAX_CODINGS:
            self.supported = False
            return
        # The header lists codings in the order they were applied: the last one is undone first.
        for name in reversed(names):
            coding = _open(name)
            if coding is None:
                self.supported = False
                return
            self._codings.append(coding)

    def feed(self, chunk: bytes) -> bytes:
        """Decode a chunk of body bytes."""
        if not self._codings and self.supported:
            return chunk
        return self._run(chunk, last=False)

    def flush(self) -> bytes:
        """Give the bytes still held at the body's end; a body cut short is no failure."""
        return self._run(b"", last=True)

    def _run(self, data: bytes, *, last: bool) -> bytes:
        if self.failed or not self.supported:
            return b""
        try:
            for coding in self._codings:
                data = coding.feed(data, self._left + 1) if data else b""
                if last:
                    data += coding.flush()
                if len(data) > self._left:
                    self.failed = True
                    return b""
        except Exception:
            self.failed = True
            return b""
        self._left -= len(data)
        return data


class _Zlib:
    """gzip (also several members in a row) and zlib streams; deflate without its header, too."""

    __slots__ = ("_done", "_held", "_inflate", "_raw_allowed")

    def __init__(self, *, deflate: bool) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS if deflate else _GZIP_OR_ZLIB)
        self._raw_allowed = deflate
        self._held = b""
        self._done = False

    def feed(self, chunk: bytes, most: int) -> bytes:
        if self._done:
            return b""
        if self._raw_allowed:
            self._held += chunk
            if len(self._held) < 2:
                return b""
            chunk, self._held = self._held, b""
            self._raw_allowed = False
            # RFC 1950: method 8, and the first two bytes are a multiple of 31.
            if chunk[0] & 0x0F != 8 or int.from_bytes(chunk[:2], "big") % 31:
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        out = self._inflate.decompress(chunk, most)
        while self._inflate.eof and (rest := self._inflate.unused_data):
            if not rest.startswith(b"\x1f") or len(out) >= most:
                self._done = True  # Padding behind the end means nothing.
                break
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
            out += self._inflate.decompress(rest, most - len(out))
        return out

    def flush(self) -> bytes:
        return self._inflate.flush()


class _Module:
    """A third-party decompressor, fed in small pieces unless it can bound its output."""

    __slots__ = ("_decompress", "_flush")

    def __init__(self, decompress: Callable[[bytes], bytes], flush: Callable[[], Any]) -> None:
        self._decompress = decompress
        self._flush = flush

    def feed(self, chunk: bytes, most: int) -> bytes:
        out = bytearray()
        for place in range(0, len(chunk), MAX_PIECE_BYTES):
            out += self._decompress(chunk[place : place + MAX_PIECE_BYTES])
            if len(out) >= most:
                break
        return bytes(out)

    def flush(self) -> bytes:
        return self._flush() or b""


def _open(name: str) -> _Coding | None:
    if name in ("gzip", "x-gzip"):
        return _Zlib(deflate=False)
    if name == "deflate":
        return _Zlib(deflate=True)
    if name == "br":
        return _first(("brotli", "brotlicffi"), _brotli)
    if name == "zstd":
        return _first(("compression.zstd", "backports.zstd", "zstandard"), _zstd)
    return None


def _first(modules: tuple[str, ...], make: Callable[[Any], _Coding]) -> _Coding | None:
    for name in modules:
        try:
            return make(import_module(name))
        except Exception:  # noqa: S112 - a module that is missing or odd is passed over
            continue
    return None


def _nothing() -> bytes:
    return b""


def _brotli(module: Any) -> _Coding:
    decompressor = module.Decompressor()
    work = decompressor.process

    def bounded(piece: bytes) -> bytes:
        out = bytearray(work(piece, output_buffer_limit=MAX_STEP_BYTES))
        while not decompressor.can_accept_more_data() and len(out) <= MAX_DECODED_BYTES:
            out += work(b"", output_buffer_limit=MAX_STEP_BYTES)
        return bytes(out)

    try:
        work(b"", output_buffer_limit=MAX_STEP_BYTES)
    except TypeError:
        # Releases before 1.2 cannot bound what one call gives.
        return _Module(work, _nothing)
    return _Module(bounded, _nothing)


def _zstd(module: Any) -> _Coding:
    decompressor = module.ZstdDecompressor()
    if hasattr(decompressor, "decompressobj"):
        frames = decompressor.decompressobj()
        return _Module(frames.decompress, _nothing)
    return _Module(decompressor.decompress, _nothing)
