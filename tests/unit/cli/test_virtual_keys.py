"""`outlay virtual-keys` on the command line, against a server that really runs."""

from __future__ import annotations

import re

import pytest

from outlay.cli.client import ServerError
from outlay.errors import BadRequestError, OutlayError
from tests.unit.cli.limit_commands import Commands


def test_a_key_is_made_listed_rotated_and_revoked(run: Commands) -> None:
    told = run(
        "virtual-keys", "create", "support bot", "--tenant", "acme", "--feature", "chat",
        "--agent", "helper", "--upstream", "openai", "--model", "gpt-5*", "--model", "o3",
        "--priority", "background", "--initiator", "system", "--workspace", "w",
        "--expires", "2099-01-01",
    )  # fmt: skip
    secret = re.findall(r"ov_[\w-]{43}", told)[0]
    listed = run("virtual-keys", "list", "--tenant", "acme")
    assert "support bot acme chat, helper, w, system, background openai, gpt-5*, o3" in listed
    assert f"{secret[:8]}…" in listed
    assert "2099-01-01 00:00:00 of use" in listed
    assert secret not in listed
    [old] = run.json("virtual-keys", "list", "--tenant", "acme")["virtual_keys"]
    told = run("virtual-keys", "rotate", old["key_id"], "--grace", "24h")
    assert f"The old one, {old['key_id']}, works until" in told
    assert secret not in told
    new, old = run.json("virtual-keys", "list", "--tenant", "acme")["virtual_keys"]
    assert (new["replaces"], new["models"]) == (old["key_id"], ["gpt-5*", "o3"])
    assert old["revoked_at"] - new["created_at"] == 86_400_000_000
    assert "is revoked as of" in run("virtual-keys", "revoke", old["key_id"])
    assert run("virtual-keys", "list", "--tenant", "acme").count("revoked") == 1
    usable = run.json("virtual-keys", "list", "--tenant", "acme", "--usable")
    assert usable["virtual_keys"] == [new]


def test_a_service_has_a_key_without_a_tenant(run: Commands) -> None:
    made = run.json("virtual-keys", "create", "workers")
    assert made["virtual_key"]["tenant_id"] is None
    assert "workers (a service's)" in run("virtual-keys", "list", "--limit", "1")


def test_an_empty_list_says_how_to_make_one(run: Commands) -> None:
    assert "outlay virtual-keys create" in run("virtual-keys", "list", "--tenant", "nobody")


@pytest.mark.parametrize("word", ["soon", "5", "-1h"])
def test_a_grace_that_is_none_is_the_command_lines_fault(run: Commands, word: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        run("virtual-keys", "revoke", "vk_x", f"--grace={word}")
    assert caught.value.where == "--grace"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create", "n", "--upstream", "Open AI"), "small letters"),
        (("create", "n", "--initiator", "robot"), "user"),
        (("create", "n", "--expires", "2020-01-01"), "future"),
        (("rotate", "vk_none"), "no such"),
        (("revoke", "vk_none"), "no such"),
        (("rotate", "vk_none", "--grace", "91d"), "grace_s"),
    ],
)
def test_what_is_wrong_is_said(run: Commands, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(ServerError, match=says):
        run("virtual-keys", *words)


def test_an_id_that_is_none_leads_nowhere(run: Commands) -> None:
    with pytest.raises(OutlayError, match="is no id"):
        run("virtual-keys", "revoke", "../keys/key_x")
