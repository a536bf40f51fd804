"""The policy for processes: everything they need, nothing they may not know, and an ETag."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from outlay.act.policy import Policy
from outlay.api.policy import HIDDEN_URL, PolicyTexts, policy_document
from outlay.capture.limits.policy import read_policy
from outlay.core.limits.limit import Entitlement, Match, Override, Threshold
from outlay.core.limits.subject import Subject
from outlay.core.sell import SellRates, SellRow
from outlay.store.base import PriceChange, Tenant
from tests.unit.api.limits_there import ACME, RIVAL, grant, limit, policy, put
from tests.unit.api.site import NOW, Site

HOUR = 3_600_000_000
SECRET = "https://hooks.example/s3cret"
OF_RIVAL = (Match("tenant", ("rival",)),)
OF_BOTH = (Match("tenant", ("acme", "rival"), each=True),)


def raised(override_id: str, amount: int, scope: str = "") -> Override:
    return Override(override_id, "budget", amount, NOW, NOW + HOUR, "why", "boss", scope)


def test_a_process_reads_the_policy_and_needs_the_same_as_the_authority(site: Site) -> None:
    """The SDK's own reader, on what the server sends."""
    ladder = (Threshold(900_000, "escalate", url=SECRET), Threshold(1_000_000, "block"))
    put(
        site,
        limit(thresholds=ladder, zone="Europe/Berlin", anchor_day=15),
        limit("rate", 50, metric="calls", window="rate", span_us=60_000_000, burst=5, priority=1),
        limit("off", mode="off"),
        entitlements=(Entitlement("pro", agents=("summarizer",)),),
    )
    site.books.put_override(raised("o", 5_000), at=NOW)
    grant(site, "acme", 7)
    site.services.policy.expire()
    answer = policy(site)
    assert answer.headers["content-encoding"] == "gzip"
    told = read_policy(answer.json())
    known = site.services.policy.current()
    assert [one.limit_id for one in told.limits] == ["rate", "budget"]
    assert [one.limit_id for one in known.limits if one.mode != "off"] == ["rate", "budget"]
    assert [(o.amount, o.scope_key) for o in told.overrides] == [(5_000, "")]
    assert told.plans["acme"] == "pro"
    assert told.credits == {"acme"}
    assert told.entitlements["pro"].agents == ("summarizer",)
    assert answer.headers["etag"] == f'"{told.revision}"'
    same = Policy(limits=told.limits, overrides=told.overrides)
    asked: Any = (Subject(tenant="acme"), {"cost": 5}, NOW)
    assert same.needs(*asked) == known.needs(*asked)[:2]


