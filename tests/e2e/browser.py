"""A real Chromium on a page of a real server: opened, watched for errors, photographed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, ConsoleMessage, Page, Response

ROOT: Final = Path(__file__).parents[2]
SHOTS: Final = ROOT / ".screenshots"
AXE: Final = ROOT / "web/node_modules/axe-core/axe.min.js"
DESKTOP: Final = (1440, 900)
PHONE: Final = (390, 844)
SETTLE_MS: Final = 20_000
SETTLE_ROUNDS: Final = 20


def chromium() -> str | None:
    """Return where Chromium is, `None` where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@dataclass
class Window:
    """A page and what went wrong on it."""

    page: Page
    base: str
    errors: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)
    """Statuses of answers that a test provokes."""

    def go(self, path: str) -> Page:
        """Open a path of the server and wait until the page has its content."""
        self.page.goto(self.base + path)
        return self.settle()

    def settle(self) -> Page:
        """Wait until nothing on the page is loading."""
        self.page.wait_for_selector("h1", timeout=SETTLE_MS)
        for _ in range(SETTLE_ROUNDS):
            self.page.wait_for_selector(".skeleton", state="detached", timeout=SETTLE_MS)
            # What has just come may ask for more, and a chart is drawn a frame after its data.
            self.page.wait_for_timeout(150)
            if not self.page.locator(".skeleton").count():
                break
        return self.page

    def shot(self, name: str) -> None:
        """Photograph the whole page."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def hear(self, message: ConsoleMessage) -> None:
        """Keep an error of the console."""
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def see(self, response: Response) -> None:
        """Keep an answer that failed."""
        if response.status >= 400 and response.status not in self.expected:
            self.errors.append(f"{response.status} {response.request.method} {response.url}")


@contextmanager
def window(
    browser: Browser, base: str, *, size: tuple[int, int] = DESKTOP, dark: bool = False, **more: Any
) -> Iterator[Window]:
    """Open a fresh window; at its end, fail if the page threw or an answer failed."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        timezone_id="Europe/Berlin",
        locale="en-US",
        reduced_motion="reduce",
        **more,
    )
    page = context.new_page()
    opened = Window(page, base)
    page.on("console", opened.hear)
    page.on("pageerror", lambda error: opened.errors.append(str(error)))
    page.on("response", opened.see)
    try:
        yield opened
    finally:
        context.close()
    assert not opened.errors, opened.errors


def violations(page: Page) -> list[str]:
    """Return what axe finds serious or critical on a page, by WCAG 2.2 A and AA."""
    # Evaluated, not added as a tag: the page's own policy lets no foreign script in.
    page.evaluate(AXE.read_text("utf-8"))
    found: dict[str, Any] = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
    )
    return [
        f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return int(
        page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )
