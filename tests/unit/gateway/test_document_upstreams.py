"""Upstreams of a gateway's document: defaults, addresses, and which credential goes where."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from outlay.errors import ConfigError
from outlay.gateway import document_parts, document_upstreams
from outlay.gateway.config import AwsKeys, Credential, Secret, Upstream
from outlay.gateway.document import default_config
from outlay.gateway.known_upstreams import KNOWN
from outlay.wire.base import Request
from outlay.wire.registry import find_endpoint
from outlay.wire.vendors import BY_NAME, by_host
from tests.unit.gateway.documents import read, refused, refused_upstream, upstream

# -- providers that are well known -----------------------------------------------------------------


@pytest.mark.parametrize("row", KNOWN.values(), ids=lambda row: row.name)
def test_every_known_provider_is_a_vendor_at_its_own_address(row: Any) -> None:
    assert row.vendor in BY_NAME
    document_upstreams.upstream_name(row.name, "")
    if row.url:
        host = urlsplit(row.url).hostname or ""
        found = by_host(host)
        assert found is not None
        assert found.name == row.vendor


def test_without_a_document_every_known_provider_is_declared_also_without_its_variable() -> None:
    config = default_config({})

    assert set(config.upstreams) == set(KNOWN) - {"azure", "bedrock", "vertex"}
    assert config.upstreams["openai"] == Upstream(
        "openai", "openai", "https://api.openai.com",
        Credential("bearer", Secret("env", "OPENAI_API_KEY")),
    )  # fmt: skip
    assert config.upstreams["anthropic"].credential == Credential(
        "x-api-key", Secret("env", "ANTHROPIC_API_KEY")
    )
    assert config.upstreams["google"].credential == Credential(
        "x-goog-api-key", Secret("env", "GOOGLE_API_KEY")
    )


def test_the_environment_adds_azure_and_bedrock() -> None:
    config = default_config(
        {"AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/", "AWS_REGION": "eu-west-1"}
    )
    assert config.upstreams["azure"].url == "https://mine.openai.azure.com"
    assert config.upstreams["azure"].credential == Credential(
        "api-key", Secret("env", "AZURE_OPENAI_API_KEY")
    )
    bedrock = config.upstreams["bedrock"]
    assert bedrock.url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert bedrock.region == "eu-west-1"
    assert bedrock.credential == Credential("aws", aws=AwsKeys())


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "https://bedrock-runtime.us-east-1.amazonaws.com"),
        (
            {"AWS_REGION": "cn-north-1", "AWS_DEFAULT_REGION": "us-east-1"},
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
        ),
        ({"AWS_REGION": "eusc-de-east-1"}, "https://bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_bedrock_is_where_its_region_is(env: dict[str, str], url: str) -> None:
    bedrock = default_config(env).upstreams["bedrock"]
    assert bedrock.url == url
    assert by_host(urlsplit(url).hostname or "") is BY_NAME["aws"]


def test_the_variable_that_is_set_counts() -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        credential = default_config({name: "secret"}).upstreams["google"].credential
        assert credential == Credential("x-goog-api-key", Secret("env", name))
    both = {"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"}
    assert default_config(both).upstreams["google"].credential == Credential(
        "x-goog-api-key", Secret("env", "GOOGLE_API_KEY")
    )


def test_a_bedrock_api_key_is_shown_instead_of_a_signature() -> None:
    bedrock = default_config({"AWS_REGION": "us-east-1", "AWS_BEARER_TOKEN_BEDROCK": "x"})
    assert bedrock.upstreams["bedrock"].credential == Credential(
        "bearer", Secret("env", "AWS_BEARER_TOKEN_BEDROCK")
    )


@pytest.mark.parametrize(
    ("env", "place"),
    [
        ({"AZURE_OPENAI_ENDPOINT": "mine.openai.azure.com"}, "environment: azure.url"),
        ({"AWS_REGION": "over there"}, "environment: bedrock.url"),
        ({"AWS_REGION": "nowhere"}, "environment: bedrock.region"),
    ],
)
def test_a_bad_address_in_the_environment_is_told(env: dict[str, str], place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        default_config(env)
    assert caught.value.where == place


def test_a_document_takes_the_same_defaults_by_name_and_by_vendor() -> None:
    env = {"AWS_REGION": "eu-west-1", "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com"}
    names = ["openai", "anthropic", "google", "azure", "bedrock", "xai"]
    config = read({"upstreams": {name: {} for name in names}}, **env)
    usual = default_config(env)
    for name in names:
        assert config.upstreams[name] == usual.upstreams[name]

    second = read({"upstreams": {"more": {"vendor": "anthropic"}, "gemini": None}})
    assert second.upstreams["more"].credential == usual.upstreams["anthropic"].credential
    assert second.upstreams["more"].url == "https://api.anthropic.com"
    assert second.upstreams["gemini"].vendor == "google"


def test_a_document_without_upstreams_serves_the_known_ones() -> None:
    assert read({"cost_headers": True}).upstreams == default_config({}).upstreams


def test_a_vendor_is_known_by_its_address() -> None:
    one = upstream("fast", url="https://api.groq.com")
    assert (one.vendor, one.credential) == (
        "groq", Credential("bearer", Secret("env", "GROQ_API_KEY"))
    )  # fmt: skip
    assert upstream("x", vendor="bedrock", region="us-east-1").vendor == "aws"


def test_a_region_is_said_or_in_the_address_or_in_the_environment() -> None:
    assert upstream("bedrock", region="us-west-2").url.endswith(".us-west-2.amazonaws.com")
    mantle = upstream("mantle", url="https://bedrock-mantle.us-east-2.api.aws")
    assert (mantle.vendor, mantle.region) == ("aws", "us-east-2")
    assert mantle.credential == Credential("aws", aws=AwsKeys())
    config = read(
        {"upstreams": {"b": {"vendor": "aws", "url": "http://127.0.0.1:9", "credential": {
            "place": "aws"}}}},
        AWS_REGION="sa-east-1",
    )  # fmt: skip
    assert config.upstreams["b"].region == "sa-east-1"


# -- what goes to whom -----------------------------------------------------------------------------


def test_the_usual_credential_goes_to_the_providers_own_address_only() -> None:
    assert "own address" in refused_upstream("credential", url="http://10.0.0.7:8000").message
    refused_upstream("credential", "x", vendor="openai", url="https://openai.example.com")
    assert upstream(url="https://eu.api.openai.com").credential == Credential(
        "bearer", Secret("env", "OPENAI_API_KEY")
    )
    assert upstream(url="http://10.0.0.7:8000", credential="none").credential is None
    said = upstream(url="http://10.0.0.7:8000", credential={"env": "OPENAI_API_KEY"})
    assert said.credential == Credential("bearer", Secret("env", "OPENAI_API_KEY"))
    assert upstream(url="http://10.0.0.7:8000", client_credentials=True).credential is None


def test_a_provider_without_a_usual_credential_needs_a_word() -> None:
    vertex = "https://europe-west1-aiplatform.googleapis.com"
    refused_upstream("credential", "vertex", url=vertex)
    # Not the key of the other Google API.
    refused_upstream("credential", "v", vendor="google", url=vertex)
    assert upstream("llama", vendor="vllm", url="http://10.0.0.7:8000").credential is None


def test_one_vendors_address_is_not_anothers() -> None:
    error = refused_upstream("url", url="https://api.groq.com")
    assert "groq" in error.message
    refused_upstream("url", "x", vendor="anthropic", url="https://openrouter.ai")


def test_one_address_speaks_one_vendors_api() -> None:
    one = {"vendor": "vllm", "url": "http://10.0.0.7"}
    other = {"vendor": "sglang", "url": "http://10.0.0.7/"}
    assert (
        refused({"upstreams": {"a": one, "b": other}}).where == "gateway.yaml: upstreams.b.vendor"
    )
    assert len(read({"upstreams": {"a": one, "b": one}}).upstreams) == 2


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("https://API.Example.com/", "https://api.example.com"),
        ("https://api.example.com:443/base//", "https://api.example.com/base"),
        ("http://gpu_1:80", "http://gpu_1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://10.0.0.7:8000/a/b.c-d", "http://10.0.0.7:8000/a/b.c-d"),
    ],
)
def test_an_address_has_one_form_and_is_metered_by_it(said: str, url: str) -> None:
    config = read({"upstreams": {"own": {"vendor": "vllm", "url": said}}})
    assert config.upstreams["own"].url == url
    found = find_endpoint(
        Request("POST", f"{url}/v1/chat/completions", {}, b""), hosts=config.hosts()
    )
    assert found is not None
    assert (found.vendor, found.surface) == ("vllm", "openai.chat")


@pytest.mark.parametrize(
    "said",
    [
        "api.example.com", "ftp://x", "https://", "https://x?a=1", "https://x#a", "https://x y",
        "https://x/../y", "https://x/./y", "https://x//y", "https://x/%2e%2e", "https://ex\u00e4mple",
        "https://x:0", "https://x:99999", "https://x:port", "https://[::1", "https://-x",
        "https://x\\y", "https://x/\ta", "file:///etc/passwd", "http://api.openai.com", 7, None,
        ["https://x"], "https://x/" + "a" * document_parts.MAX_URL,
    ],
)  # fmt: skip
def test_no_other_address_is_taken(said: Any) -> None:
    refused_upstream("url", "own", vendor="openai", url=said, credential="none")


@pytest.mark.parametrize(
    ("called", "url", "base"),
    [
        ("openai", "https://api.openai.com/v1", "/v1"),
        ("openai", "https://api.openai.com/v1/", "/v1"),
        ("groq", "https://api.groq.com/openai/v1", "/openai/v1"),
        ("vllm", "http://10.0.0.5:8000/v1", "/v1"),
        ("vllm", "http://10.0.0.5:8000/models/llama/v1", "/v1"),
        ("azure", "https://mine.openai.azure.com/openai", "/openai"),
        ("deepseek", "https://api.deepseek.com/beta", "/beta"),
    ],
)
def test_an_address_with_a_part_of_the_providers_own_path_is_refused(
    called: str, url: str, base: str
) -> None:
    """Clients send that part, as any base URL of an SDK has it: it would be there twice."""
    error = refused_upstream("url", called, url=url)
    assert f"`{base}`" in error.message
    assert f"/{called}{base}" in error.hint


@pytest.mark.parametrize(
    ("called", "url"),
    [
        ("vllm", "http://10.0.0.5:8000/models/llama"),
        ("vllm", "http://10.0.0.5:8000/myv1"),
        ("mistral", "https://api.mistral.ai"),
    ],
)
def test_any_other_base_path_is_kept(called: str, url: str) -> None:
    assert upstream(called, url=url).url == url


@pytest.mark.parametrize("path", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
def test_azures_variable_may_have_the_path_of_the_api(path: str) -> None:
    env = {"AZURE_OPENAI_ENDPOINT": f"https://mine.openai.azure.com{path}"}
    assert default_config(env).upstreams["azure"].url == "https://mine.openai.azure.com"
