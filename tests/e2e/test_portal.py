"""The portal: by a link, inside of a host's frame, and never more than one tenant's own."""

from __future__ import annotations

import http.server
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from outlay.wiring.run import RunningServer
from tests.e2e.browser import DESKTOP, PHONE, overflow, violations, window
from tests.e2e.conftest import serve
from tests.e2e.test_signing_in import call

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(180)]
LOOKS = {"light": (DESKTOP, False), "dark": (DESKTOP, True), "phone": (PHONE, False)}


def link(server: RunningServer, tenant: str, **more: Any) -> str:
    made = call(server, "POST", "/v1/portal/links", {"tenant": tenant, **more})
    return str(made["url"]).removeprefix(server.url)


@pytest.mark.parametrize("look", LOOKS)
def test_a_link_shows_a_tenants_usage(browser: Browser, filled: RunningServer, look: str) -> None:
    size, dark = LOOKS[look]
    with window(browser, filled.url, size=size, dark=dark) as opened:
        page = opened.go(link(filled, "soylent"))
        opened.shot(f"portal-{look}")
        assert "token=" not in page.url
        assert overflow(page) <= 0
        assert not violations(page)
        for tab in ("Credits", "Limits"):
            page.get_by_role("navigation").get_by_role("button", name=tab).click()
            opened.settle()
            opened.shot(f"portal-{tab.lower()}-{look}")
            assert not violations(page)
        page.reload()
        opened.settle()
        page.get_by_role("navigation").get_by_role("button", name="Limits").wait_for()


def test_nothing_of_another_tenant_and_no_cost_reaches_the_page(
    browser: Browser, filled: RunningServer
) -> None:
    answers: list[tuple[str, str]] = []
    with window(browser, filled.url) as opened:
        opened.page.on(
            "response",
            lambda r: answers.append((r.url, r.text())) if "/v1/" in r.url else None,
        )
        page = opened.go(link(filled, "soylent"))
        for tab in ("Credits", "Limits"):
            page.get_by_role("navigation").get_by_role("button", name=tab).click()
            opened.settle()
    assert {url.split("?")[0].removeprefix(filled.url) for url, _ in answers} <= {
        "/v1/portal/me", "/v1/portal/usage", "/v1/portal/limits", "/v1/portal/credits",
        "/v1/currencies",
    }  # fmt: skip
    told = "".join(text for _, text in answers)
    for other in ("acme", "globex", "initech", "umbrella"):
        assert other not in told
    assert not re.findall(r'"(?:list_|provider_)?(?:cost|margin|price|estimate)\w*":', told)


def test_a_link_that_has_ended_says_so(browser: Browser, filled: RunningServer) -> None:
    with window(browser, filled.url) as opened:
        opened.expected |= {401}
        opened.page.goto(f"{filled.url}/portal/#token=a.b.c")
        opened.page.get_by_text("This link has expired").wait_for()
        opened.shot("portal-expired")
        assert not violations(opened.page)


@contextmanager
def host(html: str, port: int = 0) -> Iterator[str]:
    """Serve one page of a customer-facing product, on an origin of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


HOST = """<!doctype html><title>host</title><h1>Host</h1><script>
window.heard = []; addEventListener('message', (e) => heard.push(e.data));
</script><iframe id="f" src="URL" style="width:900px;height:700px"></iframe>"""


def test_a_host_that_is_allowed_frames_it_in_its_own_looks(
    browser: Browser, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]  # the server must know the origin before there is a page
    with serve(tmp_path, portal_frame_ancestors=f"http://localhost:{port}") as server:
        theme = {"accent": "#b00020", "scheme": "dark", "name": "Your AI usage"}
        path = link(server, "acme", theme=theme)
        html = HOST.replace("URL", server.url + path)
        with host(html, port) as url, window(browser, url) as opened:
            opened.page.goto(url)
            frame = opened.page.frame_locator("#f")
            frame.get_by_role("heading", name="Your AI usage").wait_for()
            accent = frame.locator(":root").evaluate(
                "(e) => getComputedStyle(e).getPropertyValue('--accent').trim()"
            )
            assert accent == "#b00020"
            opened.page.wait_for_function("heard.some((m) => m.type === 'outlay:height')")
            opened.page.evaluate(
                "f.contentWindow.postMessage({type: 'outlay:theme', theme:"
                " {accent: '#00695c', font: 'x}body{display:none'}}, '*')"
            )
            opened.page.wait_for_timeout(300)
            style = frame.locator(":root").evaluate("(e) => e.getAttribute('style')")
            assert "#00695c" in style
            assert "display" not in style
            opened.shot("portal-framed")


def test_a_host_that_is_not_allowed_cannot_frame_it(
    browser: Browser, filled: RunningServer
) -> None:
    page = HOST.replace("URL", filled.url + link(filled, "acme"))
    with host(page) as url, window(browser, url) as opened:
        opened.page.goto(url)
        opened.page.wait_for_timeout(1500)
        assert opened.page.frame_locator("#f").get_by_role("heading").count() == 0
        refused = [one for one in opened.errors if "frame-ancestors" in one]
        assert refused
        opened.errors.clear()
