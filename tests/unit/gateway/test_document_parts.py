"""Credentials and headers of a gateway's document; a secret is never repeated."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.gateway import document_parts
from outlay.gateway.config import AwsKeys, Credential, Secret
from tests.unit.gateway.documents import AWS, refused, refused_upstream, upstream

# -- credentials -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "credential"),
    [
        ({"env": "K"}, Credential("bearer", Secret("env", "K"))),
        ({"env": "K", "place": "api-key"}, Credential("api-key", Secret("env", "K"))),
        ({"file": "/k"}, Credential("bearer", Secret("file", "/k"))),
        ({"file": "k y", "refresh_s": "2.5"}, Credential("bearer", Secret("file", "k y", (), 2.5))),
        (
            {"command": ["a", "--b c"], "refresh_s": 1},
            Credential("bearer", Secret("command", "", ("a", "--b c"), 1)),
        ),
    ],
)
def test_a_credential_says_where_it_is_found(said: Any, credential: Credential) -> None:
    assert upstream(credential=said).credential == credential


def test_aws_keys_are_named_together_or_looked_for() -> None:
    def of(**said: Any) -> Credential | None:
        return upstream("bedrock", region="eu-west-1", credential=said).credential

    assert of(place="aws") == Credential("aws", aws=AwsKeys())
    pair = AwsKeys(Secret("env", "A"), Secret("env", "S"))
    assert of(**AWS) == of(place="aws", **AWS) == Credential("aws", aws=pair)
    three = of(**AWS, session_token={"command": ["t"], "refresh_s": 60})
    assert three is not None
    assert three.aws is not None
    assert three.aws.session_token == Secret("command", "", ("t",), 60)
    assert of(place="bearer", env="K") == Credential("bearer", Secret("env", "K"))


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"env": "K"}, ""),
        ({"access_key": {"env": "A"}}, ""),
        ({"place": "aws", "session_token": {"env": "A"}}, ""),
        ({"place": "aws", "env": "K"}, ".env"),
        ({"place": "bearer", **AWS}, ".access_key"),
        ({**AWS, "refresh_s": 3}, ".refresh_s"),
        ({"access_key": "AKIA", "secret_key": {"env": "S"}}, ".access_key"),
        ({**AWS, "access_key": {"env": "A", "place": "aws"}}, ".access_key.place"),
    ],
)  # fmt: skip
def test_other_aws_credentials_are_refused(said: Any, place: str) -> None:
    refused_upstream(f"credential{place}", "bedrock", region="eu-west-1", credential=said)


def test_only_aws_is_shown_a_signature() -> None:
    refused_upstream("credential.place", credential={"place": "aws"})
    refused_upstream("region", region="eu-west-1")
    refused_upstream(
        "region", "own", vendor="aws", url="http://10.0.0.7", credential={"place": "aws"}
    )
    refused_upstream("region", "bedrock", region="Europe")


@pytest.mark.parametrize(
    ("said", "place"),
    [
        (None, ""),
        ("", ""),
        ([], ""),
        ({}, ""),
        ({"env": "A", "file": "/b"}, ""),
        ({"place": "bearer"}, ""),
        ({"env": ""}, ".env"),
        ({"env": 7}, ".env"),
        ({"env": "A B"}, ".env"),
        ({"env": "A", "refresh_s": 5}, ".refresh_s"),
        ({"file": ""}, ".file"),
        ({"file": "/a\nb"}, ".file"),
        ({"file": "/" + "a" * document_parts.MAX_PATH}, ".file"),
        ({"file": "/a", "refresh_s": "0.9"}, ".refresh_s"),
        ({"file": "/a", "refresh_s": 86_401}, ".refresh_s"),
        ({"command": "gcloud auth print-access-token"}, ".command"),
        ({"command": []}, ".command"),
        ({"command": ["a", 7]}, ".command[1]"),
        ({"command": ["a"] * (document_parts.MAX_ARGUMENTS + 1)}, ".command"),
    ],
)
def test_a_credential_that_says_nothing_usable_is_refused(said: Any, place: str) -> None:
    refused_upstream(f"credential{place}", credential=said)


SECRET = "sk-proj-A1b2C3d4E5f6G7h8"


@pytest.mark.parametrize(
    "fields",
    [
        {"credential": SECRET},
        {"credential": {SECRET: None}},
        {"credential": {"value": SECRET}},
        {"credential": {"env": SECRET}},
        {"credential": {"file": f"/a\n{SECRET}"}},
        {"credential": {"command": f"echo {SECRET}"}},
        {"credential": {"command": ["echo", {SECRET: SECRET}]}},
        {"credential": {"access_key": SECRET, "secret_key": SECRET}, "region": "eu-west-1"},
        {"url": f"https://user:{SECRET}@example.com"},
        {"url": f"https://example.com/?key={SECRET}"},
        {"url": f"https://{SECRET}\u00e9"},
        {"set_headers": {"authorization": f"Bearer {SECRET}"}},
        {"set_headers": {"x-team-api-key": SECRET}},
        {"set_headers": {"x-note": f"{SECRET}\n"}},
        {"set_headers": SECRET},
    ],
)
def test_a_secret_in_the_wrong_place_is_never_repeated(fields: Any) -> None:
    error = refused({"upstreams": {"openai": fields}})
    said = f"{error!r} {error.message} {error.hint} {error.where} {error.__cause__!r}"
    assert SECRET[:8] not in said


# -- headers ---------------------------------------------------------------------------------------


def test_headers_are_set_and_dropped() -> None:
    one = upstream(set_headers={"OpenAI-Project": "p", "x-a": "b c"}, drop_headers=["X-Trace"])
    assert one.set_headers == (("OpenAI-Project", "p"), ("x-a", "b c"))
    assert one.drop_headers == ("x-trace",)


@pytest.mark.parametrize(
    "name",
    [
        "Host", "content-length", "Connection", "transfer-encoding", "upgrade", "te", "baggage",
        "authorization", "Proxy-Authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key",
        "x-auth-token", "x-client-secret", "cf-aig-authorization", "outlay-key", "x-forwarded-for",
        "a b", "", "a:b", "ä", "a" * 65,
    ],
)  # fmt: skip
def test_headers_of_the_connection_and_of_credentials_are_the_gateways_own(name: str) -> None:
    refused({"upstreams": {"openai": {"set_headers": {name: "x"}}}})
    refused({"upstreams": {"openai": {"drop_headers": [name]}}})


@pytest.mark.parametrize("value", ["", " a", "a\r\nb: c", "\u00e9", 7, None, True])
def test_a_header_has_a_value_that_can_be_sent(value: Any) -> None:
    refused_upstream("set_headers.x-a", set_headers={"x-a": value})


def test_the_number_and_length_of_headers_are_bounded() -> None:
    most = {f"x-{n}": "v" for n in range(document_parts.MAX_HEADERS)}
    assert len(upstream(set_headers=most).set_headers) == document_parts.MAX_HEADERS
    refused_upstream("set_headers", set_headers=most | {"x-more": "v"})
    assert len(upstream(drop_headers=list(most)).drop_headers) == document_parts.MAX_HEADERS
    refused_upstream("drop_headers", drop_headers=[*most, "x-more"])
    assert upstream(set_headers={"x": "v" * document_parts.MAX_HEADER_VALUE}).set_headers
    refused_upstream(
        "set_headers.x", set_headers={"x": "v" * (document_parts.MAX_HEADER_VALUE + 1)}
    )
    refused_upstream("set_headers", set_headers={"X-A": "1", "x-a": "2"})
    refused_upstream("drop_headers", drop_headers=["X-A", "x-a"])
