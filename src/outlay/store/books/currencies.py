"""The part of `Books` that keeps exchange rates."""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy as sa

from outlay.errors import BadRequestError, TooLargeError
from outlay.store import currencies as contract
from outlay.store.books.checks import check_text, check_time
from outlay.store.books.engine import Database
from outlay.store.books.journal import note
from outlay.store.books.looking_tables import EXCHANGE_RATES
from outlay.store.currencies import BASE, MAX_PPB, ExchangeRate

_CODE: Final = re.compile(r"[A-Z]{3}")


class SqlCurrencies:
    """The methods of `store.currencies.CurrencyBooks`, on `self._database`."""

    _database: Database

    def exchange_rates(self) -> list[ExchangeRate]:
        """Return every rate, those that begin last first."""
        table = EXCHANGE_RATES
        statement = sa.select(table).order_by(table.c.valid_from.desc(), table.c.currency)
        with self._database.read() as connection:
            return [_rate(row) for row in connection.execute(statement).mappings()]

    def put_exchange_rate(
        self, rate: ExchangeRate, *, reason: str, actor: str, at: int
    ) -> ExchangeRate:
        """Write a rate, with an audit entry, in the place of one that begins at the same time.

        The same rate again changes nothing.

        Raises:
            BadRequestError: a part of it is not valid, or there is no reason.
            TooLargeError: there are as many rates as there may be.
        """
        _check(rate)
        check_text(reason, "reason", required=True)
        check_time(at, "at")
        table = EXCHANGE_RATES
        this = (table.c.currency == rate.currency, table.c.valid_from == rate.valid_from)
        with self._database.write() as connection:
            row = connection.execute(sa.select(table).where(*this)).mappings().one_or_none()
            before = None if row is None else _rate(row)
            if before == rate:
                return rate
            values = {"per_usd_ppb": rate.per_usd_ppb, "source": rate.source, "recorded_at": at}
            if before is None:
                _check_room(connection)
                place = {"currency": rate.currency, "valid_from": rate.valid_from}
                connection.execute(sa.insert(table).values({**place, **values}))
            else:
                connection.execute(sa.update(table).where(*this).values(values))
            details = {
                "per_usd_ppb": rate.per_usd_ppb,
                "valid_from": rate.valid_from,
                "source": rate.source,
                "before": None if before is None else before.per_usd_ppb,
                "reason": reason,
            }
            note(connection, actor, "currency.put", rate.currency, at, details)
        return rate


def _rate(row: sa.RowMapping) -> ExchangeRate:
    return ExchangeRate(row["currency"], row["per_usd_ppb"], row["valid_from"], row["source"])


def _check(rate: ExchangeRate) -> None:
    if not _CODE.fullmatch(rate.currency):
        raise BadRequestError(
            "A currency is its ISO 4217 code, three capital letters.",
            where="currency",
            hint="Such as `EUR`.",
        )
    if rate.currency == BASE:
        raise BadRequestError(f"{BASE} is what all rates are for: it has none.", where="currency")
    if not 0 < rate.per_usd_ppb <= MAX_PPB:
        raise BadRequestError(
            "A rate is above 0 and below a billion units for a dollar.", where="per_usd"
        )
    check_time(rate.valid_from, "valid_from")
    check_text(rate.source, "source")


def _check_room(connection: sa.Connection) -> None:
    count = connection.scalar(sa.select(sa.func.count()).select_from(EXCHANGE_RATES))
    if int(count or 0) >= contract.MAX_RATES:
        raise TooLargeError(
            f"There are {contract.MAX_RATES} exchange rates, as many as there may be.",
            hint="Change a rate that is there: name the time it begins at.",
        )
