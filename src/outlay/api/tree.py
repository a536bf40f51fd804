"""One request's events as a tree of agents, calls, attempts and tools, with costs rolled up. Pure.

An agent node is one run of an agent: its span, at its path. Parents that made no event of their
own are made from the path, so that a missing one never hides a cost: the root's cost is always
the sum of the events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

MAX_EVENTS: Final = 10_000
"""Events of one request that a tree is built from; more are cut and the tree says so."""

_USAGE: Final = (
    "input", "input_cache_read", "input_cache_write_5m", "input_cache_write_1h", "output",
    "output_reasoning",
)  # fmt: skip

Event = Mapping[str, Any]
_AgentKey = tuple[str | None, str]
"""Span and path."""


@dataclass(slots=True)
class _Node:
    kind: str
    name: str
    own_cost_nanos: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    status: str = "ok"
    more: dict[str, Any] = field(default_factory=dict)
    children: list[_Node] = field(default_factory=list)


def build_tree(request_id: str, events: Iterable[Event]) -> dict[str, Any]:
    """Return the cost tree of a request's events, in any order.

    Money is nano-dollars, times are microseconds UTC. `own_cost_nanos` is what a node costs
    without the agents below it. `truncated` is set when there were more than `MAX_EVENTS`.
    """
    taken = list(islice(events, MAX_EVENTS + 1))
    truncated = len(taken) > MAX_EVENTS
    taken = sorted(taken[:MAX_EVENTS], key=_order)
    usage = [event for event in taken if event.get("kind", "usage") == "usage"]
    root = _Node("request", request_id)
    agents = _Agents(root, usage)
    by_event: dict[str, _Node] = {}
    calls = _calls(usage)
    for attempts in calls:
        agent = agents.of(attempts[0])
        agent.children.append(_call(attempts, by_event))
    for event in taken:
        if event.get("kind", "usage") != "usage":
            _adjust(event, by_event, agents)
    shown = _finish(root)
    tenants = sorted({str(event.get("tenant_id")) for event in taken})
    return {
        "request_id": request_id,
        "tenant": tenants[0] if len(tenants) == 1 else None,
        "tenants": tenants,
        "cost_nanos": shown["cost_nanos"],
        "calls": len(calls),
        "attempts": len(usage),
        "started_at": shown["started_at"],
        "ended_at": shown["ended_at"],
        "truncated": truncated,
        "root": shown,
    }


class _Agents:
    """The agent nodes by span and path; a path's parent is always shorter, so there is no cycle."""

    def __init__(self, root: _Node, events: Sequence[Event]) -> None:
        self._root = root
        self._nodes: dict[_AgentKey, _Node] = {}
        self._parent_spans: dict[_AgentKey, str | None] = {}
        self._at_path: dict[str, _AgentKey] = {}
        for event in events:
            key = _agent_key(event)
            if key[1]:
                self._parent_spans.setdefault(key, event.get("parent_span_id") or None)
                self._at_path.setdefault(key[1], key)

    def of(self, event: Event) -> _Node:
        """Return the node that an event hangs under."""
        return self._node(_agent_key(event))

    def _node(self, key: _AgentKey) -> _Node:
        span, path = key
        if not path:
            return self._root
        node = self._nodes.get(key)
        if node is None:
            above, _, name = path.rpartition("/")
            node = self._nodes[key] = _Node("agent", name or path, more={"agent_path": path})
            if span:
                node.more["span_id"] = span
            self._node(self._parent(key, above)).children.append(node)
        return node

    def _parent(self, key: _AgentKey, above: str) -> _AgentKey:
        span = self._parent_spans.get(key)
        if span is not None:
            return span, above
        # Nothing names the parent's run: take the first known one at that path.
        return self._at_path.get(above, (None, above))


def _agent_key(event: Event) -> _AgentKey:
    path = str(event.get("agent_path") or "").strip("/")
    return (event.get("span_id") or None) if path else None, path


