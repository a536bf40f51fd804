"""Reads charges back from the credit ledger, so that they can be given back.

A charge remembers what it drained from which grant, and how much of it was undone: the next part
goes back where the last one ended, from the end of what was drained. Works inside the caller's
transaction, on accounts that he has locked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from outlay.core.limits.drain import Part
from outlay.store.books.bulk import Bulk
from outlay.store.books.credit_tables import CREDIT_TX
from outlay.store.credits import TxKind

CHARGES_READ: Final = 64
MAX_CHARGES_UNDONE: Final = 512
"""How many charges of one hold a correction looks back at; the rest goes to the newest grants."""

TX_ROWS: Final = Bulk(CREDIT_TX)

_NEWEST: Final = (
    "SELECT (SELECT t.tx_id FROM credit_tx AS t WHERE t.tenant = {tenant} AND t.key = {key}"
    " AND t.kind = 'usage' AND t.undone < t.drained ORDER BY t.number DESC LIMIT 1) FROM {pairs}"
)
_NEWEST_SQLITE: Final = _NEWEST.format(
    tenant="json_extract(k.value, '$[0]')",
    key="json_extract(k.value, '$[1]')",
    pairs="json_each(?) AS k",
)
_NEWEST_POSTGRESQL: Final = _NEWEST.format(
    tenant="k.tenant", key="k.key", pairs="unnest(%s::text[], %s::text[]) AS k(tenant, key)"
)


@dataclass(frozen=True, slots=True)
class Charge:
    """A transaction as far as it can be given back: `drained` at most, `undone` of it was."""

    tx_id: str
    tenant: str
    number: int
    kind: TxKind
    key: str
    parts: tuple[Part, ...]
    drained: int
    undone: int


def charge_of(connection: sa.Connection, tenant: str, tx_id: str) -> Charge | None:
    """Return a tenant's transaction, of whatever kind, as a charge."""
    found = _by_id(connection, [tx_id])
    return next((charge for charge in found if charge.tenant == tenant), None)


def parts_of(details: Mapping[str, Any]) -> tuple[Part, ...]:
    """Return the parts that a transaction's details tell of."""
    return tuple((grant_id, amount) for grant_id, amount in details["parts"])


def newest(
    connection: sa.Connection, pairs: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Charge]:
    """Return the last charge that is not undone, by tenant and key, for many at once."""
    if not pairs:
        return {}
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(_NEWEST_SQLITE, (json.dumps(list(pairs)),))
    else:
        tenants, keys = zip(*pairs, strict=True)
        found = connection.exec_driver_sql(_NEWEST_POSTGRESQL, (list(tenants), list(keys)))
    ids = [tx_id for (tx_id,) in found if tx_id is not None]
    return {(charge.tenant, charge.key): charge for charge in _by_id(connection, ids)}


def older(connection: sa.Connection, last: Charge) -> Iterator[Charge]:
    """Give the charges before one, of the same key, that are not undone, the last one first."""
    table = CREDIT_TX
    statement = (
        sa.select(table)
        .where(table.c.tenant == last.tenant, table.c.key == last.key, table.c.kind == "usage")
        .where(table.c.undone < table.c.drained)
        .order_by(table.c.number.desc())
        .limit(CHARGES_READ)
    )
    for _ in range(MAX_CHARGES_UNDONE // CHARGES_READ):
        rows = connection.execute(statement.where(table.c.number < last.number))
        found = list(map(_charge, rows))
        yield from found
        if len(found) < CHARGES_READ:
            return
        last = found[-1]


def _by_id(connection: sa.Connection, tx_ids: Collection[str]) -> list[Charge]:
    return list(map(_charge, TX_ROWS.select(connection, tx_id=tx_ids)))


def _charge(row: Iterable[Any]) -> Charge:
    tx_id, tenant, number, kind, key, _, _, _, details, drained, undone = row
    return Charge(tx_id, tenant, number, kind, key, parts_of(json.loads(details)), drained, undone)
