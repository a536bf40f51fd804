"""Themes: what may be signed, and what is left of one that somebody else signed."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.api.portal_theme import checked_theme, valid_theme
from outlay.errors import BadRequestError

WHOLE = {
    "scheme": "auto", "accent": "#0F62fe", "font": "'Inter', \"Segoe UI\", sans-serif",
    "radius": 32, "name": "Ä" * 64,
}  # fmt: skip


def test_a_whole_theme_at_its_bounds_passes_both_ways() -> None:
    assert checked_theme(WHOLE) == valid_theme(WHOLE) == WHOLE
    assert checked_theme({}) == valid_theme({}) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scheme", "sepia"), ("scheme", ["dark"]), ("accent", "#fff"), ("accent", "#0f62fe;"),
        ("accent", "#0f62fe\n"), ("accent", 0), ("font", ""), ("font", "x" * 101),
        ("font", "a;b"), ("font", "url(x)"), ("font", "a\\b"), ("font", "</style>"),
        ("radius", -1), ("radius", 33), ("radius", True), ("radius", "4"), ("radius", 1.5),
        ("name", "x" * 65), ("name", "a\u202eb"), ("name", "a\nb"), ("name", None),
    ],
)  # fmt: skip
def test_a_bad_part_is_named_when_made_and_left_out_when_read(name: str, value: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        checked_theme({**WHOLE, name: value})
    assert caught.value.where == f"theme.{name}"
    assert valid_theme({**WHOLE, name: value}) == {k: v for k, v in WHOLE.items() if k != name}


def test_an_unknown_part_is_refused_without_being_repeated() -> None:
    with pytest.raises(BadRequestError) as caught:
        checked_theme({"onload": "x"})
    assert "onload" not in str(caught.value)
    assert valid_theme({"onload": "x"}) == {}
