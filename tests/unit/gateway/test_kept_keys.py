"""The file of kept keys: hashes only, for its owner only, whole or not at all."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from outlay.core.virtual_keys import VirtualKey, secret_hash
from outlay.gateway import kept_keys
from outlay.gateway.kept_keys import KeptKeys

HOST = "http://outlay.example"
SECRET = "ov_" + "s" * 43
KEYS = [
    VirtualKey("vk_1", "ü\n", secret_hash(SECRET), tenant_id="acme", models=("gpt-*",)),
    VirtualKey("vk_2", "", secret_hash("x"), revoked_at=5, replaces="vk_1"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "keys.json"


def test_what_is_written_is_read_again(path: Path) -> None:
    assert KeptKeys(path, HOST).read() is None
    KeptKeys(path, HOST).write(KEYS)
    found = KeptKeys(path, HOST + "/").read()
    assert found is not None
    assert found[0] == KEYS
    assert 0.0 <= found[1] < 5.0


def test_it_is_for_its_owner_only_and_holds_no_secret(path: Path) -> None:
    before = os.umask(0)
    try:
        KeptKeys(path, "http://user:pass@outlay.example").write(KEYS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    text = path.read_bytes()
    assert SECRET.encode() not in text
    assert b"pass" not in text


def test_a_write_that_fails_leaves_the_file_before_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptKeys(path, HOST)
    kept.write(KEYS)

    def full(_file: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        kept.write(KEYS[:1])
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    found = kept.read()
    assert found is not None
    assert found[0] == KEYS


def test_what_another_server_told_is_not_read(path: Path) -> None:
    KeptKeys(path, HOST).write(KEYS)
    assert KeptKeys(path, "http://other.example").read() is None


def test_a_file_of_another_format_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KeptKeys(path, HOST).write(KEYS)
    monkeypatch.setattr(kept_keys, "FORMAT", 2)
    assert KeptKeys(path, HOST).read() is None


def test_a_file_that_is_cut_anywhere_is_refused(path: Path) -> None:
    kept = KeptKeys(path, HOST)
    kept.write(KEYS)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError):
            kept.read()


@pytest.mark.parametrize("number", [-1, True, "2", kept_keys.MAX_KEPT + 1, None])
def test_a_number_of_keys_out_of_bounds_is_refused(path: Path, number: object) -> None:
    import json

    kept = KeptKeys(path, HOST)
    kept.write(KEYS)
    head, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(head), "keys": number}).encode() + b"\n" + rest)
    with pytest.raises(ValueError):
        kept.read()


def test_a_line_without_end_is_not_read_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KeptKeys(path, HOST).write(KEYS)
    monkeypatch.setattr(kept_keys, "MAX_LINE_BYTES", 100)
    with pytest.raises(ValueError):
        KeptKeys(path, HOST).read()


def test_its_age_is_from_when_the_server_was_heard_last(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptKeys(path, HOST)
    kept.write(KEYS)
    long_ago = time.time() - 500
    os.utime(path, (long_ago, long_ago))
    kept.touch()  # written a moment ago: too soon
    found = kept.read()
    assert found is not None
    assert 499 < found[1] < 520
    monkeypatch.setattr(kept_keys, "TOUCH_S", 0.0)
    kept.due = True
    kept.touch()  # what it says is not what the server told last
    assert kept.read() is not None
    assert path.stat().st_mtime == pytest.approx(long_ago)
    kept.due = False
    kept.touch()
    found = kept.read()
    assert found is not None
    assert found[1] < 20


def test_a_clock_that_went_back_gives_no_age_below_zero(path: Path) -> None:
    kept = KeptKeys(path, HOST)
    kept.write(KEYS)
    os.utime(path, (time.time() + 900, time.time() + 900))
    found = kept.read()
    assert found is not None
    assert found[1] == 0.0


def test_writes_are_apart_as_long_as_they_take(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptKeys(path, HOST)
    assert kept.wait_s(time.monotonic()) == 0.0
    kept.write(KEYS)
    assert 0.5 < kept.wait_s(time.monotonic()) <= kept_keys.EVERY_S
    monkeypatch.setattr(kept_keys, "SHARE", 10**9)
    kept.write(KEYS)
    assert kept.wait_s(time.monotonic()) > kept_keys.EVERY_S


def test_without_a_path_nothing_is_kept() -> None:
    kept = KeptKeys(None, HOST)
    kept.due = True
    kept.write(KEYS)
    kept.touch()
    assert kept.read() is None
    assert kept.due is False
