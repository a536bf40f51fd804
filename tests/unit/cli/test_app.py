"""How the command line ends: its exit code, and its errors as text and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

UNREACHABLE = "http://127.0.0.1:9"


def outlay(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "outlay", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("limits", "set", "x", "5"), 2),
        (("limits", "set", "x", "5", "--reason", "r", "--at", "80%"), 2),
        (("limits", "set", "x", "5", "--reason", "r", "--endpoint", UNREACHABLE), 1),
    ],
    ids=["option missing", "option malformed", "no server"],
)
def test_an_option_that_is_wrong_ends_with_2_and_a_refusal_with_1(
    words: tuple[str, ...], code: int
) -> None:
    done = outlay(*words)
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_an_error_is_json_for_programs() -> None:
    done = outlay("limits", "set", "x", "5", "--reason", "r", "--at", "80%", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["where"] == "--at"


def test_a_server_shares_its_port_with_nobody() -> None:
    done = outlay("serve", "--reuse-port", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["where"] == "--reuse-port"
