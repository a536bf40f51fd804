"""The server as it is set up: every setting, no secret; and the gateway where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlay.api.server_settings import bare_url
from outlay.config import KEYS, Settings
from tests.unit.api.site import Site

SECRETS: dict[str, Any] = {
    name: f"hidden-{name}-{'x' * 32}"
    for name, setting in KEYS.items()
    if setting.secret and setting.group == "server"
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(
        tmp_path,
        Settings(
            stream_url="kafka://user:pa55@broker:9092/topic?token=hush#x", log_level="debug",
            context_secret="hidden-context-secret", **SECRETS,
            oidc_issuer="https://login.example.com", oidc_client_id="outlay",
            public_url="https://outlay.example.com",
        ),
    )  # fmt: skip
    yield made
    made.close()


def settings(site: Site) -> dict[str, Any]:
    told = site.call("GET", "/v1/settings").json()["settings"]
    return {one["name"]: one for one in told}


def test_every_setting_of_the_server_is_told(site: Site) -> None:
    told = settings(site)
    assert list(told) == [s.name for s in KEYS.values() if s.group == "server"]
    assert told["log_level"] == {
        "name": "log_level", "value": "debug", "set": True, "secret": False,
        "meaning": "Least severity that is logged.", "env": "OUTLAY_LOG_LEVEL",
    }  # fmt: skip
    assert (told["port"]["value"], told["port"]["set"]) == (8787, False)


def test_no_secret_is_told_only_whether_it_is_set(site: Site) -> None:
    assert {"books_url", "portal_secret", "webhook_secret"} <= set(SECRETS)
    text = site.call("GET", "/v1/settings").text
    for word in ("hidden", "pa55", "hush", "xxxx"):
        assert word not in text
    told = settings(site)
    for name in SECRETS:
        assert (told[name]["value"], told[name]["set"]) == (None, True)
    assert told["stream_url"]["value"] == "kafka://broker:9092/topic"


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("", ""),
        ("/var/lib/outlay", "/var/lib/outlay"),
        ("https://host", "https://host"),
        ("https://host:1/a/b?x=1#y", "https://host:1/a/b"),
        ("https://user:pass@host/a", "https://host/a"),
        ("https://us@er:p@ss@[::1]:5/a", "https://[::1]:5/a"),
        ("https://u:p/ss@host/a", "https://…"),
        ("https://u:p#ss@host/a", "https://…"),
        ("https://u:p?ss@host", "https://…"),
        ("https://host?user=a@b", "https://…"),
        ("a://x,b://u:p@y", "a://…"),
    ],
)
def test_of_a_url_only_what_cannot_be_secret_is_left(text: str, bare: str) -> None:
    assert bare_url(text) == bare


def test_without_a_gateway_there_is_nothing_to_tell(site: Site) -> None:
    assert site.call("GET", "/v1/gateway").json() == {
        "on": False, "upstreams": [], "aliases": [], "parts": {},
    }  # fmt: skip
