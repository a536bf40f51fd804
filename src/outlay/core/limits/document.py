"""Limits and entitlements as people write them, in YAML or JSON, read strictly.

Owns the form of the document and its checks: what is unknown, selects nothing, contradicts itself
or is absurd is refused with the place and the reason, and nothing of the document is taken.
Whoever calls has parsed the text already. What was read is written back the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from outlay.core.limits import document_parts as parts
from outlay.core.limits import document_values as values
from outlay.core.limits.document_values import wrong
from outlay.core.limits.ladder import cap_of
from outlay.core.limits.limit import (
    CREDITS,
    DEFAULT_PRIORITY,
    MAX_LIMITS,
    METRICS,
    MODES,
    PPM,
    SCOPES,
    Entitlement,
    Limit,
    Metric,
    Mode,
    Threshold,
    Unreachable,
    Window,
)

UNREACHABLE: Final[tuple[Unreachable, ...]] = ("open", "closed")
MAX_PRIORITY: Final = 1_000_000
MAX_PLANS: Final = 1000
MAX_NAME_BYTES: Final = 256

_TOP: Final = ("limits", "entitlements")
_LIMIT: Final = (
    "id", "name", "scope", "metric", "window", "zone", "anchor_day", "amount", "burst",
    "thresholds", "priority", "mode", "on_unreachable", "strict",
)  # fmt: skip
_LISTS: Final = ("agents", "features", "models", "names")
_DEFAULT_LADDER: Final = (Threshold(PPM, "block"),)
_CALENDAR: Final = ("hour", "day", "week", "month")


@dataclass(frozen=True, slots=True)
class Document:
    """What a document says."""

    limits: tuple[Limit, ...] = ()
    entitlements: tuple[Entitlement, ...] = ()


def read_limits(document: object) -> Document:
    """Read a whole document, parsed from YAML or JSON.

    Raises:
        BadRequestError: something is wrong with it; `where` says what, as `limits[0].amount`.
    """
    found = values.mapping(document, _TOP, "")
    if not found:
        raise wrong("The document is empty.", "limits", "List limits under `limits`.")
    limits = _limits(found["limits"]) if "limits" in found else ()
    listed = found.get("entitlements")
    entitlements = () if listed is None else _entitlements(listed)
    return Document(limits, entitlements)


def read_limit(value: object, where: str = "limit") -> Limit:
    """Read one limit.

    Raises:
        BadRequestError: something is wrong with it.
    """
    found = values.mapping(value, _LIMIT, where)
    for name in ("id", "amount"):
        if name not in found:
            raise wrong(f"The limit has no `{name}`.", where)
    limit_id = values.identifier(found["id"], f"{where}.id")
    if limit_id == CREDITS:
        raise wrong(f"The id `{CREDITS}` is that of prepaid balances.", f"{where}.id")
    metric = _metric(found.get("metric", "cost"), f"{where}.metric")
    window, span_us = parts.read_window(found.get("window"), f"{where}.window", metric=metric)
    zone, anchor_day = _calendar(found, window, where)
    burst = found.get("burst")
    if burst is not None and window != "rate":
        raise wrong("`burst` is for a rate only.", f"{where}.burst")
    ladder = found.get("thresholds")
    limit = Limit(
        limit_id=limit_id,
        metric=metric,
        window=window,
        amount=values.amount(found["amount"], metric, f"{where}.amount"),
        scope=parts.read_scope(found.get("scope"), f"{where}.scope"),
        thresholds=_DEFAULT_LADDER
        if ladder is None
        else parts.read_thresholds(ladder, f"{where}.thresholds"),
        span_us=span_us,
        burst=0 if burst is None else values.amount(burst, metric, f"{where}.burst"),
        zone=zone,
        anchor_day=anchor_day,
        priority=values.integer(
            found.get("priority", DEFAULT_PRIORITY), f"{where}.priority", low=0, high=MAX_PRIORITY
        ),
        mode=_mode(found.get("mode", "enforce"), f"{where}.mode"),
        on_unreachable=values.word(
            found.get("on_unreachable", "open"), UNREACHABLE, f"{where}.on_unreachable"
        ),
        strict=values.boolean(found.get("strict", False), f"{where}.strict"),
        name=values.text(found["name"], f"{where}.name", at_most=MAX_NAME_BYTES)
        if found.get("name")
        else "",
    )
    if cap_of(limit, limit.amount) == 0:
        raise wrong(
            "The amount is absurd: so small a part of it is nothing, and every call is refused.",
            f"{where}.amount",
        )
    return limit


def check_limit(limit: Limit) -> None:
    """Check a limit that was made otherwise than by reading.

    Raises:
        BadRequestError: no document could say it.
    """
    ordered = tuple(sorted(limit.scope, key=lambda part: SCOPES.index(part.field)))
    if read_limit(limit_document(limit)) != replace(limit, scope=ordered):
        raise wrong("The limit says something that its window or metric has no use for.", "limit")


def limit_document(limit: Limit) -> dict[str, Any]:
    """Write a limit as `read_limit` reads it; most of what is as by default is left out."""
    spans = limit.window in parts.SPAN_WINDOWS
    window = f"{limit.window} {values.span_text(limit.span_us)}" if spans else limit.window
    said: dict[str, Any] = {
        "id": limit.limit_id,
        "name": limit.name,
        "scope": parts.scope_document(limit.scope),
        "metric": limit.metric,
        "window": "" if window == "none" else window,
        "zone": "" if limit.zone == "UTC" else limit.zone,
        "anchor_day": "" if limit.anchor_day == 1 else limit.anchor_day,
        "amount": values.amount_text(limit.amount, limit.metric),
        "burst": values.amount_text(limit.burst, limit.metric) if limit.burst else "",
        "thresholds": [parts.threshold_document(one) for one in limit.thresholds],
        "priority": "" if limit.priority == DEFAULT_PRIORITY else limit.priority,
        "mode": limit.mode,
        "on_unreachable": limit.on_unreachable,
        "strict": limit.strict or "",
    }
    return {name: value for name, value in said.items() if value not in ("", {})}


def read_entitlement(value: object, where: str = "entitlement") -> Entitlement:
    """Read what one plan may use.

    Raises:
        BadRequestError: something is wrong with it.
    """
    found = values.mapping(value, ("plan", *_LISTS), where)
    if "plan" not in found:
        raise wrong("The entitlement has no `plan`.", where)
    plan = values.text(found["plan"], f"{where}.plan")
    lists = {
        name: parts.read_values(name.removesuffix("s"), found[name], f"{where}.{name}")
        for name in _LISTS
        if name in found
    }
    if not lists:
        raise wrong(
            f"It lists nothing, and without it the plan {values.shown(plan)} may use anything too.",
            where,
            f"List some of {', '.join(_LISTS)}.",
        )
    return Entitlement(plan, **lists)


def entitlement_document(entitlement: Entitlement) -> dict[str, Any]:
    """Write what a plan may use as `read_entitlement` reads it."""
    lists = {name: list(getattr(entitlement, name)) for name in _LISTS}
    return {"plan": entitlement.plan, **{name: one for name, one in lists.items() if one}}


def contradictions(limits: Iterable[Limit]) -> list[str]:
    """Say which limits bound the same thing twice: a sentence for each, none if all is well.

    Those that are off do not count. One that only watches (`shadow`) may stand beside one that is
    enforced, so that another amount can be tried.
    """
    seen: dict[object, str] = {}
    found = []
    for limit in limits:
        if limit.mode == "off":
            continue
        scope = frozenset((p.field, parts.compared(p), p.each) for p in limit.scope)
        same = (
            scope, limit.metric, limit.window, limit.span_us, limit.zone, limit.anchor_day,
            limit.mode,
        )  # fmt: skip
        other = seen.setdefault(same, limit.limit_id)
        if other != limit.limit_id:
            found.append(
                f"The limits `{other}` and `{limit.limit_id}` bound the same metric of the same "
                "scope in the same window: only the lower amount would count."
            )
    return found


def _limits(value: object) -> tuple[Limit, ...]:
    listed = values.sequence(value, "limits", at_most=MAX_LIMITS)
    limits: list[Limit] = []
    seen: dict[str, int] = {}
    for place, one in enumerate(listed):
        limit = read_limit(one, f"limits[{place}]")
        if limit.limit_id in seen:
            raise wrong(
                f"The id `{limit.limit_id}` is that of limits[{seen[limit.limit_id]}] too.",
                f"limits[{place}].id",
            )
        seen[limit.limit_id] = place
        limits.append(limit)
    twice = contradictions(limits)
    if twice:
        raise wrong(twice[0], "limits", "Keep one of them, and put all thresholds into it.")
    return tuple(limits)


def _entitlements(value: object) -> tuple[Entitlement, ...]:
    listed = values.sequence(value, "entitlements", at_most=MAX_PLANS)
    found: list[Entitlement] = []
    for place, one in enumerate(listed):
        read = read_entitlement(one, f"entitlements[{place}]")
        if any(read.plan == other.plan for other in found):
            raise wrong(
                f"The plan {values.shown(read.plan)} is there already.", f"entitlements[{place}]"
            )
        found.append(read)
    return tuple(found)


def _metric(value: object, where: str) -> Metric:
    if value == CREDITS:
        raise wrong(
            "A prepaid balance is no limit to configure: it limits by itself.",
            where,
            "Set a tenant's credits and overdraft with `outlay credits`.",
        )
    return values.word(value, METRICS, where)


def _mode(value: object, where: str) -> Mode:
    # YAML reads the plain word `off` as false.
    return "off" if value is False else values.word(value, MODES, where)


def _calendar(found: Mapping[str, Any], window: Window, where: str) -> tuple[str, int]:
    zone, anchor_day = found.get("zone"), found.get("anchor_day")
    if zone is not None and window not in _CALENDAR:
        raise wrong(
            f"A time zone means nothing to the window `{window}`.",
            f"{where}.zone",
            f"It is for {', '.join(_CALENDAR)}.",
        )
    if anchor_day is not None and window != "month":
        raise wrong("`anchor_day` is for months only.", f"{where}.anchor_day")
    return (
        "UTC" if zone is None else parts.read_zone(zone, f"{where}.zone"),
        1
        if anchor_day is None
        else values.integer(anchor_day, f"{where}.anchor_day", low=1, high=31),
    )
