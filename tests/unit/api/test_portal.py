"""The customer portal: a tenant's own usage, charges, credits and limits, and never our cost."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from outlay.api import portal
from outlay.api.portal_question import DIMENSIONS as ALLOWED
from outlay.api.portal_question import METRICS, portal_dimensions
from outlay.config import Settings
from outlay.core.limits.limit import Limit, Match, Threshold
from outlay.core.rollup import DAY_US
from outlay.core.sell import SellRow
from outlay.errors import ConfigError
from outlay.store.base import PriceChange, Tenant
from outlay.store.credits import MICROS
from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.query.dimensions import DIMENSIONS, FILTER_FIELDS
from outlay.store.query.dimensions import METRICS as ALL_METRICS
from tests.factory import events_table, one_event
from tests.unit.api.portal_site import (
    NOW_S,
    SECRET,
    claims,
    put_limits,
    spend,
    token,
    unsigned,
)
from tests.unit.api.site import NOW, Site

COST: Final = 1_000_000_007
"""A prime: whatever sum, part or difference of our costs is shown would be a multiple of it."""
GRAINS: Final = ("none", "minute", "hour", "day", "month")
BY: Final = ("feature", "agent", "user", "workspace", "model")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, Settings(portal_secret=SECRET))
    olap = DuckDbStore(tmp_path / "olap.duckdb")
    made.services.olap = olap
    olap.write(events_table(*usage()), offset=6)
    yield made
    made.close()
    olap.close()


def usage() -> Iterator[dict[str, Any]]:
    """Give three calls of each tenant; of acme in two features, models and days."""
    for number, tenant in enumerate(["acme", "acme", "acme", "rival", "rival", "rival"], 1):
        at = NOW - (number % 3) * DAY_US - 60_000_000
        yield one_event(
            event_id=f"01990000-0000-7000-8000-00000000000{number}", tenant_id=tenant,
            started_at=at, ended_at=at + 1_000_000, received_at=at + 2_000_000,
            feature=f"{tenant}-chat-{number % 2}", user_id=f"{tenant}-user",
            request_id=f"r{number}",
            workspace_id=f"{tenant}-space", agent_path=f"{tenant}-agent",
            model_requested=f"{tenant}-model-{number}", model_served=f"{tenant}-model-{number}",
            price_model=f"{tenant}-model-{number}", input=100 * number, output=number,
            cost_nanos=COST * number, cost_input_nanos=COST * number, cost_output_nanos=0,
            list_cost_nanos=COST * 3 * number, provider_cost_nanos=COST * 5 * number,
            estimate_nanos=COST * 7 * number, sell_nanos=1_234_567 * number,
            credits_micros=50_000 * number, price_basis="override",
        )  # fmt: skip


def amounts(value: Any) -> Iterator[int | float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from amounts(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def check_no_cost(answer: Any) -> None:
    """Check that an answer holds neither a cost of ours, nor a word about costs or others."""
    for amount in amounts(answer.json()):
        assert not amount or amount % COST, f"{amount} is our cost"
    for number in range(1, 22):
        assert str(COST * number) not in answer.text
    for word in ("cost_nanos", "list_cost", "margin", "price_basis", "override", "rival"):
        assert word not in answer.text


def ask(site: Site, key: str | None = None, **body: Any) -> Any:
    return site.call("POST", "/v1/portal/usage", key or token(), json={"last": "7d", **body})


def grant(site: Site, tenant: str) -> None:
    site.books.grant(
        tenant, 250 * MICROS, key=f"key-{tenant}", reason=f"invoice of {tenant}",
        actor="boss@host", at=NOW,
    )  # fmt: skip
    site.books.adjust(
        tenant, -5 * MICROS, key=f"fix-{tenant}", reason="goodwill", actor="boss@host", at=NOW + 1
    )


class TestNeverOurCost:
    def test_no_question_shows_it(self, site: Site) -> None:
        splits = [[], *([name] for name in BY), list(BY)]
        asked = 0
        for metric, by, grain in itertools.product(METRICS, splits, GRAINS):
            answer = ask(site, metrics=[metric], by=by, grain=grain, order=[f"-{metric}"])
            assert answer.status_code == 200, answer.text
            assert answer.json()["rows"]
            check_no_cost(answer)
            asked += 1
        assert asked == 10 * 7 * 5
        check_no_cost(ask(site, metrics=list(METRICS), by=list(BY), grain="day"))

    def test_no_other_metric_is_known(self, site: Site) -> None:
        for metric in sorted(set(ALL_METRICS) - set(METRICS)):
            for metrics, order in (([metric], []), (["calls"], [metric])):
                answer = ask(site, metrics=metrics, order=order)
                assert answer.status_code == 400, metric
                assert "Did you mean 'cost" not in answer.text

    def test_nothing_else_can_be_split_or_filtered_by(self, site: Site) -> None:
        for name in sorted({*DIMENSIONS, *FILTER_FIELDS, "label.team"} - set(BY)):
            assert ask(site, metrics=["calls"], by=[name]).status_code == 400, name
            for value in ("x", 1, True, None):
                filters = [{"field": name, "op": "eq", "value": value}]
                answer = ask(site, metrics=["calls"], filters=filters)
                assert answer.status_code == 400, name
                assert answer.json()["error"]["where"] == "filters[0].field"

    def test_neither_limits_nor_credits_nor_me_show_it(self, site: Site) -> None:
        own = (Match("tenant", ("acme",)),)
        money = Limit(
            "m",
            "cost",
            "day",
            COST * 10,
            scope=own,
            name="Budget",
            thresholds=(Threshold(500_000, "escalate", url="https://hooks.host/x"),),
        )
        put_limits(site, money)
        spend(site, money, "[]", COST * 6)
        grant(site, "acme")
        site.books.change_prices(
            PriceChange(sells=(SellRow.make("cost", "nanos", 1_300_000),)),
            reason="r", actor="boss@host", at=1,
        )  # fmt: skip
        for path in ("me", "limits", "credits"):
            answer = site.call("GET", f"/v1/portal/{path}", token())
            assert answer.status_code == 200
            check_no_cost(answer)
            for word in ("boss@host", "hooks.host", "key-acme", "fix-acme"):
                assert word not in answer.text

    @pytest.mark.parametrize("name", sorted(set(DIMENSIONS) - set(ALLOWED)))
    def test_no_setting_can_open_it(self, name: str) -> None:
        with pytest.raises(ConfigError) as caught:
            portal_dimensions(Settings(portal_dimensions=f"feature,{name}"))
        assert caught.value.where == "portal_dimensions"


class TestUsage:
    def test_charges_are_what_the_tenant_is_charged(self, site: Site) -> None:
        answer = ask(site, metrics=["charges", "credits", "calls", "tokens"]).json()
        assert answer["columns"][0] == {"name": "charges", "kind": "metric", "unit": "nanos"}
        assert answer["rows"] == [[1_234_567 * 6, 50_000 * 6, 3, 606]]
        assert set(answer) == {"columns", "rows", "source", "from", "to"}

    def test_it_is_split_filtered_and_ordered(self, site: Site) -> None:
        answer = ask(
            site, metrics=["charges"], by=["model"], order=["-charges"], limit=2,
            filters=[{"field": "model", "op": "ne", "value": "acme-model-3"}],
        ).json()  # fmt: skip
        assert answer["rows"] == [["acme-model-2", 2_469_134], ["acme-model-1", 1_234_567]]

    @pytest.mark.parametrize(
        ("body", "where"),
        [
            ({}, "metrics"),
            ({"metrics": []}, "metrics"),
            ({"metrics": "calls"}, "metrics"),
            ({"metrics": ["calls"], "tenant": "rival"}, "tenant"),
            ({"metrics": ["calls"], "filters": {}}, "filters"),
            ({"metrics": ["calls"], "filters": ["x"]}, "filters[0]"),
            ({"metrics": ["calls"], "order": ["feature"]}, "order[0]"),
            ({"metrics": ["calls"], "limit": 10**9}, "limit"),
            ({"metrics": ["calls"], "from": 0}, "last"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named_without_a_word_about_cost(
        self, site: Site, body: dict[str, Any], where: str
    ) -> None:
        answer = ask(site, **body)
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)
        assert "cost" not in answer.text
        assert "/v1/portal/me" in answer.json()["error"]["hint"]

    def test_a_tenant_asks_so_much_at_once(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(portal, "MAX_QUESTIONS", 1)
        with site.app.state.portal_places.place("acme"):
            assert ask(site, metrics=["calls"]).status_code == 503
            assert ask(site, token(claims(sub="rival")), metrics=["calls"]).status_code == 200
        assert ask(site, metrics=["calls"]).status_code == 200
        assert not site.app.state.portal_places._taken


class TestIsolation:
    def test_two_tenants_see_each_their_own(self, site: Site) -> None:
        own = tuple(
            Limit(f"{one}-day", "calls", "day", 10, scope=(Match("tenant", (one,)),))
            for one in ("acme", "rival")
        )
        each = Limit("each", "tokens", "month", 9, scope=(Match("tenant", each=True),))
        put_limits(site, *own, each)
        for tenant in ("acme", "rival"):
            grant(site, tenant)
            spend(site, each, f'[["tenant","{tenant}"]]', 3)
        seen = {}
        for tenant in ("acme", "rival"):
            shown = token(claims(sub=tenant))
            texts = [
                site.call("GET", f"/v1/portal/{path}", shown).text
                for path in ("me", "limits", "credits")
            ]
            texts.append(ask(site, shown, metrics=["calls"], by=list(BY)).text)
            other = "rival" if tenant == "acme" else "acme"
            assert other not in "".join(texts)
            assert all(tenant in text for text in texts)
            seen[tenant] = texts
        assert seen["acme"] != seen["rival"]

    @pytest.mark.parametrize("field", BY)
    def test_naming_anothers_things_finds_nothing(self, site: Site, field: str) -> None:
        for op, value in (("eq", "rival-user"), ("prefix", "rival"), ("in", ["rival-space"])):
            filters = [{"field": field, "op": op, "value": value}]
            answer = ask(site, metrics=["calls"], by=[field], filters=filters)
            assert answer.json()["rows"] == []

    def test_a_key_with_the_scope_sees_the_same_as_a_link(self, site: Site) -> None:
        key = site.key("portal", tenant="acme")
        body: dict[str, Any] = {"metrics": ["charges"], "by": ["feature"]}
        assert ask(site, key, **body).json() == ask(site, **body).json()
        mine = site.call("GET", "/v1/portal/me", key).json()
        assert (mine["expires_at"], mine["theme"]) == (None, {})
        for path in ("/v1/limits", "/v1/credits", "/v1/tenants", "/v1/views", "/v1/settings"):
            assert site.call("GET", path, key).status_code == 403
        assert site.call("POST", "/v1/query", key, json={"metrics": ["cost"]}).status_code == 403

    def test_a_link_opens_nothing_else(self, site: Site) -> None:
        for method, path in (
            ("POST", "/v1/query"), ("GET", "/v1/limits"), ("GET", "/v1/credits/acme"),
            ("GET", "/v1/prices"), ("GET", "/v1/tenants"), ("POST", "/v1/events"),
            ("POST", "/v1/portal/links"), ("GET", "/v1/views"), ("GET", "/v1/gateway"),
        ):  # fmt: skip
            answer = site.call(method, path, token(), **({"json": {}} if method == "POST" else {}))
            assert answer.status_code == 403, path

    @pytest.mark.parametrize(
        "shown",
        [
            unsigned(), token(secret="x" * 32), token(claims(aud="other")),
            token(claims(iat=NOW_S - 900, exp=NOW_S - 60)), token(claims(exp=NOW_S + 90_000)),
            token(alg="HS512", hashed="sha512"), token(claims(sub="a b")), "a.b.c",
        ],
        ids=["none", "forged", "aud", "expired", "long", "alg", "sub", "text"],
    )  # fmt: skip
    def test_a_token_that_is_not_valid_opens_nothing(self, site: Site, shown: str) -> None:
        for path in ("me", "limits", "credits"):
            answer = site.call("GET", f"/v1/portal/{path}", shown)
            assert answer.status_code == 401
            assert shown not in answer.text
        assert ask(site, shown, metrics=["calls"]).status_code == 401
        assert site.call("GET", "/v1/currencies", shown).status_code == 401
        assert shown not in site.log_text.getvalue()


class TestMe:
    def test_it_tells_whose_it_is_and_how_it_looks(self, site: Site) -> None:
        site.books.put_tenant(Tenant("acme", name="Acme Ltd", plan="pro"), actor="t", at=2)
        theme = {"scheme": "dark", "accent": "#0f62fe", "bad": "<b>"}
        answer = site.call("GET", "/v1/portal/me", token(claims(theme=theme)))
        assert answer.json() == {
            "tenant": {"tenant_id": "acme", "name": "Acme Ltd"},
            "theme": {"scheme": "dark", "accent": "#0f62fe"},
            "expires_at": NOW + 900_000_000,
            "shows": {"charges": True, "credits": False, "limits": False},
            "dimensions": list(BY),
            "now": NOW,
        }

    def test_a_tenant_that_the_books_do_not_know_has_no_name(self, site: Site) -> None:
        mine = site.call("GET", "/v1/portal/me", token(claims(sub="new"))).json()
        assert mine["tenant"] == {"tenant_id": "new", "name": ""}
        assert mine["shows"] == {"charges": False, "credits": False, "limits": False}

    @pytest.mark.parametrize(
        ("row", "shown"),
        [
            ({}, True),
            ({"tenant": "new"}, True),
            ({"tenant": "rival"}, False),
            ({"plan": "pro"}, True),
            ({"plan": "free"}, False),
            ({"valid_to": NOW - DAY_US}, True),
            ({"valid_to": NOW - 36 * DAY_US}, False),
            ({"valid_from": NOW + 1}, False),
        ],
    )
    def test_charges_show_to_whom_the_book_charges(
        self, site: Site, row: dict[str, Any], shown: bool
    ) -> None:
        site.books.put_tenant(Tenant("new", plan="pro"), actor="t", at=2)
        sells = (SellRow.make("calls", "nanos", 10**6, **row),)
        site.books.change_prices(PriceChange(sells=sells), reason="r", actor="t", at=3)
        site.services.policy.expire()
        mine = site.call("GET", "/v1/portal/me", token(claims(sub="new"))).json()
        assert mine["shows"]["charges"] is shown

    def test_rows_of_credits_are_no_charges_of_money(self, site: Site) -> None:
        sells = (SellRow.make("calls", "credits", 10**6, tenant="new"),)
        site.books.change_prices(PriceChange(sells=sells), reason="r", actor="t", at=3)
        mine = site.call("GET", "/v1/portal/me", token(claims(sub="new"))).json()
        assert mine["shows"]["charges"] is False

    def test_what_there_is_shows(self, site: Site) -> None:
        grant(site, "acme")
        put_limits(site, Limit("l", "calls", "day", 1, scope=(Match("tenant", each=True),)))
        shows = site.call("GET", "/v1/portal/me", token()).json()["shows"]
        assert (shows["credits"], shows["limits"]) == (True, True)


class TestCredits:
    def test_balance_grants_and_entries_show_without_who_made_them(self, site: Site) -> None:
        grant(site, "acme")
        told = site.call("GET", "/v1/portal/credits", token()).json()
        assert told["balance"] == {
            "posted": 245 * MICROS, "held": 0, "floor": 0, "available": 245 * MICROS,
            "shortfall": 0,
        }  # fmt: skip
        [given] = told["grants"]
        assert (given["amount"], given["remaining"], given["reason"]) == (
            250 * MICROS, 245 * MICROS, "invoice of acme",
        )  # fmt: skip
        assert [(one["kind"], one["amount"], one["balance"]) for one in told["entries"]] == [
            ("adjustment", -5 * MICROS, 245 * MICROS), ("grant", 250 * MICROS, 250 * MICROS),
        ]  # fmt: skip
        assert "boss" not in json.dumps(told)

    def test_entries_come_in_pages(self, site: Site) -> None:
        grant(site, "acme")
        first = site.call("GET", "/v1/portal/credits?count=1", token()).json()
        rest = site.call(
            "GET", f"/v1/portal/credits?count=1&before={first['next']}", token()
        ).json()
        assert [one["kind"] for one in (*first["entries"], *rest["entries"])] == [
            "adjustment", "grant",
        ]  # fmt: skip
        assert site.call("GET", "/v1/portal/credits?count=1001", token()).status_code == 400
        for before, status in ((2**63 - 1, 200), (2**63, 400)):
            answer = site.call("GET", f"/v1/portal/credits?before={before}", token())
            assert answer.status_code == status

    def test_without_an_account_there_is_nothing(self, site: Site) -> None:
        assert site.call("GET", "/v1/portal/credits", token()).json() == {
            "balance": None, "grants": [], "entries": [], "next": None,
        }  # fmt: skip


def test_settings_may_open_labels_and_other_things_of_the_tenants_own() -> None:
    named = Settings(portal_dimensions="feature, label.team ,feature,status")
    assert portal_dimensions(named) == ("feature", "label.team", "status")
    assert portal_dimensions(Settings(portal_dimensions="")) == ()
    many = ",".join(f"label.{number}" for number in range(17))
    with pytest.raises(ConfigError, match="At most 16"):
        portal_dimensions(Settings(portal_dimensions=many))
