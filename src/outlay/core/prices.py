"""The price book: finds the model that a name means, and the rates of one call.

Owns `PriceBook`, name resolution and the book's snapshot; rows and their order are in
`core.rates`, names in `core.match`. Pure: the time of the call is passed in. Nothing falls back
silently: the rule that was used is part of the answer, and what no row prices stays unpriced.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from outlay.core.match import (
    FINE_TUNED_PREFIX,
    GUESSED_REWRITES,
    MAX_NAME_CHARACTERS,
    PROVIDER_FALLBACKS,
    Predicate,
    canonical_provider,
    compile_clause,
    name_forms,
)
from outlay.core.rates import (
    CONTRACT,
    DAY_US,
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
    layer_rank,
    parse_window,
    price_speed,
    price_tier,
)

__all__ = [
    "CONTRACT", "DAY_US", "LAYERS", "NO_RATES", "Conditions", "Found", "ModelRow", "PriceBook",
    "RateRow", "RateSet", "Resolution", "Steps", "parse_window", "price_speed", "price_tier",
]  # fmt: skip

MAX_CACHED_RESOLUTIONS: Final = 16_384
MAX_CACHED_RATE_SETS: Final = 16_384
SNAPSHOT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which model's rates price a name, whose they are, and the rule that found them.

    `rule` is `exact` (the name is a model id) or `match` (a clause of the catalogue), preceded,
    joined by `+`, by what was done first: `requested` (the served name had no price), a
    `provider_alias`, a `provider_fallback`, and the rewrites of `core.match`.
    """

    model: str
    rule: str
    provider: str

    @property
    def estimated(self) -> bool:
        """Whether the rule drops or swaps something that may carry a price of its own."""
        steps = set(self.rule.split("+"))
        return bool(steps & (GUESSED_REWRITES | {"provider_fallback", "requested"}))


class PriceBook:
    """An immutable set of models and rates that prices calls. Safe to share between threads.

    Models are tried in the given order, higher layers first. Its caches are bounded.
    """

    def __init__(self, models: tuple[ModelRow, ...] = (), rates: tuple[RateRow, ...] = ()) -> None:
        self.models = models
        self.rates = rates
        self._rows: dict[tuple[str, str], list[RateRow]] = {}
        for row in rates:
            self._rows.setdefault((row.provider.lower(), row.model.lower()), []).append(row)
        self._names: dict[str, dict[str, str]] = {}
        for row in rates:
            self._names.setdefault(row.provider.lower(), {})[row.model.lower()] = row.model
        for model in models:
            self._names.setdefault(model.provider.lower(), {})[model.model.lower()] = model.model
        self._matchers: dict[str, list[tuple[ModelRow, Predicate]]] = {}
        self._priced: dict[tuple[str, str], ModelRates] = {}
        self._resolutions: dict[tuple[str, tuple[str, ...]], Resolution | None] = {}
        self._rate_sets: dict[tuple[Any, ...], RateSet] = {}

    @cached_property
    def hash(self) -> str:
        """Return the content's hash: equal books price alike."""
        digest = hashlib.sha256()
        for model in self.models:
            digest.update(json.dumps(model.content(), ensure_ascii=False).encode())
        digest.update("".join(sorted(row.rate_id for row in self.rates)).encode())
        return digest.hexdigest()[:RATE_ID_CHARACTERS]

    @cached_property
    def has_contract_rates(self) -> bool:
        """Whether any rate is a contract's, so that list and own price may differ."""
        return any(row.layer == CONTRACT for row in self.rates)

    def resolve(self, provider: str, names: Sequence[str]) -> Resolution | None:
        """Find the model that a call's names mean; `None` when nothing in the book prices it.

        Args:
            provider: who is paid, by any of its names.
            names: the model as served, then as requested; the first that is found wins.
        """
        key = (provider, tuple(names))
        try:
            return self._resolutions[key]
        except KeyError:
            found = self._resolve(provider, key[1])
            _remember(self._resolutions, key, found, MAX_CACHED_RESOLUTIONS)
            return found

    def _resolve(self, provider: str, names: tuple[str, ...]) -> Resolution | None:
        owner = canonical_provider(provider)
        alias = "" if owner == provider.strip().lower() else "provider_alias"
        said = [name.strip().lower() for name in names if name and name.strip()]
        for place, name in enumerate(dict.fromkeys(said)):
            if len(name) > MAX_NAME_CHARACTERS:
                continue
            for seller in (owner, *PROVIDER_FALLBACKS.get(owner, ())):
                for rewrites, form in name_forms(owner, name):
                    found = self._lookup(seller, form)
                    if found is None:
                        continue
                    steps = (
                        "requested" if place else "",
                        alias,
                        "" if seller == owner else "provider_fallback",
                        rewrites,
                        found[1],
                    )
                    return Resolution(found[0], "+".join(filter(None, steps)), seller)
        return None

    def _lookup(self, provider: str, name: str) -> tuple[str, str] | None:
        model = self._names.get(provider, {}).get(name)
        if model is not None:
            return model, "exact"
        for row, matches in self._matcher(provider):
            if matches(name):
                return row.model, "match"
        return None

    def _matcher(self, provider: str) -> list[tuple[ModelRow, Predicate]]:
        made = self._matchers.get(provider)
        if made is None:
            rows = [row for row in self.models if row.provider.lower() == provider]
            rows.sort(key=lambda row: -layer_rank(row.layer))
            made = [(row, _guarded(row)) for row in rows]
            self._matchers[provider] = made
        return made

    def steps(self, provider: str, model: str) -> Steps:
        """Return where the rates of a resolved model change with time, hour and input total."""
        return self._model(provider, model).steps

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
        at: int,
        input_total: int = 0,
        list_price: bool = False,
    ) -> RateSet:
        """Choose the rates of a resolved model for one call.

        Rows of a higher layer win, then rows that name more of the call's conditions, then the
        highest context band that the input total reaches, then the youngest.

        Args:
            provider: `Resolution.provider`.
            model: `Resolution.model`.
            host_class: as in the event; likewise the other conditions.
            region_class: as in the event.
            tier: the tier served, normalised by `price_tier`.
            batch: whether it was a batch call.
            speed: the speed served, empty for standard.
            at: when the call started, microseconds UTC.
            input_total: everything the call read, cached or not.
            list_price: leave contract rates out.
        """
        priced = self._model(provider, model)
        steps = priced.steps
        said = Conditions(host_class, region_class, tier, batch, speed)
        key = (
            provider, model, said, list_price, bisect_right(steps.times, at),
            bisect_right(steps.day_times, at % DAY_US), bisect_right(steps.contexts, input_total),
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
        """Return the book as compact JSON, for processes that price on their own."""
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
            models = tuple(ModelRow(*row) for row in data["models"])
            rates = tuple(RateRow(*row) for row in data["rates"])
            book, stated = cls(models, rates), data["hash"]
        except (KeyError, TypeError) as error:
            raise ValueError("not a price snapshot: fetch it again") from error
        if book.hash != stated:
            raise ValueError("the price snapshot does not match its hash: fetch it again")
        return book


def _guarded(row: ModelRow) -> Predicate:
    """Compile a row's clause so that only a row that says `ft:` matches a fine-tuned name."""
    matches = compile_clause(row.match)
    if FINE_TUNED_PREFIX in row.match.lower():
        return matches
    return lambda name: not name.startswith(FINE_TUNED_PREFIX) and matches(name)


def _remember(cache: dict[Any, Any], key: Any, value: Any, limit: int) -> None:
    if len(cache) >= limit:
        cache.clear()
    cache[key] = value
