"""Start an installed outlay and look at its dashboard: `python tools/try_wheel.py bin/outlay`.

It proves that a wheel holds the pages: `/` leads to them, and every script and style that they
name is there, compressed, and kept for ever. Standard library only.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

START_S = 120.0
"""The first start reads the catalogue of prices."""
PAGES = ("/app/", "/portal/")
FOREVER = "immutable"


@contextmanager
def serving(command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a server with data of its own; gives its URL."""
    with tempfile.TemporaryDirectory() as data:
        child = subprocess.Popen(  # noqa: S603 - the caller's own command
            [*command, "serve", "--json", "--port", "0", "--data", data],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        try:
            assert child.stdout is not None
            ready, _, _ = select.select([child.stdout], [], [], START_S)
            line = child.stdout.readline() if ready else ""
            if not line:
                raise SystemExit("the server did not start")
            yield str(json.loads(line)["url"])
        finally:
            child.terminate()
            child.communicate(timeout=START_S)


def look(url: str) -> dict[str, int]:
    """Fetch the pages and all that they name; return the sizes by path.

    Raises:
        SystemExit: something is not there, or is not as it should be.
    """
    status, where, _, _ = fetch(url)
    if (status, where) != (200, f"{url}/app/"):
        raise SystemExit(f"/ leads to {where} ({status}), not to /app/")
    sizes: dict[str, int] = {}
    for page in PAGES:
        status, _, headers, body = fetch(url + page)
        if status != 200 or "text/html" not in headers["content-type"]:
            raise SystemExit(f"{page} is not there: {status}; was `make web` run?")
        sizes[page] = len(body)
        named = re.findall(rb'(?:src|href)="(/app/assets/[^"]+)"', body)
        if not named:
            raise SystemExit(f"{page} names no script")
        for asset in (name.decode() for name in named):
            status, _, headers, body = fetch(url + asset)
            if status != 200 or FOREVER not in headers["cache-control"] or not body:
                raise SystemExit(f"{asset} is not there, or is not kept: {status}")
            if headers["content-encoding"] != "gzip":
                raise SystemExit(f"{asset} is not compressed")
            sizes[asset] = len(gzip.decompress(body))
    return sizes


def fetch(url: str) -> tuple[int, str, Mapping[str, str], bytes]:
    """Return status, last address, headers and body of an address, redirects followed."""
    asked = urllib.request.Request(url, headers={"accept-encoding": "gzip"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - loopback only
        body = answer.read()
        if (
            answer.headers["content-type"].startswith("text/html")
            and answer.headers["content-encoding"]
        ):
            body = gzip.decompress(body)
        return answer.status, answer.url, answer.headers, body


def main() -> None:
    """Try the command of the arguments."""
    with serving(sys.argv[1:] or ["outlay"]) as url:
        for path, size in look(url).items():
            sys.stdout.write(f"{size:>9,}  {path}\n")


if __name__ == "__main__":
    main()
