"""Write the reference pages that follow from the code: settings, event fields, providers.

`python tools/docs.py` writes them; `tests/unit/test_docs.py` fails when they are out of date. What
the code does not say about providers stands in `providers.toml` beside this file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outlay.config import KEYS
from outlay.core import event
from outlay.core.rates import RateRow
from outlay.store.books.catalogue import load_catalogue
from outlay.wire import paths, sessions, xai_grpc
from outlay.wire.conventions import CONVENTIONS, convention
from outlay.wire.vendors import VENDORS, Vendor

ROOT = Path(__file__).resolve().parents[1]
MAX_NAMES = 4
"""Models and units that one row of a table names."""
FACTS: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("providers.toml").read_text(encoding="utf-8")
)


def configuration() -> str:
    """Return docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Every setting has one name. In the environment it is `OUTLAY_<NAME>`, in the TOML file",
        "(named by `--config` or `OUTLAY_CONFIG`) the same in lower case, in `outlay.init()` a",
        "keyword. What is said closest wins: keyword or option, environment, file, default. An",
        "unknown name is an error with a suggestion. Sizes may be written `64 MiB`, maps",
        "`a=openai,b=anthropic`.",
        "",
        "This page is written by `tools/docs.py`.",
    ]
    for group, title in (("guest", "SDK"), ("server", "Server")):
        lines += ["", f"## {title}", "", "| setting | default | meaning |", "|---|---|---|"]
        for key in KEYS.values():
            if key.group != group:
                continue
            default = (
                ""
                if key.default == ""
                else f"`{dict(key.default)}`"
                if key.type == "map"
                else f"`{key.default}`"
            )
            each = " characters each" if key.type == "str" else ""
            bounds = [] if key.least is None else [f"at least {key.least:,g}{each}"]
            bounds += [] if key.most is None else [f"at most {key.most:,g}"]
            bounds += [f"one of {', '.join(filter(None, key.choices))}"] if key.choices else []
            more = f" ({', '.join(bounds)})" if bounds else ""
            lines.append(f"| `{key.name}` | {default} | {key.meaning}{more} |")
    return "\n".join(lines) + "\n"


def event_page() -> str:
    """Return docs/event.md."""
    lines = [
        "# The event, version 1",
        "",
        "One event is one attempt of one billable operation. It is the one record that crosses",
        "every boundary; its schema is frozen in `src/outlay/core/cost_event_v1.json`.",
        "",
        "- Times are microseconds since 1970 UTC, or RFC 3339 text with a zone on the way in.",
        "- Usage counts are disjoint: `input` is uncached input, `output` is visible output.",
        "  Counts without a column of their own go to `other_units` by unit name.",
        "- Money is integer nano-dollars. Lines are rounded once, half to even; `cost_nanos` is",
        "  the sum of its five groups.",
        "- `event_id` is a UUID version 7 made by the sender, and the idempotency key.",
        f"- Bounds: {event.MAX_STRING_BYTES} bytes a string, {event.MAX_LABELS} labels,",
        f"  {event.MAX_RAW_BYTES // 1024} KiB of raw usage.",
        "- Never in an event: prompts, completions, tool arguments, headers.",
        "",
        "Fields marked + are added by the server and refused from senders; * must be there.",
        "",
        "This page is written by `tools/docs.py`.",
        "",
        "| group | field | type | default | values |",
        "|---|---|---|---|---|",
    ]
    for field in event.FIELDS:
        mark = "+" if field.enriched else "*" if field.required else ""
        default = "" if field.default is None else f"`{field.default!r}`"
        values = ", ".join(event.VALUES.get(field.name, ()))
        lines.append(
            f"| {field.group} | `{field.name}`{mark} | {field.type} | {default} | {values} |"
        )
    return "\n".join(lines) + "\n"


def providers() -> str:
    """Return docs/providers.md."""
    parts = (
        _INTRODUCTION, _surfaces(), _vendors(), _corrections(), _rules(),
        _named("findings", _FINDINGS), _named("flags", _FLAGS),
    )  # fmt: skip
    return "\n".join(line for part in parts for line in part) + "\n"


