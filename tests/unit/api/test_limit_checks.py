"""Questions about limits over HTTP; what they answer is tested with `act`."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.api import limit_checks
from outlay.core.limits.limit import Limit
from outlay.core.rollup import DAY_US
from outlay.store.limits import LimitChange
from tests.unit.api.site import NOW, Site

MONTH: dict[str, Any] = {"id": "month", "window": "month", "amount": "5"}


def check(site: Site, body: dict[str, Any]) -> Any:
    return site.call("POST", "/v1/limits/check", json=body)


def error(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()["error"]
    return found


def test_proposed_limits_are_checked_over_the_last_month(site: Site) -> None:
    answer = check(site, {"limits": [MONTH]})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["from"], found["to"]) == (NOW - 30 * DAY_US, NOW)
    assert [(one["limit"], one["amount"]) for one in found["limits"]] == [("month", 5 * 10**9)]
    assert site.books.limits() == [], "nothing is kept"


def test_limits_of_the_books_are_checked_by_id_or_all(site: Site) -> None:
    kept = tuple(Limit(name, "cost", "day", 5) for name in ("one", "two"))
    site.books.change_limits(LimitChange(kept), reason="r", actor="t", at=NOW)

    def names(body: dict[str, Any]) -> list[str]:
        return [one["limit"] for one in check(site, body).json()["limits"]]

    assert names({}) == ["one", "two"]
    assert names({"ids": ["two", "two"]}) == ["two"]
    assert error(check(site, {"ids": ["two", "three"]}), 404)["where"] == "ids[1]"


def test_what_cannot_be_checked_is_refused_with_the_place(site: Site) -> None:
    assert error(check(site, {}), 400)["where"] == "limits"
    assert error(check(site, {"limits": [MONTH], "ids": []}), 400)["where"] == "ids"
    wrong = {**MONTH, "amount": "much"}
    assert "limits[0].amount" in error(check(site, {"limits": [wrong]}), 400)["where"]
    assert error(check(site, {"limits": [MONTH], "from": NOW}), 400)["where"] == "to"
    assert error(check(site, {"limits": [MONTH], "top": 101}), 400)["where"] == "body"
    assert error(check(site, {"limits": [MONTH], "else": 1}), 400)["where"] == "body"


def test_one_dry_run_goes_at_a_time(site: Site) -> None:
    with limit_checks._running:
        assert "Another" in error(check(site, {"limits": [MONTH]}), 503)["message"]
    assert check(site, {"limits": [MONTH]}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/limits/estimates?from=5&to=5", "/v1/limits/estimates?to=x"])
def test_a_range_of_nothing_has_no_estimates(site: Site, path: str) -> None:
    assert error(site.call("GET", path), 400)["where"] == "to"


def test_estimates_are_of_a_tenant_or_of_all(site: Site) -> None:
    site.olap.events = [
        {"tenant_id": tenant, "event_id": f"ev-{tenant}"} for tenant in ("acme", "rival")
    ]

    def models(path: str, key: str | None = None) -> list[str]:
        answer = site.call("GET", f"/v1/limits/estimates{path}", key).json()
        return [one["model"] for one in answer["estimates"]]

    assert models("") == ["model-of-acme", "model-of-rival"]
    assert models("?tenant=rival") == ["model-of-rival"]
    assert models("?tenant=rival", site.acme) == ["model-of-acme"]
