"""What a process takes of the server's policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outlay.act.policy import Policy as ServerPolicy
from outlay.api.policy import policy_document
from outlay.capture import guard
from outlay.capture.limits.policy import PolicyKeeper, read_policy
from outlay.core.limits.document import read_limit
from outlay.core.limits.limit import Override
from tests.unit.capture.limits.authority import DOLLAR, Authority, entitled, month


def test_a_policy_is_read_as_the_server_writes_it() -> None:
    limits = [read_limit(month(priority=200)), read_limit(month(id="first", strict=True))]
    override = Override("o", "month", 5 * DOLLAR, 1, 2, "why", "me", '[["tenant","acme"]]')
    said = ServerPolicy(
        limits=limits, overrides=(override,), entitlements=(entitled("free", models=("mini",)),),
        plans={"acme": "free"}, floors={"acme": 0},
    )  # fmt: skip
    found = read_policy(json.loads(json.dumps(policy_document(said, None))))
    assert found.revision == said.revision
    assert [one.limit_id for one in found.limits] == ["first", "month"]
    assert set(found.limits) == set(limits)
    assert found.overrides[0].amount == 5 * DOLLAR
    assert found.overrides[0].scope_key == override.scope_key
    assert found.entitlements["free"].models == ("mini",)
    assert found.plans == {"acme": "free"}
    assert found.credits == {"acme"}


def test_a_limit_that_only_a_newer_server_understands_is_left_to_it(caplog: Any) -> None:
    found = read_policy({"revision": "1", "limits": [month(), month(id="new", window="century")]})
    assert [one.limit_id for one in found.limits] == ["month"]
    assert "not understood" in caplog.text


@pytest.mark.parametrize("document", [{}, {"revision": "1", "limits": [3]}, {"limits": []}])
def test_what_is_no_policy_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="not a policy"):
        read_policy(document)


def test_an_unchanged_policy_is_not_sent_again(tmp_path: Path) -> None:
    authority = Authority(month())
    keeper = PolicyKeeper(tmp_path / "limits.json")
    assert keeper.fetch(authority.transport())
    assert not keeper.fetch(authority.transport())
    again = PolicyKeeper(tmp_path / "limits.json")
    assert again.read_kept()
    assert not again.fetch(authority.transport())
    authority.change(month("2.00"))
    assert again.fetch(authority.transport())


def test_a_sync_that_tells_of_another_revision_makes_it_due() -> None:
    authority = Authority(month())
    keeper = PolicyKeeper(None)
    keeper.fetch(authority.transport())
    keeper.heard(authority.policy.revision)
    assert not keeper.due
    keeper.heard("another")
    assert keeper.due


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "no").write_text("a file")
    keeper = PolicyKeeper(tmp_path / "no" / "limits.json")
    assert keeper.fetch(Authority(month()).transport())
    assert guard.counts() == {"limits.policy.keep": 1}
    guard.reset()
