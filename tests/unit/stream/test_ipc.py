"""A record is an Arrow stream with a checksum behind it; damage never passes."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.stream.columns import CAPTURED_SCHEMA, ENRICHED_SCHEMA
from outlay.stream.ipc import DamagedRecordError, from_ipc, to_ipc
from tests.unit.stream.events import event, table

EVENTS = table([event(i, labels={"a": "b"}, user_id=f"user {i}") for i in range(20)])
PAYLOAD = to_ipc(EVENTS)


def test_a_table_comes_back_equal() -> None:
    assert from_ipc(PAYLOAD, schema=CAPTURED_SCHEMA).equals(EVENTS)
    assert from_ipc(to_ipc(CAPTURED_SCHEMA.empty_table())).num_rows == 0


def test_a_slice_carries_only_its_own_rows() -> None:
    assert from_ipc(to_ipc(EVENTS.slice(5, 3))).equals(EVENTS.slice(5, 3))
    assert len(to_ipc(EVENTS.slice(5, 1))) < len(PAYLOAD)


def test_any_arrow_reader_reads_a_record() -> None:
    assert pa.ipc.open_stream(PAYLOAD).read_all().equals(EVENTS)


def test_other_columns_than_expected_are_refused() -> None:
    with pytest.raises(DamagedRecordError, match="other columns"):
        from_ipc(PAYLOAD, schema=ENRICHED_SCHEMA)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(PAYLOAD) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, change: int) -> None:
    damaged = bytearray(PAYLOAD)
    damaged[place] ^= change
    with pytest.raises(DamagedRecordError):
        from_ipc(bytes(damaged))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(PAYLOAD) - 1))
def test_a_cut_record_is_noticed(length: int) -> None:
    with pytest.raises(DamagedRecordError):
        from_ipc(PAYLOAD[:length])


def test_bytes_with_a_right_checksum_that_are_no_stream_are_refused() -> None:
    import struct
    import zlib

    body = b"not an arrow stream at all"
    with pytest.raises(DamagedRecordError, match="not an Arrow stream"):
        from_ipc(body + struct.pack("<4sI", b"OCRC", zlib.crc32(body)))


def test_only_the_columns_that_are_named_are_decoded() -> None:
    events = table([event(1), event(2)])
    names = ("status", "event_id")
    read = from_ipc(to_ipc(events), schema=CAPTURED_SCHEMA, columns=names)
    assert read.equals(events.select(["event_id", "status"]))


def test_a_record_of_other_columns_is_damaged_even_if_some_are_there() -> None:
    other = table([event(1)]).select(["event_id", "status"])
    with pytest.raises(DamagedRecordError, match="other columns"):
        from_ipc(to_ipc(other), schema=CAPTURED_SCHEMA, columns=("status",))
