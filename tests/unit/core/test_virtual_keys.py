"""What a virtual key says of itself, and how it is written for gateways."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.virtual_keys import PRIORITIES, VirtualKey, key_document, read_key, secret_hash

HASH = secret_hash("ov_x")
PLAIN = VirtualKey("vk_1", "n", HASH)

TIMES = st.none() | st.integers(0, 2**53)
TEXTS = st.tuples() | st.tuples(st.text(min_size=1)) | st.tuples(st.text(), st.text())
KEYS = st.builds(
    VirtualKey, key_id=st.text(min_size=1), name=st.text(), secret_hash=st.just(HASH),
    tenant_id=st.none() | st.text(min_size=1), feature=st.text(), upstreams=TEXTS, models=TEXTS,
    priority=st.sampled_from(PRIORITIES), created_at=st.integers(0, 2**53), expires_at=TIMES,
    revoked_at=TIMES, replaces=st.none() | st.text(min_size=1),
)  # fmt: skip


@given(KEYS)
def test_a_key_comes_back_from_its_document(key: VirtualKey) -> None:
    assert read_key(key_document(key)) == key


def test_a_document_has_only_what_is_said() -> None:
    assert key_document(PLAIN) == {
        "key_id": "vk_1", "name": "n", "secret_hash": HASH, "created_at": 0
    }  # fmt: skip


def test_what_a_newer_server_added_is_left_alone() -> None:
    assert read_key({**key_document(PLAIN), "colour": "red"}) == PLAIN


@pytest.mark.parametrize(
    "change",
    [
        {"key_id": ""}, {"key_id": None}, {"secret_hash": ""}, {"secret_hash": 5},
        {"models": "gpt"}, {"expires_at": "soon"}, {"expires_at": True}, {"revoked_at": 1.5},
        {"priority": "urgent"}, {"tenant_id": 7},
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="virtual key"):
        read_key({**key_document(PLAIN), **change})


@pytest.mark.parametrize(
    ("allowed", "model", "may"),
    [
        ("gpt-5", "gpt-5", True), ("gpt-5", "gpt-5-mini", False), ("gpt-5*", "gpt-5-mini", True),
        ("gpt-5*", "gpt-5", True), ("*", "", True), ("*mini", "gpt-5-mini", True),
        ("*mini", "mini-5", False), ("a*b*c", "a1b2c", True), ("a*b*c", "a1c2b", False),
        ("a*a", "a", False), ("a*ba*", "ab", False), ("**", "x", True), ("GPT*", "gpt-5", False),
        ("gpt-?", "gpt-5", False), ("gpt-?", "gpt-?", True), ("m[ab]", "ma", False),
        ("m[ab]", "m[ab]", True), ("m.n*", "mxn1", False), ("a*", "a\nb", True),
    ],
)  # fmt: skip
def test_only_a_star_stands_for_other_text(allowed: str, model: str, may: bool) -> None:
    assert VirtualKey("vk_1", "n", HASH, models=(allowed,)).may_ask_for(model) is may


@given(st.lists(st.sampled_from("ab*"), max_size=8), st.text("ab", max_size=8))
def test_stars_match_as_in_any_other_pattern(allowed: list[str], model: str) -> None:
    pattern = "".join(allowed) or "*"
    key = VirtualKey("vk_1", "n", HASH, models=(pattern,))
    assert key.may_ask_for(model) == fnmatchcase(model, pattern)


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "at", "problem"),
    [
        (None, None, 10**16, ""), (5, None, 4, ""), (5, None, 5, "expired"),
        (None, 5, 4, ""), (None, 5, 5, "revoked"), (5, 5, 5, "revoked"), (9, 5, 5, "revoked"),
    ],
)  # fmt: skip
def test_a_key_works_until_the_microsecond_of_its_end(
    expires_at: int | None, revoked_at: int | None, at: int, problem: str
) -> None:
    key = VirtualKey("vk_1", "n", HASH, expires_at=expires_at, revoked_at=revoked_at)
    assert key.problem(at) == problem
