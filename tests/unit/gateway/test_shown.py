"""What a request shows of who makes it: every place where a key may stand, and the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.gateway.shown import Carrier, read_request

KEY = b"ov_0123456789abcdefghijklmnopqrstuvwxyzABCDEF"
AWS = (
    b"AWS4-HMAC-SHA256 Credential=%s/20260801/eu-west-1/bedrock/aws4_request, "
    b"SignedHeaders=host;x-amz-date, Signature=abc"
)


@pytest.mark.parametrize(
    ("name", "value", "carrier"),
    [
        (b"authorization", b"Bearer " + KEY, "authorization"),
        (b"Authorization", b"bearer   " + KEY + b" ", "authorization"),
        (b"authorization", AWS % KEY, "aws"),
        (b"x-api-key", KEY, "x-api-key"),
        (b"X-Api-Key", b" " + KEY, "x-api-key"),
        (b"api-key", KEY, "api-key"),
        (b"x-goog-api-key", KEY, "x-goog-api-key"),
        (b"outlay-key", KEY, "outlay-key"),
        (
            b"sec-websocket-protocol",
            b"realtime, openai-insecure-api-key." + KEY + b", openai-beta.realtime-v1",
            "subprotocol",
        ),
    ],
)
def test_a_key_is_found_wherever_a_providers_sdk_puts_its_own(
    name: bytes, value: bytes, carrier: Carrier
) -> None:
    shown = read_request([(b"host", b"x"), (name, value), (b"accept", b"*/*")], b"")
    assert (shown.carrier, shown.secret) == (carrier, KEY)
    assert (shown.foreign, shown.mixed) == (False, False)


@pytest.mark.parametrize("query", [b"key=%s", b"alt=sse&key=%s", b"key=%s&alt=sse"])
def test_a_key_is_found_in_the_query(query: bytes) -> None:
    shown = read_request([], query % KEY)
    assert (shown.carrier, shown.secret) == ("query", KEY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"authorization", b"Bearer sk-live"),
        (b"authorization", b"Basic b3ZfeDo="),
        (b"authorization", AWS % b"AKIA123"),
        (b"authorization", b"AWS4-HMAC-SHA256 nothing"),
        (b"x-api-key", b"sk-ant-1"),
        (b"api-key", b"1"),
        (b"x-goog-api-key", b"AIza"),
        (b"sec-websocket-protocol", b"realtime, openai-insecure-api-key.sk-live"),
    ],
)
def test_a_key_that_is_not_ours_is_only_noted(name: bytes, value: bytes) -> None:
    shown = read_request([(name, value)], b"")
    assert (shown.carrier, shown.secret, shown.foreign) == (None, b"", True)


def test_the_query_may_hold_a_key_that_is_not_ours() -> None:
    assert read_request([], b"key=AIza").foreign
    assert not read_request([], b"key=&monkey=1&alt=key").foreign


def test_a_socket_without_a_key_in_its_subprotocols_shows_none() -> None:
    shown = read_request([(b"sec-websocket-protocol", b"realtime")], b"")
    assert (shown.carrier, shown.foreign) == (None, False)


def test_our_own_header_counts_before_all_other_places() -> None:
    other = b"ov_other"
    for headers in (
        [(b"authorization", b"Bearer " + other), (b"outlay-key", KEY)],
        [(b"outlay-key", KEY), (b"authorization", b"Bearer " + other)],
    ):
        shown = read_request(headers, b"")
        assert (shown.carrier, shown.secret, shown.mixed) == ("outlay-key", KEY, True)


def test_our_own_header_counts_whatever_stands_in_it() -> None:
    shown = read_request([(b"outlay-key", b"sk-live"), (b"x-api-key", KEY)], b"")
    assert (shown.carrier, shown.secret) == ("outlay-key", b"sk-live")


def test_without_it_the_first_key_of_ours_counts() -> None:
    headers = [(b"x-api-key", b"sk-1"), (b"api-key", KEY), (b"x-goog-api-key", b"ov_other")]
    shown = read_request(headers, b"key=ov_third")
    assert (shown.carrier, shown.secret) == ("api-key", KEY)
    assert (shown.foreign, shown.mixed) == (True, True)


def test_a_key_beside_a_providers_own() -> None:
    shown = read_request([(b"outlay-key", KEY), (b"authorization", b"Bearer sk-live")], b"")
    assert (shown.carrier, shown.foreign, shown.mixed) == ("outlay-key", True, False)
    assert read_request([(b"outlay-key", KEY)], b"key=AIza").foreign


def test_baggage_comes_together() -> None:
    shown = read_request([(b"baggage", b"a=1"), (b"x", b"y"), (b"Baggage", b"outlay=2")], b"")
    assert shown.baggage == "a=1,outlay=2"


@pytest.mark.parametrize(
    ("value", "trace"),
    [
        (b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", "a" * 32),
        (b"cc-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01-more", "a" * 32),
        (b"00-" + b"0" * 32 + b"-" + b"b" * 16 + b"-01", ""),
        (b"ff-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", ""),
        (b"00-" + b"A" * 32 + b"-" + b"b" * 16 + b"-01", ""),
        (b"00-" + b"a" * 31 + b"-" + b"b" * 16 + b"-01", ""),
        (b"nonsense", ""),
        (b"", ""),
    ],
)
def test_a_trace_is_read_as_w3c_has_it(value: bytes, trace: str) -> None:
    assert read_request([(b"traceparent", value)], b"").trace == trace


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"authorization", b"x-api-key", b"baggage", b"traceparent", b"outlay-key",
                 b"sec-websocket-protocol", b"x"]
            ),
            st.one_of(st.binary(max_size=40), st.sampled_from([b"Bearer ", b"AWS4-", AWS % KEY])),
        )
    ),
    st.binary(max_size=40),
)  # fmt: skip
def test_no_bytes_make_it_fail(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    shown = read_request(headers, query)
    assert (shown.carrier is None) == (shown.secret == b"")
