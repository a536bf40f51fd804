"""Run every benchmark, one after the other: they need the machine for themselves."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run them all; fail if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, default=20, help="millions of events to load")
    arguments = parser.parse_args()
    store = str(Path(".bench") / f"olap-{arguments.millions}m.duckdb")
    commands = [
        ["sdk_overhead.py"],
        ["pricing.py"],
        ["rate_jsonl.py"],
        ["accuracy.py"],
        ["authority.py"],
        ["limits.py"],
        ["gateway.py"],
        ["gateway_idle.py"],
        ["pipeline.py"],
        ["freshness.py"],
        ["load_events.py", "--events", str(arguments.millions * 1_000_000), "--path", store],
        ["queries.py", "--path", store],
        ["kill.py"],
    ]
    failed = []
    for name, *rest in commands:
        print(f"== bench/{name} {' '.join(rest)}", flush=True)
        module = f"bench.{name.removesuffix('.py')}"
        if subprocess.run(
            [sys.executable, "-m", module, *rest], cwd=HERE.parent, check=False
        ).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
