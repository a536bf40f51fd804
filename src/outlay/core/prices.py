"""The price book: the model that a name means, and the rates of one call.

Owns `PriceBook` and its snapshot; names are resolved in `core.names`, rows and their order are in
`core.rates`, what usage is sold for in `core.sell`. Pure: the time of the call is passed in.
Nothing falls back silently: the rule that was used is part of the answer, and what no row prices
stays unpriced.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from outlay.core.calls import Call
from outlay.core.match import canonical_provider
from outlay.core.names import Names, Resolution
from outlay.core.rates import (
    CONTRACT,
    LAYERS,
    NO_RATES,
    RATE_ID_CHARACTERS,
    Conditions,
    Found,
    ModelRates,
    ModelRow,
    RateRow,
    RateSet,
    Steps,
    price_speed,
    price_tier,
)
from outlay.core.sell import SellRates, SellRow
from outlay.core.windows import parse_window, week_time

__all__ = [
    "CONTRACT", "LAYERS", "NO_RATES", "Conditions", "Found", "ModelRow", "PriceBook", "RateRow",
    "RateSet", "Resolution", "Steps", "parse_window", "price_speed", "price_tier",
]  # fmt: skip

MAX_CACHED_RESOLUTIONS: Final = 16_384
MAX_CACHED_RATE_SETS: Final = 16_384
SNAPSHOT_VERSION: Final = 2


class PriceBook:
    """An immutable set of models and rates that prices calls. Safe to share between threads.

    Models are tried in the given order, higher layers first; the order of rates says nothing. Its
    caches are bounded.
    """

    def __init__(
        self,
        models: tuple[ModelRow, ...] = (),
        rates: tuple[RateRow, ...] = (),
        sells: tuple[SellRow, ...] = (),
    ) -> None:
        self.models = models
        self.rates = rates
        self.sells = sells
        self.tenants = frozenset(row.tenant for row in rates if row.tenant)
        self._rows: dict[tuple[str, str], list[RateRow]] = {}
        for row in rates:
            key = (canonical_provider(row.provider), row.model.lower())
            self._rows.setdefault(key, []).append(row)
        self._names = Names(models, rates)
        self._priced: dict[tuple[str, str], ModelRates] = {}
        self._resolutions: dict[tuple[str, tuple[str, ...], str], Resolution | None] = {}
        self._rate_sets: dict[tuple[Any, ...], RateSet] = {}

    @cached_property
    def hash(self) -> str:
        """Return the content's hash: equal books price alike. What is sold is no part of it."""
        digest = hashlib.sha256()
        for model in self.models:
            digest.update(json.dumps(model.content(), ensure_ascii=False).encode())
        digest.update("".join(sorted(row.rate_id for row in self.rates)).encode())
        return digest.hexdigest()[:RATE_ID_CHARACTERS]

    @cached_property
    def has_contract_rates(self) -> bool:
        """Whether any rate is a contract's, so that list and own price may differ."""
        return any(row.layer == CONTRACT for row in self.rates)

    @cached_property
    def sell_rates(self) -> SellRates:
        """Return what usage is sold for."""
        return SellRates(self.sells)

    def for_tenant(self, tenant: str | None) -> PriceBook:
        """Return the book that one tenant may see: no other tenant's rates, nothing of selling.

        Without a tenant, no tenant's rates at all.
        """
        own = tuple(row for row in self.rates if row.tenant in ("", tenant or ""))
        if len(own) == len(self.rates) and not self.sells:
            return self
        return PriceBook(self.models, own)

    def resolve(self, provider: str, names: Sequence[str], tenant: str = "") -> Resolution | None:
        """Find the model that a call's names mean; `None` when nothing in the book prices it.

        Args:
            provider: who is paid, by any of its names.
            names: the model as served, then as requested; `core.names` says which one wins.
            tenant: whose call it is.
        """
        key = (provider, tuple(names), tenant if tenant in self._names.tenants else "")
        try:
            return self._resolutions[key]
        except KeyError:
            found = self._names.resolve(provider, key[1], key[2])
            _remember(self._resolutions, key, found, MAX_CACHED_RESOLUTIONS)
            return found

    def steps(self, provider: str, model: str) -> Steps:
        """Return where the rates of a resolved model change with time, week and input total."""
        return self._model(provider, model).steps

    def rates_of(
        self,
        found: Resolution,
        call: Call,
        *,
        at: int | None = None,
        input_total: int = 0,
        list_price: bool = False,
    ) -> RateSet:
        """Choose the rates of a call's model, at the call's own time unless one is given.

        Of a maker's rates that another provider's call is priced by, contracts are left out.
        """
        return self.rate_set(
            found.provider,
            found.model,
            host_class=call.host_class,
            region_class=call.region_class or found.region_class,
            tier=call.tier,
            batch=call.batch,
            speed=call.speed,
            tenant=call.tenant,
            at=call.at if at is None else at,
            input_total=input_total,
            list_price=list_price or found.borrowed,
        )

    def rate_set(
        self,
        provider: str,
        model: str,
        *,
        host_class: str = "",
        region_class: str = "",
        tier: str = "",
        batch: bool = False,
        speed: str = "",
        tenant: str = "",
        at: int,
        input_total: int = 0,
        list_price: bool = False,
    ) -> RateSet:
        """Choose the rates of a resolved model for one call; `core.rates` says which rows win.

        Args:
            provider: `Resolution.provider`.
            model: `Resolution.model`.
            host_class: as in the event; likewise the other conditions.
            region_class: as in the event, else `Resolution.region_class`.
            tier: the tier served, normalised by `price_tier`.
            batch: whether it was a batch call.
            speed: the speed served, empty for standard.
            tenant: whose call it is.
            at: when the call started, microseconds UTC.
            input_total: everything the call read, cached or not.
            list_price: leave contract rates out.
        """
        priced = self._model(provider, model)
        steps = priced.steps
        whose = tenant if tenant in priced.tenants else ""
        said = Conditions(host_class, region_class, tier, batch, speed, whose)
        key = (
            provider, model, said, list_price, bisect_right(steps.times, at),
            bisect_right(steps.week_times, week_time(at)) if steps.week_times else 0,
            bisect_right(steps.contexts, input_total),
        )  # fmt: skip
        found = self._rate_sets.get(key)
        if found is None:
            found = priced.choose(said, at=at, input_total=input_total, list_price=list_price)
            _remember(self._rate_sets, key, found, MAX_CACHED_RATE_SETS)
        return found

    def _model(self, provider: str, model: str) -> ModelRates:
        key = (provider.lower(), model.lower())
        made = self._priced.get(key)
        if made is None:
            made = ModelRates(self._rows.get(key, ()))
            if key in self._rows:
                self._priced[key] = made
        return made

    def to_snapshot(self) -> bytes:
        """Return models and rates as compact JSON, for processes that price on their own.

        What usage is sold for is never in it.
        """
        return json.dumps(
            {
                "version": SNAPSHOT_VERSION,
                "hash": self.hash,
                "models": [model.content() for model in self.models],
                "rates": [(row.rate_id, *row.content()) for row in self.rates],
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_snapshot(cls, snapshot: bytes | str) -> PriceBook:
        """Read what `to_snapshot` wrote.

        Raises:
            ValueError: if it is not a snapshot of this version, or was altered.
        """
        try:
            data = json.loads(snapshot)
            if data["version"] != SNAPSHOT_VERSION:
                raise ValueError(f"price snapshot version {data['version']!r} is not known")
            models = tuple(ModelRow.from_content(row) for row in data["models"])
            rates = tuple(RateRow.from_content(rate_id, row) for rate_id, *row in data["rates"])
            book, stated = cls(models, rates), data["hash"]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a price snapshot: fetch it again") from error
        if book.hash != stated:
            raise ValueError("the price snapshot does not match its hash: fetch it again")
        return book


def _remember(cache: dict[Any, Any], key: Any, value: Any, limit: int) -> None:
    if len(cache) >= limit:
        cache.clear()
    cache[key] = value