_INTRODUCTION = (
    "# Providers",
    "",
    "What outlay reads of each provider, what its counters mean, what backs that, and what is not",
    "certain. Prices are in [the price book](prices.md); how calls are tapped is in",
    "[the SDK](sdk.md).",
    "",
    "A provider is recognised by host and path, whatever SDK makes the call. Every endpoint of a",
    "known host is read, known to be free, or said to be unknown: an event with the finding",
    "`unknown_endpoint` and without a price. Private hosts, gateways and servers of your own are",
    "named in the `hosts` setting.",
    "",
    "HTTP calls are tapped in `httpx`, `httpx2`, `aiohttp` and `urllib3` (so also `requests` and",
    "`boto3`), sockets in `websockets`, xAI's own API in `grpc`. Usage buckets are disjoint:",
    "`input` is uncached text input, `output` visible text output. The raw usage object is kept",
    "with each event, and `outlay explain EVENT` shows it beside the buckets, the convention and",
    "the rates.",
    "",
    "This page is written by `tools/docs.py`.",
)
_FINDINGS = (
    "## Findings",
    "",
    "What the capture side noticed, in the event's field `findings`: `outlay explain EVENT`, the",
    "Parquet files and, for recorded calls, `outlay rate` show them. `*` stands for a name, mostly",
    "a counter's. No finding ever holds text of a call.",
)
_FLAGS = (
    "## Flags",
    "",
    "What pricing and enrichment noticed, in the event's field `flags`. They can be asked for:",
    "`outlay query -m cost,calls --by model --where flag=no_tier_rate`. An adjustment has flags of",
    "its own, so what was priced later keeps `unpriced` on the event.",
)