def _order(event: Event) -> tuple[int, int, str]:
    return event.get("started_at") or 0, event.get("attempt") or 0, str(event.get("event_id"))


def _calls(events: Sequence[Event]) -> list[list[Event]]:
    """Group attempts by call, in order of start; an event without a call is one of its own."""
    groups: dict[str, list[Event]] = {}
    for event in events:
        groups.setdefault(str(event.get("call_id") or event.get("event_id")), []).append(event)
    return [sorted(g, key=lambda e: (e.get("attempt") or 0, *_order(e))) for g in groups.values()]


def _call(attempts: Sequence[Event], by_event: dict[str, _Node]) -> _Node:
    """Return a call with its attempts; a call of one attempt is one node."""
    nodes = [_attempt(event) for event in attempts]
    for event, node in zip(attempts, nodes, strict=True):
        by_event[str(event.get("event_id"))] = node
    last = nodes[-1]
    kind = "tool" if attempts[-1].get("operation") == "tool" else "call"
    if len(nodes) == 1:
        last.kind = kind
        return last
    more = {"model": last.more["model"]} if "model" in last.more else {}
    return _Node(kind, last.name, status=last.status, more=more, children=nodes)


def _attempt(event: Event) -> _Node:
    model = event.get("price_model") or event.get("model_served") or event.get("model_requested")
    usage = {unit: event[unit] for unit in _USAGE if event.get(unit)}
    usage.update({unit: n for unit, n in dict(event.get("other_units") or {}).items() if n})
    more = {
        "event_id": event.get("event_id"),
        "model": model,
        "provider": event.get("provider"),
        "usage": usage,
        "flags": list(event.get("flags") or ()),
        "price_basis": event.get("price_basis"),
    }
    name = event.get("name") or model or event.get("operation") or "call"
    return _Node(
        "attempt",
        str(name),
        own_cost_nanos=event.get("cost_nanos") or 0,
        started_at=event.get("started_at"),
        ended_at=event.get("ended_at"),
        status=event.get("status") or "ok",
        more={key: value for key, value in more.items() if value},
    )


def _adjust(event: Event, by_event: Mapping[str, _Node], agents: _Agents) -> None:
    """Add an adjustment to the attempt it corrects, or beside its siblings if that is not here."""
    cost = event.get("cost_nanos") or 0
    node = by_event.get(str(event.get("adjusts_event_id")))
    if node is None:
        node = _Node("call", str(event.get("reason") or event.get("kind")))
        agents.of(event).children.append(node)
    node.own_cost_nanos += cost
    node.more["adjusted_nanos"] = node.more.get("adjusted_nanos", 0) + cost


def _begun(child: Mapping[str, Any]) -> tuple[bool, int]:
    """Order by start; what has no time of its own, such as a lone adjustment, comes last."""
    return child["started_at"] is None, child["started_at"] or 0


def _finish(node: _Node) -> dict[str, Any]:
    """Return a node as JSON shows it, with what its children add up to."""
    children = [_finish(child) for child in node.children]
    own = node.own_cost_nanos + sum(c["cost_nanos"] for c in children if c["kind"] != "agent")
    starts = [node.started_at, *(child["started_at"] for child in children)]
    ends = [node.ended_at, *(child["ended_at"] for child in children)]
    status = node.status
    if node.kind in ("request", "agent"):
        failed = [child["status"] for child in children if child["status"] != "ok"]
        status = failed[-1] if failed else "ok"
    return {
        "kind": node.kind,
        "name": node.name,
        "cost_nanos": node.own_cost_nanos + sum(child["cost_nanos"] for child in children),
        "own_cost_nanos": own,
        "started_at": min((at for at in starts if at is not None), default=None),
        "ended_at": max((at for at in ends if at is not None), default=None),
        "status": status,
        **node.more,
        "children": sorted(children, key=_begun),
    }
