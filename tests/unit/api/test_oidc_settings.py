"""Which settings of single sign-on a server starts with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outlay.api.oidc_provider import check_settings
from outlay.config import Settings
from outlay.errors import ConfigError
from tests.unit.api.site import Site

GOOD = {"oidc_issuer": "https://id.example.com/realm", "oidc_client_id": "outlay"}


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({**GOOD, "oidc_client_id": ""}, "oidc_client_id"),
        ({"oidc_client_id": "outlay"}, "oidc_client_id"),
        ({"oidc_client_secret": "x"}, "oidc_client_secret"),
        ({"oidc_admins": "a@b"}, "oidc_admins"),
        ({"oidc_role": "finance"}, "oidc_role"),
        ({**GOOD, "oidc_issuer": "http://id.example.com"}, "oidc_issuer"),
        ({**GOOD, "oidc_issuer": "id.example.com"}, "oidc_issuer"),
        ({**GOOD, "oidc_issuer": "https://user:word@id.example.com"}, "oidc_issuer"),
        ({**GOOD, "oidc_issuer": "https://id.example.com/?a=b"}, "oidc_issuer"),
        ({**GOOD, "oidc_issuer": "https://id.example.com:x"}, "oidc_issuer"),
        ({**GOOD, "host": "0.0.0.0"}, "public_url"),
        ({**GOOD, "oidc_admins": "a@b, nobody"}, "oidc_admins"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_end_the_start(settings: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_settings(Settings(**settings))
    assert raised.value.where == where


def test_a_server_looks_at_them_when_it_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="oidc_client_id"):
        Site(tmp_path, Settings(oidc_issuer="https://id.example.com"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        GOOD,
        {**GOOD, "host": "0.0.0.0", "public_url": "https://cost.example.com"},
        {**GOOD, "oidc_issuer": "http://localhost:8080/realms/x"},
    ],
)
def test_settings_that_work_do_not(settings: dict[str, Any]) -> None:
    check_settings(Settings(**settings))
