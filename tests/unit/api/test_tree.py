"""The cost tree: grouping, roll-up, and what happens when parts are missing."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.api import tree
from outlay.api.tree import build_tree


def make(number: int, path: str = "", cost: int = 1, **values: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "call_id": f"c{number}", "tenant_id": "acme", "kind": "usage",
        "agent_path": path, "span_id": f"s:{path}" if path else None, "operation": "chat",
        "model_served": "m", "status": "ok", "cost_nanos": cost, "started_at": number,
        "ended_at": number + 10, "attempt": 0, **values,
    }  # fmt: skip


def shape(node: dict[str, Any]) -> Any:
    """Return a node as (kind, name, cost, own cost) and its children."""
    own = (node["kind"], node["name"], node["cost_nanos"], node["own_cost_nanos"])
    return (*own, [shape(child) for child in node["children"]])


def test_costs_roll_up_through_agents_and_calls() -> None:
    got = build_tree("r", [
        make(1, "boss", 1, parent_span_id=None),
        make(2, "boss/research", 10, parent_span_id="s:boss"),
        make(3, "boss/research/web", 100, parent_span_id="s:boss/research"),
        make(4, "", 1000),
    ])  # fmt: skip
    assert shape(got["root"]) == (
        "request", "r", 1111, 1000, [
            ("agent", "boss", 111, 1, [
                ("call", "m", 1, 1, []),
                ("agent", "research", 110, 10, [
                    ("call", "m", 10, 10, []),
                    ("agent", "web", 100, 100, [("call", "m", 100, 100, [])]),
                ]),
            ]),
            ("call", "m", 1000, 1000, []),
        ],
    )  # fmt: skip
    assert (got["cost_nanos"], got["calls"], got["attempts"], got["tenant"]) == (1111, 4, 4, "acme")
    assert (got["started_at"], got["ended_at"], got["truncated"]) == (1, 14, False)


def test_attempts_of_a_call_are_grouped_in_their_order() -> None:
    got = build_tree("r", [
        make(2, call_id="c", attempt=1, cost=5, status="ok", model_served="big"),
        make(1, call_id="c", attempt=0, cost=2, status="error"),
        make(3, operation="tool", name="serp.search"),
    ])  # fmt: skip
    call, tool = got["root"]["children"]
    assert shape(call) == (
        "call", "big", 7, 7, [("attempt", "m", 2, 2, []), ("attempt", "big", 5, 5, [])],
    )  # fmt: skip
    assert call["status"] == "ok"
    assert (tool["kind"], tool["name"]) == ("tool", "serp.search")
    assert (got["calls"], got["attempts"]) == (2, 3)


def test_two_runs_of_one_agent_are_two_nodes() -> None:
    got = build_tree("r", [make(1, "a", span_id="one"), make(2, "a", span_id="two")])
    assert [child["span_id"] for child in got["root"]["children"]] == ["one", "two"]


def test_parents_that_made_no_event_are_made_from_the_path() -> None:
    got = build_tree("r", [
        make(1, "a/b/c", 5, parent_span_id="unknown"),
        make(2, "a", 1, span_id="sa"),
        make(3, "a/b/d", 7, parent_span_id=None),
    ])  # fmt: skip
    [a] = got["root"]["children"]
    assert (a["name"], a["cost_nanos"], a["own_cost_nanos"]) == ("a", 13, 1)
    assert {child["name"] for child in a["children"]} == {"b", "m"}


def test_parents_that_name_each_other_make_no_endless_tree() -> None:
    got = build_tree("r", [
        make(1, "a/b", 1, span_id="x", parent_span_id="y"),
        make(2, "b/a", 1, span_id="y", parent_span_id="x"),
    ])  # fmt: skip
    assert got["cost_nanos"] == 2


def test_a_node_tells_what_is_known_of_it() -> None:
    event = make(
        1, price_model="gpt", provider="openai", input=5, output=0, other_units={"web_search": 2},
        flags=["large_prompt"], price_basis="catalogue", status="error",
    )  # fmt: skip
    [node] = build_tree("r", [event])["root"]["children"]
    assert node["usage"] == {"input": 5, "web_search": 2}
    assert (node["model"], node["flags"], node["event_id"]) == ("gpt", ["large_prompt"], "e1")
    assert build_tree("r", [event])["root"]["status"] == "error"


def test_an_adjustment_adds_to_the_attempt_it_corrects() -> None:
    got = build_tree("r", [
        make(1, "a", 100),
        make(2, "a", -40, kind="adjustment", adjusts_event_id="e1", reason="re-rated"),
        make(3, "a", 5, kind="adjustment", adjusts_event_id="gone", reason="correction"),
    ])  # fmt: skip
    [agent] = got["root"]["children"]
    assert [(c["name"], c["cost_nanos"]) for c in agent["children"]] == [
        ("m", 60),
        ("correction", 5),
    ]
    assert (got["cost_nanos"], got["calls"], got["attempts"]) == (65, 1, 1)


def test_events_of_several_tenants_name_them_all() -> None:
    got = build_tree("r", [make(1), make(2, tenant_id="rival")])
    assert (got["tenant"], got["tenants"]) == (None, ["acme", "rival"])


def test_events_without_anything_still_count() -> None:
    got = build_tree("r", [{"event_id": "x", "cost_nanos": 3}, {"event_id": "y"}])
    assert (got["cost_nanos"], got["calls"], got["started_at"]) == (3, 2, None)


@pytest.mark.parametrize(("number", "truncated"), [(50, False), (51, True)])
def test_a_tree_is_bounded_and_says_so(
    monkeypatch: pytest.MonkeyPatch, number: int, truncated: bool
) -> None:
    monkeypatch.setattr(tree, "MAX_EVENTS", 50)
    got = build_tree("r", (make(n) for n in range(number)))
    assert (got["truncated"], got["attempts"]) == (truncated, 50)


def test_a_path_as_deep_as_an_event_may_carry_is_no_problem() -> None:
    got = build_tree("r", [make(1, "/".join("a" * 128), 7)])
    assert got["root"]["cost_nanos"] == 7


SPAN = st.sampled_from([None, "1", "2", "3"])
EVENT = st.fixed_dictionaries(
    {
        "agent_path": st.sampled_from(["", "a", "a/b", "b/a", "a/b/c", "c", "//", "a//b"]),
        "span_id": SPAN,
        "parent_span_id": SPAN,
        "call_id": st.sampled_from([None, "x", "y", "z"]),
        "cost_nanos": st.integers(-5, 5),
        "kind": st.sampled_from(["usage", "usage", "adjustment"]),
        "adjusts_event_id": st.sampled_from(["0", "1", "9"]),
        "started_at": st.integers(0, 3),
    }
)


@given(st.lists(EVENT, max_size=20), st.randoms(use_true_random=False))
def test_the_root_is_the_sum_of_all_events_in_any_order(
    events: list[dict[str, Any]], order: random.Random
) -> None:
    numbered = [{**event, "event_id": str(number)} for number, event in enumerate(events)]
    shuffled = list(numbered)
    order.shuffle(shuffled)
    got = build_tree("r", shuffled)
    assert got["cost_nanos"] == sum(event["cost_nanos"] for event in events)
    assert got == build_tree("r", numbered)
