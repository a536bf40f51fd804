"""What is read of a built dashboard, and how much of it there may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.errors import ConfigError
from outlay.web.files import read_dist


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read_dist(tmp_path / "none") == {}


def test_compressed_forms_belong_to_their_file(tmp_path: Path) -> None:
    for name in ("a.js", "a.js.gz", "a.js.br", "alone.gz"):
        (tmp_path / name).write_bytes(name.encode())
    found = read_dist(tmp_path)
    assert set(found) == {"a.js", "alone.gz"}
    assert found["a.js"].encoded == {"br": b"a.js.br", "gzip": b"a.js.gz"}
    assert found["alone.gz"].media == "application/octet-stream"


def test_files_and_bytes_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_bytes(b"12345")
    (tmp_path / "b.js").write_bytes(b"12345")
    assert len(read_dist(tmp_path, max_files=2, max_bytes=10)) == 2
    with pytest.raises(ConfigError, match="more than 1 files"):
        read_dist(tmp_path, max_files=1)
    with pytest.raises(ConfigError, match="9 bytes"):
        read_dist(tmp_path, max_bytes=9)
