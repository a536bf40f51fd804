"""The reference pages follow from the code, and the README's links lead somewhere."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _pages() -> dict[str, Callable[[], str]]:
    pages: dict[str, Callable[[], str]] = runpy.run_path(str(ROOT / "tools" / "docs.py"))["PAGES"]
    return pages


@pytest.mark.parametrize("page", ["docs/configuration.md", "docs/event.md"])
def test_a_generated_page_is_what_the_code_says(page: str) -> None:
    made = _pages()[page]()
    assert (ROOT / page).read_text("utf-8") == made, "run: python tools/docs.py"


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_relative_link_leads_to_a_file(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), f"{page} links to {target}, which is not there"


def test_every_make_target_explains_itself() -> None:
    targets = re.findall(r"^([a-z-]+):(?!=)(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"run", "test", "check", "bench", "wheel"} <= {name for name, _ in targets}
    assert all("##" in rest for _, rest in targets)
