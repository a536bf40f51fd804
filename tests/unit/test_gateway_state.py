"""What a server tells people of its gateway, from one that really runs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx
import pytest

from outlay.config import Settings
from outlay.wiring import start_in_thread

DOCUMENT = """
upstreams:
  openai: {}
  anthropic: {credential: {file: FOLDER/key}, client_credentials: true}
  llama: {vendor: vllm, url: "http://10.0.0.7:8000", credential: none, max_concurrency: 3}
aliases:
  fast: {targets: [{upstream: openai, model: gpt-5-mini}, {upstream: llama, model: llama}]}
tenants:
  acme:
    credentials:
      openai: {env: ACME_OPENAI_KEY}
"""


def told(tmp_path: Path, **settings: Any) -> httpx.Response:
    made = Settings(data=str(tmp_path / "data"), port=0, seed_prices=False, **settings)
    with start_in_thread(made, log_to=io.StringIO()) as running:
        headers = {"Authorization": f"Bearer {running.first_key}"}
        return httpx.get(f"{running.url}/v1/gateway", headers=headers, trust_env=False)


def test_upstreams_and_how_they_are_show_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    (tmp_path / "key").write_text("sk-in-a-file")
    file = tmp_path / "gateway.yaml"
    file.write_text(DOCUMENT.replace("FOLDER", str(tmp_path)))
    answer = told(tmp_path, gateway_config=str(file))
    state = answer.json()
    assert state["on"] is True
    shown = {one["name"]: one for one in state["upstreams"]}
    assert list(shown) == ["anthropic", "llama", "openai"]
    assert shown["openai"] == {
        "name": "openai", "vendor": "openai", "url": "https://api.openai.com", "region": "",
        "credential": "set", "client_credentials": False, "tenant_credentials": 1,
        "breaker": "closed", "openings": 0, "opens_again_in_s": 0.0, "in_flight": 0, "waiting": 0,
        "paused_s": 0.0, "max_concurrency": 256, "requests_per_minute": 0,
    }  # fmt: skip
    assert shown["anthropic"]["credential"] == "when_needed"
    assert shown["llama"]["credential"] == "none"
    assert (shown["llama"]["url"], shown["llama"]["max_concurrency"]) == ("http://10.0.0.7:8000", 3)
    assert state["aliases"] == [
        {
            "name": "fast", "strategy": "ordered",
            "targets": [
                {"upstream": "openai", "model": "gpt-5-mini", "weight": 1},
                {"upstream": "llama", "model": "llama", "weight": 1},
            ],
        }
    ]  # fmt: skip
    assert set(state["parts"]) == {"keys", "config", "events"}
    for word in ("sk-", "OPENAI_API_KEY", "ACME", str(tmp_path)):
        assert word not in answer.text


def test_a_server_without_a_gateway_says_so(tmp_path: Path) -> None:
    assert told(tmp_path, gateway=False).json()["on"] is False
