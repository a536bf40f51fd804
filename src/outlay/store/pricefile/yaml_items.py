"""Reads a YAML price file into items, by events: no object is ever built from a tag.

A price file is flat, so anchors, aliases, tags and deep nesting are refused, and every scalar is
kept as it is written: `1.10` stays those four characters, and never becomes a float.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from outlay.store.pricefile.items import (
    FIELDS,
    MAX_ITEMS,
    SECTIONS,
    UNIT,
    Cell,
    Item,
    Problems,
    shown,
)

VERSION: Final = "1"
CURRENCY: Final = "USD"
MAX_DEPTH: Final = 3
"""The file, its lists, their items: no value lies deeper."""
_TOP: Final = ("version", "currency", *SECTIONS)
_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader; in C where it is there, which is ten times as fast."""


@dataclass(slots=True)
class _Node:
    """A scalar (`text`), a list (`items`) or a mapping (`pairs`), and its line."""

    kind: str
    line: int
    text: str | None = None
    items: list[_Node] = field(default_factory=list)
    pairs: list[tuple[_Node, _Node]] = field(default_factory=list)
    key: _Node | None = None

    def take(self, node: _Node) -> None:
        """Put a finished node in its place."""
        if self.kind == "list":
            self.items.append(node)
        elif self.key is None:
            self.key = node
        else:
            self.pairs.append((self.key, node))
            self.key = None


def read_yaml(text: str, problems: Problems) -> list[Item]:
    """Return the items of a YAML file, and note what is wrong with its form."""
    root = _tree(text, problems)
    if problems.found:
        return []
    if root is None or root.kind != "mapping":
        line = 1 if root is None else root.line
        problems.add(line, "", f"A price file is a mapping with {', '.join(_TOP)}.")
        return []
    items: list[Item] = []
    for key, value in _pairs(root, _TOP, "", problems):
        name = key.text or ""
        if name in SECTIONS:
            items.extend(_section(name, value, problems))
        else:
            _check_header(name, value, problems)
    if len(items) > MAX_ITEMS:
        problems.add(items[MAX_ITEMS].line, "", f"A price file has at most {MAX_ITEMS} items.")
    return items


def _tree(text: str, problems: Problems) -> _Node | None:
    """Build the tree of a document; on the first thing that a price file never has, stop."""
    root = _Node("list", 1)
    stack = [root]
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            mark = event.start_mark
            line = 1 if mark is None else mark.line + 1
            refusal = _refusal(event, len(stack), bool(root.items))
            if refusal:
                problems.add(line, "", refusal)
                return None
            if isinstance(event, yaml.ScalarEvent):
                plain_null = not event.style and event.value in _NULLS
                value = None if plain_null else event.value
                stack[-1].take(_Node("scalar", line, value))
            elif isinstance(event, yaml.CollectionStartEvent):
                mapping = isinstance(event, yaml.MappingStartEvent)
                stack.append(_Node("mapping" if mapping else "list", line))
            elif isinstance(event, yaml.CollectionEndEvent):
                done = stack.pop()
                stack[-1].take(done)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or "it cannot be read"
        problems.add(1 if mark is None else mark.line + 1, "", f"This is not YAML: {said}.")
        return None
    return root.items[0] if root.items else None


def _refusal(event: Any, depth: int, again: bool) -> str:
    """Return why a price file may not hold this, or nothing."""
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        return "A price file has no anchors and aliases: write the value out."
    if getattr(event, "tag", None) is not None:
        return "A price file has no tags."
    if isinstance(event, yaml.CollectionStartEvent) and depth > MAX_DEPTH:
        return "This is nested too deeply: a list of items with plain values is expected."
    if isinstance(event, yaml.DocumentStartEvent) and again:
        return "A price file is one document."
    return ""


def _pairs(
    node: _Node, known: tuple[str, ...], kind: str, problems: Problems
) -> Iterator[tuple[_Node, _Node]]:
    """Yield the pairs of a mapping with known names, each once."""
    seen: dict[str, int] = {}
    for key, value in node.pairs:
        name = key.text or ""
        if key.kind != "scalar" or name not in known:
            what = f"an item of this kind ({kind})" if kind else "a price file"
            problems.add(
                key.line, name,
                f"{shown(name)} is no field of {what}.{problems.near(name, known)}",
            )  # fmt: skip
        elif name in seen:
            problems.add(key.line, name, f"`{name}` is given twice, first on line {seen[name]}.")
        else:
            seen[name] = key.line
            yield key, value


def _check_header(name: str, value: _Node, problems: Problems) -> None:
    wanted = VERSION if name == "version" else CURRENCY
    if value.text != wanted:
        given = shown(value.text or "")
        problems.add(value.line, name, f"`{name}` must be {wanted}, not {given}.")


def _section(name: str, node: _Node, problems: Problems) -> Iterator[Item]:
    kind = SECTIONS[name]
    if node.kind == "scalar" and node.text is None:
        return
    if node.kind != "list":
        problems.add(node.line, name, f"`{name}` is a list.")
        return
    for item in node.items:
        if kind == UNIT and item.kind == "scalar" and item.text:
            yield Item(kind, item.line, {"unit": Cell(item.text, item.line)})
        elif kind == UNIT or item.kind != "mapping":
            what = "names" if kind == UNIT else "mappings"
            problems.add(item.line, name, f"`{name}` is a list of {what}.")
        else:
            cells = {}
            for key, value in _pairs(item, FIELDS[kind], kind, problems):
                if value.kind != "scalar":
                    problems.add(value.line, key.text or "", f"`{key.text}` is a single value.")
                elif value.text is not None:
                    cells[key.text or ""] = Cell(value.text, value.line)
            yield Item(kind, item.line, cells)
