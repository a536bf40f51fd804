"""What people do: by keyboard alone, looking behind numbers, changing things, watching live."""

from __future__ import annotations

import secrets

import pytest
from playwright.sync_api import Browser, Page

from outlay.core.ids import RANDOM_BYTES, uuid7
from outlay.wiring.run import RunningServer
from tests.e2e.browser import window
from tests.e2e.test_signing_in import call
from tests.unit.api.site import event as captured

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(180)]


def use(server: RunningServer, tenant: str) -> None:
    """Let a tenant make one call now."""
    now = server.server.services.clock()
    event_id = uuid7(now // 1000, secrets.token_bytes(RANDOM_BYTES))
    event = captured(event_id=event_id, tenant_id=tenant, started_at=now, ended_at=now)
    assert call(server, "POST", "/v1/events", [event])["accepted"] == 1


def tab_to(page: Page, wanted: str, most: int = 60) -> None:
    """Press Tab until the focus is on an element whose text or label begins with `wanted`."""
    for _ in range(most):
        page.keyboard.press("Tab")
        label = page.evaluate(
            "(document.activeElement?.getAttribute('aria-label')"
            " || document.activeElement?.textContent || '').trim()"
        )
        if label.startswith(wanted):
            return
    raise AssertionError(f"{wanted} cannot be reached with Tab")


def focus_ring(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.activeElement).boxShadow"))


def test_a_walk_by_keyboard_alone(browser: Browser, filled: RunningServer) -> None:
    with window(browser, filled.url) as opened:
        page = opened.go("/app/")
        tab_to(page, "Skip to content", most=2)
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("g")
        page.keyboard.press("t")
        page.get_by_role("heading", name="Tenants", level=1).wait_for()
        opened.settle()
        tab_to(page, "Window:")
        assert focus_ring(page) != "none"
        page.keyboard.press("Enter")
        page.get_by_role("menu").wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Escape")
        assert page.get_by_role("menu").count() == 0
        page.keyboard.press("Enter")
        for _ in range(5):
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url("**last=30d**")
        page.keyboard.press("Control+k")
        page.get_by_role("dialog").wait_for()
        page.keyboard.type("acme")
        page.keyboard.press("Enter")
        page.wait_for_url("**/tenants/acme**")
        opened.settle()
        page.keyboard.press("Control+k")
        page.keyboard.press("Escape")
        assert page.get_by_role("dialog").count() == 0


def test_a_number_leads_to_the_events_behind_it(browser: Browser, filled: RunningServer) -> None:
    with window(browser, filled.url) as opened:
        page = opened.go("/app/explore?last=7d&by=feature")
        row = page.get_by_role("row").filter(has_text="contract-review")
        row.locator("a.behind").first.click()
        page.wait_for_url("**/requests?**")
        opened.settle()
        assert "feature=contract-review" in page.url
        assert "last=7d" in page.url
        page.locator("tbody a[href*='/requests/']").first.click()
        page.wait_for_url("**/app/requests/*")
        opened.settle()
        assert page.get_by_text("contract-review").count() > 0


def test_a_view_is_the_same_from_its_address(browser: Browser, filled: RunningServer) -> None:
    with window(browser, filled.url) as opened:
        page = opened.go("/app/explore?last=30d&by=model&metric=tokens&shape=bar")
        page.get_by_role("heading", name="Tokens by model").wait_for()
        page.reload()
        opened.settle()
        page.get_by_role("heading", name="Tokens by model").wait_for()
        page.get_by_role("button", name="Table", exact=True).click()
        page.get_by_role("columnheader", name="Tokens").wait_for()
        page.go_back()


def test_a_chart_can_be_saved(browser: Browser, filled: RunningServer) -> None:
    with window(browser, filled.url, accept_downloads=True) as opened:
        page = opened.go("/app/explore?last=30d&by=model&shape=bar")
        saved = {}
        for item in ("Save as PNG", "Save as CSV"):
            page.get_by_role("button", name="Save outlay-cost").click()
            with page.expect_download() as download:
                page.get_by_role("menuitem", name=item).click()
            saved[item] = download.value.path().read_bytes()
    assert saved["Save as PNG"].startswith(b"\x89PNG")
    lines = saved["Save as CSV"].decode("utf-8-sig").splitlines()
    assert lines[0].startswith("time,")
    assert len(lines) > 5


def test_a_currency_and_a_zone_of_ones_own(browser: Browser, filled: RunningServer) -> None:
    with window(browser, filled.url) as opened:
        page = opened.go("/app/tenants?last=30d")
        assert "$" in page.inner_text("tbody")
        page.get_by_role("button", name="your settings").click()
        page.get_by_role("menuitem", name="Currency, time zone, looks…").click()
        page.get_by_label("Currency").select_option("EUR")
        page.get_by_label("Time zone").select_option("Asia/Tokyo")
        page.get_by_role("button", name="Done").click()
        assert "€" in page.inner_text("tbody")
        assert "$" not in page.inner_text("tbody")


def test_the_first_event_turns_the_page_green(browser: Browser, bare: RunningServer) -> None:
    with window(browser, bare.url) as opened:
        page = opened.go("/app/connect")
        page.get_by_role("button", name="Make a key").click()
        page.get_by_text("shown this once").wait_for()
        shown = page.get_by_role("region", name="Environment").inner_text()
        assert "OUTLAY_KEY=ok_" in shown
        page.get_by_text("Waiting for an event").wait_for()
        use(bare, "first")
        page.get_by_text("It works.").wait_for(timeout=10_000)
        opened.shot("connect-done")


def test_new_usage_shows_without_a_reload_and_without_flicker(
    browser: Browser, filled: RunningServer
) -> None:
    with window(browser, filled.url) as opened:
        page = opened.go("/app/explore?last=15m&by=tenant&metric=calls")
        page.evaluate(
            "window.blinks = 0; new MutationObserver(() => {"
            " if (document.querySelector('main .skeleton')) window.blinks += 1;"
            "}).observe(document.querySelector('main'), {childList: true, subtree: true})"
        )
        use(filled, "brand-new")
        page.get_by_role("cell", name="brand-new").wait_for(timeout=15_000)
        assert page.evaluate("window.blinks") == 0
