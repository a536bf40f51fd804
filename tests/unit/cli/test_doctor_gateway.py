"""What `outlay doctor` says of a gateway: what is wrong by name, and nothing that is secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.cli.client import Client
from outlay.cli.doctor_gateway import examine_keys, examine_setup
from outlay.cli.findings import Finding
from outlay.config import Settings
from tests.unit.cli.limit_commands import Commands

DOCUMENT = """
upstreams:
  openai: {}
  anthropic: {credential: {file: FOLDER/key}}
  groq: {credential: {command: [FOLDER/no-such-program, --secret, sk-argument]}}
  llama: {vendor: vllm, url: "http://10.0.0.7:8000", credential: none, ca_file: FOLDER/ca.pem}
tenants:
  acme:
    credentials:
      openai: {env: ACME_OPENAI_KEY}
"""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ACME_OPENAI_KEY", "AZURE_OPENAI_ENDPOINT", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


def setup(folder: Path, document: str) -> dict[str, Finding]:
    path = folder / "gateway.yaml"
    path.write_text(document.replace("FOLDER", str(folder)))
    return {found.check: found for found in examine_setup(Settings(gateway_config=str(path)))}


def test_what_a_file_names_and_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    found = setup(tmp_path, DOCUMENT)
    assert found["gateway config"].state == "ok"
    assert "4 upstreams: openai, anthropic, groq, llama" in found["gateway config"].detail
    told = found["gateway credentials"]
    assert told.state == "warn"
    for part in (
        "openai: The variable OPENAI_API_KEY is not set",
        f"anthropic: The file {tmp_path}/key cannot be read: No such file",
        "groq: The command no-such-program is not there",
        "openai of acme: The variable ACME_OPENAI_KEY is not set",
    ):
        assert part in told.detail
    assert "sk-argument" not in told.detail
    assert found["gateway certificates"].state == "fail"
    assert "ca.pem: No such file" in found["gateway certificates"].detail


def test_what_is_there_is_told_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-variable")
    monkeypatch.setenv("ACME_OPENAI_KEY", "sk-acme")
    (tmp_path / "key").write_text("sk-file\n")
    document = DOCUMENT.replace("FOLDER/no-such-program", "/bin/sh")
    found = setup(tmp_path, document.replace(", ca_file: FOLDER/ca.pem", ""))
    assert found["gateway credentials"] == Finding(
        "gateway credentials", "ok", "found of openai, anthropic, groq, openai of acme"
    )
    assert set(found) == {"gateway config", "gateway credentials"}
    assert not any("sk-" in one.detail for one in found.values())


def test_a_variable_that_no_header_may_hold_is_as_good_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a\nsk-b")
    told = setup(tmp_path, "upstreams: {openai: {}}")["gateway credentials"]
    assert told.state == "warn"
    assert "sk-" not in told.detail


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("upstreams: {openia: {}}", "upstreams.openia.vendor: `openia` is no provider"),
        ("upstreams: [", "This is not YAML"),
    ],
)
def test_a_bad_file_is_told_with_its_place(tmp_path: Path, document: str, said: str) -> None:
    found = setup(tmp_path, document)
    assert [one.state for one in found.values()] == ["fail"]
    assert said in found["gateway config"].detail
    assert "gateway.yaml" in found["gateway config"].detail


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    [found] = examine_setup(Settings(gateway_config=str(tmp_path / "none.yaml")))
    assert (found.state, "No such file" in found.detail) == ("fail", True)


def test_without_a_file_no_provider_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    config, told = examine_setup(Settings())
    assert {config.state, told.state} == {"ok"}
    assert "well-known providers" in config.detail
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    _, told = examine_setup(Settings())
    assert "openai" in told.detail


def test_keys_are_counted_for_a_gateway_and_for_an_administrator(run: Commands) -> None:
    def made(scope: str) -> str:
        with Client(Settings(endpoint=run.served.url, key=run.served.first_key)) as server:
            body = {"name": scope, "scopes": [scope]}
            return str(server.call("POST", "/v1/keys", json=body)["secret"])

    def told(secret: str) -> Finding:
        settings = Settings(endpoint=run.served.url, key=secret)
        with Client(settings) as server:
            [found] = examine_keys(server)
        return found

    gateway = made("gateway")
    assert "outlay virtual-keys create" in told(gateway).fix
    run("virtual-keys", "create", "bot")
    assert told(gateway).detail == "1 known"
    assert told(run.served.first_key).detail == "1 known"
    assert "not looked at" in told(made("ingest")).detail
    assert told("ok_wrong").state == "warn"
