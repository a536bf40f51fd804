"""Kill -9 the SDK's process, the server, and both, at random points under load, and prove.

Prints one line per victim; exits 1 when anything was lost, doubled or differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

from tests.acceptance.killing import Victim, run


def main() -> int:
    """Run the rounds and print what the proofs found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    whole = True
    for victim in get_args(Victim):
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="outlay-kill-") as folder:
            outcome = run(Path(folder), victim, arguments.rounds, seed=arguments.seed)
        whole = whole and outcome.whole
        print(
            f"kill {victim:<7} {outcome.kills:>3} kills  {outcome.noted:>7,} noted  "
            f"{outcome.stored:>7,} stored  {outcome.lost} lost  {outcome.doubled} doubled  "
            f"{len(outcome.differences)} differences  {time.monotonic() - started:5.0f} s",
            flush=True,
        )
        for line in outcome.differences[:10]:
            print(f"  {line}")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
