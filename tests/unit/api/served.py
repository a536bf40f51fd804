"""A site that listens on a port, for clients that open connections of their own."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from tests.running import Running
from tests.unit.api.site import Site


class Served:
    """Listens from its making to `end`; the site stays open."""

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site = site
        state = site.app.state
        state.key_watch.ending = state.live_watch.ending = False
        self._running = Running(site.app, port=port, on_end=self._stop_waiting)
        self.port, self.url = self._running.address[1], self._running.url

    def _stop_waiting(self) -> None:
        state = self.site.app.state
        state.key_watch.stop()
        state.live_watch.stop()

    def end(self) -> float:
        """Stop listening; return how many seconds that took. A second call does nothing."""
        began = time.monotonic()
        self._running.stop()
        return time.monotonic() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
