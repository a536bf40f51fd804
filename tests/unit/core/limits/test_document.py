"""Limits as people write them: what is read, what is refused and why, and the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from outlay.core.limits.document import (
    Document,
    check_limit,
    contradictions,
    entitlement_document,
    limit_document,
    read_entitlement,
    read_limit,
    read_limits,
)
from outlay.core.limits.limit import (
    MAX_AMOUNT,
    MAX_DELAY_MS,
    MAX_SPAN_US,
    MAX_THRESHOLD_PPM,
    MAX_THRESHOLDS,
    MAX_VALUES,
    MIN_SPAN_US,
    PPM,
    Entitlement,
    Limit,
    Match,
    Threshold,
)
from outlay.errors import BadRequestError

WHOLE = """
limits:
  - id: acme-month
    name: Acme's month
    scope: {tenant: acme, feature: each, model: [gpt-5*, claude-*], agent: {each: [research, web]}}
    metric: cost
    window: month
    zone: Europe/Berlin
    anchor_day: 15
    amount: "500.00"
    thresholds:
      - {at: 80%, action: warn}
      - {at: 90%, action: downgrade, models: {gpt-5: gpt-5-mini}}
      - {at: 95%, action: throttle, delay_ms: 500}
      - {at: 97.5%, action: escalate, url: "https://ops.example/raise"}
      - {at: 100%, action: block}
    priority: 10
    mode: shadow
    on_unreachable: closed
    strict: true
  - {id: bursts, scope: {tenant: each}, window: rate 1m, amount: 3, burst: "0.5"}
  - {id: at-once, metric: concurrent_calls, amount: 20, mode: off}
  - {id: soft, metric: tokens, window: rolling 24h, amount: 1500000,
     thresholds: [{at: 150%, action: warn}]}
entitlements:
  - plan: free
    agents: [summarizer]
    models: [gpt-5-mini*]
    names: [basic]
