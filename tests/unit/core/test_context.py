"""The cost context is a value: adding to it never changes the one there was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlay.core.context import CostContext, clip
from outlay.core.event import MAX_LABELS


def test_entering_agents_makes_a_path_and_leaves_the_outer_context_alone() -> None:
    outer = CostContext(tenant="acme")
    inner = outer.entered_agent("orchestrator", "s1").entered_agent("re/search", "s2")
    assert inner.agent_path == "orchestrator/re_search"
    assert (inner.tenant, inner.span_id) == ("acme", "s2")
    assert outer == CostContext(tenant="acme")


def test_what_is_not_said_stays() -> None:
    base = CostContext(tenant="acme", feature="chat")
    assert base.with_values(feature=None, user="u1") == CostContext(
        tenant="acme", feature="chat", user="u1"
    )


def test_labels_are_bounded() -> None:
    many = {f"k{i}": "v" for i in range(MAX_LABELS + 1)}
    assert len(CostContext().with_labels(many).labels) == MAX_LABELS


@given(st.text(), st.integers(0, 300))
def test_clipping_keeps_a_prefix_within_the_bytes(text: str, limit: int) -> None:
    cut = clip(text, limit)
    assert len(cut.encode()) <= limit
    assert text.startswith(cut)
