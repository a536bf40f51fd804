"""Another model in a request: only the model changes, and what cannot be changed is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.wire.base import Request
from outlay.wire.registry import find_endpoint
from outlay.wire.remodel import with_model

CHAT = "https://api.openai.com/v1/chat/completions"
NEW = "gpt-4o-mini"


def sent(url: str, body: bytes = b"", *, model: str = NEW, **headers: str) -> Request | None:
    request = Request("POST", url, headers, body)
    endpoint = find_endpoint(request)
    assert endpoint is not None
    return with_model(request, endpoint, model)


def body_of(body: bytes, model: str = NEW) -> bytes:
    found = sent(CHAT, body, model=model)
    assert found is not None
    return found.body


def test_only_the_outermost_model_changes_byte_for_byte() -> None:
    before = (
        b'{ "messages":[{"role":"user","content":"\\"model\\": \\"gpt-4o\\" \\u00e9 \xc3\xa9",'
        b'"model":"inner"}],\n\t"model" : "gpt-4o" ,"temperature":1.00, "x":{"model":"y"}}\n'
    )
    assert body_of(before) == before.replace(b': "gpt-4o" ,', b': "gpt-4o-mini" ,')


def test_of_a_name_given_twice_both_change() -> None:
    assert body_of(b'{"model":"a","model":"b"}') == b'{"model":"gpt-4o-mini","model":"gpt-4o-mini"}'


def test_a_name_written_with_escapes_is_the_model_too() -> None:
    assert json.loads(body_of(b'{"m\\u006fdel":"a"}')) == {"model": NEW}


def test_the_new_name_is_written_as_json() -> None:
    assert json.loads(body_of(b'{"model":"a"}', 'odd "name" \\ é'))["model"] == 'odd "name" \\ é'


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-16-le"])
def test_another_encoding_is_encoded_anew(encoding: str) -> None:
    body = '{"model":"a","messages":["é"]}'.encode(encoding)
    assert json.loads(body_of(body)) == {"model": NEW, "messages": ["é"]}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"not json", b'{"messages":[]}', b'{"model":null}', b'{"model":3}',
        b'{"model":"a"', b'{"model":"a",', b'{"model" "a"}', b"[" * 100_000, b'{"x":' * 100_000,
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n--b--\r\n',
    ],
)  # fmt: skip
def test_without_a_model_in_a_json_body_there_is_none(body: bytes) -> None:
    assert sent(CHAT, body) is None


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text() | st.none(), max_size=5))
def test_any_object_keeps_everything_else(members: dict[str, Any]) -> None:
    members = {**members, "model": "gpt-4o"}
    for indent in (None, 2):
        body = json.dumps(members, indent=indent, ensure_ascii=False)
        made = body_of(body.encode("utf-8", "surrogatepass"))
        assert json.loads(made) == {**members, "model": NEW}


@given(st.binary(max_size=60))
def test_no_bytes_break_it(body: bytes) -> None:
    sent(CHAT, body)
    sent(CHAT, b'{"model":' + body)


def test_an_empty_name_is_none() -> None:
    assert sent(CHAT, b'{"model":"a"}', model="") is None


# -- in the path ----------------------------------------------------------------------------------

GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/"
VERTEX = (
    "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1"
    "/publishers/google/models/"
)
RUNTIME = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/"
PATHS = [
    (GEMINI, "gemini-2.5-pro", ":generateContent", "gemini-2.5-flash", "gemini-2.5-flash"),
    (GEMINI, "gemini-2.5-pro", ":streamGenerateContent?alt=sse", "gemini-2.5-flash",
     "gemini-2.5-flash"),
    (VERTEX, "gemini-2.5-pro", ":generateContent", "gemini-2.5-flash", "gemini-2.5-flash"),
    (VERTEX.replace("google/models", "anthropic/models"), "claude-opus-4-8", ":rawPredict",
     "claude-haiku-4-5@20251001", "claude-haiku-4-5%4020251001"),
    (RUNTIME, "amazon.nova-pro-v1%3A0", "/converse", "amazon.nova-lite-v1:0",
     "amazon.nova-lite-v1%3A0"),
    (RUNTIME, "eu.anthropic.claude-opus-4-8", "/invoke", "a/b", "a%2Fb"),
    (RUNTIME, "arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fx", "/converse-stream",
     "amazon.nova-lite-v1:0", "amazon.nova-lite-v1%3A0"),
    ("https://x.openai.azure.com/openai/deployments/", "my-gpt", "/chat/completions?api-version=v",
     "my mini", "my%20mini"),
    ("https://a.cloud.databricks.com/serving-endpoints/", "big", "/invocations", "small", "small"),
]  # fmt: skip


@pytest.mark.parametrize(("head", "before", "tail", "model", "named"), PATHS)
def test_a_model_in_the_path(head: str, before: str, tail: str, model: str, named: str) -> None:
    body = b'{"contents":[{"model":"kept"}]}'
    found = sent(f"{head}{before}{tail}", body, model=model)
    assert found is not None
    assert found.url == f"{head}{named}{tail}"
    assert found.body == body


def test_a_name_that_would_be_two_segments_is_not_put_into_a_path() -> None:
    assert sent(GEMINI + "gemini-2.5-pro:generateContent", b"{}", model="models/x") is None


def test_azure_repeats_the_deployment_in_the_body() -> None:
    url = "https://x.openai.azure.com/openai/deployments/big/chat/completions?api-version=v"
    found = sent(url, b'{"model":"big"}', model="small")
    assert found is not None
    assert (found.url, found.body) == (url.replace("/big/", "/small/"), b'{"model":"small"}')


def test_what_aws_has_signed_is_left_alone() -> None:
    url = RUNTIME + "amazon.nova-pro-v1%3A0/converse"
    assert sent(url, b"{}", **{"x-amz-date": "20261122T000000Z"}) is None
    assert sent(url + "?X-Amz-Signature=abc", b"{}") is None
    assert sent(url, b"{}") is not None
