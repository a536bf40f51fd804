"""A site that listens on a port, for clients that open connections of their own."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from outlay.api.listen import Listener, bind, url_of
from tests.unit.api.site import Site

READY_S = 10.0


class Served:
    """Listens from its making to `end`; the site stays open."""

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site = site
        self._bound = bind("127.0.0.1", port)
        self.port = int(self._bound.getsockname()[1])
        self.url = url_of(self._bound)
        ready = threading.Event()
        watch = site.app.state.key_watch
        watch.ending = False
        self._listener = Listener(site.app, on_ready=ready.set, on_end=watch.stop)
        self._thread = threading.Thread(target=self._listener.run, args=([self._bound],))
        self._thread.start()
        assert ready.wait(READY_S)

    def end(self) -> float:
        """Stop listening; return how many seconds that took. A second call does nothing."""
        began = time.monotonic()
        self._listener.stop()
        self._thread.join()
        self._bound.close()
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
