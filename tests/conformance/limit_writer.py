"""A process that reserves and settles in batches and says what was answered, to be killed."""

from __future__ import annotations

import sys
from itertools import count

from outlay.core.limits.holds import Op
from outlay.store.books.sql import SqlBooks
from tests.conformance.limit_ops import key, need, reserve, settle, sync, want

SCOPES = [key(f"scope-{number}") for number in range(4)]
BATCH = 20
CAP = 10**9


def batch(name: str, number: int) -> list[Op]:
    """Return a batch: some holds, the settling of those before, and the sync of a lease."""
    at = 1000 + number
    needs = [need(scope, 10, CAP) for scope in SCOPES]
    ops: list[Op] = [reserve(f"{name}-{number}-{n}", *needs, at=at, owner=name)
                     for n in range(BATCH)]  # fmt: skip
    if number:
        ops += [settle(f"{name}-{number - 1}-{n}", 7, at=at) for n in range(0, BATCH, 2)]
    reports = want(need(SCOPES[0], 0, CAP), reported=number, calls=number, ahead=50)
    return [*ops, sync(f"lease-{name}", reports, at=at)]


def main(url: str, name: str) -> None:
    books = SqlBooks(url)
    for number in count():
        answers = books.apply(batch(name, number))
        if {answer.status for answer in answers} != {"ok"}:
            raise SystemExit(f"unexpected: {answers}")
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
