"""Attribution is an immutable value, and its text is bounded in bytes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.context import CostContext, clip


def test_a_context_cannot_be_changed() -> None:
    context = CostContext(tenant="acme")
    with pytest.raises(FrozenInstanceError):
        context.tenant = "other"  # type: ignore[misc]


@given(st.text(), st.integers(0, 300))
def test_clipping_keeps_a_prefix_within_the_bytes(text: str, limit: int) -> None:
    cut = clip(text, limit)
    assert len(cut.encode()) <= limit
    assert text.startswith(cut)
