"""`outlay demo --check`: what is metered equals the providers' bill, to the nano-dollar."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlay.demo.run import run_demo

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
    assert "cannot be used" in capsys.readouterr().out
