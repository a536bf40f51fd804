"""`outlay users` and `outlay sign-in-link`, against a server that really runs."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from outlay.cli.client import ServerError
from outlay.errors import NotFoundError, OutlayError
from tests.unit.cli.limit_commands import Commands

PASSWORD = "correct horse battery"


def sign_in(run: Commands, **body: Any) -> httpx.Response:
    return httpx.post(f"{run.served.url}/v1/session", json=body, trust_env=False)


def token(told: str, url: str) -> str:
    return str(re.findall(re.escape(url) + r"/app/login#link=([\w-]{43})", told)[0])


def test_a_user_is_added_listed_given_a_password_and_disabled(run: Commands) -> None:
    told = run("users", "add", "Ann@Example.com", "--role", "finance", "--name", "Ann")
    answer = sign_in(run, link=token(told, run.served.url))
    assert answer.json()["scopes"] == ["read"]
    listed = run("users", "list")
    assert re.search(r"ann@example.com Ann finance link \d{4}-\d\d-\d\d \S+ of use", listed)
    said = run("users", "set-password", "ANN@example.com", "--password", PASSWORD)
    assert "ann@example.com has another password." in said
    assert PASSWORD not in said
    assert sign_in(run, email="ann@example.com", password=PASSWORD).status_code == 200
    assert "ann@example.com is disabled." in run("users", "disable", "ann@example.com")
    assert sign_in(run, email="ann@example.com", password=PASSWORD).status_code == 401
    [user] = [u for u in run.json("users", "list")["users"] if u["email"] == "ann@example.com"]
    assert (user["disabled"], user["way"]) == (True, "password")
    assert "may sign in again" in run("users", "disable", "ann@example.com", "--undo")
    assert sign_in(run, email="ann@example.com", password=PASSWORD).status_code == 200


def test_a_tenants_user_names_the_tenant(run: Commands) -> None:
    made = run.json("users", "add", "bob@acme.example", "--role", "tenant", "--tenant", "acme")
    assert (made["user"]["tenant_id"], made["user"]["role"]) == ("acme", "tenant")
    with pytest.raises(ServerError, match="tenant_id"):
        run("users", "add", "eve@acme.example", "--role", "tenant")


def test_a_link_signs_in_as_the_admin_of_the_server_or_somebody_else(run: Commands) -> None:
    told = run("sign-in-link")
    assert "as admin@localhost once, until" in told
    assert sign_in(run, link=token(told, run.served.url)).json()["user"]["role"] == "admin"
    run("users", "add", "cleo@example.com", "--role", "engineer")
    made = run.json("sign-in-link", "Cleo@example.com")
    assert made["email"] == "cleo@example.com"
    answer = sign_in(run, link=made["url"].partition("#link=")[2])
    assert answer.json()["user"]["role"] == "engineer"


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (("users", "add", "no-email", "--role", "admin"), ServerError, "e-mail"),
        (("users", "disable", "no@example.com"), NotFoundError, "no such user"),
        (("users", "set-password", "no@example.com", "--password", PASSWORD), NotFoundError, "no"),
        (("sign-in-link", "no@example.com"), ServerError, "no such user"),
    ],
)
def test_what_is_wrong_is_said(
    run: Commands, words: tuple[str, ...], error: type[OutlayError], says: str
) -> None:
    with pytest.raises(error, match=says):
        run(*words)


def test_a_short_password_is_refused(run: Commands) -> None:
    run("users", "add", "dan@example.com", "--role", "finance")
    with pytest.raises(ServerError, match="12 to 256"):
        run("users", "set-password", "dan@example.com", "--password", "short")
