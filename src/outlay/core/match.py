"""Recognises model names: match clauses, and the forms a name takes on different surfaces.

Owns the clause language of `ModelRow.match` and the list of rewrites that `PriceBook.resolve` may
try, each with a name that is recorded. It knows no prices. A rewrite never guesses: what a form
then matches is up to a catalogue clause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Predicate = Callable[[str], bool]
"""Tells whether a lower-case name matches."""

MAX_CLAUSE_DEPTH: Final = 8
MAX_NAME_CHARACTERS: Final = 512
"""A longer name is no model's name and resolves to nothing."""

FINE_TUNED: Final = "ft:"
OWN_MODEL_MARKS: Final = (
    ":ft-", "tunedmodels/", ":custom-model", ":imported-model", ":provisioned-model",
)  # fmt: skip
"""What a lower-case name holds that is a customer's own model, beside names that begin with `ft:`
as at OpenAI and Mistral: OpenAI's old `BASE:ft-…`, Google's tuned models, and the ARNs of models
that are customized, imported or rented by the hour on Bedrock."""

BILLED_AS_REQUESTED: Final = frozenset(("aws",))
"""Clouds whose prices go by the id in the request: what the reply names says less."""

PROVIDER_ALIASES: Final[Mapping[str, str]] = {
    "azure-openai": "azure",
    "azure_openai": "azure",
    "bedrock": "aws",
    "amazon": "aws",
    "gemini": "google",
    "google-vertex": "google",
    "vertex": "google",
    "vertexai": "google",
    "moonshot": "moonshotai",
    "together-ai": "together",
    "together_ai": "together",
    "voyage": "voyageai",
    "x-ai": "xai",
    "fireworks-ai": "fireworks",
}
"""Other names of a provider, and the one that rates are kept under."""

PROVIDER_FALLBACKS: Final[Mapping[str, tuple[str, ...]]] = {
    "azure": ("openai", "anthropic", "deepseek", "xai", "moonshotai"),
    "google": ("anthropic",),
}
"""Clouds that resell makers' models at the makers' list prices, where the catalogue says so."""

ROUTER: Final = "openrouter"
MAKERS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google": "google",
    "minimax": "minimax",
    "mistralai": "mistral",
    "moonshotai": "moonshotai",
    "openai": "openai",
    "perplexity": "perplexity",
    "x-ai": "xai",
    "z-ai": "zai",
}
"""Makers as the router names them in `maker/model`, and the provider that sells the model itself.
The router passes a seller's price on, but may choose another seller: such a price is an estimate
(openrouter.ai/docs/faq)."""

FREE_VARIANT: Final = ":free"
"""What ends the router's name of a model without cost, and by itself names them all."""

_PATHS: Final = (
    re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/(.+)$"),
    re.compile(r"^arn:[^/]+:(?:foundation-model|inference-profile)/(.+)$"),
    re.compile(r"^(?:accounts/)?fireworks/(?:models|routers)/(.+)$"),
    re.compile(r"^(?:tuned)?models/(.+)$"),
)
_CLOUD_ID: Final = re.compile(r"arn:|[a-z][a-z0-9-]*\.[a-z]")
_REGION_PREFIX: Final = re.compile(r"^(?:global|us-gov|us|eu|apac|au|jp|in|ca|sa|me|af)\.(?=[a-z])")
_UNVERSIONED: Final = re.compile(r"openai\.gpt-oss-\d+b")
_DATE_SUFFIX: Final = re.compile(r"(?:-20\d\d-\d\d-\d\d|[-@]20\d{6}|@(?:latest|default))$")
_COMPACT_DATE: Final = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$")


def canonical_provider(provider: str) -> str:
    """Return the name that a provider's rates are kept under."""
    lower = provider.strip().lower()
    return PROVIDER_ALIASES.get(lower, lower)


def own_model_mark(name: str) -> str:
    """Return the mark that tells a customer's own model in a lower-case name, or nothing."""
    if name.startswith(FINE_TUNED):
        return FINE_TUNED
    return next((mark for mark in OWN_MODEL_MARKS if mark in name), "")


def maker_name(provider: str, name: str) -> tuple[str, str] | None:
    """Return who makes and sells a router's lower-case `maker/model`, and the model's name there.

    A variant of a model (`model:variant`), or a customer's own, has a price of its own: `None`.
    """
    maker, slash, model = name.partition("/")
    if provider != ROUTER or not slash or ":" in model or maker not in MAKERS:
        return None
    return MAKERS[maker], model


