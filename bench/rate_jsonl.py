"""How many recorded calls `outlay rate --jsonl` handles a second on one core.

Run `python -m bench.rate_jsonl [--lines N] [--rounds N]`. The lines are the project's own fixtures
of all wire shapes, and the provider samples where they are at hand, over and over. The floor is
parsing the same lines as JSON and nothing else; the ratio says what reading and pricing add.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from outlay.cli.rate import rate_line
from outlay.store.books.catalogue import load_catalogue

ROOT = Path(__file__).parent.parent
FOLDERS = (
    ROOT / "tests" / "wire" / "fixtures",
    ROOT.parent / "shared" / "data" / "wire-samples",
)


def recorded() -> list[str]:
    """Return one line for each recording that is at hand."""
    lines = []
    for folder in FOLDERS:
        for path in sorted(folder.glob("*.meta.json")):
            meta = json.loads(path.read_text(encoding="utf-8"))
            body = folder / meta["response"]["body_file"]
            if body.suffix == ".bin":
                continue
            text = body.read_text(encoding="utf-8")
            lines.append(
                json.dumps(
                    {
                        "url": meta["request"]["url"],
                        "method": meta["request"]["method"],
                        "request": meta["request"].get("body"),
                        "status": meta["response"]["status"],
                        "response_headers": meta["response"]["headers"],
                        "response": text if body.suffix == ".sse" else json.loads(text),
                        "at": "2026-08-01T00:00:00Z",
                    }
                )
            )
    return lines


def seconds(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    some = recorded()
    lines = (some * (arguments.lines // len(some) + 1))[: arguments.lines]
    book = load_catalogue()

    def rate() -> None:
        for line in lines:
            rate_line(line, book, {})

    def parse() -> None:
        for line in lines:
            json.loads(line)

    rate()  # imports and caches
    took, floor = seconds(rate, arguments.rounds), seconds(parse, arguments.rounds)
    size = sum(map(len, lines)) / len(lines)
    print(f"{len(some)} recordings, {len(lines):,} lines of {size / 1024:.1f} KiB on average")
    print(f"outlay rate  {len(lines) / took:>9,.0f} lines/s (CPU time, one core)")
    print(f"json.loads   {len(lines) / floor:>9,.0f} lines/s; ratio {took / floor:.1f}")
    print(f"goal 1,500 lines/s: {'met' if len(lines) / took >= 1500 else 'NOT MET'}")


if __name__ == "__main__":
    main()
