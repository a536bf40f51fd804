"""The demo's server process: `outlay serve`, saying where it listens on standard output."""

from __future__ import annotations

import argparse
import os
import signal
from typing import Final

from outlay import config
from outlay.demo.children import announce, when_parent_goes
from outlay.wiring import run_server

LATE_AFTER_S: Final = 40 * 86_400


def main(arguments: list[str] | None = None) -> int:
    """Serve until the parent goes."""
    parser = argparse.ArgumentParser(prog="outlay.demo.serve", description=__doc__)
    parser.add_argument("--data", required=True, help="data folder")
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0 is any free one")
    parser.add_argument("--gateway-config", required=True, help="what the gateway serves")
    chosen = parser.parse_args(arguments)
    settings = config.load(
        overrides={
            "data": chosen.data,
            "port": chosen.port,
            "gateway_config": chosen.gateway_config,
            "log_level": "warning",
            "demo": True,
            # The demo's past arrives all at once: that it is late says nothing.
            "late_after_s": LATE_AFTER_S,
        }
    )
    when_parent_goes(lambda: os.kill(os.getpid(), signal.SIGTERM))
    run_server(settings, on_ready=lambda url, key, _link: announce({"url": url, "key": key}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
