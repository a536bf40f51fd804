"""Finds the model that a call's names mean, by rules that are recorded and never guess silently.

Owns `Resolution` and the order in which names, sellers and forms of a name are tried; the forms
themselves are in `core.match`. It knows which models there are and whose, and no prices.

The first name that is found wins: as served, as requested, the deployment; on clouds that bill
by the id in the request, such ids come before plain names. Each name is tried at the provider,
then at the makers whose list prices it resells or, of a router, at the maker that it names; there
in each of its forms; and each form as an alias of the operator's own, as a model's id, and by the
catalogue's clauses. An alias says a model, which is then found by its own name in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from outlay.core.match import (
    BILLED_AS_REQUESTED,
    FREE_VARIANT,
    GUESSED_REWRITES,
    MAX_NAME_CHARACTERS,
    PROVIDER_FALLBACKS,
    Predicate,
    canonical_provider,
    compile_clause,
    is_cloud_id,
    maker_name,
    name_forms,
    own_model_mark,
)
from outlay.core.rates import OWN_LAYERS, ModelRow, RateRow, layer_rank

ANYONE: Final = "*"
"""The provider and model of ceiling rows; no call's name means them."""

_RESOLD, _ROUTED = "provider_fallback", "maker_fallback"
_BORROWED: Final = frozenset((_RESOLD, _ROUTED))
_GUESSES: Final = GUESSED_REWRITES | {_RESOLD, _ROUTED, "requested", "served"}


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which model's rates price a name, whose they are, and the rule that found them.

    `rule` ends with how the model was recognised: `exact` (the name is a model's id), `match` (a
    clause of the catalogue) or `alias` (a row of the operator's own names the model). Before it
    stands, joined by `+`, what was done first: `region_alias` (an alias of another of the call's
    names tells the region class), `requested` or `served` (the name tried first had no price),
    `provider_alias`, `alias` where its model is found by further steps, `provider_fallback` or
    `maker_fallback`, and the rewrites of `core.match`. `region_class` holds where the call states
    none.
    """

    model: str
    rule: str
    provider: str
    region_class: str = ""

    @property
    def estimated(self) -> bool:
        """Whether the rule drops or swaps something that may carry a price of its own."""
        return not _GUESSES.isdisjoint(self.rule.split("+"))

    @property
    def borrowed(self) -> bool:
        """Whether the rates are another provider's, whose contract with us is not this one's."""
        return not _BORROWED.isdisjoint(self.rule.split("+"))


@dataclass(frozen=True, slots=True)
class _Found:
    """A model at a provider, the steps that led to it, and the region class an alias said."""

    model: str
    provider: str
    steps: tuple[str, ...]
    region_class: str = ""


class Names:
    """The names of a book's models. A tenant's own rates name models for that tenant alone."""

    def __init__(self, models: Sequence[ModelRow], rates: Iterable[RateRow]) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        self._tenant_ids: dict[str, dict[tuple[str, str], str]] = {}
        for row in rates:
            if row.provider == ANYONE:
                continue
            ids = self._tenant_ids.setdefault(row.tenant, {}) if row.tenant else self._ids
            key = (canonical_provider(row.provider), row.model.lower())
            ids[key] = min(ids.get(key, row.model), row.model)
        for model in models:
            if model.layer not in OWN_LAYERS:
                key = (canonical_provider(model.provider), model.model.lower())
                self._ids[key] = model.model
        self._matchers: dict[tuple[str, bool], list[tuple[ModelRow, Predicate]]] = {}
        # The models of each provider, in the given order: the operator's own ones, or not.
        self._of: dict[tuple[str, bool], list[ModelRow]] = {}
        for model in models:
            of = (canonical_provider(model.provider), model.layer in OWN_LAYERS)
            self._of.setdefault(of, []).append(model)
        self._regional = {
            canonical_provider(row.provider)
            for row in models
            if row.region_class and row.layer in OWN_LAYERS
        }

    @property
    def tenants(self) -> Iterable[str]:
        """Tenants for whom a name may mean another model than for others."""
        return self._tenant_ids.keys()

    def resolve(self, provider: str, names: Sequence[str], tenant: str = "") -> Resolution | None:
        """Find the model that names mean; `None` when nothing in the book prices it.

        Args:
            provider: who is paid, by any of its names.
            names: the model as served, then as requested, then others; the best one wins.
            tenant: whose call it is.
        """
        owner = canonical_provider(provider)
        said = [name.strip().lower() for name in names if name and name.strip()]
        said = [name for name in dict.fromkeys(said) if len(name) <= MAX_NAME_CHARACTERS]
        asked = said
        if owner in BILLED_AS_REQUESTED:
            asked = sorted(said, key=lambda name: not is_cloud_id(name))
        for place, name in enumerate(asked):
            found = self._find(owner, name, tenant)
            if found is None or (place and found.model == FREE_VARIANT):
                continue  # what was served instead of a free model is not free
            later = "" if not place else "served" if name == said[0] else "requested"
            region, told = found.region_class, ""
            if not region and owner in self._regional:
                region = self._said_region(owner, said)
                told = "region_alias" if region else ""
            alias = "" if owner == provider.strip().lower() else "provider_alias"
            steps = dict.fromkeys(filter(None, (told, later, alias, *found.steps)))
            rule = "+".join(steps)
            return Resolution(found.model, rule, found.provider, region)
        return None

    def _find(self, owner: str, name: str, tenant: str) -> _Found | None:
        for seller, fallback, forms in _tries(owner, name):
            for rewrites, form in forms:
                steps = (fallback, rewrites)
                alias = self._matching(seller, form, own=True)
                if alias is not None:
                    return self._aliased(alias, owner, steps, tenant)
                found = self._listed(seller, form, tenant)
                if found is not None:
                    return replace(found, steps=(*steps, *found.steps))
        return None

    def _aliased(self, alias: ModelRow, owner: str, steps: tuple[str, ...], tenant: str) -> _Found:
        """Find the model that an alias names, without going through aliases again."""
        target = alias.model.strip().lower()
        for seller, fallback, forms in _tries(owner, target):
            for rewrites, form in forms:
                found = self._listed(seller, form, tenant)
                if found is None:
                    continue
                direct = found.steps == ("exact",) and seller == owner and not rewrites
                way = () if direct else (fallback, rewrites, *found.steps)
                return replace(
                    found, steps=(*steps, "alias", *way), region_class=alias.region_class
                )
        return _Found(alias.model, owner, (*steps, "alias"), alias.region_class)

    def _listed(self, provider: str, name: str, tenant: str) -> _Found | None:
        key = (provider, name)
        model = self._ids.get(key) or self._tenant_ids.get(tenant, {}).get(key)
        if model is not None:
            return _Found(model, provider, ("exact",))
        row = self._matching(provider, name, own=False)
        return None if row is None else _Found(row.model, provider, ("match",))

    def _matching(self, provider: str, name: str, *, own: bool) -> ModelRow | None:
        """Return the first row that matches; one's own model only by a row that says so."""
        mark = own_model_mark(name)
        for row, matches in self._matcher(provider, own=own):
            if mark in row.match.lower() and matches(name):
                return row
        return None

    def _said_region(self, owner: str, names: Sequence[str]) -> str:
        """Return the region class that an alias of any of the names tells."""
        for name in names:
            for _, form in name_forms(owner, name):
                row = self._matching(owner, form, own=True)
                if row is not None and row.region_class:
                    return row.region_class
        return ""

    def _matcher(self, provider: str, *, own: bool) -> list[tuple[ModelRow, Predicate]]:
        key = (provider, own)
        made = self._matchers.get(key)
        if made is None:
            if key not in self._of:
                return []  # not kept: anybody's names of providers come here
            rows = sorted(self._of[key], key=lambda row: -layer_rank(row.layer))
            made = self._matchers[key] = [(row, compile_clause(row.match)) for row in rows]
        return made


def _tries(owner: str, name: str) -> Iterator[tuple[str, str, Iterator[tuple[str, str]]]]:
    """Yield each seller to try a name at, the rule by which, and the name's forms there."""
    yield owner, "", name_forms(owner, name)
    for seller in PROVIDER_FALLBACKS.get(owner, ()):
        yield seller, _RESOLD, name_forms(owner, name)
    routed = maker_name(owner, name)
    if routed is not None:
        maker, model = routed
        yield maker, _ROUTED, name_forms(maker, model)
