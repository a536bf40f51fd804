"""The reference pages follow from the code, and links between pages lead somewhere."""

from __future__ import annotations

import ast
import re
import runpy
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from outlay.cli import (
    admin,
    ask,
    credit,
    currencies,
    doctor,
    limit_edit,
    limits,
    people,
    price_edit,
    prices,
    rate,
    repricing,
    serve,
    virtual_keys,
)
from outlay.core.limits.document import limit_document, read_limit, read_limits
from outlay.core.match import canonical_provider
from outlay.core.rating import FLAGS
from outlay.core.rollup import PRICED_LATE
from outlay.enrich import flags
from outlay.enrich.drift import USAGE_DRIFT
from outlay.gateway.document import read_config
from outlay.store.books.catalogue import load_catalogue
from outlay.store.limitfile import read_yaml
from outlay.store.pricefile.read import read_change
from outlay.wire.conventions import CONVENTIONS
from outlay.wire.vendors import VENDORS

ROOT = Path(__file__).resolve().parents[2]
FACTS: dict[str, Any] = tomllib.loads((ROOT / "tools" / "providers.toml").read_text("utf-8"))
PROSE = [
    "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md",
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")),
]  # fmt: skip

_TELLS = {"find", "note"}
"""Methods that take a finding, and names that one is kept in before it is told."""
_KEPT_IN = {"finding", "found"}
_FINDING = re.compile(r"[a-z]+(?:_[a-z]+)*(?=:|$)|\*(?=_)")


def _pages() -> dict[str, Callable[[], str]]:
    pages: dict[str, Callable[[], str]] = runpy.run_path(str(ROOT / "tools" / "docs.py"))["PAGES"]
    return pages


@pytest.mark.parametrize("page", ["docs/configuration.md", "docs/event.md", "docs/providers.md"])
def test_a_generated_page_is_what_the_code_says(page: str) -> None:
    made = _pages()[page]()
    assert (ROOT / page).read_text("utf-8") == made, "run: python tools/docs.py"


