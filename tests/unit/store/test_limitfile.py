"""A file of limits in YAML: plain values, nothing built from tags, and money never a float."""

from __future__ import annotations

import pytest

from outlay.errors import BadRequestError
from outlay.store import limitfile
from outlay.store.limitfile import read_yaml


def test_amounts_stay_the_text_they_are_written_as() -> None:
    text = b'a: 1.10\nb: 5\nc: "7"\nd: true\ne: yes\nf: 80%\ng: ~\nh: 1e3\n'
    assert read_yaml(text) == {
        "a": "1.10", "b": 5, "c": "7", "d": True, "e": "yes", "f": "80%", "g": None, "h": "1e3"
    }  # fmt: skip


def test_lists_and_mappings_nest() -> None:
    text = b"limits:\n  - id: x\n    scope: {agent: {each: [a, b]}}\n  - {id: y}\n"
    assert read_yaml(text) == {
        "limits": [{"id": "x", "scope": {"agent": {"each": ["a", "b"]}}}, {"id": "y"}]
    }


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (b"a: &x 1\nb: *x\n", "line 1", "anchors"),
        (b"a: 1\nb: !!python/object:os.system x\n", "line 2", "tags"),
        (b"a: 1\na: 2\n", "line 2", "twice"),
        (b"a: 1\n---\nb: 2\n", "line 2", "one document"),
        (b"a: [1, 2\n", "line 2", "YAML"),
        (b"[1, 2]: x\n", "line 1", "must be text"),
        (b"\xff\xfe", "file", "UTF-8"),
        (b"true: 1\n", "line 1", "must be text"),
    ],
)
def test_anything_else_is_refused_with_the_line(text: bytes, line: str, said: str) -> None:
    with pytest.raises(BadRequestError, match=said) as refused:
        read_yaml(text)
    assert refused.value.where == line


def test_depth_is_bounded() -> None:
    for depth, fits in ((limitfile.MAX_DEPTH - 1, True), (limitfile.MAX_DEPTH, False)):
        text = b"a: " + b"[" * depth + b"1" + b"]" * depth
        if fits:
            assert read_yaml(text)
        else:
            with pytest.raises(BadRequestError, match="deeply"):
                read_yaml(text)


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limitfile, "MAX_FILE_BYTES", 8)
    assert read_yaml(b"a: 12345") == {"a": 12345}
    with pytest.raises(BadRequestError, match="8 bytes"):
        read_yaml(b"a: 123456")
    monkeypatch.setattr(limitfile, "MAX_FILE_BYTES", 10**6)
    monkeypatch.setattr(limitfile, "MAX_NODES", 20)
    with pytest.raises(BadRequestError, match="20 values"):
        read_yaml(b"[" + b"1," * 30 + b"1]")
