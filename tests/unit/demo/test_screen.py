from __future__ import annotations

from rich.console import Console

from outlay.demo import screen
from outlay.demo.compare import Totals, compare


def _printed(found: object) -> str:
    console = Console(width=140, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(found)
    return captured.get()


def test_the_table_shows_both_sides_to_the_nano_dollar() -> None:
    found = compare({"acme": Totals(1_000_000_001, 3)}, {"acme": Totals(1_000_000_001, 3)})
    text = _printed(screen.totals_table(found, status="running"))
    assert text.count("$1.000000001") == 4
    assert "100.0 %" in text
    assert "running" in text


def test_a_difference_is_shown_with_its_sign_and_both_counts() -> None:
    found = compare({"acme": Totals(999_999_999, 2)}, {"acme": Totals(1_000_000_000, 3)})
    text = _printed(screen.totals_table(found, status=""))
    assert "-0.000000001" in text
    assert "2 of 3" in text
    told = _printed(screen.differences_table(found))
    assert "999999999 / 1000000000" in told
    assert "2 / 3" in told


def test_tenants_that_agree_are_not_among_the_differences() -> None:
    same = Totals(5, 1)
    found = compare({"acme": same, "globex": Totals(1, 1)}, {"acme": same, "globex": Totals(2, 1)})
    assert "acme" not in _printed(screen.differences_table(found))


def test_the_header_says_how_to_look_further() -> None:
    console = Console(width=140)
    with console.capture() as captured:
        screen.print_header(
            console, endpoint="http://127.0.0.1:8787", key="ok_x", data="d", kept=False
        )
    text = captured.get()
    assert text.splitlines()[0] == "Dashboard  http://127.0.0.1:8787/"
    assert "export OUTLAY_ENDPOINT=http://127.0.0.1:8787" in text
    assert "export OUTLAY_KEY=ok_x" in text
    assert "outlay top --by tenant --last 15m" in text
    assert "deleted at the end" in text
