from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlay.demo.tokenizer import characters, tokens
from outlay.wire.base import estimate_tokens


@given(st.integers(min_value=0, max_value=10**12))
def test_the_tokenizer_equals_the_documented_estimator(count: int) -> None:
    assert tokens(count) == estimate_tokens(count)


def test_characters_are_code_points_not_bytes() -> None:
    assert characters(["é", "要点", "✅"]) == 4
    assert [tokens(n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]
