"""An ASGI application on loopback in a thread, behind the server's own listener."""

from __future__ import annotations

import threading
from typing import Any, Self

from outlay.api.listen import Listener, bind, url_of

READY_S = 10.0


class Running:
    """Listens from its making to `stop`; a second stop does nothing."""

    def __init__(self, app: Any, *, port: int = 0, **options: Any) -> None:
        self._bound = bind("127.0.0.1", port)
        self.address: tuple[str, int] = self._bound.getsockname()
        self.url = url_of(self._bound)
        ready = threading.Event()
        self.listener = Listener(app, on_ready=ready.set, **options)
        self._thread = threading.Thread(target=self.listener.run, args=([self._bound],))
        self._thread.start()
        assert ready.wait(READY_S)

    def stop(self) -> None:
        self.listener.stop()
        self._thread.join()
        self._bound.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.stop()
