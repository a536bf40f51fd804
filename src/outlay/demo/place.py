"""Where the demo runs: its folder, its port, what its gateway serves, how it is told to end."""

from __future__ import annotations

import contextlib
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from outlay.errors import UnavailableError

WALKED_AWAY_S: Final = 1
LOOPBACK: Final = "127.0.0.1"


def gateway_document(simulator_url: str) -> dict[str, Any]:
    """Return what the gateway serves: the simulator's Anthropic."""
    anthropic = {"url": f"{simulator_url}/anthropic", "credential": "none"}
    # A stream that stalls is waited for a moment only, once its reader has walked away.
    return {"upstreams": {"anthropic": anthropic}, "drain_s": WALKED_AWAY_S}


def is_free(port: int) -> bool:
    """Tell whether the server can have a port."""
    try:
        with socket.create_server((LOOPBACK, port)):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Treat a request to terminate as Ctrl-C: all is stopped in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def data_folder(data: Path | None) -> Iterator[Path]:
    """Give a folder that is kept, or without one a folder that is deleted at the end.

    Raises:
        UnavailableError: it cannot be made.
    """
    if data is None:
        with tempfile.TemporaryDirectory(prefix="outlay-demo-") as made:
            yield Path(made)
        return
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{data} cannot be used: {error.strerror}.") from error
    yield data
