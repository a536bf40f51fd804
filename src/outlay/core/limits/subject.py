"""What a call is about, which limits select it, and the scope that it counts in.

Owns `Subject` and the matching of selectors. It knows no amounts and no time. Matching runs for
every call and every group of events, so that each limit's selectors are compiled once.

A selected field that is empty never matches; only a tenant that is not known has a name,
`unattributed`. Values are compared as written, those of `model` and `provider` without regard to
case, a provider under any of its names. A value may end in `*`. An agent's value with a `/` is a
path from the root; one without is an agent anywhere in the path, as any agent may start another.
Either way everything below it matches too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from outlay.core.event import UNATTRIBUTED
from outlay.core.limits.limit import MAX_LIMITS, SCOPES, Limit, Match
from outlay.core.match import canonical_provider

ANY: Final = "*"
TOTAL: Final = "[]"
"""Scope key of a limit that counts everything it selects together."""

_ID_WINDOWS: Final = frozenset(("request", "run"))
_MAX_KEYS: Final = 16_384
"""Scope keys whose text is kept."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What one call is about; "" where it is not known.

    `billing_unit` is `type:id`, `agent` the whole path (`research/web`), `model` the one that is
    sent. `request` and `run` are ids; where a call belongs to no request, it is one of its own and
    `request` is the call's id.
    """

    tenant: str = ""
    plan: str = ""
    billing_unit: str = ""
    user: str = ""
    feature: str = ""
    workflow: str = ""
    agent: str = ""
    model: str = ""
    provider: str = ""
    initiator: str = ""
    request: str = ""
    run: str = ""


def subject_of(fields: Mapping[str, Any], *, plan: str = "") -> Subject:
    """Make the subject of an event's fields, by their names in `core.event`.

    `plan` holds where the event, not enriched yet, has none. The model is the one that was asked
    of the provider, which is what was held for; what the provider says it served may differ.
    """

    def text(name: str) -> str:
        return str(fields.get(name) or "")

    kind, unit = text("billing_unit_type"), text("billing_unit_id")
    return Subject(
        tenant=text("tenant_id"),
        plan=text("plan") or plan,
        billing_unit=f"{kind}:{unit}" if unit else "",
        user=text("user_id"),
        feature=text("feature"),
        workflow=text("workflow"),
        agent=text("agent_path"),
        model=text("model_requested") or text("model_served"),
        provider=text("provider"),
        initiator=text("initiator"),
        request=text("request_id") or text("call_id") or text("event_id"),
        run=text("run_id"),
    )


def matches(limit: Limit, subject: Subject) -> bool:
    """Tell whether a limit selects a call."""
    return _compiled(limit).matches(subject)


def scope_key(limit: Limit, subject: Subject) -> str:
    """Return which of a limit's scopes a call that it selects counts in.

    It is compact JSON: `[field, value]` of each field that counts by value, in the order of
    `SCOPES`, then the id for a window that is one request or run. `[]` is a total.
    """
    return _compiled(limit).key(subject)


def needs_id(limit: Limit) -> str:
    """Return the id that a limit's window goes by: `request`, `run`, or "" for none."""
    return limit.window if limit.window in _ID_WINDOWS else ""


def needs_field(limit: Limit) -> tuple[str, ...]:
    """Return the fields of a subject that decide whether and where a limit counts."""
    known = tuple(part.field for part in _ordered(limit))
    return (*known, needs_id(limit)) if needs_id(limit) else known


def read_scope_key(key: str) -> dict[str, str]:
    """Return the values that a scope key names, by field.

    Raises:
        ValueError: if it is no scope key.
    """
    try:
        pairs = json.loads(key)
        return {str(field): str(value) for field, value in pairs}
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a scope key: {key[:80]!r}") from error


@lru_cache(maxsize=_MAX_KEYS)
def key_text(pairs: tuple[tuple[str, str], ...]) -> str:
    """Write a scope key of fields and values, given in the order that counts."""
    return json.dumps(pairs, ensure_ascii=False, separators=(",", ":"))


