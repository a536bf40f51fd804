"""Write the reference pages that follow from the code: settings, event fields.

`python tools/docs.py` writes them; `tests/unit/test_docs.py` fails when they are out of date.
"""

from __future__ import annotations

from pathlib import Path

from outlay.config import KEYS
from outlay.core import event

ROOT = Path(__file__).resolve().parents[1]


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
            bounds = [] if key.least is None else [f"at least {key.least:,g}"]
            bounds += [] if key.most is None else [f"at most {key.most:,g}"]
            bounds += [f"one of {', '.join(key.choices)}"] if key.choices else []
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


PAGES = {"docs/configuration.md": configuration, "docs/event.md": event_page}


def main() -> None:
    """Write every page."""
    for name, make in PAGES.items():
        (ROOT / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
