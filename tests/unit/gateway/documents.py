"""Reads documents of a gateway in tests, and says how they were refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outlay.errors import ConfigError
from outlay.gateway.config import GatewayConfig, Upstream
from outlay.gateway.document import read_config

EXAMPLE = Path(__file__).parents[3] / "examples" / "gateway.yaml"
AWS = {"access_key": {"env": "A"}, "secret_key": {"env": "S"}}


def read(document: Any, **env: str) -> GatewayConfig:
    """Every JSON text is YAML as well."""
    return read_config(json.dumps(document), where="gateway.yaml", env=env)


def upstream(called: str = "openai", /, **fields: Any) -> Upstream:
    return read({"upstreams": {called: fields}}).upstreams[called]


def refused(document: Any, **env: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(document, **env)
    assert caught.value.where is not None
    assert caught.value.where.startswith("gateway.yaml")
    return caught.value


def refused_upstream(place: str, called: str = "openai", /, **fields: Any) -> ConfigError:
    error = refused({"upstreams": {called: fields}})
    assert error.where == f"gateway.yaml: upstreams.{called}{place and '.'}{place}"
    return error
