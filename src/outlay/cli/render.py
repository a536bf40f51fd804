"""How answers look in a terminal: tables, trees, money. It asks nothing and decides nothing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from outlay.core.money import format_usd

console = Console()
errors = Console(stderr=True)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def safe(text: object) -> str:
    """Return text for a table: no markup, and no control character that would steer a terminal.

    Names in events come from outside; an escape sequence in one must stay text.
    """
    return escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text)))


def print_json(value: Any) -> None:
    """Print a value as JSON for programs: one document, no colour."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def cell(value: Any, unit: str = "") -> str:
    """Write one value by its unit."""
    if value is None:
        return "-"
    if unit == "nanos":
        return format_usd(round(value))
    if unit == "micros":
        return f"{value / 1_000_000:,.2f}"
    if unit == "ms":
        return f"{value:,.0f} ms"
    if unit == "ratio":
        return f"{value:.1%}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), default=str)
    return str(value)


def moment(micros: int | None) -> str:
    """Write a time in microseconds as UTC text."""
    if micros is None:
        return "-"
    return (_EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%d %H:%M:%S")


def answer_table(answer: dict[str, Any], *, title: str = "") -> Table:
    """Lay out the answer of a query."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in answer["columns"]:
        metric = column["kind"] == "metric"
        table.add_column(
            safe(column["name"]), justify="right" if metric else "left", overflow="fold"
        )
    for row in answer["rows"]:
        cells = [cell(v, c.get("unit", "")) for v, c in zip(row, answer["columns"], strict=True)]
        table.add_row(*(safe(text) for text in cells))
    start, end = (str(answer[name])[:19].replace("T", " ") for name in ("from", "to"))
    count = len(answer["rows"])
    rows = "1 row" if count == 1 else f"{count:,} rows"
    table.caption = f"{rows}, {start} to {end} UTC, from {answer['source']}"
    return table


def rows_table(
    rows: Sequence[dict[str, Any]],
    columns: Sequence[tuple[str, str]],
    *,
    numbers: Collection[str] = (),
) -> Table:
    """Lay out mappings: `columns` pairs a key with a heading; keys in `numbers` stand right."""
    table = Table(header_style="bold")
    for key, heading in columns:
        justify: Literal["left", "right"] = "right" if key in numbers else "left"
        table.add_column(heading, overflow="fold", justify=justify)
    for row in rows:
        table.add_row(*(safe(cell(row.get(key))) for key, _ in columns))
    return table


def node_label(node: dict[str, Any]) -> str:
    """Write one node of a request's cost tree."""
    money = format_usd(node["cost_nanos"])
    parts = [f"[bold]{safe(node['name'])}[/bold]", f"[green]{money}[/green]"]
    if node.get("model") and node["model"] != node["name"]:
        parts.append(safe(node["model"]))
    if node.get("usage"):
        counts = (f"{unit} {count:,}" for unit, count in node["usage"].items())
        parts.append(f"[dim]{safe(', '.join(counts))}[/dim]")
    if node.get("status") not in (None, "ok"):
        parts.append(f"[red]{safe(node['status'])}[/red]")
    parts.extend(f"[yellow]{safe(flag)}[/yellow]" for flag in node.get("flags") or ())
    return f"[cyan]{node['kind']}[/cyan] " + "  ".join(parts)


def cost_tree(answer: dict[str, Any]) -> Tree:
    """Lay out a request's cost tree."""

    def grow(branch: Tree, node: dict[str, Any]) -> None:
        for child in node.get("children") or ():
            grow(branch.add(node_label(child)), child)

    tree = Tree(node_label(answer["root"]))
    grow(tree, answer["root"])
    return tree
