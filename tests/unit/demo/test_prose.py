from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlay.demo.dice import Dice
from outlay.demo.prose import fraction, pieces, prose
from outlay.demo.reply import answer


@given(st.text(max_size=40), st.integers(min_value=0, max_value=5000))
def test_prose_has_the_length_asked_and_depends_on_its_seed_only(seed: str, length: int) -> None:
    text = prose(seed, length)
    assert len(text) == length
    assert text == prose(seed, length)


@given(st.text(max_size=500))
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text))


def test_prose_holds_characters_of_two_three_and_four_bytes_or_more() -> None:
    text = prose("any", 2000)
    assert {len(c.encode()) for c in text} >= {1, 2, 3}


def test_draws_do_not_depend_on_their_order() -> None:
    first, second = Dice("7/1"), Dice("7/1")
    early = first.fraction("a"), first.fraction("b")
    late = second.fraction("b"), second.fraction("a")
    assert early == late[::-1]
    assert early[0] != Dice("8/1").fraction("a")
    assert 0 <= fraction("x") < 1


def test_an_answer_is_bounded_by_the_callers_limit() -> None:
    found = answer("a question", limit=5, thinks=True)
    assert found.truncated
    assert 17 <= len(found.text) <= 20
    assert found.reasoning_tokens > 0
    assert answer("a question", limit=5, thinks=True) == found