def test_what_has_not_changed_is_not_sent_again(site: Site) -> None:
    put(site, limit())
    etag = policy(site).headers["etag"]
    again = policy(site, **{"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    put(site, limit(amount=5))
    assert policy(site, **{"If-None-Match": etag}).status_code == 200


def test_webhooks_and_reasons_stay_on_the_server(site: Site) -> None:
    put(site, limit(thresholds=(Threshold(900_000, "escalate", url=SECRET),)))
    site.books.put_override(raised("o", 5_000), at=NOW)
    site.services.policy.expire()
    text = policy(site).text
    assert "s3cret" not in text
    assert HIDDEN_URL in text
    assert "boss" not in text


def test_a_tenants_key_is_told_what_may_be_about_it(site: Site) -> None:
    put(
        site,
        limit(),
        limit("of-rival", scope=OF_RIVAL),
        limit("of-both", scope=OF_BOTH),
        limit("of-pros", scope=(Match("plan", ("pro", "max")),)),
        limit("of-free", scope=(Match("plan", ("free",)),)),
        limit("all", scope=()),
        entitlements=(Entitlement("pro", ("a",)), Entitlement("secret-plan", ("b",))),
    )
    site.books.put_tenant(Tenant("rival", plan="secret-plan"), actor="test", at=2)
    for override in (raised("all", 1), raised("mine", 2, ACME), raised("theirs", 3, RIVAL)):
        site.books.put_override(override, at=NOW)
    site.services.policy.expire()
    answer = policy(site, site.acme)
    told = answer.json()
    assert {one["id"] for one in told["limits"]} == {"budget", "of-both", "of-pros", "all"}
    assert told["tenants"] == {"acme": {"plan": "pro", "credits": False}}
    assert [one["plan"] for one in told["entitlements"]] == ["pro"]
    (budget,) = [one for one in told["limits"] if one["id"] == "budget"]
    assert {one["id"] for one in budget["overrides"]} == {"all", "mine"}
    for word in ("rival", "secret-plan", "max", "free"):
        assert word not in answer.text
    read_policy(told)


def test_tenants_are_bounded_and_those_with_credits_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outlay.api.policy.MAX_POLICY_TENANTS", 2)
    document = policy_document(Policy(plans={"a": "x", "b": "y"}, floors={"z": 0}), None)
    assert set(document["tenants"]) == {"z", "a"}
    assert document["tenants_cut"]
    assert not policy_document(Policy(plans={"a": "x", "b": "y"}), None)["tenants_cut"]


def credit(unit: str, per_million: int, **said: Any) -> SellRow:
    return SellRow.make(unit, "credits", per_million, **said)


COST, CALLS = credit("cost", 100_000), credit("calls", 5, plan="pro", valid_from=NOW)
OWN, OTHERS = credit("cost", 7, tenant="acme"), credit("cost", 8, tenant="rival")
ROWS = (
    COST, CALLS, OWN, OTHERS, credit("calls", 9, plan="free"), credit("cost", 1, tenant="poor"),
    SellRow.make("cost", "nanos", 1_300_000),
)  # fmt: skip


def test_the_rules_of_credits_are_told_where_somebody_has_an_account() -> None:
    """Of those only who have one, and what they pay in money is not."""
    known: dict[str, Any] = {"plans": {"acme": "pro", "rival": "max"}, "sells": SellRates(ROWS)}
    assert policy_document(Policy(**known), None)["sells"] == []
    document = policy_document(Policy(**known, floors={"acme": 0, "rival": 0}), None)
    assert not document["sells_cut"]
    told = {one["id"]: one for one in document["sells"]}
    assert set(told) == {row.sell_id for row in (COST, CALLS, OWN, OTHERS)}
    assert told[CALLS.sell_id] == {
        "id": CALLS.sell_id, "unit": "calls", "per_million": 5, "plan": "pro", "valid_from": NOW,
    }  # fmt: skip


def test_a_tenants_key_is_told_the_rules_of_its_own_credits(site: Site) -> None:
    site.books.change_prices(PriceChange(sells=ROWS), reason="r", actor="test", at=NOW)
    grant(site, "rival", 7)
    assert policy(site, site.acme).json()["sells"] == []
    grant(site, "acme", 7)
    answer = policy(site, site.acme)
    told = read_policy(answer.json())
    assert {row.sell_id for row in told.sells.rows} == {COST.sell_id, CALLS.sell_id, OWN.sell_id}
    assert "rival" not in answer.text
    assert "free" not in answer.text


def test_new_rules_of_credits_are_news(site: Site) -> None:
    grant(site, "acme", 7)
    etag = policy(site).headers["etag"]
    for sells, status in (((SellRow.make("cost", "nanos", 3),), 304), ((COST,), 200)):
        site.books.change_prices(PriceChange(sells=sells), reason="r", actor="test", at=NOW)
        site.services.policy.expire()
        assert policy(site, **{"If-None-Match": etag}).status_code == status


def test_rules_of_credits_are_bounded_and_those_that_hold_for_all_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outlay.api.policy.MAX_POLICY_SELLS", 2)
    over, rows = credit("cost", 3, valid_to=NOW), SellRates([OWN, OTHERS, COST])
    floors = {"acme": 0, "rival": 0}
    document = policy_document(Policy(floors=floors, sells=SellRates([OWN, over, COST])), None)
    assert [one["id"] for one in document["sells"]] == [COST.sell_id, over.sell_id]
    assert document["sells_cut"]
    own = policy_document(Policy(floors=floors, sells=rows), "acme")
    assert (len(own["sells"]), own["sells_cut"]) == (2, False)


def test_kept_texts_are_bounded_and_follow_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.api.policy.MAX_TEXTS", 2)
    texts, one = PolicyTexts(), Policy(limits=[limit()])
    for tenant in (None, "a", "b", "c"):
        text = texts.text(one, tenant)
        assert json.loads(gzip.decompress(text))["revision"] == one.revision
        assert texts.text(one, tenant) is text
    assert len(texts._texts) <= 2
    other = Policy(limits=[limit(amount=3)])
    assert json.loads(gzip.decompress(texts.text(other, None)))["limits"][0]["amount"] != "0.000001"
