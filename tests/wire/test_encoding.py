"""Content-Encoding, undone incrementally and without ever raising."""

from __future__ import annotations

import gzip
import sys
import types
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.wire import encoding
from outlay.wire.encoding import Decoder
from tests.wire.harness import in_chunks

TEXT = b'{"usage": {"prompt_tokens": 12}}' * 50


def raw_deflate(data: bytes) -> bytes:
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compress.compress(data) + compress.flush()


ENCODED = {
    "": TEXT,
    "identity": TEXT,
    "gzip": gzip.compress(TEXT),
    "X-GZIP": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    " Deflate ": raw_deflate(TEXT),
    "identity, gzip": gzip.compress(TEXT),
    "deflate, gzip": gzip.compress(zlib.compress(TEXT)),
}


def decode(name: str, body: bytes, size: int = 10**9) -> bytes:
    decoder = Decoder(name)
    out = b"".join(decoder.feed(chunk) for chunk in in_chunks(body, size)) + decoder.flush()
    assert decoder.supported
    assert not decoder.failed
    return out


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("size", [1, 2, 7, 10**9])
def test_a_coding_is_undone_in_any_chunking(name: str, size: int) -> None:
    assert decode(name, ENCODED[name], size) == TEXT


@pytest.mark.parametrize("size", [1, 5, 10**9])
def test_gzip_members_in_a_row_are_one_body_and_padding_is_nothing(size: int) -> None:
    members = gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])
    assert decode("gzip", members, size) == TEXT
    assert decode("gzip", members + b"\0\0\0\0", size) == TEXT


def test_a_body_cut_short_gives_what_came_and_is_no_failure() -> None:
    body = gzip.compress(TEXT + bytes(range(256)) * 20)
    decoder = Decoder("gzip")
    out = decoder.feed(body[: len(body) // 2]) + decoder.flush()
    assert out
    assert (TEXT + bytes(range(256)) * 20).startswith(out)
    assert not decoder.failed


def test_bad_data_fails_and_gives_nothing_more() -> None:
    decoder = Decoder("gzip")
    assert decoder.feed(b"this is not gzip at all") == b""
    assert decoder.failed
    assert decoder.feed(gzip.compress(TEXT)) == b""
    assert decoder.flush() == b""


@pytest.mark.parametrize("name", ["snappy", "gzip, compress", ",".join(["gzip"] * 5)])
def test_an_unknown_coding_is_not_supported(name: str) -> None:
    decoder = Decoder(name)
    assert not decoder.supported
    assert decoder.feed(TEXT) + decoder.flush() == b""


def test_output_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "MAX_DECODED_BYTES", 1000)
    decoder = Decoder("gzip")
    assert decoder.feed(gzip.compress(bytes(10**6))) == b""
    assert decoder.failed
    enough = Decoder("gzip")
    assert len(enough.feed(gzip.compress(bytes(1000)))) == 1000
    assert not enough.failed


class _Stub(types.ModuleType):
    """Stands for a module of the host application; its coding is zlib's."""


def _brotli(*, bounded: bool) -> _Stub:
    class Decompressor:
        def __init__(self) -> None:
            self._inflate = zlib.decompressobj()

        def process(self, data: bytes, **options: int) -> bytes:
            if options and not bounded:
                raise TypeError("output_buffer_limit")
            limit = min(options.get("output_buffer_limit", 0), 100)
            return self._inflate.decompress(self._inflate.unconsumed_tail + data, limit)

        def can_accept_more_data(self) -> bool:
            return not self._inflate.unconsumed_tail

    module = _Stub("brotli")
    vars(module)["Decompressor"] = Decompressor
    return module


def _zstandard(*, frames: bool) -> _Stub:
    class Frames:
        def decompressobj(self) -> object:
            return zlib.decompressobj()

    module = _Stub("zstandard")
    vars(module)["ZstdDecompressor"] = Frames if frames else zlib.decompressobj
    return module


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("br", _brotli(bounded=True)),
        ("br", _brotli(bounded=False)),
        ("zstd", _zstandard(frames=True)),
        ("zstd", _zstandard(frames=False)),
    ],
)
@pytest.mark.parametrize("size", [1, 300, 10**9])
def test_a_module_of_the_host_is_used(
    name: str, module: _Stub, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, other, None)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert decode(name, zlib.compress(TEXT), size) == TEXT


@pytest.mark.parametrize("name", ["br", "zstd"])
def test_without_a_module_the_coding_is_not_supported(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    assert not Decoder(name).supported


def test_real_brotli_and_zstandard_are_understood_where_installed() -> None:
    brotli = pytest.importorskip("brotli", reason="brotli is not installed")
    assert decode("br", brotli.compress(TEXT), 3) == TEXT
    assert decode("br, gzip", gzip.compress(brotli.compress(TEXT)), 3) == TEXT


@given(
    st.sampled_from(["", "gzip", "deflate", "deflate, gzip", "br", "zstd", "nonsense"]),
    st.lists(st.binary(max_size=64), max_size=8),
)
def test_whatever_comes_nothing_raises(name: str, chunks: list[bytes]) -> None:
    decoder = Decoder(name)
    for chunk in chunks:
        decoder.feed(chunk)
    decoder.flush()


@given(st.binary(max_size=400), st.integers(1, 50), st.sampled_from(["gzip", "deflate"]))
def test_any_body_comes_back(body: bytes, size: int, name: str) -> None:
    encoded = gzip.compress(body) if name == "gzip" else zlib.compress(body)
    assert decode(name, encoded, size) == body
