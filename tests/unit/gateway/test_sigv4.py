"""Requests to Bedrock: signed over exactly what is sent, with keys that are never shown."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import pytest
from botocore.credentials import Credentials as StaticCredentials

from outlay.gateway import sigv4
from outlay.gateway.config import AwsKeys, Credential, Secret, Upstream
from outlay.gateway.credentials import CredentialError, Credentials
from outlay.gateway.sigv4 import DefaultChain, Keys, SignedRequest, SigningError, sign
from tests.unit.gateway.aws_signature import ACCESS, HIDDEN, TOKEN, problem
from tests.unit.gateway.secrets_site import Clock, Log, until

REGION = "eu-central-1"
BASE = f"https://bedrock-runtime.{REGION}.amazonaws.com"
BODY = b'{"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}'
AT = datetime(2026, 10, 9, 12, 30, 5, tzinfo=UTC).timestamp()
ARN = f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/a1b2c3"
BEDROCK = Upstream("bedrock", "aws", BASE, region=REGION)

MODELS = ("amazon.nova-lite-v1:0", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", ARN)


def refusal(
    url: str,
    sent: list[tuple[str, str]],
    body: bytes = BODY,
    *,
    method: str = "POST",
    service: str = "bedrock",
) -> str:
    """Why AWS would refuse what a client sends: our headers and the host it says by itself."""
    host = urlsplit(url).netloc.lower()
    return problem(
        method, url, [("Host", host), *sent], body,
        access_key=ACCESS, secret_key=HIDDEN, region=REGION, service=service,
    )  # fmt: skip


def signed(
    url: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = BODY, token: str = ""
) -> list[tuple[str, str]]:
    request = SignedRequest("POST", url, headers, body)
    return sign(request, keys=Keys(ACCESS, HIDDEN, token), region=REGION, at=AT)


# -- signing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_the_judge_of_these_tests_agrees_with_botocores_own_client(model: str) -> None:
    client = boto3.client(
        "bedrock-runtime", region_name=REGION, endpoint_url=BASE, aws_access_key_id=ACCESS,
        aws_secret_access_key=HIDDEN, aws_session_token=TOKEN,
    )  # fmt: skip
    seen: list[Any] = []

    def stop(request: Any, **_: Any) -> None:
        seen.append(request)
        raise InterruptedError

    client.meta.events.register("before-send.bedrock-runtime.*", stop)
    with pytest.raises(InterruptedError):
        client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    request = seen[0]
    headers = [
        (name, value if isinstance(value, str) else value.decode())
        for name, value in request.headers.items()
    ]
    assert refusal(request.url, headers, request.body) == ""
    # It sends the path in the form that these tests sign.
    assert urlsplit(request.url).path == f"/model/{quote(model, safe='')}/converse"

    ours = signed(request.url, tuple(headers), request.body, TOKEN)
    kept = [pair for pair in headers if pair[0].lower() not in sigv4.REPLACED]
    assert refusal(request.url, [*kept, *ours], request.body) == ""


PATHS = [
    *(f"/model/{quote(model, safe='')}/converse-stream" for model in MODELS),
    "/model/amazon.nova-lite-v1:0/invoke",  # a client that leaves the colon as it is
    f"/model/{quote(ARN, safe='').lower()}/invoke",  # small hexadecimal digits stay
    f"/model/{quote(ARN, safe=':')}/invoke",
    "/model/a%20b%2525c~d/invoke",
    "/async-invoke?statusEquals=Completed&maxResults=5&submitTimeAfter=2026-01-01T00%3A00%3A00Z",
    "/base/openai/v1/chat/completions",
    "/",
]


@pytest.mark.parametrize("path", PATHS)
def test_the_path_is_signed_exactly_as_it_is_sent(path: str) -> None:
    sent = signed(BASE + path)
    assert refusal(BASE + path, sent) == ""
    # The judge tells one form of a path from another.
    if "%3A" in path:
        assert refusal(BASE + path.replace("%3A", ":"), sent) == "signature"


def test_a_body_a_method_a_query_or_a_host_that_is_not_the_signed_one_is_refused() -> None:
    url = f"{BASE}/model/m/invoke?a=1"
    sent = signed(url, (("content-type", "application/json"),))
    everything = [("content-type", "application/json"), *sent]
    assert refusal(url, everything) == ""
    assert refusal(url, everything, BODY + b" ") == "signature"
    assert refusal(url, everything, method="PUT") == "signature"
    assert refusal(url.replace("a=1", "a=2"), everything) == "signature"
    assert refusal(url.replace("eu-central-1", "eu-west-1"), everything) == "signature"
    assert refusal(url, [("content-type", "text/plain"), *sent]) == "signature"


def test_headers_that_may_change_on_their_way_are_not_signed_and_those_of_aws_are() -> None:
    headers = (
        ("Content-Type", "application/json"),
        ("X-Amzn-Bedrock-Trace", "ENABLED"),
        ("x-amz-meta", "  a   b "),
        ("x-amz-meta", "c"),
        ("User-Agent", "x"),
        ("Accept-Encoding", "gzip"),
        ("X-Amzn-Trace-Id", "Root=1"),
        ("traceparent", "00-x"),
    )
    sent = signed(f"{BASE}/model/m/invoke", headers)
    proof = dict(sent)["authorization"]
    names = "content-type;host;x-amz-date;x-amz-meta;x-amzn-bedrock-trace"
    assert f"SignedHeaders={names}," in proof
    assert refusal(f"{BASE}/model/m/invoke", [*headers, *sent]) == ""


def test_a_clients_own_signature_is_no_part_of_ours() -> None:
    theirs = (
        ("Authorization", "AWS4-HMAC-SHA256 Credential=ov_key/20260101/us-east-1/bedrock/x"),
        ("X-Amz-Date", "20260101T000000Z"),
        ("X-Amz-Security-Token", "theirs"),
        ("X-Amz-Content-SHA256", "0" * 64),
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("Host", "gateway:8787"),
    )
    assert {name.lower() for name, _ in theirs} == sigv4.REPLACED
    sent = signed(f"{BASE}/model/m/invoke", theirs, token=TOKEN)
    assert sent == signed(f"{BASE}/model/m/invoke", token=TOKEN)
    assert [name for name, _ in sent] == ["x-amz-date", "x-amz-security-token", "authorization"]
    assert dict(sent)["x-amz-date"] == "20261009T123005Z"
    assert dict(sent)["x-amz-security-token"] == TOKEN
    assert refusal(f"{BASE}/model/m/invoke", sent) == ""


@pytest.mark.parametrize(
    ("base", "service"),
    [
        ("https://bedrock-mantle.eu-central-1.api.aws", "bedrock-mantle"),
        ("http://127.0.0.1:9876/bedrock", "bedrock"),
        ("http://[::1]:9876", "bedrock"),
        ("https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com", "bedrock"),
    ],
)
def test_the_service_and_the_host_are_those_of_the_address(base: str, service: str) -> None:
    url = f"{base}/v1/responses"
    assert refusal(url, signed(url), service=service) == ""


def test_a_port_that_goes_without_saying_is_not_in_the_host() -> None:
    sent = signed(f"{BASE}:443/model/m/invoke")
    assert refusal(f"{BASE}/model/m/invoke", sent) == ""


def test_an_empty_body_is_signed_as_one() -> None:
    url = f"{BASE}/async-invoke"
    request = SignedRequest("GET", url)
    sent = sign(request, keys=Keys(ACCESS, HIDDEN), region=REGION, at=AT)
    assert refusal(url, sent, b"", method="GET") == ""


def test_no_key_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sent = signed(f"{BASE}/model/m/invoke", token=TOKEN)
    said = caplog.text + repr(Keys(ACCESS, HIDDEN, TOKEN)) + repr(
        SignedRequest("POST", BASE, tuple(sent), BODY)
    )  # fmt: skip
    assert not any(part in said for part in (ACCESS, HIDDEN, TOKEN, "Hi"))
    assert not any(HIDDEN in value for _, value in sent)


def test_without_botocore_signing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(SigningError, match="outlay\\[bedrock\\]"):
        signed(BASE)
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    chain = DefaultChain()
    chain.renew()
    assert "outlay[bedrock]" in chain.problem

    async def run() -> None:
        keys = AwsKeys(Secret("env", "A"), Secret("env", "S"))
        with pytest.raises(CredentialError, match="outlay\\[bedrock\\]"):
            await headers_of(Credentials({"A": ACCESS, "S": HIDDEN}), keys)

    asyncio.run(run())


def test_botocore_is_not_imported_before_it_is_needed() -> None:
    script = "import sys, outlay.gateway.credentials; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# -- keys from where AWS's own tools look ------------------------------------------------------


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without any AWS credentials."""
    for name in (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def headers_of(found: Credentials, keys: AwsKeys, body: bytes = BODY) -> Any:
    return found.headers_for(
        Credential("aws", aws=keys), BEDROCK,
        method="POST", url=f"{BASE}/model/m/invoke", headers=(), body=body,
    )  # fmt: skip


def test_where_awss_own_tools_look_is_looked(nowhere: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def run() -> None:
        clock, log = Clock(), Log()
        found = Credentials({}, clock=clock, log=log)
        with pytest.raises(CredentialError, match="no AWS credentials"):
            await headers_of(found, AwsKeys())

        (tmp_path / "credentials").write_text(
            f"[default]\naws_access_key_id={ACCESS}\naws_secret_access_key={HIDDEN}\n"
        )
        with pytest.raises(CredentialError):  # not looked for again for every call
            await headers_of(found, AwsKeys())
        clock.now += sigv4.RETRY_S
        sent = await headers_of(found, AwsKeys())
        assert refusal(f"{BASE}/model/m/invoke", sent) == ""
        assert [event for _, event, _ in log.lines] == [
            "credential not found", "credential found again"
        ]  # fmt: skip

    asyncio.run(run())


def test_keys_are_looked_for_once_for_all_that_wait() -> None:
    looks = []

    def look() -> Any:
        looks.append(threading.current_thread())
        time.sleep(0.05)
        return StaticCredentials(ACCESS, HIDDEN)

    async def run() -> None:
        found, clock = Credentials({}), Clock()
        found._chain = DefaultChain(clock, look)
        await asyncio.gather(*(headers_of(found, AwsKeys()) for _ in range(20)))
        assert len(looks) == 1
        assert looks[0] is not threading.main_thread()
        clock.now += sigv4.LOOK_S
        await headers_of(found, AwsKeys())  # is served at once, and the look is in the background
        await until(lambda: len(looks) == 2)
        await found.close()

    asyncio.run(run())


# -- keys of one's own -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, sigv4.HASHED_IN_PLACE_BYTES, sigv4.HASHED_IN_PLACE_BYTES + 1])
def test_keys_that_are_named_sign_bodies_of_any_size(size: int) -> None:
    async def run() -> None:
        found = Credentials({"A": ACCESS, "S": HIDDEN, "T": TOKEN})
        keys = AwsKeys(Secret("env", "A"), Secret("env", "S"), Secret("env", "T"))
        before = int(time.time())
        sent = await headers_of(found, keys, b"a" * size)
        assert refusal(f"{BASE}/model/m/invoke", sent, b"a" * size) == ""
        assert dict(sent)["x-amz-security-token"] == TOKEN
        stamp = datetime.strptime(dict(sent)["x-amz-date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        assert before <= stamp.timestamp() <= time.time()

    asyncio.run(run())


def test_a_key_that_is_not_there_is_named() -> None:
    async def run() -> None:
        keys = AwsKeys(Secret("env", "A"), Secret("env", "S"))
        with pytest.raises(CredentialError, match="The variable S is not set"):
            await headers_of(Credentials({"A": ACCESS}), keys)

    asyncio.run(run())
