"""What the demo shows: the table of tenants, and how to look further. It computes nothing."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from outlay.core.money import NANOS_PER_USD, format_usd
from outlay.demo.compare import Comparison, Line
from outlay.store.credits import MICROS

PLACES = 9
"""Dollars are shown to the nano-dollar: that is what must agree."""


def totals_table(found: Comparison, *, status: str) -> Table:
    """Return metered against billed for every tenant, and in total."""
    table = Table(title="Cost by tenant: metered by outlay, billed by the provider simulator")
    table.caption = status
    table.add_column("tenant")
    table.add_column("share", justify="right")
    table.add_column("metered", justify="right")
    table.add_column("billed", justify="right")
    table.add_column("difference", justify="right")
    table.add_column("attempts", justify="right")
    total = found.total
    for line in found.lines:
        table.add_row(*_cells(line, total))
    table.add_section()
    table.add_row(*_cells(total, total), style="bold")
    return table


def differences_table(found: Comparison) -> Table:
    """Return only the tenants that do not agree, with both counts."""
    table = Table(title="Tenants that do not agree (metered / billed)")
    for name in ("tenant", "nano-dollars", "difference", "attempts"):
        table.add_column(name, justify="left" if name == "tenant" else "right")
    for line in found.lines:
        if not line.agrees:
            table.add_row(
                line.tenant,
                f"{line.metered.nanos} / {line.billed.nanos}",
                f"{line.nanos:+d}",
                f"{line.metered.attempts} / {line.billed.attempts}",
            )
    return table


def standings_table(counters: list[dict[str, Any]], accounts: list[dict[str, Any]]) -> Table:
    """Return how the fullest scopes stand against their limits, and what is left of credits."""
    table = Table(title="Limits: the fullest scopes, and prepaid credits")
    for name, side in (
        ("limit", "left"), ("scope", "left"), ("used", "right"), ("of", "right"),
        ("use", "right"), ("reached", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for row in counters:
        who = ", ".join(f"{name} {value}" for name, value in row["scope"].items()) or "all"
        reached = ", ".join(row["reached"]) or "-"
        if row["mode"] == "shadow":
            reached = f"{reached} (shadow)"
        table.add_row(
            row["limit"], who, format_usd(row["used"], places=4),
            format_usd(row["amount"], places=2), f"{row['share']:.0%}", reached,
        )  # fmt: skip
    for row in accounts:
        left = f"{row['posted'] / MICROS:,.2f} credits left"
        table.add_row("credits", f"tenant {row['tenant']}", "", left, "", "")
    return table


def print_header(console: Console, *, endpoint: str, key: str, data: str, kept: bool) -> None:
    """Say what runs, and what to type in another terminal."""
    fate = "kept" if kept else "deleted at the end"
    console.print(f"Dashboard  {endpoint}/", style="bold", highlight=False, soft_wrap=True)
    console.print(f"Server, simulator and application run; data in {data} ({fate}).")
    console.print("The SDK meters OpenAI and Google; Anthropic's calls go through the gateway.")
    console.print("Look further from another terminal:")
    for line in (
        f"export OUTLAY_ENDPOINT={endpoint}",
        f"export OUTLAY_KEY={key}",
        "outlay top --by tenant --last 15m --watch",
        "outlay query --metrics cost,calls --by tenant,feature",
        "outlay query --metrics cost --by request --limit 3    # then: outlay tree REQUEST",
        "outlay limits state                                   # who stands where",
        "outlay virtual-keys list                              # who may call the gateway",
    ):
        console.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
    console.print()


def _cells(line: Line, total: Line) -> tuple[str, ...]:
    share = 100 * line.billed.nanos / total.billed.nanos if total.billed.nanos else 0.0
    difference = "0" if line.agrees else f"{line.nanos / NANOS_PER_USD:+.{PLACES}f}"
    metered, billed = line.metered.attempts, line.billed.attempts
    return (
        line.tenant,
        f"{share:.1f} %",
        format_usd(line.metered.nanos, places=PLACES),
        format_usd(line.billed.nanos, places=PLACES),
        difference,
        str(billed) if metered == billed else f"{metered} of {billed}",
    )
