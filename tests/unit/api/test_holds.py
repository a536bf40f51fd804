"""Holds over HTTP: all scopes or none, told why not, idempotent, and each tenant its own."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core.limits.holds import Expire
from outlay.core.limits.limit import MAX_AMOUNT, Entitlement, Match, Threshold
from outlay.core.sell import SellRow
from outlay.errors import StorageFullError
from outlay.store.base import PriceChange
from tests.unit.api.limits_there import ACME, RIVAL, grant, hold, limit, put
from tests.unit.api.site import NOW, Site


def end(site: Site, hold_id: str, verb: str, body: Any = None, key: str | None = None) -> Any:
    parts = {} if body is None else {"json": body}
    return site.call("POST", f"/v1/holds/{hold_id}/{verb}", key, **parts)


def counters(site: Site) -> dict[str, tuple[int, int]]:
    return {c.key.limit_id: (c.used, c.held) for c in site.books.counters()}


def test_a_hold_tells_how_every_limit_stands(site: Site) -> None:
    ladder = (Threshold(500_000, "throttle", delay_ms=200), Threshold(1_000_000, "block"))
    put(site, limit(thresholds=ladder), limit("all-calls", 10, metric="calls", scope=()))
    answer = hold(site, "h1", 700)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["hold_id"], told["state"]) == ("h1", "open")
    assert told["expires_at"] == NOW + 300 * 1_000_000
    calls, cost = sorted(told["limits"], key=lambda one: one["limit"])
    assert (cost["limit"], cost["scope"], cost["used"], cost["held"]) == ("budget", ACME, 0, 700)
    assert (cost["amount"], cost["left"], cost["actions"]) == (1_000, 300, [])
    assert cost["resets_at"] > NOW
    assert (calls["scope"], calls["held"], calls["left"]) == ("[]", 1, 9)
    end(site, "h1", "settle", {"cost_nanos": 600})
    (cost,) = [one for one in hold(site, "h2", 1).json()["limits"] if one["limit"] == "budget"]
    assert cost["actions"] == [{"at_ppm": 500_000, "action": "throttle", "delay_ms": 200}]


def test_what_does_not_fit_is_refused_in_words_and_numbers(site: Site) -> None:
    put(site, limit(name="Monthly budget"))
    hold(site, "h1", 600)
    end(site, "h1", "settle", {"cost_nanos": 600})
    answer = hold(site, "h2", 401)
    assert answer.status_code == 402
    error = answer.json()["error"]
    assert error["code"] == "limit_exceeded"
    assert "`budget`" in error["message"]
    assert "tenant acme" in error["message"]
    said = {name: error[name] for name in ("limit", "amount", "used", "held", "left", "verdict")}
    assert said == {
        "limit": "budget", "amount": 1_000, "used": 600, "held": 0, "left": 400, "verdict": "over",
    }  # fmt: skip
    assert error["resets_at"] > NOW
    assert error["hint"]
    assert "retry-after" not in answer.headers
    assert site.books.hold("h2") is None


def test_what_only_others_hold_is_busy_and_worth_another_try(site: Site) -> None:
    put(site, limit())
    hold(site, "h1", 600)
    answer = hold(site, "h2", 401)
    assert (answer.status_code, answer.headers["retry-after"]) == (402, "1")
    assert answer.json()["error"]["verdict"] == "busy"
    end(site, "h1", "void")
    assert hold(site, "h2", 401).status_code == 200


def test_it_holds_in_all_scopes_or_in_none_and_names_the_first_by_priority(site: Site) -> None:
    put(
        site,
        limit("wide", 10_000),
        limit("later", 100, priority=200),
        limit("first", 100, priority=5),
    )
    error = hold(site, "h1", 500).json()["error"]
    assert error["limit"] == "first"
    assert all(held == 0 for _, held in counters(site).values())


def test_a_hold_may_be_sent_again_and_its_id_is_its_own(site: Site) -> None:
    put(site, limit())
    first = hold(site, "h1", 600, ttl_s=60)
    site.now += 1_000_000
    again = hold(site, "h1", 600, ttl_s=60)
    assert again.status_code == 200
    assert again.json()["expires_at"] == first.json()["expires_at"] == NOW + 60_000_000
    assert counters(site) == {"budget": (0, 600)}
    assert hold(site, "h1", 601).status_code == 409
    assert hold(site, "h1", 600, subject={"user": "u"}).status_code == 409
    end(site, "h1", "settle", {"cost_nanos": 5})
    assert hold(site, "h1", 600, ttl_s=60).status_code == 409  # it holds nothing any more
    assert counters(site) == {"budget": (5, 0)}


def test_settling_is_idempotent_and_frees_what_was_not_used(site: Site) -> None:
    put(site, limit(), limit("tokens", 500, metric="tokens"))
    hold(site, "h1", 600, estimate={"input_tokens": 100, "output_tokens": 50})
    body = {"cost_nanos": 250, "input_tokens": 90, "output_tokens": 20}
    answer = end(site, "h1", "settle", body)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["state"], told["late"], told["short"]) == ("settled", False, 0)
    assert counters(site) == {"budget": (250, 0), "tokens": (110, 0)}
    assert end(site, "h1", "settle", body).status_code == 200
    assert end(site, "h1", "settle", {**body, "cost_nanos": 1}).status_code == 409
    assert end(site, "h1", "void").status_code == 409
    assert end(site, "h1", "extend", {}).status_code == 409
    assert counters(site) == {"budget": (250, 0), "tokens": (110, 0)}


def test_more_may_be_used_than_was_held(site: Site) -> None:
    put(site, limit())
    hold(site, "h1", 900)
    assert end(site, "h1", "settle", {"cost_nanos": 1_200}).status_code == 200
    assert counters(site) == {"budget": (1_200, 0)}
    assert hold(site, "h2", 0).json()["error"]["left"] == 0


def test_a_settlement_after_the_end_counts_and_is_late(site: Site) -> None:
    put(site, limit())
    hold(site, "h1", 600, ttl_s=1)
    site.now += 1_000_000
    site.services.authority.submit([Expire("h1", site.now)]).result(5)
    assert counters(site) == {"budget": (0, 0)}
    answer = end(site, "h1", "settle", {"cost_nanos": 50})
    assert (answer.status_code, answer.json()["late"]) == (200, True)
    assert counters(site) == {"budget": (50, 0)}


def test_a_void_gives_back_and_may_be_sent_again(site: Site) -> None:
    put(site, limit())
    hold(site, "h1", 600)
    for _ in range(2):
        answer = end(site, "h1", "void")
        assert (answer.status_code, answer.json()["state"]) == (200, "void")
    assert counters(site) == {"budget": (0, 0)}


def test_a_hold_grows_in_all_scopes_or_in_none(site: Site) -> None:
    put(site, limit(), limit("tokens", 500, metric="tokens"), limit("calls", 1, metric="calls"))
    hold(site, "h1", 100, estimate={"output_tokens": 100}, ttl_s=60)
    more = {"estimate": {"cost_nanos": 300, "output_tokens": 400, "calls": 0}, "ttl_s": 120}
    answer = end(site, "h1", "extend", more)
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_at"] == NOW + 120_000_000
    assert counters(site) == {"budget": (0, 400), "tokens": (0, 500), "calls": (0, 1)}
    refused = end(site, "h1", "extend", more)
    assert refused.status_code == 402
    assert refused.json()["error"]["limit"] == "tokens"
    assert counters(site) == {"budget": (0, 400), "tokens": (0, 500), "calls": (0, 1)}


def test_a_hold_that_nobody_made_is_not_found(site: Site) -> None:
    put(site, limit())
    for verb, body in (("settle", {}), ("void", None), ("extend", {})):
        assert end(site, "nope", verb, body).status_code == 404
    assert site.call("GET", "/v1/holds/nope").status_code == 404


def test_what_the_plan_does_not_include_is_refused_and_noted(site: Site) -> None:
    put(site, entitlements=(Entitlement("pro", agents=("summarizer",), names=("basic",)),))
    assert hold(site, "h1", 1, subject={"agent": "summarizer"}).status_code == 200
    answer = hold(site, "h2", 1, subject={"agent": "research", "plan": "free"})
    assert answer.status_code == 402
    error = answer.json()["error"]
    assert (error["code"], error["reason"]) == ("not_entitled", "entitlement")
    assert "`research`" in error["message"]
    asked: dict[str, Any] = {"subject": {"agent": "summarizer"}}
    assert hold(site, "h3", 1, **asked, entitlement="basic").status_code == 200
    assert hold(site, "h4", 1, **asked, entitlement="premium").status_code == 402
    site.services.limit_notices.flush()
    (notice,) = site.books.notices()
    assert (notice.kind, notice.tenant, notice.times) == ("denied", "acme", 2)


def test_a_balance_limits_in_credits(site: Site) -> None:
    grant(site, "acme", 1_000)
    answer = hold(site, "h1", 5, estimate={"credits": 700})
    (told,) = answer.json()["limits"]
    assert (told["limit"], told["scope"], told["left"]) == ("credits", ACME, 300)
    error = hold(site, "h2", 5, estimate={"credits": 301}).json()["error"]
    assert (error["code"], error["verdict"], error["left"]) == ("credits_exhausted", "busy", 300)
    assert end(site, "h1", "settle", {"cost_nanos": 5, "credits": 800}).json()["short"] == 0
    error = hold(site, "h2", 5, estimate={"credits": 301}).json()["error"]
    assert (error["verdict"], error["left"]) == ("over", 200)
    assert site.books.check_credits() == []


def test_credits_follow_the_cost_where_they_are_not_said(site: Site) -> None:
    sells = (SellRow.make("cost", "credits", 2_000_000, plan="pro"),)
    site.books.change_prices(PriceChange(sells=sells), reason="r", actor="t", at=1)
    grant(site, "acme", 1_000)
    (told,) = hold(site, "h1", 400).json()["limits"]
    assert (told["held"], told["left"]) == (800, 200)
    end(site, "h1", "settle", {"cost_nanos": 100})
    assert site.books.balance("acme").posted == 800  # type: ignore[union-attr]


def test_what_a_settlement_costs_above_the_balance_is_short(site: Site) -> None:
    grant(site, "acme", 100)
    hold(site, "h1", 10, estimate={"credits": 50})
    answer = end(site, "h1", "settle", {"cost_nanos": 10, "credits": 130})
    assert answer.json()["short"] == 30
    assert site.books.balance("acme").posted == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"hold_id": ""}, "hold_id"),
        ({"hold_id": "x" * 129}, "hold_id"),
        ({"hold_id": "a\nb"}, "hold_id"),
        ({"owner": "tenant:rival"}, "owner"),
        ({"owner": "x" * 129}, "owner"),
        ({"ttl_s": 0}, "body"),
        ({"ttl_s": 86_401}, "body"),
        ({"surprise": 1}, "body"),
        ({"estimate": {"cost_nanos": -1}}, "body"),
        ({"estimate": {"cost_nanos": MAX_AMOUNT + 1}}, "body"),
        ({"estimate": {"cost_nanos": 1.5}}, "body"),
        ({"estimate": {"dollars": 1}}, "body"),
        ({"subject": {"tenant": "x" * 257}}, "body"),
        ({"subject": {"colour": "red"}}, "body"),
    ],
)
def test_bad_holds_are_refused_with_the_place(site: Site, change: Any, where: str) -> None:
    body = {"hold_id": "h", "subject": {"tenant": "acme"}, "estimate": {}, **change}
    answer = site.call("POST", "/v1/holds", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["where"] == where


def test_bounds_are_taken_at_the_bound(site: Site) -> None:
    put(site, limit(amount=MAX_AMOUNT))
    assert hold(site, "x" * 128, MAX_AMOUNT, ttl_s=86_400).status_code == 200


def test_any_printable_id_can_be_looked_up(site: Site) -> None:
    put(site, limit())
    assert hold(site, "a/b c:ü", 5).status_code == 200
    path = "a%2Fb%20c%3A%C3%BC"
    assert site.call("GET", f"/v1/holds/{path}").json()["hold"]["hold_id"] == "a/b c:ü"
    assert end(site, path, "void").status_code == 200


def test_holds_are_listed_by_state_and_owner(site: Site) -> None:
    put(site, limit())
    for number in range(3):
        hold(site, f"h{number}", 5, owner=f"p{number % 2}")
        site.now += 1
    end(site, "h0", "void")
    listed = site.call("GET", "/v1/holds").json()["holds"]
    assert [one["hold_id"] for one in listed] == ["h2", "h1"]
    assert listed[0]["limits"][0]["held"] == 5
    everything = site.call("GET", "/v1/holds?state=&limit=2").json()["holds"]
    assert [one["hold_id"] for one in everything] == ["h2", "h1"]
    assert [o["hold_id"] for o in site.call("GET", "/v1/holds?owner=p1").json()["holds"]] == ["h1"]
    assert site.call("GET", "/v1/holds?state=odd").status_code == 400
    assert site.call("GET", "/v1/holds?limit=1001").status_code == 400


def test_a_tenants_key_holds_for_its_tenant_only(site: Site) -> None:
    put(site, limit())
    mine = hold(site, "mine", 5, site.acme, subject={"tenant": ""})
    assert mine.json()["limits"][0]["scope"] == ACME
    assert hold(site, "other", 5, site.acme, subject={"tenant": "rival"}).status_code == 403
    assert hold(site, "owned", 5, site.acme, owner="process").status_code == 400


def test_a_tenants_key_sees_and_ends_its_own_holds_only(site: Site) -> None:
    put(site, limit())
    hold(site, "rivals", 5, subject={"tenant": "rival"})
    hold(site, "gateways", 6, owner="gateway")
    hold(site, "own", 7, site.acme)
    listed = site.call("GET", "/v1/holds", site.acme)
    assert {one["hold_id"] for one in listed.json()["holds"]} == {"gateways", "own"}
    assert "rival" not in listed.text
    for verb, body in (("settle", {}), ("void", None), ("extend", {})):
        assert end(site, "rivals", verb, body, site.acme).status_code == 404
    assert end(site, "own", "void", key=site.acme).status_code == 200
    assert end(site, "gateways", "settle", {"cost_nanos": 1}, site.acme).status_code == 200
    assert site.books.hold("rivals").state == "open"  # type: ignore[union-attr]


def test_of_a_shared_limit_a_tenants_key_learns_only_the_rung(site: Site) -> None:
    ladder = (Threshold(500_000, "warn"), Threshold(1_000_000, "block"))
    put(site, limit("shared", scope=(), thresholds=ladder))
    hold(site, "r", 777, subject={"tenant": "rival"})
    end(site, "r", "settle", {"cost_nanos": 777})
    (told,) = hold(site, "a", 1, site.acme).json()["limits"]
    assert (told["used"], told["held"], told["left"]) == (500, 0, 500)
    refused = hold(site, "b", 600, site.acme)
    assert refused.status_code == 402
    assert "777" not in refused.text
    (seen,) = hold(site, "c", 1).json()["limits"]
    assert (seen["used"], seen["held"]) == (777, 2)


def test_a_limit_of_one_tenant_is_that_tenants_own(site: Site) -> None:
    put(site, limit("acmes", scope=(Match("tenant", ("acme",)),)))
    (told,) = hold(site, "a", 123, site.acme).json()["limits"]
    assert (told["scope"], told["held"]) == ("[]", 123)


def test_when_the_books_cannot_write_it_is_told_to_try_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, limit())

    def full(_: Any) -> Any:
        raise StorageFullError

    with monkeypatch.context() as patch:
        patch.setattr(site.books, "apply", full)
        answer = hold(site, "h", 5)
        assert answer.status_code == 507
        assert answer.headers["retry-after"]
    assert hold(site, "h", 5).status_code == 200


def test_when_the_authority_is_gone_it_is_503(site: Site) -> None:
    put(site, limit())
    site.enforcer.authority.stop()
    answer = hold(site, "h", 5)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_the_authority_shows_in_the_metrics(site: Site) -> None:
    put(site, limit())
    hold(site, "h1", 600)
    end(site, "h1", "settle", {"cost_nanos": 600})
    hold(site, "h2", 900)
    site.services.limit_notices.flush()
    text = site.client.get("/metrics").text
    assert "outlay_authority_batch_ops_count 3.0" in text
    assert "outlay_authority_seconds_count 3.0" in text
    assert 'outlay_limit_actions_total{action="block",mode="enforce"} 1.0' in text
    assert "outlay_authority_waiting 0.0" in text
    assert RIVAL not in text