def text_matches(values: tuple[str, ...], text: str) -> bool:
    """Tell whether a text is one of some values, each of which may end in `*`; "" never is."""
    return _matcher("", values)(text)


def model_matches(values: tuple[str, ...], model: str) -> bool:
    """Tell the same of a model, whose name is compared without regard to case."""
    return _matcher("model", values)(model.lower())


def agent_matches(values: tuple[str, ...], path: str) -> bool:
    """Tell whether an agent's path is at or below one of some agents."""
    return _matcher("agent", values)(path)


class _Selectors:
    """The selectors of one limit, ready to be asked."""

    __slots__ = ("_each", "_id", "_limit", "_parts")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._id = needs_id(limit)
        ordered = _ordered(limit)
        self._parts = tuple((part.field, _matcher(part.field, part.values)) for part in ordered)
        self._each = tuple(part.field for part in ordered if part.each)

    def matches(self, subject: Subject) -> bool:
        for field, wanted in self._parts:
            if not wanted(_value(subject, field)):
                return False
        return not self._id or bool(getattr(subject, self._id))

    def key(self, subject: Subject) -> str:
        if not self._each and not self._id:
            return TOTAL
        pairs = tuple((field, _value(subject, field)) for field in self._each)
        if self._id:
            # Not kept: there are as many of them as there are requests.
            own = (*pairs, (self._id, getattr(subject, self._id)))
            return json.dumps(own, ensure_ascii=False, separators=(",", ":"))
        return key_text(pairs)


_known: dict[int, tuple[Limit, _Selectors]] = {}
"""By identity, as hashing a limit takes longer than matching it; the limit is kept with it, so
that no other can have its identity."""


def _compiled(limit: Limit) -> _Selectors:
    found = _known.get(id(limit))
    if found is not None and found[0] is limit:
        return found[1]
    if len(_known) >= 2 * MAX_LIMITS:
        _known.clear()
    made = _Selectors(limit)
    _known[id(limit)] = (limit, made)
    return made


def _ordered(limit: Limit) -> list[Match]:
    return sorted(limit.scope, key=lambda part: SCOPES.index(part.field))


def _value(subject: Subject, field: str) -> str:
    value: str = getattr(subject, field)
    if field == "tenant":
        return value or UNATTRIBUTED
    if field == "model":
        return value.lower()
    return canonical_provider(value) if field == "provider" else value


@lru_cache(maxsize=4096)
def _matcher(field: str, values: tuple[str, ...]) -> Callable[[str], bool]:
    """Make the test of a field's value, which is given as `_value` returns it."""
    if not values or ANY in values:
        return bool
    if field == "agent":
        return _agents(values)
    if field == "model":
        values = tuple(value.lower() for value in values)
    exact = frozenset(value for value in values if not value.endswith(ANY))
    if field == "provider":
        exact = frozenset(map(canonical_provider, exact))
        values = tuple(value.lower() for value in values)
    starts = tuple(value[:-1] for value in values if value.endswith(ANY))
    if not starts:
        return exact.__contains__
    return lambda text: text in exact or text.startswith(starts)


def _agents(values: tuple[str, ...]) -> Callable[[str], bool]:
    """Make the test of a path; slashes around both keep `web` from matching `website`."""
    wanted = [f"/{v[:-1].lstrip('/')}" if v.endswith(ANY) else f"/{v.strip('/')}/" for v in values]
    starts = tuple(w for v, w in zip(values, wanted, strict=True) if "/" in v.strip("/"))
    parts = tuple(w for v, w in zip(values, wanted, strict=True) if "/" not in v.strip("/"))

    def test(path: str) -> bool:
        if not path:
            return False
        whole = f"/{path}/"
        return whole.startswith(starts) or any(part in whole for part in parts)

    return test
