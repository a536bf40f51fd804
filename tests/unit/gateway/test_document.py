"""A gateway's document: read whole and strictly, with the place of what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core.limits.document_values import _SHOWN
from outlay.errors import ConfigError
from outlay.gateway import document, document_upstreams
from outlay.gateway.config import (
    AwsKeys,
    BreakerRule,
    Credential,
    GatewayConfig,
    Secret,
    Timeouts,
    Upstream,
)
from outlay.gateway.document import default_config, read_config
from tests.unit.gateway.documents import AWS, EXAMPLE, read, refused, refused_upstream, upstream

MIB = 1024 * 1024


# -- the example -----------------------------------------------------------------------------------


def test_the_example_reads_and_has_every_field() -> None:
    text = EXAMPLE.read_text("utf-8")
    config = read_config(text, where="examples/gateway.yaml", env={})

    for name in (*document._TOP, *document_upstreams._FIELDS, *document._ALIAS, *document._TARGET):
        assert f"{name}:" in text, name
    assert list(config.upstreams) == [
        "openai", "anthropic", "google", "groq", "openai-eu", "vertex", "azure", "bedrock", "llama",
        "mistral",
    ]  # fmt: skip
    assert config.upstreams["openai-eu"] == Upstream(
        "openai-eu", "openai", "https://eu.api.openai.com",
        Credential("bearer", Secret("file", "/run/secrets/openai-eu", refresh_s=60)),
        timeouts=Timeouts(5, 600, 300), breaker=BreakerRule(5, 30, 10), retries=1,
        max_concurrency=64, requests_per_minute=5000, max_waiting=1000, max_waiting_per_tenant=250,
        max_wait_s=30, set_headers=(("openai-project", "proj_support"),),
        drop_headers=("x-internal-trace",),
    )  # fmt: skip
    assert config.upstreams["vertex"].credential == Credential(
        "bearer", Secret("command", "", ("gcloud", "auth", "print-access-token"), 1800)
    )
    assert config.upstreams["bedrock"].credential == Credential(
        "aws",
        aws=AwsKeys(
            Secret("env", "BEDROCK_ACCESS_KEY"), Secret("file", "/run/secrets/bedrock-secret-key")
        ),
    )
    assert config.upstreams["llama"].credential is None
    assert config.upstreams["mistral"].client_credentials
    assert [(t.upstream, t.weight) for t in config.aliases["trial"].targets] == [
        ("openai", 9), ("openai", 1)
    ]  # fmt: skip
    assert config.aliases["bulk"].strategy == "cheapest"
    assert config.tenants["acme"].weight == 3
    assert config.tenants["acme"].credentials["openai"].secret == Secret(
        "file", "/run/secrets/acme-openai"
    )


def test_what_the_example_says_to_be_a_default_is_one() -> None:
    text = EXAMPLE.read_text("utf-8")
    config = read_config(text, where="", env={})
    usual = GatewayConfig({})
    for name in (
        "unknown_tenant", "cost_headers", "on_disconnect", "drain_s", "drain_bytes",
        "max_body_bytes", "buffer_bytes",
    ):  # fmt: skip
        assert getattr(config, name) == getattr(usual, name), name


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "0", "openai-2", "a" * 32, "a-"])
def test_a_name_is_a_segment_of_a_path(name: str) -> None:
    assert upstream(name, vendor="openai").name == name


@pytest.mark.parametrize(
    "name",
    [
        "", "-a", "A", "a_b", "a.b", "a/b", "a b", "ä", "a" * 33, "a\n",
        "v1", "healthz", "readyz", "metrics", "assets",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    refused({"upstreams": {name: {"vendor": "openai"}}})


@pytest.mark.parametrize(
    ("said", "place", "near"),
    [
        ({"upstreem": {}}, "upstreem", "upstreams"),
        ({"upstreams": {"opnai": {}}}, "upstreams.opnai.vendor", "openai"),
        ({"upstreams": {"openai": {"urll": "x"}}}, "upstreams.openai.urll", "url"),
        ({"upstreams": {"o": {"vendor": "antropic"}}}, "upstreams.o.vendor", "anthropic"),
        (
            {"upstreams": {"openai": {"timeouts": {"conect_s": 1}}}},
            "upstreams.openai.timeouts.conect_s",
            "connect_s",
        ),
        (
            {"upstreams": {"openai": {"breaker": {"failure": 1}}}},
            "upstreams.openai.breaker.failure",
            "failures",
        ),
        (
            {"upstreams": {"openai": {"credential": {"enf": "X"}}}},
            "upstreams.openai.credential.enf",
            "env",
        ),
        (
            {"upstreams": {"openai": {"credential": {"env": "X", "place": "x-api-kye"}}}},
            "upstreams.openai.credential.place",
            "x-api-key",
        ),
        ({"aliases": {"a": {"target": []}}}, "aliases.a.target", "targets"),
        (
            {"aliases": {"a": {"targets": [{"upstream": "opnai", "model": "m"}]}}},
            "aliases.a.targets[0].upstream",
            "openai",
        ),
        (
            {"aliases": {"a": {"strategy": "cheap", "targets": []}}},
            "aliases.a.strategy",
            "cheapest",
        ),
        ({"aliases": {"a": {"on": ["timeot"], "targets": []}}}, "aliases.a.on[0]", "timeout"),
        ({"tenants": {"t": {"wieght": 1}}}, "tenants.t.wieght", "weight"),
        (
            {"tenants": {"t": {"credentials": {"opnai": {"env": "X"}}}}},
            "tenants.t.credentials.opnai",
            "openai",
        ),
        ({"unknown_tenant": "refused"}, "unknown_tenant", "refuse"),
        ({"on_disconnect": "hangup"}, "on_disconnect", "hang_up"),
    ],
)
def test_an_unknown_name_is_told_with_its_place_and_the_one_that_is_near(
    said: Any, place: str, near: str
) -> None:
    error = refused(said)
    assert error.where == f"gateway.yaml: {place}"
    assert f"Did you mean `{near}`?" in error.message


def test_a_vendor_of_ones_own_is_taken() -> None:
    own = upstream("lab", vendor="lab-llm", url="http://10.0.0.7", credential={"env": "LAB"})
    assert own.vendor == "lab-llm"
    refused_upstream("vendor", "lab", url="http://10.0.0.7")
    refused_upstream("url", "lab", vendor="lab-llm")
    assert "AZURE_OPENAI_ENDPOINT" in refused_upstream("url", "azure").hint
    assert "AWS_REGION" in refused_upstream("url", "bedrock").hint


# -- aliases and tenants ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({}, ".targets"),
        ({"targets": []}, ".targets"),
        ({"targets": [{"upstream": "openai"}]}, ".targets[0].model"),
        ({"targets": [{"model": "m"}]}, ".targets[0].upstream"),
        ({"targets": [{"upstream": "openai", "model": 7}]}, ".targets[0].model"),
        ({"targets": [{"upstream": "openai", "model": "m" * 257}]}, ".targets[0].model"),
        ({"targets": [{"upstream": "openai", "model": "m", "weight": 2}]}, ".targets[0].weight"),
        ({"targets": [{"upstream": "openai", "model": "m"}] * 2}, ".targets[1]"),
        ({"targets": [{"upstream": "openai", "model": "m"}], "on": []}, ".on"),
        ({"targets": [{"upstream": "openai", "model": "m"}], "max_attempts": 0}, ".max_attempts"),
        ({"targets": [{"upstream": "openai", "model": "m"}], "max_attempts": 11}, ".max_attempts"),
    ],
)
def test_an_alias_that_leads_nowhere_is_refused(said: Any, place: str) -> None:
    assert refused({"aliases": {"a": said}}).where == f"gateway.yaml: aliases.a{place}"


def test_an_alias_between_apis_that_have_nothing_in_common_is_refused() -> None:
    targets = [{"upstream": name, "model": "m"} for name in ("groq", "anthropic")]
    error = refused({"aliases": {"a": {"targets": targets}}})
    assert error.where == "gateway.yaml: aliases.a.targets"
    assert "`groq` speaks openai" in error.message
    targets[0]["upstream"] = "deepseek"  # serves Anthropic's API as well
    assert read({"aliases": {"a": {"targets": targets}}}).aliases["a"].targets


def test_weights_are_bounded() -> None:
    def of(weight: Any) -> Any:
        target = {"upstream": "openai", "model": "m", "weight": weight}
        return {"aliases": {"a": {"strategy": "weighted", "targets": [target]}}}

    for good in (1, 1000):
        assert read(of(good)).aliases["a"].targets[0].weight == good
        assert read({"tenants": {"t": {"weight": good}}}).tenants["t"].weight == good
    for bad in (0, 1001, "2", True):
        refused(of(bad))
        refused({"tenants": {"t": {"weight": bad}}})


def test_a_tenants_own_credential_is_shown_where_the_upstreams_is() -> None:
    said = {
        "upstreams": {"anthropic": {}, "b": {"vendor": "aws", "region": "eu-west-1"}, "l": {
            "vendor": "vllm", "url": "http://10.0.0.7"}},
        "tenants": {"42": {"credentials": {
            "anthropic": {"env": "T"}, "b": {**AWS}, "l": {"env": "L"}}}},
    }  # fmt: skip
    own = read(said).tenants["42"].credentials
    assert own["anthropic"] == Credential("x-api-key", Secret("env", "T"))
    assert own["b"].place == "aws"
    assert own["l"] == Credential("bearer", Secret("env", "L"))


def test_a_tenants_signature_needs_the_upstreams_region() -> None:
    one = {"vendor": "aws", "url": "http://10.0.0.7", "credential": {"place": "bearer", "env": "K"}}
    said = {"upstreams": {"b": one}, "tenants": {"t": {"credentials": {"b": AWS}}}}
    assert refused(said).where == "gateway.yaml: tenants.t.credentials.b"
    assert read(said, AWS_REGION="eu-west-1").tenants["t"].credentials["b"].place == "aws"
    nothing: tuple[Any, ...] = ("none", None, {})
    for bad in nothing:
        refused({"tenants": {"t": {"credentials": {"openai": bad}}}})


# -- the file itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "gateway.yaml: upstreams"),
        ("# nothing\n", "gateway.yaml: upstreams"),
        ("[]", "gateway.yaml"),
        ("a: [", "gateway.yaml: line 2"),
        ("upstreams:\n  openai: &a {}\n  x: *a\n", "gateway.yaml: line 2"),
        ("upstreams:\n  openai: {}\n  openai: {}\n", "gateway.yaml: line 3"),
        ("upstreams: !!python/object:os.system {}\n", "gateway.yaml: line 1"),
        ("\ud800", "gateway.yaml: file"),
    ],
)
def test_what_is_no_such_document_is_refused(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(text, where="gateway.yaml", env={})
    assert caught.value.where == place
    assert "limits" not in caught.value.message


def test_a_revision_is_of_the_text() -> None:
    one, other = (read_config(f"cost_headers: {v}", where="", env={}) for v in ("true", "false"))
    again = read_config("cost_headers: true", where="elsewhere", env={})
    assert one.revision == again.revision != other.revision
    assert default_config({}).revision == default_config({}).revision
    assert default_config({}).revision != default_config({"AWS_REGION": "eu-west-1"}).revision


def test_what_was_read_cannot_be_changed() -> None:
    config = read({"upstreams": {"openai": {}}, "tenants": {"t": {}}})
    for mapping in (
        config.upstreams,
        config.aliases,
        config.tenants,
        config.tenants["t"].credentials,
    ):
        with pytest.raises(TypeError):
            mapping["x"] = None  # type: ignore[index]


def test_a_long_bad_value_is_shown_in_part() -> None:
    said = refused({"unknown_tenant": "x" * 10_000}).message
    assert len(said) < _SHOWN + 100