def _table(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _surfaces() -> Iterator[str]:
    yield from (
        "",
        "## Surfaces",
        "",
        "A surface is one shape of API. `{}` takes one part of a path, `[]` may be missing, and of",
        "`(a,b)` one is there. Paths of the OpenAI and Anthropic shapes are below a vendor's own",
        "base. A stream that is cut is estimated and marked. The results of batches (of the OpenAI",
        "shape, Anthropic, Gemini) are read line by line, each as its call would have been.",
        "",
        *_table("surface", "endpoints", "streams", "counters"),
    )
    ends = _endpoints()
    for surface, rule in CONVENTIONS.items():
        others: dict[str, list[str]] = {}
        for vendor in VENDORS:
            own = convention(surface, vendor.name)
            if own != rule:
                others.setdefault(own, []).append(vendor.name)
        told = [rule, *(f"{_code(names)}: {own}" for own, names in others.items())]
        yield _row(
            f"`{surface}`", _code(ends[surface]), FACTS["surfaces"][surface], "; ".join(told)
        )


def _endpoints() -> dict[str, list[str]]:
    """Return the endpoints of each surface, from the tables that requests are matched with."""
    found: dict[str, list[str]] = {}
    for table in (paths.OPENAI, paths.ANTHROPIC):
        for path, (surface, _) in table.items():
            found.setdefault(surface, []).append(path)
    for verb, (surface, _) in paths.GOOGLE_VERBS.items():
        found.setdefault(surface, []).append(f":{verb}")
    for pattern in paths.GOOGLE_INTERACTIONS.values():
        found.setdefault("google.interactions", []).append(_readable(pattern))
    for rows in paths.NATIVE.values():
        for row in rows:
            found.setdefault(row.surface, []).append(_readable(row.path))
    for shape in sessions.SHAPES:
        found.setdefault(shape.surface, []).append("wss:…" + _readable(shape.path))
    for name, method in xai_grpc.METHODS.items():
        found.setdefault(method.surface, []).append(name)
    return {surface: list(dict.fromkeys(names)) for surface, names in found.items()}


def _readable(pattern: re.Pattern[str]) -> str:
    """Write a path's pattern for people."""
    text = re.sub(r"\(\?P<(\w+)>[^()]*\)", r"{\1}", pattern.pattern)
    text = text.replace("[0-9][a-z0-9]*", "{}").replace("[^/]+", "{}").replace("[12]", "(1,2)")
    for _ in range(3):
        text = re.sub(r"\(\?:((?:[^()]|\([^()]*\))*)\)\?", r"[\1]", text)
    return text.replace("(?:", "(").replace("|", ",").replace("$", "")


def _vendors() -> Iterator[str]:
    yield from (
        "",
        "## Vendors",
        "",
        "The name is what the `hosts` setting calls a vendor, “paid” what events call it. Those",
        "without a host are servers of your own. What backs a row is a recorded sample, an SDK or",
        "a data set with its version, or `unverified`. In streams, “usage is asked for” on your",
        "behalf, but not where `aiohttp` alone sends the call.",
        "",
        *_table("vendor", "paid", "hosts", "speaks", "particulars", "backed by"),
    )
    for vendor in VENDORS:
        names = _code((vendor.name, *vendor.aliases))
        yield _row(
            names, f"`{vendor.provider}`", _code(vendor.hosts) or "by `hosts`", _shapes(vendor),
            "; ".join(_particulars(vendor)), vendor.source,
        )  # fmt: skip


def _shapes(vendor: Vendor) -> str:
    shapes = [
        shape
        for shape, bases in (
            ("OpenAI", vendor.openai), ("Anthropic", vendor.anthropic), ("Gemini", vendor.google)
        )
        if bases
    ]  # fmt: skip
    shapes += [f"`rawPredict` of {maker}" for maker in paths.RAW if vendor.google]
    own = dict.fromkeys(row.surface for row in paths.NATIVE.get(vendor.name, ()))
    return ", ".join([*shapes, *(f"`{surface}`" for surface in own if surface in CONVENTIONS)])


def _particulars(vendor: Vendor) -> Iterator[str]:
    costs = {
        "usd": "states its cost in dollars",
        "ticks": "states its cost in ticks of 1e-10 dollars",
        "estimated_usd": "states an estimated cost in dollars",
    }
    if vendor.name in FACTS["no_prices"]:
        yield "no catalogue prices"
    if vendor.cost:
        yield costs[vendor.cost]
    if vendor.reasoning_additive:
        yield "reasoning on top of the output (chat)"
    if vendor.total_partial:
        yield "its total leaves out additive counters"
    if vendor.search_units:
        yield "reranking by search"
    if vendor.include_usage:
        yield "streams: usage is asked for"
    if vendor.host_class:
        yield f"host class `{vendor.host_class}`"
    if vendor.uncharged:
        yield f"usage keys that nothing is charged by: {len(vendor.uncharged)}"


def _corrections() -> Iterator[str]:
    """Yield the catalogue's corrections, by what backs them; an uncertain source says so."""
    yield from (
        "",
        "## Corrections of the catalogue",
        "",
        "Rows of the layer `correction` that outlay brings. Each is worked out from the",
        "catalogue's own rows and falls away where the catalogue comes to say the same.",
        "",
        *_table("provider", "models", "units", "only for", "time", "source"),
    )
    groups: dict[tuple[str, ...], list[RateRow]] = {}
    for row in load_catalogue().rates:
        if row.layer == "correction":
            where = _code(filter(None, (row.region_class, row.host_class)))
            groups.setdefault((row.provider, where, row.source), []).append(row)
    for (provider, where, source), rows in sorted(groups.items()):
        models = _some(sorted({row.model for row in rows}))
        units = _some(sorted({row.unit for row in rows}))
        told = source.replace("uncertain", "**uncertain**")
        yield _row(f"`{provider}`", models, units, where, _days(rows), told)


def _some(names: list[str]) -> str:
    """List names, or the first of many."""
    shown = names if len(names) <= MAX_NAMES else names[: MAX_NAMES - 1]
    rest = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return _code(shown) + rest


def _days(rows: list[RateRow]) -> str:
    """Return from when and until when all of the rows hold, where they do not hold for ever."""
    starts = [row.valid_from for row in rows if row.valid_from is not None]
    ends = [row.valid_to for row in rows if row.valid_to is not None]
    days = [f"from {_day(min(starts))}"] if len(starts) == len(rows) else []
    days += [f"until {_day(max(ends))}"] if len(ends) == len(rows) else []
    return ", ".join(days)


def _day(micros: int) -> str:
    return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d}"


def _rules() -> Iterator[str]:
    yield from (
        "",
        "## Rules, and what is uncertain",
        "",
        "Where a rule is **uncertain**, it says why and what outlay does. Findings and flags are",
        "explained below. Set a rate of your own where your bill says otherwise.",
    )
    rules = FACTS["rule"]
    for provider in dict.fromkeys(rule["provider"] for rule in rules):
        yield from ("", f"**{provider}**", "")
        for rule in rules:
            if rule["provider"] == provider:
                unsure = f" **uncertain**: {rule['uncertain']}." if "uncertain" in rule else ""
                does = f" → {rule['does']}." if "does" in rule else ""
                yield f"- {rule['text']}{unsure}{does}"


def _named(section: str, head: tuple[str, ...]) -> Iterator[str]:
    yield from ("", *head, "", *_table(section.removesuffix("s"), "meaning"))
    for name, meaning in sorted(FACTS[section].items()):
        yield _row(f"`{name}`", meaning)


PAGES = {
    "docs/configuration.md": configuration,
    "docs/event.md": event_page,
    "docs/providers.md": providers,
}


def main() -> None:
    """Write every page."""
    for name, make in PAGES.items():
        (ROOT / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
