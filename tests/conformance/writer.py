"""A process that writes batches into a sink and says so, to be killed at any moment."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.conformance.backends import SINKS, batch, small_steps


def main(kind: str, root: str, last: int) -> None:
    small_steps()
    sink = SINKS[kind](Path(root))
    for offset in range(sink.offset() + 1, last + 1):
        sink.write(batch(offset), offset=offset)
        sys.stdout.write(f"{offset}\n")
        sys.stdout.flush()
    sink.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
