"""What the names and hosts of Bedrock tell, and where a request goes because of them."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from outlay.wire.base import Endpoint, Request
from outlay.wire.bedrock_names import is_opaque, region_of, served_name, short_name
from outlay.wire.registry import find_endpoint

HOST = "https://bedrock-runtime.us-east-1.amazonaws.com"
ARN = "arn:aws:bedrock:us-east-1:123456789012"


def find(path: str, method: str = "POST") -> Endpoint:
    endpoint = find_endpoint(Request(method, HOST + path))
    assert endpoint is not None
    return endpoint


@pytest.mark.parametrize("verb", ["invoke", "invoke-with-response-stream"])
@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-x-v1:0",
        "global.anthropic.claude-x",
        f"{ARN}:inference-profile/eu.anthropic.claude-x-v1:0",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x-v1:0",
        f"{ARN}:custom-model/anthropic.claude-x/abcdef123456",
    ],
)
def test_an_anthropic_model_speaks_anthropic(model: str, verb: str) -> None:
    assert find(f"/model/{quote(model, safe='')}/{verb}") == Endpoint(
        "aws", "anthropic", "anthropic.messages", "chat", "bedrock", "us-east-1", model
    )


@pytest.mark.parametrize(
    ("model", "operation"),
    [
        ("us.amazon.nova-micro-v1:0", "chat"),
        ("meta.llama3-1-8b-instruct-v1:0", "chat"),
        ("amazon.titan-embed-text-v2:0", "embeddings"),
        ("cohere.embed-v4:0", "embeddings"),
        ("amazon.nova-2-multimodal-embeddings-v1:0", "embeddings"),
        ("cohere.rerank-v3-5:0", "rerank"),
        ("amazon.rerank-v1:0", "rerank"),
        ("amazon.titan-image-generator-v2:0", "image"),
        ("amazon.nova-canvas-v1:0", "image"),
        ("stability.sd3-5-large-v1:0", "image"),
        (f"{ARN}:application-inference-profile/embed0123456", "chat"),
    ],
)
def test_the_name_tells_what_invoke_does(model: str, operation: str) -> None:
    for path in (f"/model/{quote(model, safe='')}/invoke", f"/model/{model}/invoke"):
        endpoint = find(path)
        assert (endpoint.surface, endpoint.vendor) == ("bedrock.invoke", "aws")
        assert (endpoint.operation, endpoint.model) == (operation, model)


@pytest.mark.parametrize("verb", ["converse", "converse-stream"])
def test_converse_keeps_the_model_as_asked(verb: str) -> None:
    for model in ("us.anthropic.claude-x-v1:0", f"{ARN}:application-inference-profile/a1b2"):
        endpoint = find(f"/model/{quote(model, safe='')}/{verb}")
        assert (endpoint.surface, endpoint.model) == ("bedrock.converse", model)


@pytest.mark.parametrize(
    ("path", "surface", "model"),
    [
        ("/guardrail/gr1/version/DRAFT/apply", "bedrock.guardrail", "gr1"),
        (
            f"/guardrail/{quote(f'{ARN}:guardrail/gr1', safe='')}/version/2/apply",
            "bedrock.guardrail",
            f"{ARN}:guardrail/gr1",
        ),
        ("/guardrail-checks/invoke", "bedrock.guardrail", None),
        ("/model/anthropic.x/count-tokens", "aws.free", None),
        (f"/model/{ARN}:inference-profile/eu.x.y/count-tokens", "aws.free", None),
        ("/model/amazon.nova-sonic-v1:0/invoke-with-bidirectional-stream", "aws.unknown", None),
        ("/async-invoke", "aws.unknown", None),
    ],
)
def test_the_other_paths(path: str, surface: str, model: str | None) -> None:
    endpoint = find(path)
    assert (endpoint.surface, endpoint.model) == (surface, model)


def test_looking_at_jobs_is_free() -> None:
    assert find("/async-invoke/arn", "GET").surface == "aws.free"


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-runtime.ap-southeast-2.api.aws", "ap-southeast-2"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("bedrock-mantle.eu-west-1.api.aws", "eu-west-1"),
        ("bedrock-runtime.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("bedrock-runtime.example.com", ""),
        ("127.0.0.1", ""),
        ("", ""),
    ],
)
def test_the_host_tells_the_region_asked(host: str, region: str) -> None:
    assert region_of(host) == region
    endpoint = find_endpoint(
        Request("POST", f"https://{host}/model/x/converse"), hosts={host: "aws"}
    )
    assert endpoint is None if not host else endpoint is not None
    assert endpoint is None or endpoint.region_class == region


@pytest.mark.parametrize(
    "host",
    [
        "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock-runtime-fips.us-east-1.amazonaws.com",
        "bedrock-runtime.us-east-1.api.aws",
        "bedrock-runtime-fips.us-east-1.api.aws",
        "bedrock-runtime.cn-north-1.amazonaws.com.cn",
        "bedrock-runtime.eusc-de-east-1.amazonaws.eu",
        "bedrock-mantle.us-east-1.api.aws",
    ],
)
def test_every_host_of_bedrock_is_recognised(host: str) -> None:
    endpoint = find_endpoint(Request("POST", f"https://{host}/model/x.y/converse"))
    assert endpoint is not None
    assert (endpoint.provider, endpoint.surface) == ("aws", "bedrock.converse")


@pytest.mark.parametrize(
    ("model", "opaque", "short"),
    [
        ("anthropic.claude-x", False, "anthropic.claude-x"),
        (f"{ARN}:inference-profile/eu.a.b-v1:0", False, "eu.a.b-v1:0"),
        ("arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/a.b", False, "a.b"),
        (f"{ARN}:application-inference-profile/a1b2", True, None),
        (f"{ARN}:provisioned-model/a1b2", True, None),
        (f"{ARN}:custom-model/amazon.nova-lite/a1b2", True, None),
        (f"{ARN}:imported-model/a1b2", True, None),
        (f"{ARN}:default-prompt-router/anthropic.claude:1", True, None),
        ("arn:aws:sagemaker:us-east-1:1:endpoint/x", True, None),
    ],
)
def test_an_arn_may_hide_its_model(model: str, opaque: bool, short: str | None) -> None:
    assert is_opaque(model) is opaque
    assert short_name(model) == (short or model)


@pytest.mark.parametrize(
    ("requested", "served", "name"),
    [
        ("global.anthropic.claude-x-v1:0", "claude-x", "global.anthropic.claude-x"),
        (
            f"{ARN}:inference-profile/global.anthropic.claude-x", "claude-y",
            "global.anthropic.claude-y",
        ),
        ("global.anthropic.claude-x", "global.anthropic.claude-x", "global.anthropic.claude-x"),
        ("eu.anthropic.claude-x-v1:0", "claude-x", "claude-x"),
        ("anthropic.claude-x-v1:0", "claude-x", "claude-x"),
        ("", "claude-x", "claude-x"),
    ],
)  # fmt: skip
def test_p32_a_global_profile_stays_global_in_the_name_to_price_by(
    requested: str, served: str, name: str
) -> None:
    assert served_name(requested, served) == name
