"""The short fields of a form are found, and files are never looked into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.wire.multipart import MAX_PARTS, MAX_SCANNED_BYTES, MAX_VALUE_BYTES, form_fields
from tests.wire.media_payloads import BOUNDARY, form

KIND = f"multipart/form-data; boundary={BOUNDARY}"
NAMES = frozenset(("model", "n"))


def test_wanted_fields_are_read_and_all_others_passed_over() -> None:
    body = form({"model": "m-1", "prompt": "secret", "n": "2"}, {"file": b"\r\nmodel"})
    assert form_fields(KIND, body, NAMES) == {"model": "m-1", "n": "2"}


@pytest.mark.parametrize(
    "kind",
    [
        f'multipart/form-data; boundary="{BOUNDARY}"',
        f"Multipart/Form-Data;charset=utf-8;Boundary={BOUNDARY}",
    ],
)
def test_the_boundary_is_found_however_it_is_written(kind: str) -> None:
    assert form_fields(kind, form({"model": "m"}), NAMES) == {"model": "m"}


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=b0unda-ry"]
)
def test_anything_else_has_no_fields(kind: str) -> None:
    assert form_fields(kind, form({"model": "m"}), NAMES) == {}


def test_a_file_that_is_called_like_a_field_is_no_field() -> None:
    assert form_fields(KIND, form({}, {"model": b"m"}), NAMES) == {}


def test_the_first_of_several_counts() -> None:
    body = form({"model": "first"}).replace(f"--{BOUNDARY}--\r\n".encode(), b"")
    assert form_fields(KIND, body + form({"model": "second"}), NAMES) == {"model": "first"}


@pytest.mark.parametrize(
    ("length", "found"), [(MAX_VALUE_BYTES, True), (MAX_VALUE_BYTES + 1, False)]
)
def test_a_value_is_read_up_to_its_bound(length: int, found: bool) -> None:
    body = form({"model": "m" * length, "n": "1"})
    assert form_fields(KIND, body, NAMES) == {
        **({"model": "m" * length} if found else {}),
        "n": "1",
    }


@pytest.mark.parametrize(("before", "found"), [(MAX_PARTS - 1, True), (MAX_PARTS, False)])
def test_parts_are_looked_at_up_to_their_bound(before: int, found: bool) -> None:
    body = form({**{f"x{i}": "1" for i in range(before)}, "model": "m"})
    assert form_fields(KIND, body, NAMES) == ({"model": "m"} if found else {})


def test_fields_before_and_after_a_large_file_are_found_and_those_between_are_not() -> None:
    file = b"\0" * (2 * MAX_SCANNED_BYTES)
    end = f"--{BOUNDARY}--\r\n".encode()
    head = form({"model": "m"}, {"a": file}).removesuffix(end)
    assert form_fields(KIND, head + form({"n": "3"}), NAMES) == {"model": "m", "n": "3"}
    middle = head + form({"n": "3"}, {"b": file})
    assert form_fields(KIND, middle, NAMES) == {"model": "m"}


@given(st.text(max_size=30), st.binary(max_size=200))
def test_any_bytes_give_fields_or_none_and_never_raise(kind: str, body: bytes) -> None:
    assert isinstance(form_fields(kind, body, NAMES), dict)
    wild = form({"model": "m"}).replace(b"\r\n\r\n", body)
    assert set(form_fields(KIND, wild, NAMES)) <= NAMES
