"""Reads a YAML file of limits into plain values, by events: no object is built from a tag.

Whole numbers become integers, `true` and `false` booleans; everything else stays the text it is
written as, so that no amount of money is ever a float. Anchors, aliases and tags are refused.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from outlay.errors import BadRequestError

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 8
MAX_NODES: Final = 200_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS: Final = {"true": True, "True": True, "false": False, "False": False}
_WHOLE: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)


def read_yaml(content: bytes, kind: str = "file of limits") -> Any:
    """Return the document of a file; `kind` is what errors call it.

    Raises:
        BadRequestError: it is not one YAML document of plain values; `where` names the line.
    """
    if len(content) > MAX_FILE_BYTES:
        raise BadRequestError(f"The file is larger than {MAX_FILE_BYTES} bytes.", where="file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeError as error:
        raise BadRequestError("The file is not UTF-8.", where="file") from error
    try:
        return _tree(text, kind)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or "it cannot be read"
        raise BadRequestError(f"This is not YAML: {said}.", where=_line(mark)) from error


class _Frame:
    """A list or mapping that is being filled."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key: str | None = None

    def take(self, value: Any, mark: Any) -> None:
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.key is None:
            self.key = str(value) if isinstance(value, str | int) else ""
            if not self.key or isinstance(value, bool):
                raise BadRequestError("A name in a mapping must be text.", where=_line(mark))
            if self.key in self.value:
                raise BadRequestError(f"`{self.key}` is given twice.", where=_line(mark))
        else:
            self.value[self.key] = value
            self.key = None


def _tree(text: str, kind: str) -> Any:
    root = _Frame([])
    stack = [root]
    for nodes, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        mark = event.start_mark
        refusal = _refusal(event, len(stack), bool(root.value), nodes, kind)
        if refusal:
            raise BadRequestError(refusal, where=_line(mark))
        if isinstance(event, yaml.ScalarEvent):
            stack[-1].take(_scalar(event), mark)
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Frame({} if isinstance(event, yaml.MappingStartEvent) else []))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = stack.pop()
            stack[-1].take(done.value, mark)
    return root.value[0] if root.value else None


def _refusal(event: Any, depth: int, again: bool, nodes: int, kind: str) -> str:
    """Return why such a file may not hold this, or nothing."""
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        return f"A {kind} has no anchors and aliases: write the value out."
    if getattr(event, "tag", None) is not None:
        return f"A {kind} has no tags."
    if isinstance(event, yaml.CollectionStartEvent) and depth > MAX_DEPTH:
        return "This is nested too deeply."
    if isinstance(event, yaml.DocumentStartEvent) and again:
        return f"A {kind} is one document."
    return f"The file has more than {MAX_NODES} values." if nodes > MAX_NODES else ""


def _scalar(event: Any) -> Any:
    value: str = event.value
    if event.style:
        return value
    if value in _NULLS:
        return None
    if value in _BOOLEANS:
        return _BOOLEANS[value]
    return int(value) if _WHOLE.fullmatch(value) else value


def _line(mark: Any) -> str:
    return "line 1" if mark is None else f"line {mark.line + 1}"
