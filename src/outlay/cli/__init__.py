"""The `outlay` command: asks a server over HTTP, or runs one. It holds no business rule."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say what to install when only the SDK is there."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError:
        sys.exit("The outlay command needs the server extra: pip install 'outlay[server]'")
    from outlay.cli.app import run

    run()
