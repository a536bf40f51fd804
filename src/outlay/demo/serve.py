"""The demo's server process: `outlay serve`, saying where it listens on standard output."""

from __future__ import annotations

import argparse
import os
import signal

from outlay import config
from outlay.demo.children import announce, when_parent_goes
from outlay.wiring import run_server


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
        }
    )
    when_parent_goes(lambda: os.kill(os.getpid(), signal.SIGTERM))
    run_server(settings, on_ready=lambda url, key: announce({"url": url, "key": key}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
