"""The wheel holds the dashboard: built, opened, and served from what was in it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.try_wheel import look, serving

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[2]
DIST = "outlay/web/dist/"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    [made] = out.glob("*.whl")
    return made


def test_the_wheel_holds_the_pages_and_nothing_of_how_they_are_made(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    pages = {name.removeprefix(DIST) for name in names if name.startswith(DIST)}
    assert {"index.html", "portal.html"} <= pages, "run: make web"
    scripts = {name for name in pages if name.startswith("assets/") and name.endswith(".js")}
    assert scripts
    assert {f"{name}{form}" for name in scripts for form in (".gz", ".br")} <= pages
    assert not [name for name in names if "node_modules" in name or name.endswith((".ts", ".tsx"))]


def test_what_is_in_the_wheel_is_served(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
        page = opened.read(f"{DIST}index.html")
    # What was opened stands before the sources that the tests run from.
    env = {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    where = subprocess.run(
        [sys.executable, "-c", "import outlay; print(outlay.__file__)"],
        env=env, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert Path(where.strip()).is_relative_to(tmp_path)
    with serving([sys.executable, "-m", "outlay"], env) as url:
        sizes = look(url)
    assert sizes["/app/"] == len(page)
    assert len(sizes) > 2
