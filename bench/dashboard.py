"""How quick the dashboard is in a real Chromium: first load, page changes, and its questions.

    python -m bench.dashboard                                  # the demo's past: 75,000 events
    python -m bench.dashboard --path /tmp/bench/events.duckdb  # what `bench.load_events` filled

All is measured in the page: from a click to the page's content, nothing of it loading, and every
answer of the API from its sending to its end. With `--path` the server answers from that store, at
the time when it was filled. Needs `make web` and Chromium. Run from the root of the repository.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from outlay import config
from outlay.demo.seed import seed_server
from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.query.model import parse_query
from outlay.wiring import start_in_thread
from outlay.wiring.server import now_us
from tests.e2e.browser import DESKTOP, chromium

LOADS: Final = 5
FIRST_LOAD_KB: Final = 600
FIRST_LOAD_MS: Final = 1500
PAGE_CHANGE_MS: Final = 200
QUESTION_MS: Final = 300
PATIENCE_MS: Final = 120_000
QUESTIONS: Final = ("/v1/query", "/v1/requests", "/v1/actions", "/v1/forecast")
WINDOWS: Final = ("24h", "7d", "30d")
PAGES: Final = (
    "/", "/tenants", "/tenants/{tenant}", "/requests", "/requests?order=cost",
    "/requests?tenant={tenant}&order=cost", "/agents", "/explore?shape=area&by=model",
    "/explore?by=tenant&by=feature&by=model", "/explore?shape=sankey",
)  # fmt: skip

# When a page last showed that something was loading, or had no heading; said once that has been
# over for a while, since what has come may ask for more.
QUIET_MS: Final = 300
SETTLE: Final = """
const settle = (ready) => new Promise((resolve) => {
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    if (!ready() || document.querySelector('.skeleton')) last = now;
    if (now - last > QUIET) resolve(last);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});
""".replace("QUIET", str(QUIET_MS))
LOADED: Final = f"async () => {{ {SETTLE} return settle(() => document.querySelector('h1')); }}"
CHANGE: Final = (
    f"async ([label]) => {{ {SETTLE}"
    """
  const link = [...document.querySelectorAll('.nav a')].find((a) => a.textContent === label);
  const from = document.querySelector('h1');
  const began = performance.now();
  link.click();
  const there = await settle(() => {
    const at = document.querySelector('h1');
    return at && at !== from;
  });
  return there - began;
}"""
)
TIMINGS: Final = """
() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
  .map((one) => [one.name, one.duration, one.encodedBodySize])