def is_cloud_id(name: str) -> bool:
    """Tell whether a lower-case name is a Bedrock id: an ARN, or `[region.]maker.model`."""
    return _CLOUD_ID.match(name) is not None


def name_forms(provider: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield `(rewrites, form)` for a lower-case name, the name itself first.

    `rewrites` names what was done, joined by `+`, and is empty for the name itself. A customer's
    own model has no other form: it is never priced as its base model.
    """
    seen = {name}
    yield "", name
    if own_model_mark(name):
        return
    forms = [("", name)]
    for rule, rewrite in _REWRITES:
        for before, form in tuple(forms):
            changed = rewrite(provider, form)
            if changed and changed not in seen:
                seen.add(changed)
                forms.append((f"{before}+{rule}" if before else rule, changed))
                yield forms[-1]


def _strip_path(provider: str, name: str) -> str:
    for pattern in _PATHS:
        found = pattern.match(name)
        if found:
            return found[1]
    maker, slash, rest = name.partition("/")
    return rest if slash and canonical_provider(maker) == provider else ""


def _bedrock_version(provider: str, name: str) -> str:
    """Return the id with the version that Bedrock's OpenAI-shaped endpoint leaves out."""
    short = provider == "aws" and _UNVERSIONED.fullmatch(name) is not None
    return f"{name}-1:0" if short else ""


def _free_variant(provider: str, name: str) -> str:
    return FREE_VARIANT if provider == ROUTER and name.endswith(FREE_VARIANT) else ""


def _strip_region_prefix(_: str, name: str) -> str:
    return _REGION_PREFIX.sub("", name)


def _dash_date(_: str, name: str) -> str:
    return _COMPACT_DATE.sub(r"-\1-\2-\3", name)


def _strip_date(_: str, name: str) -> str:
    return _DATE_SUFFIX.sub("", name)


_REWRITES: Final[tuple[tuple[str, Callable[[str, str], str]], ...]] = (
    ("strip_path", _strip_path),
    ("dash_date", _dash_date),
    ("bedrock_version", _bedrock_version),
    ("strip_region_prefix", _strip_region_prefix),
    ("strip_date", _strip_date),
    ("free_variant", _free_variant),
)
"""In the order tried; each also works on the forms made before it."""

GUESSED_REWRITES: Final = frozenset({"strip_region_prefix", "strip_date"})
"""Rewrites that drop something which may carry a price: their result is an estimate."""


def canonical_clause(clause: Mapping[str, Any]) -> str:
    """Return a clause as canonical JSON text.

    Raises:
        ValueError: if it is not a clause.
    """
    _compile(clause, 0)
    return json.dumps(clause, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def compile_clause(text: str) -> Predicate:
    """Make a predicate on lower-case names from a clause's JSON text.

    Raises:
        ValueError: if the text is not a clause; the message says where.
    """
    try:
        clause = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a match clause is not JSON: {text[:80]!r}") from error
    return _compile(clause, 0)


def _compile(clause: Any, depth: int) -> Predicate:
    if depth > MAX_CLAUSE_DEPTH:
        raise ValueError(f"a match clause is nested deeper than {MAX_CLAUSE_DEPTH}")
    if not isinstance(clause, Mapping) or len(clause) != 1:
        raise ValueError("a match clause is an object with exactly one key")
    (kind, value), *_ = clause.items()
    if kind in ("or", "and"):
        if not isinstance(value, list) or not value:
            raise ValueError(f"`{kind}` in a match clause takes a list of clauses")
        return _combined(kind, [_compile(part, depth + 1) for part in value])
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{kind}` in a match clause takes text")
    if kind == "regex":
        return _regex(value)
    make = _SIMPLE.get(kind)
    if make is None:
        known = ", ".join((*_SIMPLE, "regex", "or", "and"))
        raise ValueError(f"unknown match clause {kind!r}; known are {known}")
    return make(value.lower())


def _combined(kind: str, parts: list[Predicate]) -> Predicate:
    if kind == "or":
        return lambda name: any(part(name) for part in parts)
    return lambda name: all(part(name) for part in parts)


def _regex(pattern: str) -> Predicate:
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise ValueError(f"a match clause's regex is not valid: {pattern[:80]!r}") from error
    return lambda name: search(name) is not None


_SIMPLE: Final[Mapping[str, Callable[[str], Predicate]]] = {
    "equals": lambda value: lambda name: name == value,
    "starts_with": lambda value: lambda name: name.startswith(value),
    "ends_with": lambda value: lambda name: name.endswith(value),
    "contains": lambda value: lambda name: value in name,
}
