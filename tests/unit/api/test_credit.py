"""Credits over HTTP: changes made once, balances and history of one's own, and the proof."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.site import NOW, Site

CREDIT = 1_000_000
DAY = 86_400_000_000


def grant(site: Site, tenant: str = "acme", amount: str = "100", **values: Any) -> Any:
    body = {"key": "g1", "reason": "invoice 1", "amount": amount, **values}
    return site.call("POST", f"/v1/credits/{tenant}/grants", json=body)


def balance(site: Site, tenant: str = "acme", key: str | None = None) -> Any:
    return site.call("GET", f"/v1/credits/{tenant}", key).json()["balance"]


def test_a_grant_opens_an_account(site: Site) -> None:
    assert site.call("GET", "/v1/credits/acme").status_code == 404
    answer = grant(site, amount="12.5", expires_at=NOW + DAY).json()
    assert answer["grant"]["remaining"] == 12.5 * CREDIT
    assert balance(site)["available"] == 12.5 * CREDIT


def test_the_same_key_is_made_once_and_with_other_content_refused(site: Site) -> None:
    assert grant(site).json() == grant(site).json()
    assert balance(site)["posted"] == 100 * CREDIT
    assert grant(site, amount="101").status_code == 409
    assert balance(site)["posted"] == 100 * CREDIT


def test_corrections_and_transfers_move_what_they_say(site: Site) -> None:
    grant(site)
    site.call("PUT", "/v1/credits/rival", json={"reason": "new customer"})
    body = {"key": "a1", "reason": "mistake", "amount": "-30"}
    assert site.call("POST", "/v1/credits/acme/adjust", json=body).status_code == 200
    told = {"key": "t1", "reason": "merger", "amount_micros": 20 * CREDIT, "to": "rival"}
    moved = site.call("POST", "/v1/credits/acme/transfer", json=told).json()
    assert (moved["balance"]["posted"], moved["to"]["posted"]) == (50 * CREDIT, 20 * CREDIT)
    kinds = [row["kind"] for row in site.call("GET", "/v1/credits/acme/history").json()["entries"]]
    assert kinds == ["transfer", "adjustment", "grant"]
    assert site.call("GET", "/v1/verify").json() == {"ok": True, "holds": [], "credits": []}


def test_history_takes_no_entry_that_no_database_can_number(site: Site) -> None:
    grant(site)
    for before, status in ((2**63 - 1, 200), (2**63, 400)):
        asked = {"before": before}
        assert site.call("GET", "/v1/credits/acme/history", params=asked).status_code == status


def test_history_comes_in_pages(site: Site) -> None:
    for number in range(5):
        grant(site, key=f"k{number}")
    seen: list[int] = []
    before = 0
    for _ in range(5):
        asked = {"count": 2, "before": before}
        page = site.call("GET", "/v1/credits/acme/history", params=asked).json()
        seen += [row["entry_id"] for row in page["entries"]]
        if page["next"] is None:
            break
        before = page["next"]
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


def test_below_the_floor_is_refused_and_says_what_there_is(site: Site) -> None:
    grant(site)
    body = {"key": "a1", "reason": "mistake", "amount": "-101"}
    answer = site.call("POST", "/v1/credits/acme/adjust", json=body)
    assert answer.status_code == 409
    assert "100" in answer.json()["error"]["message"]


def test_an_overdraft_moves_the_floor(site: Site) -> None:
    body = {"reason": "contract", "overdraft": "50", "top_up_below": 10, "top_up_amount": 100}
    answer = site.call("PUT", "/v1/credits/acme", json=body).json()["balance"]
    assert (answer["floor"], answer["available"]) == (-50 * CREDIT, 50 * CREDIT)
    assert answer["top_up_below"] == 10 * CREDIT


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"amount": "0.0000001"}, "amount"),
        ({"amount": "many"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1e30"}, "amount"),
        ({"amount_micros": 5}, "amount"),
        ({"category": "gift"}, "category"),
        ({"rollover": "1.5"}, "rollover"),
        ({"key": ""}, "key"),
        ({"reason": " "}, "reason"),
        ({"expires_at": NOW - 1}, "expires_at"),
    ],
)
def test_a_bad_grant_is_refused_with_the_place(
    site: Site, change: dict[str, Any], where: str
) -> None:
    answer = grant(site, **change)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["where"] == where
    assert site.call("GET", "/v1/credits/acme").status_code == 404


def test_a_tenants_key_sees_its_own_account_without_names_of_others(site: Site) -> None:
    grant(site)
    grant(site, "rival", key="g2")
    own = site.call("GET", "/v1/credits", site.acme).json()["accounts"]
    assert [one["tenant"] for one in own] == ["acme"]
    assert balance(site, key=site.acme)["posted"] == 100 * CREDIT
    for path in ("rival", "rival/history", "rival/grants"):
        assert site.call("GET", f"/v1/credits/{path}", site.acme).status_code == 404
    entries = site.call("GET", "/v1/credits/acme/history", site.acme).json()["entries"]
    assert "actor" not in entries[0]
