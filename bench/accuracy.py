"""How near to the bill prices are: responses whose provider states what it charged, priced again.

Run `python bench/accuracy.py [--file F]`. Each line of the file is a call as `outlay rate` reads
it, with `stated_usd` and the known `cause` of a difference. Three prices are held against the
stated dollars: ours as an event has it, ours by the catalogue alone (the stated cost withheld), and
what genai-prices makes of the same body. It prints how many are within one percent, and lists the
misses of the catalogue with their cause.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from genai_prices import extract_usage

from outlay.cli.rate import rate_line
from outlay.core.calls import call_of
from outlay.core.money import NANOS_PER_USD
from outlay.core.prices import PriceBook
from outlay.core.rating import UNPRICED, price_call
from outlay.store.books.catalogue import load_catalogue

ROOT = Path(__file__).resolve().parents[1]
STATED = ROOT / "tests/wire/fixtures/stated-cost.jsonl"
TOLERANCE = Decimal(1) / 100
THEIR_PROVIDERS = {
    "openrouter.ai": "openrouter", "api.x.ai": "x-ai", "api.perplexity.ai": "perplexity",
}  # fmt: skip
THEIR_FLAVORS = {"chat/completions": ("chat", "default"), "responses": ("responses", "chat")}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call cost by its provider, and by each way of pricing it; `None`: no price."""

    record: dict[str, Any]
    stated: Decimal
    event: Decimal
    catalogue: Decimal | None
    theirs: Decimal | None
    flags: tuple[str, ...]

    def near(self, price: Decimal | None) -> bool:
        """Tell whether a price is within one percent of what was charged."""
        return price is not None and abs(price - self.stated) <= TOLERANCE * self.stated


def outcomes(path: Path, book: PriceBook) -> Iterator[Outcome]:
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line, parse_float=Decimal)
        when = datetime.fromisoformat(record["at"])
        row = rate_line(line, book, {})
        withheld = {**row, "provider_cost_nanos": None}
        alone = price_call(book, call_of(withheld, at=int(when.timestamp()) * 1_000_000))
        unpriced = any(part.basis == UNPRICED for part in alone.lines)
        yield Outcome(
            record=record,
            stated=Decimal(record["stated_usd"]),
            event=dollars(row["cost_nanos"]),
            catalogue=None if unpriced else dollars(alone.cost_nanos),
            theirs=genai_prices(json.loads(line), when),
            flags=tuple(row["findings"]),
        )


def dollars(nanos: int) -> Decimal:
    return Decimal(nanos) / NANOS_PER_USD


def genai_prices(record: dict[str, Any], when: datetime) -> Decimal | None:
    """Price a body as genai-prices does: its own extractor, its own prices of that day."""
    url = urlsplit(record["url"])
    path = url.path.split("/v1/")[-1].strip("/")
    for flavor in THEIR_FLAVORS[path]:
        try:
            found = extract_usage(
                record["response"], provider_id=THEIR_PROVIDERS[url.netloc], api_flavor=flavor
            )
            priced = found.calc_price(genai_request_timestamp=when.astimezone(UTC))
        except (LookupError, ValueError):
            continue
        return priced.total_price
    return None


def describe(outcome: Outcome) -> str:
    price = outcome.catalogue
    off = "no price"
    if price is not None and outcome.stated:
        off = f"{(price - outcome.stated) / outcome.stated:+.1%}"
    record = outcome.record
    body = record["response"]
    return (
        f"{record['at'][:10]} {urlsplit(record['url']).netloc:<18} {body['model']:<40}"
        f" {outcome.stated:>12f} {off:>9}  {record['cause'] or '?'}"
        f"  [{', '.join(outcome.flags)}]"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--file", type=Path, default=STATED)
    said = parser.parse_args()

    found = list(outcomes(said.file, load_catalogue()))
    print(f"{len(found)} responses with a stated cost; within one percent of it, off, no price:")
    for name, prices in (
        ("as an event (stated cost read)", [one.event for one in found]),
        ("catalogue and corrections alone", [one.catalogue for one in found]),
        ("genai-prices extract + calc", [one.theirs for one in found]),
    ):
        near = sum(one.near(price) for one, price in zip(found, prices, strict=True))
        none = sum(price is None for price in prices)
        off = len(found) - near - none
        print(f"  {name:<34} {near:>4}  {near / len(found):>4.0%} {off:>5} {none:>5}")
    missed = [one for one in found if not one.near(one.catalogue)]
    print(f"\n{len(missed)} misses of the catalogue alone, by cause:")
    for cause, count in Counter(one.record["cause"] or "?" for one in missed).most_common():
        print(f"  {count:>3}  {cause}")
    print()
    for one in missed:
        print(describe(one))


if __name__ == "__main__":
    main()