"""


EACH_TENANT = Match("tenant", each=True)


def base(**more: Any) -> dict[str, Any]:
    return {"id": "l", "window": "month", "amount": "5", **more}


def refused(value: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read_limit(value, "limits[0]")
    return caught.value


def test_a_whole_document() -> None:
    document = read_limits(yaml.safe_load(WHOLE))
    assert document == Document(
        (
            Limit(
                "acme-month", "cost", "month", 500_000_000_000,
                scope=(
                    Match("tenant", ("acme",)),
                    Match("feature", each=True),
                    Match("agent", ("research", "web"), each=True),
                    Match("model", ("gpt-5*", "claude-*")),
                ),
                thresholds=(
                    Threshold(800_000, "warn"),
                    Threshold(900_000, "downgrade", models=(("gpt-5", "gpt-5-mini"),)),
                    Threshold(950_000, "throttle", delay_ms=500),
                    Threshold(975_000, "escalate", url="https://ops.example/raise"),
                    Threshold(PPM, "block"),
                ),
                zone="Europe/Berlin", anchor_day=15, priority=10, mode="shadow",
                on_unreachable="closed", strict=True, name="Acme's month",
            ),
            Limit(
                "bursts", "cost", "rate", 3_000_000_000, scope=(Match("tenant", each=True),),
                span_us=60_000_000, burst=500_000_000,
            ),
            Limit("at-once", "concurrent_calls", "none", 20, mode="off"),
            Limit(
                "soft", "tokens", "rolling", 1_500_000, span_us=86_400_000_000,
                thresholds=(Threshold(1_500_000, "warn"),),
            ),
        ),
        (Entitlement("free", agents=("summarizer",), models=("gpt-5-mini*",), names=("basic",)),),
    )  # fmt: skip


def test_defaults_are_a_hard_limit_of_cost_for_everybody() -> None:
    limit = read_limit({"id": "l", "window": "day", "amount": 5})
    assert limit == Limit("l", "cost", "day", 5_000_000_000)
    assert limit.cap(limit.amount) == limit.amount


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        ({"amuont": 1}, ".amuont", "Did you mean `amount`"),
        ({"id": "Big Limit"}, ".id", "not an id"),
        ({"id": ""}, ".id", "blank"),
        ({"id": "a" * 65}, ".id", "not an id"),
        ({"id": 7}, ".id", "not text"),
        ({"id": "credits"}, ".id", "prepaid balances"),
        ({"name": "x" * 257}, ".name", "257 bytes"),
        ({"name": "two\nlines"}, ".name", "cannot be shown"),
        ({"scope": "acme"}, ".scope", "not a mapping"),
        ({"scope": {"tenat": "a"}}, ".scope.tenat", "Did you mean `tenant`"),
        ({"scope": {"tenant": []}}, ".scope.tenant", "empty"),
        ({"scope": {"tenant": ""}}, ".scope.tenant", "blank"),
        ({"scope": {"tenant": " a"}}, ".scope.tenant", "blank"),
        ({"scope": {"tenant": None}}, ".scope.tenant", "not text"),
        ({"scope": {"tenant": 42}}, ".scope.tenant", "not text"),
        ({"scope": {"tenant": ["a", "b", "a"]}}, ".scope.tenant[2]", "listed twice"),
        ({"scope": {"model": ["gpt-5", "GPT-5"]}}, ".scope.model[1]", "listed twice"),
        ({"scope": {"provider": ["azure", "azure-openai"]}}, ".scope.provider[1]", "listed twice"),
        ({"scope": {"tenant": "a*b"}}, ".scope.tenant", "not at its end"),
        ({"scope": {"tenant": {"each": []}}}, ".scope.tenant.each", "empty"),
        ({"scope": {"tenant": {"each": False}}}, ".scope.tenant.each", "not text"),
        ({"scope": {"tenant": {"all": ["a"]}}}, ".scope.tenant.all", "not known"),
        ({"scope": {"billing_unit": "42"}}, ".scope.billing_unit", "selects nothing"),
        ({"scope": {"initiator": "cron"}}, ".scope.initiator", "not known"),
        ({"scope": {"agent": "a//b"}}, ".scope.agent", "selects nothing"),
        ({"scope": {"agent": "/a"}}, ".scope.agent", "selects nothing"),
        ({"metric": "costs"}, ".metric", "Did you mean `cost`"),
        ({"metric": "credits"}, ".metric", "prepaid balance"),
        ({"window": None}, ".window", "no window"),
        ({"window": "fortnight"}, ".window", "not known"),
        ({"window": "none"}, ".window", "not known"),
        ({"window": "rolling"}, ".window", "needs a length"),
        ({"window": "rolling 24"}, ".window", "not a length"),
        ({"window": "rolling 1.5h"}, ".window", "not a length"),
        ({"window": "rolling 0s"}, ".window", "between"),
        ({"window": "rate 367d"}, ".window", "between"),
        ({"window": "month 3d"}, ".window", "no length"),
        ({"window": 24}, ".window", "not known"),
        ({"metric": "concurrent_calls", "amount": 5}, ".window", "no window"),
        ({"zone": "Berlin"}, ".zone", "no time zone"),
        ({"zone": "../../etc/passwd"}, ".zone", "no time zone"),
        ({"window": "rolling 1h", "zone": "UTC"}, ".zone", "means nothing"),
        ({"anchor_day": 0}, ".anchor_day", "between 1 and 31"),
        ({"anchor_day": 32}, ".anchor_day", "between 1 and 31"),
        ({"anchor_day": True}, ".anchor_day", "not a whole number"),
        ({"window": "day", "anchor_day": 5}, ".anchor_day", "months only"),
        ({"amount": 0}, ".amount", "not above zero"),
        ({"amount": "-5"}, ".amount", "not an amount"),
        ({"amount": 12.5}, ".amount", "never a float"),
        ({"amount": "0.0000000001"}, ".amount", "not an amount"),
        ({"amount": "$5"}, ".amount", "not an amount"),
        ({"amount": "1e3"}, ".amount", "not an amount"),
        ({"amount": "1,000"}, ".amount", "not an amount"),
        ({"amount": True}, ".amount", "not an amount"),
        ({"amount": None}, ".amount", "not an amount"),
        ({"amount": "1000000000.000000001"}, ".amount", "absurd"),
        ({"metric": "tokens", "amount": "1.5M"}, ".amount", "not a whole number"),
        ({"metric": "tokens", "amount": 1.0}, ".amount", "never a float"),
        ({"metric": "tokens", "amount": MAX_AMOUNT + 1}, ".amount", "absurd"),
        ({"burst": 5}, ".burst", "rate only"),
        ({"window": "rate 1m", "burst": 0}, ".burst", "not above zero"),
        ({"priority": -1}, ".priority", "between"),
        ({"priority": "high"}, ".priority", "not a whole number"),
        ({"mode": "enforced"}, ".mode", "Did you mean `enforce`"),
        ({"mode": True}, ".mode", "not known"),
        ({"on_unreachable": "close"}, ".on_unreachable", "Did you mean `closed`"),
        ({"strict": "yes"}, ".strict", "neither true nor false"),
        (
            {"metric": "calls", "amount": 1, "thresholds": [{"at": "50%", "action": "block"}]},
            ".amount",
            "so small a part of it is nothing",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(
    change: dict[str, Any], where: str, message: str
) -> None:
    error = refused(base(**change))
    assert error.where == f"limits[0]{where}"
    assert message in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("rungs", "where", "message"),
    [
        ([], "", "empty"),
        ("block", "", "not a list"),
        ([{"action": "warn"}], "[0]", "no `at`"),
        ([{"at": "80%"}], "[0]", "no `action`"),
        ([{"at": 80, "action": "warn"}], "[0].at", "not a percentage"),
        ([{"at": "80", "action": "warn"}], "[0].at", "not a percentage"),
        ([{"at": "0%", "action": "warn"}], "[0].at", "not above 0%"),
        ([{"at": "1000.0001%", "action": "warn"}], "[0].at", "at most 1,000%"),
        ([{"at": "80.00001%", "action": "warn"}], "[0].at", "not a percentage"),
        ([{"at": "80%", "action": "stop"}], "[0].action", "not known"),
        ([{"at": "80%", "action": "warn", "to": "me"}], "[0].to", "not known"),
        ([{"at": "80%", "action": "warn"}] * 2, "[1]", "already"),
        (
            [{"at": "90%", "action": "block"}, {"at": "80%", "action": "block"}],
            "[1]",
            "another part",
        ),
        ([{"at": "80%", "action": "throttle"}], "[0]", "needs `delay_ms`"),
        ([{"at": "80%", "action": "throttle", "delay_ms": 0}], "[0].delay_ms", "between"),
        (
            [{"at": "80%", "action": "throttle", "delay_ms": MAX_DELAY_MS + 1}],
            "[0].delay_ms",
            "between",
        ),
        ([{"at": "80%", "action": "warn", "delay_ms": 5}], "[0].delay_ms", "for throttle only"),
        ([{"at": "80%", "action": "downgrade"}], "[0]", "needs `models`"),
        ([{"at": "80%", "action": "downgrade", "models": {}}], "[0].models", "maps models"),
        (
            [{"at": "80%", "action": "downgrade", "models": {"a": "A"}}],
            "[0].models.a",
            "mapped to itself",
        ),
        (
            [{"at": "80%", "action": "downgrade", "models": {"a": "b*"}}],
            "[0].models.a",
            "is no model",
        ),
        (
            [{"at": "80%", "action": "downgrade", "models": {"a": "b", "b": "c"}}],
            "[0].models.a",
            "mapped on itself",
        ),
        (
            [{"at": "80%", "action": "downgrade", "models": {"a": "c", "A": "d"}}],
            "[0].models.A",
            "mapped twice",
        ),
        ([{"at": "80%", "action": "escalate"}], "[0]", "needs a `url`"),
        ([{"at": "80%", "action": "escalate", "url": "ftp://x/y"}], "[0].url", "no address"),
        ([{"at": "80%", "action": "escalate", "url": "https://"}], "[0].url", "no address"),
        ([{"at": "80%", "action": "warn", "url": "https://x:port"}], "[0].url", "no address"),
        ([{"at": "80%", "action": "warn", "url": "https://[x"}], "[0].url", "no address"),
        ([{"at": "80%", "action": "warn", "url": "https://u:p@x/"}], "[0].url", "a password"),
    ],
)
def test_a_bad_ladder_is_refused_with_its_place(rungs: Any, where: str, message: str) -> None:
    error = refused(base(thresholds=rungs))
    assert error.where == f"limits[0].thresholds{where}"
    assert message in error.message


def test_bounds_are_inclusive() -> None:
    rungs = [{"at": f"{n + 1}%", "action": "warn"} for n in range(MAX_THRESHOLDS)]
    assert len(read_limit(base(thresholds=rungs)).thresholds) == MAX_THRESHOLDS
    rungs.append({"at": "100%", "action": "block"})
    assert "at most 16" in refused(base(thresholds=rungs)).message
    many = [f"t{n}" for n in range(MAX_VALUES)]
    assert read_limit(base(scope={"tenant": many})).scope[0].values == tuple(many)
    assert "at most 100" in refused(base(scope={"tenant": [*many, "x"]})).message
    assert read_limit(base(window="rolling 1s")).span_us == MIN_SPAN_US
    assert read_limit(base(window="rolling 366d")).span_us == MAX_SPAN_US
    assert read_limit(base(amount="1000000000")).amount == MAX_AMOUNT
    assert read_limit(base(amount="0.000000001")).amount == 1
    top = [{"at": "1000%", "action": "block"}]
    assert read_limit(base(thresholds=top)).block_ppm == MAX_THRESHOLD_PPM


def test_missing_parts_are_named() -> None:
    assert refused({"amount": 5, "window": "day"}).message == "The limit has no `id`."
    assert refused({"id": "l", "window": "day"}).message == "The limit has no `amount`."
    assert refused(["id"]).where == "limits[0]"


def test_a_pattern_may_match_the_model_that_it_is_mapped_to() -> None:
    rung = {"at": "90%", "action": "downgrade", "models": {"gpt-5*": "gpt-5-mini"}}
    assert read_limit(base(thresholds=[rung])).thresholds[0].models == (("gpt-5*", "gpt-5-mini"),)


def test_a_tenant_may_be_named_each() -> None:
    limit = read_limit(base(scope={"tenant": ["each"]}))
    assert limit.scope == (Match("tenant", ("each",)),)
    assert limit_document(limit)["scope"] == {"tenant": ["each"]}


@pytest.mark.parametrize(
    ("document", "where", "message"),
    [
        ({}, "limits", "empty"),
        ([], "", "not a mapping"),
        ({"limit": []}, "limit", "Did you mean `limits`"),
        ({"limits": []}, "limits", "empty"),
        ({"limits": {"id": "l"}}, "limits", "not a list"),
        ({"limits": [base(), base()]}, "limits[1].id", "limits[0] too"),
        ({"limits": [base(), base(id="m")]}, "limits", "`l` and `m` bound the same metric"),
        ({"entitlements": []}, "entitlements", "empty"),
        ({"entitlements": [{"plan": "free"}]}, "entitlements[0]", "lists nothing"),
        ({"entitlements": [{"names": ["x"]}]}, "entitlements[0]", "no `plan`"),
        (
            {"entitlements": [{"plan": "free", "agents": []}]},
            "entitlements[0].agents",
            "empty",
        ),
        (
            {"entitlements": [{"plan": "free", "names": ["x"]}] * 2},
            "entitlements[1]",
            "already",
        ),
    ],
)
def test_a_bad_document_is_refused_with_its_place(document: Any, where: str, message: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read_limits(document)
    assert caught.value.where == where
    assert message in caught.value.message


def test_limits_contradict_each_other_only_on_the_same_scope_metric_and_window() -> None:
    one = read_limit(base(scope={"tenant": "a", "model": ["x", "y"]}))
    twin = replace(one, limit_id="m", amount=7, scope=(Match("model", ("Y", "x")), one.scope[0]))
    assert len(contradictions([one, twin])) == 1
    assert "`l` and `m`" in contradictions([one, twin])[0]
    for other in (
        replace(twin, window="day"),
        replace(twin, metric="tokens"),
        replace(twin, zone="Europe/Berlin"),
        replace(twin, anchor_day=2),
        replace(twin, scope=one.scope[:1]),
        replace(twin, scope=(replace(one.scope[0], each=True), one.scope[1])),
        replace(twin, mode="off"),
        replace(twin, mode="shadow"),
    ):
        assert contradictions([one, other]) == []


def test_what_was_made_otherwise_is_checked_by_the_same_rules() -> None:
    check_limit(Limit("l", "cost", "month", 5, scope=(Match("model", ("m",)), EACH_TENANT)))


@pytest.mark.parametrize(
    "limit",
    [
        Limit("L", "cost", "month", 5),
        Limit("l", "cost", "month", 0),
        Limit("l", "cost", "month", 5, span_us=60_000_000),
        Limit("l", "cost", "day", 5, anchor_day=3),
        Limit("l", "cost", "rolling", 5, span_us=1_500_000),
        Limit("l", "cost", "month", 5, scope=(Match("tenant", ("a",)), Match("tenant", ("b",)))),
        Limit("l", "cost", "month", 5, thresholds=()),
    ],
)
def test_what_no_document_could_say_is_refused(limit: Limit) -> None:
    with pytest.raises(BadRequestError):
        check_limit(limit)


def test_an_entitlement_is_written_as_it_is_read() -> None:
    said = {"plan": "free", "agents": ["a", "b/c"], "models": ["gpt-5*"]}
    assert entitlement_document(read_entitlement(said)) == said
