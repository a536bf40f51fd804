"""What was metered beside what the simulator billed, tenant by tenant. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Totals:
    """Money in nano-dollars, and how many attempts it is for."""

    nanos: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One tenant's totals on both sides."""

    tenant: str
    metered: Totals
    billed: Totals

    @property
    def nanos(self) -> int:
        """Metered less billed."""
        return self.metered.nanos - self.billed.nanos

    @property
    def agrees(self) -> bool:
        """Whether money and counts are equal, to the nano-dollar."""
        return self.metered == self.billed


@dataclass(frozen=True, slots=True)
class Comparison:
    """All tenants, the largest spender first."""

    lines: tuple[Line, ...]

    @property
    def agrees(self) -> bool:
        """Whether every tenant agrees, and there is something to agree on."""
        return bool(self.lines) and all(line.agrees for line in self.lines)

    @property
    def total(self) -> Line:
        """The sum of all lines."""
        return Line(
            "total",
            _sum([line.metered for line in self.lines]),
            _sum([line.billed for line in self.lines]),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        return {
            "agrees": self.agrees,
            "tenants": [_row(line) for line in self.lines],
            "total": _row(self.total),
        }


def compare(metered: Mapping[str, Totals], billed: Mapping[str, Totals]) -> Comparison:
    """Put both sides together; a tenant that one side does not know has totals of 0 there."""
    nothing = Totals()
    lines = [
        Line(tenant, metered.get(tenant, nothing), billed.get(tenant, nothing))
        for tenant in metered.keys() | billed.keys()
    ]
    return Comparison(tuple(sorted(lines, key=lambda line: (-line.billed.nanos, line.tenant))))


def billed_totals(bill: Mapping[str, Any]) -> dict[str, Totals]:
    """Read the simulator's bill."""
    return {
        tenant: Totals(account["nanos"], account["attempts"])
        for tenant, account in bill["tenants"].items()
    }


def _sum(totals: list[Totals]) -> Totals:
    return Totals(sum(t.nanos for t in totals), sum(t.attempts for t in totals))


def _row(line: Line) -> dict[str, Any]:
    return {
        "tenant": line.tenant,
        "metered_nanos": line.metered.nanos,
        "billed_nanos": line.billed.nanos,
        "difference_nanos": line.nanos,
        "metered_attempts": line.metered.attempts,
        "billed_attempts": line.billed.attempts,
        "agrees": line.agrees,
    }
