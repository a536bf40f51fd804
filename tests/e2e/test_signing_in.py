"""Signing in as a person does it, and what each role may see and do."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser

from outlay.wiring.run import RunningServer
from tests.e2e.browser import window

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(120)]
PASSWORD = "correct horse battery staple"


def call(server: RunningServer, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        server.url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {server.first_key}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def person(server: RunningServer, role: str, tenant: str | None = None) -> str:
    email = f"{role}@example.com"
    body = {"email": email, "role": role, "tenant_id": tenant, "password": PASSWORD}
    call(server, "POST", "/v1/users", body)
    return email


def sign_in(opened: Any, email: str, password: str = PASSWORD) -> None:
    opened.page.get_by_label("E-mail").fill(email)
    opened.page.get_by_label("Password").fill(password)
    opened.page.get_by_role("button", name="Sign in").click()


def test_a_link_signs_in_once_and_offers_a_password(
    browser: Browser, locked: RunningServer
) -> None:
    made = call(locked, "POST", "/v1/users", {"email": "ada@example.com", "role": "admin"})
    path = made["link"].removeprefix(locked.url)
    with window(browser, locked.url) as opened:
        opened.page.goto(locked.url + path)
        opened.page.get_by_role("button", name="Go on").click()
        opened.page.get_by_label("Password").fill(PASSWORD)
        opened.page.get_by_role("button", name="Save and go on").click()
        opened.page.get_by_role("heading", name="Overview").wait_for()
        assert "link=" not in opened.page.url
    with window(browser, locked.url) as again:
        again.expected |= {401}
        again.page.goto(locked.url + path)
        again.page.get_by_role("button", name="Go on").click()
        again.page.get_by_role("alert").wait_for()
        sign_in(again, "ada@example.com")
        again.page.get_by_role("heading", name="Overview").wait_for()


def test_a_wrong_password_says_so_and_no_more(browser: Browser, locked: RunningServer) -> None:
    email = person(locked, "finance")
    said = []
    for tried in (email, "nobody@example.com"):
        with window(browser, locked.url) as opened:
            opened.expected |= {401}
            opened.go("/app/login")
            sign_in(opened, tried, "wrong horse battery staple")
            said.append(opened.page.get_by_role("alert").inner_text())
    assert said[0] == said[1]


def test_signing_in_leads_to_the_page_that_was_asked_for(
    browser: Browser, locked: RunningServer
) -> None:
    email = person(locked, "engineer")
    with window(browser, locked.url) as opened:
        opened.page.goto(f"{locked.url}/app/tenants?last=7d")
        sign_in(opened, email)
        opened.page.get_by_role("heading", name="Tenants").wait_for()
        assert opened.page.url.endswith("/app/tenants?last=7d")


def test_finance_sees_prices_and_no_settings_of_admins(
    browser: Browser, locked: RunningServer
) -> None:
    email = person(locked, "finance")
    with window(browser, locked.url) as opened:
        opened.go("/app/login")
        sign_in(opened, email)
        opened.page.get_by_role("heading", name="Overview").wait_for()
        opened.go("/app/settings")
        parts = opened.page.locator(".settings-nav a").all_text_contents()
        assert parts == ["Currencies"]
        opened.go("/app/settings/keys")
        opened.page.get_by_text("This part is for admins").wait_for()


def test_a_tenants_person_gets_the_portal_and_nothing_else(
    browser: Browser, locked: RunningServer
) -> None:
    email = person(locked, "tenant", "acme")
    with window(browser, locked.url) as opened:
        opened.go("/app/login")
        sign_in(opened, email)
        opened.page.wait_for_url("**/portal/**")
        opened.page.get_by_role("heading", name="acme").wait_for()
        opened.page.goto(f"{locked.url}/app/tenants")
        opened.page.wait_for_url("**/portal/**")
        answer = opened.page.request.get(f"{locked.url}/v1/tenants")
        assert answer.status == 403


def test_signing_out_ends_the_session(browser: Browser, locked: RunningServer) -> None:
    email = person(locked, "admin")
    with window(browser, locked.url) as opened:
        opened.expected |= {401}
        opened.go("/app/login")
        sign_in(opened, email)
        opened.page.get_by_role("heading", name="Overview").wait_for()
        opened.page.get_by_role("button", name="your settings").click()
        opened.page.get_by_role("menuitem", name="Sign out").click()
        opened.page.get_by_role("heading", name="Sign in").wait_for()
        assert opened.page.request.get(f"{locked.url}/v1/tenants").status == 401


def test_whose_session_has_ended_can_still_sign_out(
    browser: Browser, locked: RunningServer
) -> None:
    email = person(locked, "finance")
    with window(browser, locked.url) as opened:
        opened.expected |= {401}
        opened.go("/app/login")
        sign_in(opened, email)
        opened.page.get_by_role("heading", name="Overview").wait_for()
        opened.page.get_by_role("button", name="your settings").click()
        opened.page.context.clear_cookies()
        opened.page.get_by_text("Sign out").click()
        opened.page.wait_for_url("**/app/login*")
