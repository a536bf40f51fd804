"""Chunk files: addresses, cutting off what was not committed, and damage."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from outlay.errors import UnavailableError
from outlay.store.olap import chunks
from outlay.store.olap.chunks import ChunkFiles, encode


def table(value: int) -> pa.Table:
    return pa.table({"n": [value] * 5, "empty": pa.nulls(5, pa.string())})


def opened(root: Path, committed: int = 0) -> ChunkFiles:
    files = ChunkFiles(root)
    files.rewind(committed)
    return files


def test_a_chunk_comes_back_from_its_address_without_empty_columns(tmp_path: Path) -> None:
    files = opened(tmp_path)
    first, second = files.append([encode(table(1)), encode(table(2))])
    (third,) = files.append([encode(table(3))])
    assert [files.read(at)["n"][0].as_py() for at in (first, second, third)] == [1, 2, 3]
    assert files.read(first).schema.names == ["n"]
    files.close()


def test_segments_are_cut_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "SEGMENT_BYTES", 500)
    files = opened(tmp_path)
    addresses = [files.append([encode(table(i))])[0] for i in range(10)]
    tail = files.tail
    files.close()
    assert len(list(tmp_path.iterdir())) > 2
    again = opened(tmp_path, tail)
    assert [again.read(at)["n"][0].as_py() for at in addresses] == list(range(10))
    again.close()


def test_what_lies_behind_the_committed_length_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "SEGMENT_BYTES", 500)
    files = opened(tmp_path)
    kept = files.append([encode(table(1))])[0]
    committed = files.tail
    for i in range(8):
        files.append([encode(table(i))])
    files.close()
    again = opened(tmp_path, committed)
    assert again.tail == committed == again.size_bytes()
    (address,) = again.append([encode(table(7))])
    assert address == committed
    assert [again.read(a)["n"][0].as_py() for a in (kept, address)] == [1, 7]
    again.close()


def test_a_file_shorter_than_committed_is_refused(tmp_path: Path) -> None:
    files = opened(tmp_path)
    files.append([encode(table(1))])
    files.close()
    with pytest.raises(UnavailableError, match="shorter") as caught:
        opened(tmp_path, files.tail + 1)
    assert "rebuild" in caught.value.hint


def test_a_damaged_or_missing_chunk_is_refused(tmp_path: Path) -> None:
    files = opened(tmp_path)
    (address,) = files.append([encode(table(1))])
    with pytest.raises(UnavailableError):
        files.read(address + 3)
    with pytest.raises(UnavailableError):
        files.read(files.tail)
    files.close()
