"""What of headers, queries and paths goes on: nothing of one connection, of ours, of the client."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.gateway.config import Upstream
from outlay.gateway.headers import (
    MAX_KEPT_NAMES,
    plain,
    query_to_upstream,
    safe_path,
    to_client,
    to_upstream,
)

UPSTREAM = Upstream("openai", "openai", "https://api.openai.com")
SDK = [
    (b"accept", b"application/json"),
    (b"User-Agent", b"OpenAI/Python 2.0"),
    (b"x-twice", b"1"),
    (b"X-Twice", b"2"),
    (b"x-stainless-retry-count", b"0"),
    (b"Accept-Encoding", b"gzip, br"),
    (b"traceparent", b"00-1-2-01"),
    (b"x-raw", b"\xff caf\xe9"),
]


def test_what_is_the_providers_stays_in_order_case_and_number() -> None:
    assert to_upstream(SDK, UPSTREAM) == SDK
    assert to_client(SDK) == SDK


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
        "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings",
    ],
)  # fmt: skip
def test_what_holds_for_one_connection_goes_on_neither_way(name: str) -> None:
    pair = (name.encode(), b"x")
    for given_pair in (pair, (pair[0].lower(), b"x"), (pair[0].upper(), b"x")):
        assert to_upstream([*SDK, given_pair], UPSTREAM) == SDK
        assert to_client([given_pair, *SDK]) == SDK


def test_what_a_connection_header_names_goes_on_neither_way() -> None:
    raw = [
        (b"Connection", b"X-One , close,keep-alive"),
        (b"x-one", b"1"),
        (b"connection", b"x-TWO"),
        (b"X-Two", b"2"),
        (b"x-three", b"3"),
    ]
    assert to_upstream(raw, UPSTREAM) == [(b"x-three", b"3")]
    assert to_client(raw) == [(b"x-three", b"3")]


@pytest.mark.parametrize(
    "name",
    [
        "Host", "Content-Length", "Expect", "Forwarded", "X-Forwarded-For", "x-forwarded-proto",
        "X-Real-IP", "Outlay-Key", "outlay-anything", "Cookie",
    ],
)  # fmt: skip
def test_what_is_between_client_and_gateway_stays_there(name: str) -> None:
    assert to_upstream([(name.encode(), b"x"), *SDK], UPSTREAM, keep_credential=True) == SDK


CREDENTIALS = [
    (b"Authorization", b"Bearer ov_secret"),
    (b"x-api-key", b"ov_secret"),
    (b"Api-Key", b"ov_secret"),
    (b"x-goog-api-key", b"ov_secret"),
    (b"X-Amz-Date", b"20260101T000000Z"),
    (b"X-Amz-Security-Token", b"t"),
    (b"X-Amz-Content-SHA256", b"h"),
]


def test_every_place_of_a_credential_is_emptied() -> None:
    assert to_upstream([*CREDENTIALS, *SDK], UPSTREAM) == SDK


def test_a_clients_own_credential_is_kept_where_it_is_wanted() -> None:
    raw = [(b"outlay-key", b"ov_secret"), *CREDENTIALS]
    assert to_upstream(raw, UPSTREAM, keep_credential=True) == CREDENTIALS


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        (b"outlay=abc", None),
        (b"outlay=abc;p=1", None),
        (b" outlay = abc ", None),
        (b"a=1,outlay=abc,b=2", b"a=1,b=2"),
        (b"a=1, outlay=abc", b"a=1"),
        (b"outlay=abc, b=2;q", b"b=2;q"),
        (b"outlay=1,outlay=2,c=3", b"c=3"),
        (b"a=1 ,  b=outlay", b"a=1 ,  b=outlay"),
        (b"outlay2=abc,Outlay=x", b"outlay2=abc,Outlay=x"),
        (b"userId=1", b"userId=1"),
    ],
)
def test_of_baggage_only_our_member_is_taken_out(came: bytes, goes: bytes | None) -> None:
    expected = [] if goes is None else [(b"Baggage", goes)]
    assert to_upstream([(b"Baggage", came)], UPSTREAM) == expected


def test_an_upstreams_own_settings_come_before_the_clients() -> None:
    upstream = replace(
        UPSTREAM,
        drop_headers=("X-Stainless-Retry-Count",),
        set_headers=(("OpenAI-Organization", "org"), ("User-Agent", "gateway")),
    )
    raw = [*SDK, (b"openai-organization", b"mine")]
    gone = {b"x-stainless-retry-count", b"user-agent"}
    assert to_upstream(raw, upstream) == [
        *[pair for pair in SDK if pair[0].lower() not in gone],
        (b"OpenAI-Organization", b"org"),
        (b"User-Agent", b"gateway"),
    ]


def test_an_upstream_cannot_speak_for_the_gateway() -> None:
    raw = [(b"outlay-event-id", b"1"), (b"Outlay-Limit", b"2"), (b"x-request-id", b"r")]
    assert to_client(raw) == [(b"x-request-id", b"r")]


def test_an_answer_keeps_what_tells_its_body_unless_the_body_was_edited() -> None:
    about = [
        (b"Content-Length", b"10"),
        (b"Content-MD5", b"x"),
        (b"Digest", b"x"),
        (b"Content-Digest", b"x"),
    ]
    kept = [(b"Content-Type", b"text/event-stream"), (b"Set-Cookie", b"a=1")]
    assert to_client([*about, *kept]) == [*about, *kept]
    assert to_client([*about, *kept], edited=True) == kept


def test_more_names_than_are_remembered_are_judged_the_same() -> None:
    raw = [(b"outlay-%d" % number, b"") for number in range(MAX_KEPT_NAMES + 10)]
    assert to_upstream([*raw, *SDK, *raw], UPSTREAM) == SDK


# -- queries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        (b"", ""),
        (b"a=1&b=%20+&&c", "?a=1&b=%20+&&c"),
        (b"alt=sse&key=ov_abc", "?alt=sse"),
        (b"key=ov_abc&alt=sse", "?alt=sse"),
        (b"key=ov_abc", ""),
        (b"k%65y=ov_abc&a=1", "?a=1"),
        (b"key=%6fv_abc&key=AIza&a=1", "?a=1"),
        (b"key=AIza&a=1", "?a=1"),
        (b"monkey=ov_abc&keys=1&a=key", "?monkey=ov_abc&keys=1&a=key"),
        (b"a=\xff\xc3\xa9", "?a=\xff\xc3\xa9"),
        (b"a=b c\r\n", "?a=b%20c%0D%0A"),
    ],
)
def test_a_query_goes_on_without_its_key(came: bytes, goes: str) -> None:
    assert query_to_upstream(came) == goes


def test_a_clients_own_key_in_a_query_is_kept_where_it_is_wanted_and_ours_never() -> None:
    assert query_to_upstream(b"key=AIza&a=1", keep_credential=True) == "?key=AIza&a=1"
    assert query_to_upstream(b"key=%6Fv_x&a=1", keep_credential=True) == "?a=1"


# -- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/", "/openai", "/openai/", "/openai/v1/chat/completions",
        "/google/v1beta/models/gemini-2.5-pro:streamGenerateContent",
        "/bedrock/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aprofile%2Fx.y/converse",
        "/bedrock/model/anthropic.claude-v2:1/invoke", "/x/.well-known/a", "/x/...", "/x/..a/b..",
        "/x/a%20b", "/x/a%25b", "/x/[a]{b}|^`~", "/x/y//z",
    ],
)  # fmt: skip
def test_a_path_goes_on_as_it_came(path: str) -> None:
    assert safe_path(path.encode()) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "openai/v1", "*", "http://other/", "//other/x", "/openai//other/x", "/openai//",
        "/openai/.", "/openai/..", "/openai/../x", "/openai/./x", "/openai/%2e%2e/x",
        "/openai/.%2E/x", "/openai/%252e%252e/x", "/openai/a%2f..%2fb", "/openai/a%2f%2e%2e",
        "/openai/..;/x", "/openai/..;a=b/x", "/openai/%2e%2e%3b/x", "/openai\\..\\x",
        "/openai/%5c..", "/openai/%255c", "/openai/a%00", "/openai/a%0d%0aB:", "/openai/a%250a",
        "/openai/a%7f", "/openai/a b", "/openai/a?b", "/openai/a#b", "/openai/a%", "/openai/a%2",
        "/openai/a%zz", "/openai/\xe9", "/openai/a\nb", "/openai/a\n", "/openai/<a>", '/openai/"a"',
    ],
)  # fmt: skip
def test_a_path_that_a_server_may_take_for_another_is_refused(path: str) -> None:
    assert safe_path(path.encode("latin-1")) is None


@given(st.binary(max_size=40))
def test_no_path_is_changed_and_none_leaves_its_place(rest: bytes) -> None:
    found = safe_path(b"/up/" + rest)
    if found is None:
        return
    assert found.encode() == b"/up/" + rest
    assert found.isascii()
    assert found.isprintable()
    assert not {".", ".."} & set(found.split("/"))


def test_text_of_ours_in_a_header_has_plain_signs_only() -> None:
    assert plain(" gpt-4o\r\nx: \N{SNOWMAN}y ") == b"gpt-4o__x: _y"
