"""What the demo shows: the table of tenants, and how to look further. It computes nothing."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from outlay.core.money import NANOS_PER_USD, format_usd
from outlay.demo.compare import Comparison, Line

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


def print_header(console: Console, *, endpoint: str, key: str, data: str, kept: bool) -> None:
    """Say what runs, and what to type in another terminal."""
    fate = "kept" if kept else "deleted at the end"
    console.print(f"Server, simulator and application run; data in {data} ({fate}).")
    console.print("Look further from another terminal:")
    for line in (
        f"export OUTLAY_ENDPOINT={endpoint}",
        f"export OUTLAY_KEY={key}",
        "outlay top --by tenant --last 15m --watch",
        "outlay query --metrics cost,calls --by tenant,feature",
        "outlay query --metrics cost --by request --limit 3    # then: outlay tree REQUEST",
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
