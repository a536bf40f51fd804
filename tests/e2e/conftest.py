"""One browser for all, one server with the demo's past, one without any."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from outlay import config
from outlay.demo.seed import seed_server
from outlay.wiring import start_in_thread
from outlay.wiring.run import RunningServer
from outlay.wiring.server import now_us
from tests.e2e.browser import AXE, ROOT, chromium

DIST = ROOT / "src/outlay/web/dist/index.html"
PAST_EVENTS = 8_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    place = chromium()
    if place is None:
        pytest.skip("Chromium is not installed")
    if not DIST.exists() or not AXE.exists():
        pytest.skip("the dashboard is not built: make web")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        yield made
        made.close()


def serve(folder: Path, *, demo: bool = True, **more: Any) -> RunningServer:
    chosen = {"data": str(folder), "port": 0, "demo": demo, "log_level": "error", **more}
    settings = config.load({}, overrides=chosen)
    return start_in_thread(settings, log_to=io.StringIO())


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A demo server with a month of usage."""
    with serve(tmp_path_factory.mktemp("filled")) as server:
        assert server.first_key
        seed_server(server.url, server.first_key, now=now_us(), events=PAST_EVENTS)
        yield server


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A demo server that has never seen an event."""
    with serve(tmp_path_factory.mktemp("bare")) as server:
        yield server


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[RunningServer]:
    """A server of its own that wants a sign-in."""
    with serve(tmp_path, demo=False) as server:
        yield server
