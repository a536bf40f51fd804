"""Reads and writes the parts of a limit's document: selectors, window, thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from outlay.core.event import VALUES
from outlay.core.limits import document_values as values
from outlay.core.limits.document_values import wrong
from outlay.core.limits.limit import (
    ACTIONS,
    MAX_DELAY_MS,
    MAX_THRESHOLD_PPM,
    MAX_THRESHOLDS,
    MAX_VALUES,
    SCOPES,
    WINDOWS,
    Match,
    Threshold,
    Window,
)
from outlay.core.limits.period import zone_or_none
from outlay.core.match import canonical_provider

EACH: Final = "each"
MAX_URL_BYTES: Final = 2048
SPAN_WINDOWS: Final = ("rolling", "rate")
"""Windows that are written with a length of time, like `rolling 24h`."""

_THRESHOLD: Final = ("at", "action", "delay_ms", "models", "url")


def read_scope(value: object, where: str) -> tuple[Match, ...]:
    """Read a selector; nothing selects every call."""
    if value is None:
        return ()
    found = values.mapping(value, SCOPES, where)
    return tuple(
        _match(field, found[field], f"{where}.{field}") for field in SCOPES if field in found
    )


def scope_document(scope: tuple[Match, ...]) -> dict[str, Any]:
    """Write a selector as `read_scope` reads it."""
    return {part.field: _match_document(part) for part in scope}


def read_window(value: object, where: str, *, metric: str) -> tuple[Window, int]:
    """Read a window and its span, which is 0 but for `rolling` and `rate`."""
    if metric == "concurrent_calls":
        if value not in (None, "none"):
            raise wrong(
                "Calls at once are counted at every moment: there is no window.",
                where,
                "Leave `window` out.",
            )
        return "none", 0
    if value is None:
        raise wrong("The limit has no window.", where, f"It may be {', '.join(WINDOWS)}.")
    name, _, span = value.partition(" ") if isinstance(value, str) else (value, "", "")
    window = values.word(name, WINDOWS, where)
    if window not in SPAN_WINDOWS:
        if span:
            raise wrong(f"A window of one {window} has no length.", where, f"Write `{window}`.")
        return window, 0
    if not span:
        raise wrong(
            f"`{window}` needs a length of time.", where, "Write it like `rolling 24h`, `rate 1m`."
        )
    return window, values.span(span, where)


def read_zone(value: object, where: str) -> str:
    """Read an IANA time zone."""
    name = values.text(value, where)
    if zone_or_none(name) is None:
        raise wrong(
            f"There is no time zone {values.shown(name)}.",
            where,
            "Write an IANA name, like Europe/Berlin or UTC.",
        )
    return name


def read_thresholds(value: object, where: str) -> tuple[Threshold, ...]:
    """Read a ladder; its order does not matter, and is kept."""
    listed = values.sequence(value, where, at_most=MAX_THRESHOLDS)
    found: list[Threshold] = []
    seen: set[tuple[int, str]] = set()
    for place, one in enumerate(listed):
        at = f"{where}[{place}]"
        threshold = _threshold(one, at)
        if (threshold.at_ppm, threshold.action) in seen:
            raise wrong(f"This rung is there already: {threshold.action} at the same part.", at)
        if threshold.action == "block" and any(t.action == "block" for t in found):
            raise wrong("Calls are refused at another part already; only the lower counts.", at)
        seen.add((threshold.at_ppm, threshold.action))
        found.append(threshold)
    return tuple(found)


def threshold_document(threshold: Threshold) -> dict[str, Any]:
    """Write a rung as `read_thresholds` reads it."""
    made: dict[str, Any] = {
        "at": values.percent_text(threshold.at_ppm),
        "action": threshold.action,
    }
    if threshold.delay_ms:
        made["delay_ms"] = threshold.delay_ms
    if threshold.models:
        made["models"] = dict(threshold.models)
    if threshold.url:
        made["url"] = threshold.url
    return made


def read_values(field: str, value: object, where: str) -> tuple[str, ...]:
    """Read the values that a field of a selector or an entitlement may have."""
    listed = value if isinstance(value, (list, tuple)) else [value]
    found: list[str] = []
    seen: set[str] = set()
    for place, one in enumerate(values.sequence(listed, where, at_most=MAX_VALUES)):
        at = f"{where}[{place}]" if listed is value else where
        read = _selected(field, values.text(one, at), at)
        same = _as_compared(field, read)
        if same in seen:
            raise wrong(f"{values.shown(read)} is listed twice.", at)
        seen.add(same)
        found.append(read)
    return tuple(found)


def compared(part: Match) -> frozenset[str]:
    """Return the values of a selector as they are compared with a call's."""
    return frozenset(_as_compared(part.field, value) for value in part.values)


