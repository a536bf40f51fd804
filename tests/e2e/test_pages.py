"""Every page: with data, without any, dark, on a phone, without a serious accessibility defect."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from outlay.wiring.run import RunningServer
from tests.e2e.browser import DESKTOP, PHONE, overflow, violations, window

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(180)]

PAGES = {
    "overview": "/app/",
    "tenants": "/app/tenants",
    "tenant": "/app/tenants/acme?last=30d",
    "tenant-breakdown": "/app/tenants/acme?last=30d&tab=breakdown",
    "tenant-limits": "/app/tenants/acme?tab=limits",
    "tenant-credits": "/app/tenants/soylent?tab=credits",
    "requests": "/app/requests?last=7d",
    "agents": "/app/agents?last=7d",
    "explore": "/app/explore?last=7d",
    "explore-area": "/app/explore?last=7d&shape=area&by=model",
    "explore-treemap": "/app/explore?last=7d&shape=treemap&by=tenant&by=feature",
    "explore-flow": "/app/explore?last=7d&shape=sankey",
    "prices": "/app/prices",
    "prices-unpriced": "/app/prices?tab=unpriced",
    "prices-findings": "/app/prices?tab=findings",
    "limits": "/app/limits",
    "limit": "/app/limits/budget",
    "connect": "/app/connect",
    "settings-keys": "/app/settings/keys",
    "settings-virtual-keys": "/app/settings/virtual-keys",
    "settings-gateway": "/app/settings/gateway",
    "settings-people": "/app/settings/people",
    "settings-currencies": "/app/settings/currencies",
    "settings-health": "/app/settings/health",
    "settings-server": "/app/settings/server",
    "settings-audit": "/app/settings/audit",
}
LOOKS = {"light": (DESKTOP, False), "dark": (DESKTOP, True), "phone": (PHONE, False)}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_data(browser: Browser, filled: RunningServer, name: str, look: str) -> None:
    size, dark = LOOKS[look]
    with window(browser, filled.url, size=size, dark=dark) as opened:
        page = opened.go(PAGES[name])
        opened.shot(f"{name}-{look}")
        assert overflow(page) <= 0
        assert page.locator(".state[role=alert]").count() == 0
        assert not violations(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_before_the_first_event(browser: Browser, bare: RunningServer, name: str) -> None:
    with window(browser, bare.url) as opened:
        # The tenants and limits of the demo are not there.
        opened.expected |= {404}
        page = opened.go(PAGES[name])
        opened.shot(f"{name}-empty")
        assert overflow(page) <= 0
        assert "undefined" not in page.inner_text("main")
        assert "NaN" not in page.inner_text("main")
        assert not violations(page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_whose_server_fails(browser: Browser, filled: RunningServer, name: str) -> None:
    failure = '{"error": {"code": "unavailable", "message": "The server has too much work."}}'
    with window(browser, filled.url) as opened:
        opened.expected |= {503}
        opened.page.route(
            lambda url: "/v1/" in url and "/v1/session" not in url and "/v1/live" not in url,
            lambda route: route.fulfill(status=503, body=failure, content_type="application/json"),
        )
        opened.page.goto(filled.url + PAGES[name])
        opened.page.wait_for_selector("h1")
        if name != "connect":
            opened.page.get_by_text("The server has too much work.").first.wait_for(timeout=20_000)
        opened.shot(f"{name}-error")
        assert not violations(opened.page)
