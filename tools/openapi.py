"""Write `docs/openapi.json`, the description of the HTTP API, from which the dashboard is typed.

`python tools/openapi.py` writes it; with `--check` it compares, and says so when it is out of date.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

from outlay.api import openapi
from outlay.api.app import create_app
from outlay.api.logs import make_logger
from outlay.api.services import Services
from outlay.config import Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def made() -> str:
    """Return the description; nothing is asked of the parts of a server, so they are none."""
    with tempfile.TemporaryDirectory() as data:
        services = MagicMock(spec_set=Services, settings=Settings(), own_key="", data=Path(data))
        return openapi.text(create_app(services, log=make_logger(io.StringIO(), "info")))


def main() -> None:
    """Write the page, or compare it."""
    text = made()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != text:
        sys.exit("docs/openapi.json is out of date: run python tools/openapi.py")


if __name__ == "__main__":
    main()