def _match(field: str, value: object, where: str) -> Match:
    if value == EACH:
        return Match(field, each=True)
    if isinstance(value, Mapping):
        inner = values.mapping(value, (EACH,), where).get(EACH)
        if inner is True:
            return Match(field, each=True)
        return Match(field, read_values(field, inner, f"{where}.{EACH}"), each=True)
    return Match(field, read_values(field, value, where))


def _match_document(part: Match) -> Any:
    if part.each and not part.values:
        return EACH
    if part.each:
        return {EACH: list(part.values)}
    alone = len(part.values) == 1 and part.values[0] != EACH
    return part.values[0] if alone else list(part.values)


def _selected(field: str, value: str, where: str) -> str:
    """Check that a value can select anything."""
    if "*" in value[:-1]:
        raise wrong(f"{values.shown(value)} has a `*` that is not at its end.", where)
    if field == "billing_unit" and value != "*" and ":" not in value.rstrip("*"):
        raise wrong(
            f"{values.shown(value)} selects nothing: a billing unit is written type:id.",
            where,
            "Write it like workspace:42 or workspace:*.",
        )
    if field == "initiator" and value != "*":
        return values.word(value, VALUES["initiator"], where)
    if field == "agent" and not all(value.split("/")):
        raise wrong(f"{values.shown(value)} selects nothing: it names an empty agent.", where)
    return value


def _as_compared(field: str, value: str) -> str:
    if field in ("model", "models"):
        return value.lower()
    return canonical_provider(value) if field == "provider" else value


def _threshold(value: object, where: str) -> Threshold:
    found = values.mapping(value, _THRESHOLD, where)
    for name in ("at", "action"):
        if name not in found:
            raise wrong(f"The rung has no `{name}`.", where, "Write {at: 80%, action: warn}.")
    action = values.word(found["action"], ACTIONS, f"{where}.action")
    at_ppm = values.percent(found["at"], f"{where}.at", high_ppm=MAX_THRESHOLD_PPM)
    for name, owner in (("delay_ms", "throttle"), ("models", "downgrade")):
        if name in found and action != owner:
            raise wrong(f"`{name}` is for {owner} only.", f"{where}.{name}")
        if name not in found and action == owner:
            raise wrong(f"`{owner}` needs `{name}`.", where)
    if action == "escalate" and "url" not in found:
        raise wrong("`escalate` needs a `url` to call.", where)
    delay_ms, url = found.get("delay_ms"), found.get("url")
    return Threshold(
        at_ppm,
        action,
        delay_ms=0
        if delay_ms is None
        else values.integer(delay_ms, f"{where}.delay_ms", low=1, high=MAX_DELAY_MS),
        models=_models(found["models"], f"{where}.models") if action == "downgrade" else (),
        url="" if url is None else _url(url, f"{where}.url"),
    )


def _models(value: object, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping) or not value:
        raise wrong("A downgrade maps models to cheaper ones.", where, "Write {gpt-5: gpt-5-mini}.")
    if len(value) > MAX_VALUES:
        raise wrong(f"There are {len(value)}; at most {MAX_VALUES} may be listed.", where)
    pairs: list[tuple[str, str]] = []
    for asked, target in value.items():
        name = _selected("model", values.text(asked, where), where)
        at = f"{where}.{name}"
        found = values.text(target, at)
        if "*" in found:
            raise wrong(f"{values.shown(found)} is no model.", at, "Name one model, without `*`.")
        if found.lower() == name.lower():
            raise wrong(f"{values.shown(name)} is mapped to itself.", at)
        if name.lower() in (one.lower() for one, _ in pairs):
            raise wrong(f"{values.shown(name)} is mapped twice.", at)
        pairs.append((name, found))
    names = {asked.lower() for asked, _ in pairs}
    for asked, target in pairs:
        if target.lower() in names:
            raise wrong(
                f"{values.shown(target)} is mapped on itself.",
                f"{where}.{asked}",
                "One rung takes one step: name the last model, or use two rungs.",
            )
    return tuple(pairs)


def _url(value: object, where: str) -> str:
    found = values.text(value, where, at_most=MAX_URL_BYTES)
    try:
        parts = urlsplit(found)
        whole = bool(parts.hostname) and parts.scheme in ("http", "https")
        # A port that is no number fails when it is asked for.
        whole = whole and (parts.port is None or parts.port > 0) and " " not in found
    except ValueError:
        whole = False
    if not whole:
        raise wrong(
            f"{values.shown(found)} is no address to call.", where, "It begins with https://."
        )
    if parts.username is not None or parts.password is not None:
        raise wrong("The address holds a user or a password.", where, "Keep secrets out of limits.")
    return found