"""


@contextmanager
def served(path: Path | None) -> Iterator[tuple[str, str, int]]:
    """Give the URL of a demo server, its largest tenant, and how many events it has."""
    with tempfile.TemporaryDirectory(prefix="outlay-bench-") as folder:
        chosen: dict[str, Any] = {"data": folder, "port": 0, "demo": True, "log_level": "error"}
        if path is None:
            with start_in_thread(config.load({}, overrides=chosen), log_to=io.StringIO()) as server:
                seed_server(server.url, server.first_key or "", now=now_us())
                yield server.url, "acme", server.server.olap.count()
            return
        facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
        shift = now_us() - facts["now"]
        chosen["olap_url"] = f"duckdb:///{path.resolve()}"
        settings = config.load({}, overrides=chosen)
        with start_in_thread(settings, clock=lambda: now_us() - shift, log_to=io.StringIO()) as big:
            largest = biggest(big.server.olap, facts["now"])
            yield big.url, largest, big.server.olap.count()


def biggest(store: Any, now: int) -> str:
    """Return the tenant with most calls in a month."""
    assert isinstance(store, DuckDbStore)
    asked = {"metrics": ["calls"], "by": ["tenant"], "last": "30d", "limit": 1}
    return str(store.query(parse_query(asked, now=now), now=now).rows[0][0])


def settled(page: Page) -> float:
    """Wait until a page has its content; return when it had, in milliseconds from its start."""
    page.set_default_timeout(PATIENCE_MS)
    return float(page.evaluate(LOADED))


def signed_in(browser: Browser, url: str) -> BrowserContext:
    """Return a browser without a cache in which somebody has signed in."""
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    answer = context.request.post(
        f"{url}/v1/session", data={"demo": True}, headers={"X-Outlay-Client": "bench"}
    )
    assert answer.ok, answer.text()
    return context


def first_loads(browser: Browser, url: str) -> tuple[float, float]:
    """Return kilobytes over the wire and milliseconds of a first load, medians."""
    sizes, times = [], []
    for _ in range(LOADS):
        context = signed_in(browser, url)
        page = context.new_page()
        page.goto(f"{url}/app/", wait_until="commit")
        times.append(settled(page))
        files = [one for one in page.evaluate(TIMINGS) if "/v1/" not in one[0]]
        sizes.append(sum(size for _, _, size in files) / 1000)
        context.close()
    return statistics.median(sizes), statistics.median(times)


def page_changes(browser: Browser, url: str, rounds: int) -> tuple[list[float], list[float]]:
    """Return milliseconds of going to pages for the first time, and again."""
    context = signed_in(browser, url)
    page = context.new_page()
    page.goto(f"{url}/app/")
    settled(page)
    labels = page.locator(".nav a").all_text_contents()
    first: list[float] = []
    again: list[float] = []
    for number in range(rounds):
        for label in [*labels[1:], labels[0]]:
            took = page.evaluate(CHANGE, [label])
            (again if number else first).append(took)
            page.wait_for_timeout(250)
    context.close()
    return first, again


def questions(browser: Browser, url: str, tenant: str, rounds: int) -> dict[str, list[float]]:
    """Return milliseconds of the API's answers, by page, over every window."""
    found: dict[str, list[float]] = defaultdict(list)
    context = signed_in(browser, url)
    for number in range(rounds):
        for path in PAGES:
            for window in WINDOWS:
                page = context.new_page()
                place = path.format(tenant=tenant)
                page.goto(f"{url}/app{place}{'&' if '?' in place else '?'}last={window}")
                settled(page)
                page.wait_for_timeout(200)
                if number:  # the first round warms the store
                    for name, took, _ in page.evaluate(TIMINGS):
                        if urlsplit(name).path in QUESTIONS:
                            found[f"{path} {window}"].append(took)
                page.close()
    context.close()
    return found


def show(name: str, value: float, target: float, unit: str) -> None:
    verdict = "ok" if value <= target else "MISSED"
    print(f"{name:<58}{value:>9.0f}{target:>9.0f} {unit:<3} {verdict}")


def at(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=4, help="at least 2: the first warms up")
    options = parser.parse_args()
    place = chromium()
    assert place, "Chromium is not installed"
    with served(options.path) as (url, tenant, events), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        print(f"{events:,} events; Chromium {browser.version}")
        size, took = first_loads(browser, url)
        show("first load, over the wire", size, FIRST_LOAD_KB, "kB")
        show("first load, until its content is there, p50", took, FIRST_LOAD_MS, "ms")
        first, again = page_changes(browser, url, options.rounds)
        show("page change, first visit, p50", statistics.median(first), PAGE_CHANGE_MS, "ms")
        show("page change, first visit, worst page", max(first), PAGE_CHANGE_MS, "ms")
        show("page change, later, p50", statistics.median(again), PAGE_CHANGE_MS, "ms")
        show("page change, later, p95", at(again, 0.95), PAGE_CHANGE_MS, "ms")
        found = questions(browser, url, tenant, options.rounds)
        every = [one for times in found.values() for one in times]
        show(f"questions of all pages ({len(every)}), p50", at(every, 0.5), QUESTION_MS, "ms")
        show(f"questions of all pages ({len(every)}), p95", at(every, 0.95), QUESTION_MS, "ms")
        for name, times in found.items():
            show(f"  {name}, p95 of {len(times)}", at(times, 0.95), QUESTION_MS, "ms")
        browser.close()


if __name__ == "__main__":
    main()