@pytest.mark.parametrize("page", PROSE)
def test_every_relative_link_leads_to_a_file(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        there = (ROOT / page).parent / target
        assert there.exists(), f"{page} links to {target}, which is not there"


@pytest.mark.parametrize("page", PROSE)
def test_every_link_to_a_heading_finds_it(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
        other = (ROOT / page).parent / target if target else ROOT / page
        heads = re.findall(r"^#+ (.+)$", other.read_text("utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
        assert anchor in slugs, f"{page} links to {target}#{anchor}, which is not there"


@pytest.mark.parametrize("form", ["yaml", "csv"])
def test_every_price_file_of_the_docs_is_taken(form: str) -> None:
    text = (ROOT / "docs" / "prices.md").read_text("utf-8")
    files = re.findall(rf"^```{form}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    book = load_catalogue()
    for file in files:
        change = read_change(file.encode(), form, book, at=1_793_000_000_000_000)
        assert change.rates or change.models or change.sells, file
    assert files


def _limit_files() -> list[str]:
    text = (ROOT / "docs" / "limits.md").read_text("utf-8")
    files = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [*files, (ROOT / "examples" / "limits.yaml").read_text("utf-8")]


def test_every_limits_file_of_the_docs_and_the_example_is_taken() -> None:
    files = _limit_files()
    assert len(files) > 1
    for file in files:
        said = read_limits(read_yaml(file.encode()))
        assert said.limits, file
        assert said.entitlements, file
        assert all(read_limit(limit_document(one)) == one for one in said.limits)


def test_the_example_of_limits_shows_every_action_and_metric_people_ask_for() -> None:
    said = read_limits(read_yaml((ROOT / "examples" / "limits.yaml").read_bytes()))
    rungs = {rung.action for one in said.limits for rung in one.thresholds}
    assert rungs == {"warn", "throttle", "downgrade", "partial", "escalate", "block"}
    assert {"cost", "output_tokens", "concurrent_calls"} <= {one.metric for one in said.limits}
    assert {"enforce", "shadow"} == {one.mode for one in said.limits}


def test_every_sell_file_of_the_credits_page_is_taken() -> None:
    text = (ROOT / "docs" / "credits.md").read_text("utf-8")
    files = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert files
    for file in files:
        assert read_change(file.encode(), "yaml", load_catalogue(), at=1_793_000_000_000_000).sells


def test_every_gateway_file_of_the_docs_is_taken() -> None:
    text = (ROOT / "docs" / "gateway.md").read_text("utf-8")
    files = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert files
    for file in files:
        assert read_config(file, where="docs/gateway.md", env={}).upstreams


def test_the_docs_say_what_to_do_about_every_problem_of_the_gateway() -> None:
    source = "".join(
        file.read_text("utf-8") for file in (ROOT / "src" / "outlay" / "gateway").glob("*.py")
    )
    made = set(re.findall(r'Problem\(\s*(\d{3}),\s*"([a-z_]+)"', source))
    rows = re.findall(
        r"^\| (\d{3}) (`.*?`) \|", (ROOT / "docs" / "gateway.md").read_text("utf-8"), re.MULTILINE
    )
    told = {(status, code) for status, codes in rows for code in re.findall("[a-z_]+", codes)}
    assert len(made) > 15, "the search still finds them"
    assert made <= told


def _commands() -> dict[str, Any]:
    app = typer.Typer()
    for module in (
        serve, ask, rate, admin, people, virtual_keys, limits, limit_edit, credit,
        currencies, prices, price_edit, repricing, doctor,
    ):  # fmt: skip
        module.register(app)
    commands: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    return commands


@pytest.mark.parametrize("page", PROSE)
def test_every_command_of_the_docs_is_there(page: str) -> None:
    commands = _commands()
    text = (ROOT / page).read_text("utf-8")
    for first, second in re.findall(
        r"(?:^|\$ |`)outlay ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", text, re.MULTILINE
    ):
        assert first in commands, f"{page}: outlay {first}"
        below = getattr(commands[first], "commands", {})
        assert not below or not second or second in below, f"{page}: outlay {first} {second}"


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts that an expression may be, with `*` for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = node.values
        yield "".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in parts)
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))
    elif isinstance(node, ast.Subscript):
        yield from _texts(node.value)
    elif isinstance(node, ast.List):
        yield from (text for part in node.elts for text in _texts(part))


def _findings_of(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        told: list[ast.AST] = []
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in _TELLS:
            told = list(node.args)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in _KEPT_IN:
            told = [node.value]
        yield from (text for arg in told for text in _texts(arg) if _FINDING.match(text))


def _row_of(finding: str) -> str:
    """Return the row that a finding is described in: what follows its first colon is a name."""
    name, colon, _ = finding.partition(":")
    return f"{name}:*" if colon else name


def test_every_finding_of_the_capture_side_has_a_row() -> None:
    found = set()
    for part in ("wire", "capture"):
        for file in (ROOT / "src" / "outlay" / part).rglob("*.py"):
            found |= {_row_of(text) for text in _findings_of(file.read_text("utf-8"))}
    told = {
        re.sub(r"^(?:usage_raw|segments)(?=_too_large)", "*", name) for name in FACTS["findings"]
    }
    assert found == told, "tools/providers.toml lists them, with what they mean"
    assert len(found) > 50, "the search still finds them"


def test_every_flag_has_a_row() -> None:
    enriched = (flags.FALLBACK, flags.LATE, flags.CLOCK_SKEW, flags.UNKNOWN_TENANT)
    assert set(FACTS["flags"]) == {*FLAGS, *enriched, flags.LARGE_PROMPT, PRICED_LATE, USAGE_DRIFT}


def test_every_surface_says_how_it_streams() -> None:
    assert FACTS["surfaces"].keys() == CONVENTIONS.keys()


def test_vendors_said_to_have_no_catalogue_prices_have_none() -> None:
    priced = {canonical_provider(row.provider) for row in load_catalogue().rates}
    without = [v.name for v in VENDORS if canonical_provider(v.provider) not in priced]
    assert without == FACTS["no_prices"]


def test_every_rule_is_complete_and_of_known_keys() -> None:
    for rule in FACTS["rule"]:
        assert {"provider", "text"} <= rule.keys() <= {"provider", "text", "uncertain", "does"}
        assert "does" in rule or "uncertain" not in rule, "say what is done about it"


def test_every_make_target_explains_itself() -> None:
    targets = re.findall(r"^([a-z-]+):(?!=)(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"run", "test", "check", "bench", "wheel"} <= {name for name, _ in targets}
    assert all("##" in rest for _, rest in targets)
