"""Puts the server together: the only place that names concrete backends.

`backends` finds the class of a URL, `folder` locks the data folder, `server` opens and closes the
parts in order, `gateway` those of a gateway, `run` serves them. It decides nothing about events,
prices or answers.
"""

from __future__ import annotations

from outlay.wiring.gateway import run_gateway
from outlay.wiring.run import RunningServer, run_server, start_in_thread
from outlay.wiring.server import Server

__all__ = ["RunningServer", "Server", "run_gateway", "run_server", "start_in_thread"]
