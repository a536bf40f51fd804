"""Random requests as events, and what a plain reading of them says: the measure of every store."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from outlay.core.ids import uuid7
from outlay.core.rollup import PRICED_LATE, event_sums
from outlay.store.query.requests import RequestsQuestion
from tests.factory import DEFAULT_START_US, one_event

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
START = DEFAULT_START_US // DAY_US * DAY_US
SPAN = 36 * HOUR_US
END = START + SPAN
MODELS = (None, "gpt-6", "gpt-6-mini", "o5", "claude-opus-5")
_SCALE = ("cost_nanos", "sell_nanos", "calls", "attempts", "errors", "unpriced", "input_tokens",
          "output_tokens")  # fmt: skip

Event = dict[str, Any]


def random_events(seed: int, requests: int = 150) -> list[Event]:
    """Return events of requests in no order: retries, errors, tools, loops, adjustments, ties."""
    chance = random.Random(seed)
    events: list[Event] = []
    for number in range(requests):
        begun = START + chance.randrange(SPAN // 1_000_000) * 1_000_000
        request = None if chance.random() < 0.1 else f"req-{chance.randrange(10**6):06}-{number}"
        tenant = f"t{chance.randrange(4)}"
        for _ in range(chance.choice((1, 1, 2, 3, 5, 8))):
            events += _call(chance, len(events), request, tenant, begun)
        if chance.random() < 0.08:
            for _ in range(chance.choice((19, 20, 23))):
                events += [_usage(chance, len(events), request, tenant, begun, name="loop")]
    chance.shuffle(events)
    return events


def _call(
    chance: random.Random, number: int, request: str | None, tenant: str, begun: int
) -> list[Event]:
    tries = chance.choice((1, 1, 1, 2, 3))
    if chance.random() < 0.05:
        tenant = "t9"
    made: list[Event] = []
    for attempt in range(tries):
        failed = attempt < tries - 1 or chance.random() < 0.2
        status = chance.choice(("error", "timeout")) if failed else "ok"
        event = _usage(
            chance, number + len(made), request, tenant, begun, attempt=attempt, status=status
        )
        made.append(event)
    made += [
        _adjustment(chance, number + len(made), event) for event in made if chance.random() < 0.15
    ]
    return made


def _usage(
    chance: random.Random, number: int, request: str | None, tenant: str, begun: int, **own: Any
) -> Event:
    at = begun + chance.choice((0, 1_000_000, chance.randrange(90 * 60) * 1_000_000))
    model = chance.choice(MODELS)
    said: Event = {
        "event_id": uuid7(at // 1000, number.to_bytes(10, "big")),
        "started_at": at, "ended_at": at + 1_000_000, "tenant_id": tenant, "request_id": request,
        "latency_ms": chance.choice((None, 0.0, 250.0, 1500.0, 60_000.0)),
        "feature": chance.choice((None, "search", "chat")),
        "agent_path": chance.choice((None, "boss", "boss/sub")),
        "workflow": chance.choice((None, "w")), "user_id": chance.choice((None, "u1", "u2")),
        "initiator": chance.choice(("user", "system")),
        "environment": chance.choice(("production", "staging")),
        "operation": "chat" if model else "tool", "name": None if model else "web.fetch",
        "provider": chance.choice(("openai", "anthropic", None)), "model_requested": model,
        "model_served": model, "price_model": model,
        "price_basis": "unpriced" if chance.random() < 0.05 else "catalogue",
        "cost_nanos": chance.choice((0, 1_500, 10**6, 10**8, 3 * 10**9)),
        "sell_nanos": chance.randrange(10**6),
    }  # fmt: skip
    if own.pop("name", ""):
        said |= {"agent_path": "boss", "model_requested": "o5", "model_served": "o5",
                 "price_model": "o5", "operation": "chat", "name": None}  # fmt: skip
    return one_event(**{**said, **own})


def _adjustment(chance: random.Random, number: int, event: Event) -> Event:
    """Return a correction of an event; one without a price gets its price so."""
    late = event["price_basis"] == "unpriced"
    at = event["started_at"]
    return {
        **event,
        "event_id": _bytes(uuid7(at // 1000, (number + 10**9).to_bytes(10, "big"))),
        "kind": "adjustment", "adjusts_event_id": event["event_id"], "price_basis": "catalogue",
        "cost_nanos": chance.choice((-1_000, 500, 10**7)), "sell_nanos": 0,
        "flags": [PRICED_LATE] if late else [], "input": 0, "output": 0,
    }  # fmt: skip


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def matches(event: Event, filters: Sequence[tuple[str, Any]]) -> bool:
    """Tell whether an event has each of some values, by the names of event fields."""
    return all(event[name] == value for name, value in filters)


def ends_at(event: Event) -> int:
    """Return when an event ended by its latency."""
    return int(event["started_at"] + round((event["latency_ms"] or 0.0) * 1000))


def grouped(
    events: Sequence[Event], filters: Sequence[tuple[str, Any]], scope: str | None
) -> list[dict[str, Any]]:
    """Return every request that has a usage event, with an event that matches."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event["request_id"] and scope in (None, event["tenant_id"]):
            groups[event["request_id"]].append(event)
    return [
        _request(request_id, group)
        for request_id, group in groups.items()
        if any(e["kind"] == "usage" for e in group) and any(matches(e, filters) for e in group)
    ]


