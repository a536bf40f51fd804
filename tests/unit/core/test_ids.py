"""Ids are UUID version 7: valid, ordered by time, with the time readable."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from outlay.core.ids import uuid7, uuid7_unix_ms

times = st.integers(0, 2**48 - 1)
randoms = st.binary(min_size=10, max_size=10)


@given(times, randoms)
def test_an_id_is_a_version_7_uuid_that_tells_its_time(unix_ms: int, random: bytes) -> None:
    text = uuid7(unix_ms, random)
    parsed = uuid.UUID(text)
    assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, text)
    assert uuid7_unix_ms(text) == unix_ms


@given(times, times, randoms, randoms)
def test_ids_sort_by_time(a: int, b: int, ra: bytes, rb: bytes) -> None:
    if a < b:
        assert uuid7(a, ra) < uuid7(b, rb)
