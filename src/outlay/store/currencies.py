"""The contract of exchange rates, for showing amounts in other currencies; part of the books.

All money in outlay is nano-dollars; rates change nothing but how it is shown. Thread-safe; times
are microseconds UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

BASE: Final = "USD"
PPB: Final = 1_000_000_000
"""Parts of a unit of a currency that a rate is counted in."""
MAX_PPB: Final = 10**18 - 1
"""Just under a billion units for a dollar."""
MAX_RATES: Final = 10_000
"""Rates of all currencies and times together."""


@dataclass(frozen=True, slots=True)
class ExchangeRate:
    """What a dollar is in a currency from a time on, until that currency's next rate.

    `currency` is its ISO 4217 code, `per_usd_ppb` the units for a dollar times 10^9, `source` who
    says so.
    """

    currency: str
    per_usd_ppb: int
    valid_from: int
    source: str = ""


class CurrencyBooks(Protocol):
    """Rates by currency and the time from which they hold."""

    def exchange_rates(self) -> list[ExchangeRate]:
        """Return every rate, those that begin last first."""

    def put_exchange_rate(
        self, rate: ExchangeRate, *, reason: str, actor: str, at: int
    ) -> ExchangeRate:
        """Write a rate, with an audit entry, in the place of one that begins at the same time.

        The same rate again changes nothing. Raises `BadRequestError` for a part that is not valid
        and without a reason, `TooLargeError` past `MAX_RATES`.
        """