def _request(request_id: str, group: Sequence[Event]) -> dict[str, Any]:
    usage = [e for e in group if e["kind"] == "usage"]
    usage.sort(key=lambda e: (e["started_at"], e["event_id"]))
    sums = [event_sums(e) for e in group]
    row: dict[str, Any] = {name: sum(one[name] for one in sums) for name in _SCALE}

    def first(name: str) -> Any:
        return next((e[name] for e in usage if e[name] is not None), None)

    agents = [e["agent_path"] for e in usage if e["agent_path"] is not None]
    row |= {
        "request_id": request_id, "tenant": first("tenant_id"),
        "tenants": len({e["tenant_id"] for e in group}), "feature": first("feature"),
        "agent_root": agents[0].split("/")[0] if agents else None, "workflow": first("workflow"),
        "user": first("user_id"), "initiator": first("initiator"),
        "environment": first("environment"), "started_at": usage[0]["started_at"],
        "ended_at": max(ends_at(e) for e in usage), "models": dearest(group, "price_model"),
        "providers": dearest(group, "provider"),
    }  # fmt: skip
    return row


def dearest(group: Sequence[Event], name: str) -> tuple[str, ...]:
    """Return the three values of a field that cost most."""
    costs: dict[str, int] = defaultdict(int)
    for event in group:
        if event[name] is not None:
            costs[event[name]] += event["cost_nanos"]
    return tuple(sorted(costs, key=lambda value: (-costs[value], value))[:3])


def kinds(row: Mapping[str, Any]) -> set[str]:
    """Return every status that a request may be asked for by."""
    found = set()
    if row["errors"] > row["attempts"] - row["calls"]:
        found.add("failed")
    if row["unpriced"] > 0:
        found.add("unpriced")
    if row["attempts"] > row["calls"]:
        found.add("retried")
    return found or {"ok"}


def value_of(row: Mapping[str, Any], order: str) -> int:
    """Return what an order goes by."""
    if order == "duration":
        return int(row["ended_at"] - row["started_at"])
    return int(row[{"newest": "started_at", "cost": "cost_nanos", "calls": "calls"}[order]])


def listed(
    events: Sequence[Event], question: RequestsQuestion, filters: Sequence[tuple[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return every request that a question is after, in its order; `filters` are its own."""
    low = -(10**30) if question.cost_from is None else question.cost_from
    high = 10**30 if question.cost_to is None else question.cost_to
    rows = [
        row
        for row in grouped(events, filters, question.scope)
        if question.start <= row["started_at"] < question.end
        and low <= row["cost_nanos"] <= high
        and (question.status is None or question.status in kinds(row))
    ]
    return sorted(rows, key=lambda row: (-value_of(row, question.order), row["request_id"]))
