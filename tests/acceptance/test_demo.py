"""`outlay demo --check`: what is metered equals the providers' bill, to the nano-dollar."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outlay.demo.run import DRAIN_S, SETTLE_S, run_demo

pytestmark = pytest.mark.heavy


def test_every_tenants_metered_cost_and_count_equal_the_bill(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run_demo(check=True, actions=6, seed=7, port=0, live=False, json_output=True)
    told = capsys.readouterr()
    assert code == 0, told
    result = json.loads(told.out)
    assert result["agrees"]
    assert result["price_drift"] == []
    assert result["flushed"]
    assert result["actions"] == 6
    assert len(result["tenants"]) >= 3
    for tenant in result["tenants"]:
        assert tenant["metered_nanos"] == tenant["billed_nanos"] > 0
        assert tenant["metered_attempts"] == tenant["billed_attempts"] > 0
    # Retries by the SDKs make more attempts than calls.
    assert result["total"]["billed_attempts"] > result["calls"]


def test_a_data_folder_that_cannot_be_used_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "file"
    taken.touch()
    assert run_demo(check=True, data=taken, port=0, live=False) == 1
    assert "cannot be used" in " ".join(capsys.readouterr().out.split())


@pytest.mark.timeout(300)
def test_ctrl_c_finishes_what_is_under_way_and_leaves_nothing_running(tmp_path: Path) -> None:
    code = "import sys; from outlay.demo.run import run_demo; sys.exit(run_demo(**{!r}))".format(
        {"live": False, "port": 0, "rate": 3.0, "data": None, "history": False}
    )
    demo = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert demo.stdout is not None
    try:
        for line in demo.stdout:
            if "outlay top" in line:
                break
        time.sleep(4)
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        demo.send_signal(signal.SIGINT)
        # Actions under way are let finish, and their events are waited for.
        told, _ = demo.communicate(timeout=DRAIN_S + SETTLE_S + 20)
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()
    assert demo.returncode == 0, told
    assert "equals the bill to the nano-dollar" in told
    assert children
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert not list(tmp_path.iterdir())
