"""A tenant's key sees its tenant only: one case per endpoint, and no endpoint without a case."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from starlette.routing import Route

from outlay.core.limits.holds import Need, Reserve, Sync, Want
from outlay.core.limits.limit import Limit, Match
from outlay.core.limits.period import counter_key
from outlay.core.prices import RateRow
from outlay.core.sell import SellRow
from outlay.store.base import PriceChange
from outlay.store.limits import LimitChange, Notice
from outlay.store.views import View
from outlay.store.virtual_keys import KeyTerms
from tests.unit.api.site import NOW, Site, event

OPEN = {
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/v1/openapi.json"),
    ("GET", "/v1/session"), ("GET", "/v1/session/oidc/start"),
    ("GET", "/v1/session/oidc/callback"),
}  # fmt: skip
"""For monitors, and for who wants to know what there is: no key, and no word about any tenant."""


@pytest.fixture(autouse=True)
def short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """End live streams after one tick."""
    monkeypatch.setattr("outlay.api.live.LISTEN_S", 0.0)


class Case(NamedTuple):
    method: str
    route: str
    path: str
    body: Any
    own: int
    other: int
    """Status for the tenant's own thing, and for another tenant's."""


VIEW = {"name": "n", "path": "/app/explore"}
CASES = [
    Case("POST", "/v1/events", "/v1/events", [event(5, tenant_id="{tenant}")], 200, 200),
    Case("POST", "/v1/query", "/v1/query", {"metrics": ["cost"], "by": ["tenant"], "filters": [
        {"field": "tenant", "value": "{tenant}"}]}, 200, 200),
    Case("GET", "/v1/query/schema", "/v1/query/schema", None, 200, 200),
    Case("POST", "/v1/requests", "/v1/requests", {"filters": [
        {"field": "tenant", "value": "{tenant}"}]}, 200, 200),
    Case("POST", "/v1/actions", "/v1/actions", {"by": "tenant", "bins": "{tenant}"}, 200, 200),
    Case("GET", "/v1/forecast", "/v1/forecast?tenant={tenant}", None, 200, 200),
    Case("GET", "/v1/live", "/v1/live", None, 200, 200),
    Case("GET", "/v1/requests/{request_id:path}/tree", "/v1/requests/req-{tenant}/tree", None,
         200, 404),
    Case("GET", "/v1/events/{event_id}", "/v1/events/ev-{tenant}", None, 200, 404),
    Case("GET", "/v1/tenants", "/v1/tenants", None, 200, 200),
    Case("GET", "/v1/tenants/{tenant_id:path}", "/v1/tenants/{tenant}", None, 200, 404),
    Case("POST", "/v1/tenants", "/v1/tenants", {"tenant_id": "{tenant}"}, 403, 403),
    Case("PUT", "/v1/tenants/{tenant_id:path}", "/v1/tenants/{tenant}", {"plan": "x"}, 403, 403),
    Case("GET", "/v1/keys", "/v1/keys", None, 403, 403),
    Case("POST", "/v1/keys", "/v1/keys", {"name": "n", "scopes": ["read"]}, 403, 403),
    Case("DELETE", "/v1/keys/{key_id}", "/v1/keys/key_x", None, 403, 403),
    Case("GET", "/v1/virtual-keys", "/v1/virtual-keys", None, 403, 403),
    Case("POST", "/v1/virtual-keys", "/v1/virtual-keys",
         {"name": "n", "tenant_id": "{tenant}"}, 403, 403),
    Case("DELETE", "/v1/virtual-keys/{key_id}", "/v1/virtual-keys/vk_x", None, 403, 403),
    Case("POST", "/v1/virtual-keys/{key_id}/rotate", "/v1/virtual-keys/vk_x/rotate", {},
         403, 403),
    Case("GET", "/v1/virtual-keys/feed", "/v1/virtual-keys/feed", None, 200, 200),
    Case("POST", "/v1/session", "/v1/session", {"email": "a@x", "password": "x"}, 401, 401),
    Case("DELETE", "/v1/session", "/v1/session", None, 401, 401),
    Case("POST", "/v1/session/password", "/v1/session/password", {"new": "x"}, 401, 401),
    Case("POST", "/v1/session/links", "/v1/session/links", {}, 403, 403),
    Case("GET", "/v1/users", "/v1/users", None, 403, 403),
    Case("POST", "/v1/users", "/v1/users", {"email": "a@x", "role": "admin"}, 403, 403),
    Case("PUT", "/v1/users/{user_id}", "/v1/users/u", {"role": "admin"}, 403, 403),
    Case("POST", "/v1/portal/links", "/v1/portal/links", {"tenant": "{tenant}"}, 403, 403),
    Case("GET", "/v1/portal/me", "/v1/portal/me", None, 403, 403),
    Case("POST", "/v1/portal/usage", "/v1/portal/usage", {"metrics": ["calls"]}, 403, 403),
    Case("GET", "/v1/portal/limits", "/v1/portal/limits", None, 403, 403),
    Case("GET", "/v1/portal/credits", "/v1/portal/credits", None, 403, 403),
    Case("GET", "/v1/views", "/v1/views", None, 200, 200),
    Case("POST", "/v1/views", "/v1/views", VIEW | {"view_id": "mine"}, 201, 201),
    Case("PUT", "/v1/views/{view_id}", "/v1/views/view-of-{tenant}", VIEW, 404, 404),
    Case("DELETE", "/v1/views/{view_id}", "/v1/views/view-of-{tenant}", None, 404, 404),
    Case("GET", "/v1/currencies", "/v1/currencies", None, 200, 200),
    Case("PUT", "/v1/currencies/{currency}", "/v1/currencies/EUR",
         {"per_usd": "0.9", "reason": "r"}, 403, 403),
    Case("GET", "/v1/settings", "/v1/settings", None, 403, 403),
    Case("GET", "/v1/gateway", "/v1/gateway", None, 403, 403),
    Case("GET", "/v1/dead-letters", "/v1/dead-letters", None, 403, 403),
    Case("GET", "/v1/audit", "/v1/audit", None, 403, 403),
    Case("GET", "/v1/status", "/v1/status", None, 403, 403),
    Case("GET", "/v1/prices", "/v1/prices", None, 200, 200),
    Case("GET", "/v1/prices/snapshot", "/v1/prices/snapshot", None, 200, 200),
    Case("GET", "/v1/prices/show", "/v1/prices/show?provider=openai&model=gpt&tenant={tenant}",
         None, 200, 200),
    Case("GET", "/v1/prices/history", "/v1/prices/history?provider=openai&model=gpt", None,
         200, 200),
    Case("GET", "/v1/prices/export", "/v1/prices/export?format=csv", None, 200, 200),
    Case("POST", "/v1/prices", "/v1/prices?reason=r", {"rates": [], "reason": "r"}, 403, 403),
    Case("POST", "/v1/prices/sync", "/v1/prices/sync?dry_run=true", None, 403, 403),
    Case("POST", "/v1/prices/diff", "/v1/prices/diff?against=stated", None, 403, 403),
    Case("GET", "/v1/prices/unpriced", "/v1/prices/unpriced", None, 403, 403),
    Case("POST", "/v1/prices/rerate", "/v1/prices/rerate",
         {"from": 0, "to": 1, "reason": "r", "tenant": "{tenant}"}, 403, 403),
    Case("POST", "/v1/prices/spread", "/v1/prices/spread",
         {"from": 0, "to": 1, "reason": "r", "provider": "p", "model": "m", "hourly_nanos": 1},
         403, 403),
    Case("GET", "/v1/limits/policy", "/v1/limits/policy", None, 200, 200),
    Case("GET", "/v1/holds", "/v1/holds", None, 200, 200),
    Case("GET", "/v1/holds/{hold_id:path}", "/v1/holds/hold-{tenant}", None, 200, 404),
    Case("POST", "/v1/holds", "/v1/holds", {"hold_id": "new", "subject": {"tenant": "{tenant}"},
         "estimate": {"cost_nanos": 1}}, 200, 403),
    Case("POST", "/v1/holds/{hold_id:path}/extend", "/v1/holds/hold-{tenant}/extend", {},
         200, 404),
    Case("POST", "/v1/holds/{hold_id:path}/settle", "/v1/holds/hold-{tenant}/settle",
         {"cost_nanos": 1}, 200, 404),
    Case("POST", "/v1/holds/{hold_id:path}/void", "/v1/holds/hold-{tenant}/void", None, 200, 404),
    Case("GET", "/v1/leases", "/v1/leases?owner=lease-{tenant}", None, 200, 200),
    Case("POST", "/v1/leases", "/v1/leases", {"owner": "lease-{tenant}", "closing": True},
         200, 409),
    Case("GET", "/v1/limits", "/v1/limits", None, 200, 200),
    Case("POST", "/v1/limits", "/v1/limits?reason=r", {"limits": []}, 403, 403),
    Case("GET", "/v1/limits/state", "/v1/limits/state?tenant={tenant}", None, 200, 200),
    Case("GET", "/v1/limits/notices", "/v1/limits/notices?tenant={tenant}", None, 200, 200),
    Case("POST", "/v1/limits/check", "/v1/limits/check", {"ids": []}, 403, 403),
    Case("GET", "/v1/limits/estimates", "/v1/limits/estimates?tenant={tenant}", None, 200, 200),
    Case("GET", "/v1/limits/{limit_id}", "/v1/limits/day-of-{tenant}", None, 200, 404),
    Case("PUT", "/v1/limits/{limit_id}", "/v1/limits/x?reason=r", {"amount": 1}, 403, 403),
    Case("DELETE", "/v1/limits/{limit_id}", "/v1/limits/x?reason=r", None, 403, 403),
    Case("GET", "/v1/limits/{limit_id}/history", "/v1/limits/x/history", None, 403, 403),
    Case("POST", "/v1/limits/{limit_id}/overrides", "/v1/limits/x/overrides",
         {"amount": 1, "ends_at": 2, "reason": "r"}, 403, 403),
    Case("DELETE", "/v1/limits/{limit_id}/overrides/{override_id}",
         "/v1/limits/x/overrides/o?reason=r", None, 403, 403),
    Case("GET", "/v1/credits", "/v1/credits", None, 200, 200),
    Case("GET", "/v1/credits/{tenant}", "/v1/credits/{tenant}", None, 200, 404),
    Case("GET", "/v1/credits/{tenant}/grants", "/v1/credits/{tenant}/grants", None, 200, 404),
    Case("GET", "/v1/credits/{tenant}/history", "/v1/credits/{tenant}/history", None, 200, 404),
    Case("PUT", "/v1/credits/{tenant}", "/v1/credits/{tenant}", {"reason": "r"}, 403, 403),
    *(Case("POST", f"/v1/credits/{{tenant}}/{what}", f"/v1/credits/{{tenant}}/{what}",
           {"key": "k", "reason": "r", "amount": 1}, 403, 403)
      for what in ("grants", "adjust", "refund", "transfer")),
    Case("GET", "/v1/verify", "/v1/verify", None, 403, 403),
    Case("GET", "/v1/findings", "/v1/findings", None, 403, 403),
    Case("POST", "/v1/findings/resolve", "/v1/findings/resolve",
         {"kind": "k", "subject": "s", "reason": "r"}, 403, 403),
]  # fmt: skip


def endpoints(site: Site) -> Iterator[tuple[str, str]]:
    """Give every method and path that the application serves."""
    waiting: list[Any] = list(site.app.routes)
    while waiting:
        route = waiting.pop()
        inner: Any = getattr(route, "original_router", None) or getattr(route, "app", None)
        if isinstance(route, Route):
            yield from ((m, route.path) for m in (route.methods or ()) if m != "HEAD")
        elif hasattr(inner, "routes"):
            waiting.extend(inner.routes)
        else:
            raise AssertionError(f"a route that this test cannot read: {route!r}")


def test_every_endpoint_has_a_case(site: Site) -> None:
    assert sorted(endpoints(site)) == sorted(OPEN | {(c.method, c.route) for c in CASES})


def filled(value: Any, tenant: str) -> Any:
    if isinstance(value, str):
        return value.replace("{tenant}", tenant)
    if isinstance(value, dict):
        return {key: filled(item, tenant) for key, item in value.items()}
    return [filled(item, tenant) for item in value] if isinstance(value, list) else value


def stored(tenant: str) -> dict[str, Any]:
    return {
        "event_id": f"ev-{tenant}", "request_id": f"req-{tenant}", "tenant_id": tenant,
        "cost_nanos": 7, "started_at": NOW, "ended_at": NOW, "user_id": f"user-of-{tenant}",
    }  # fmt: skip


def prices_of(tenant: str) -> PriceChange:
    rates = (
        RateRow.make("openai", "gpt", "input", 3, layer="override"),
        RateRow.make(
            "openai", "gpt", "input", 2, layer="contract", tenant=tenant, source=f"of {tenant}"
        ),
    )
    return PriceChange(rates=rates, sells=(SellRow.make("cost", "nanos", 9, tenant=tenant),))


def limited(site: Site, tenant: str) -> None:
    """Give a tenant a limit of its own with something used, credits, and a notice."""
    books = site.books
    limit = Limit(
        f"day-of-{tenant}", "cost", "day", 10**9, scope=(Match("tenant", (tenant,)),), name=tenant
    )
    books.change_limits(LimitChange(limits=(limit,)), reason=f"for {tenant}", actor="test", at=1)
    books.grant(tenant, 5_000_000, key="g", reason=f"for {tenant}", actor=f"{tenant}-admin", at=1)
    key = counter_key(limit, "[]", NOW)
    need = Need(key, "cost", 7, 10**9)
    want = Want(need, 0, 0, 0, 0)
    books.apply([
        Reserve(f"hold-{tenant}", f"owner-{tenant}", (need,), NOW, NOW + 10**9),
        Sync(f"lease-{tenant}", (want,), NOW, NOW + 10**9),
    ])  # fmt: skip
    notice = Notice(
        limit.limit_id, key.counter_id, key.scope_key, tenant, "crossed", 1, "warn", "enforce",
        NOW, 7, 10**9,
    )  # fmt: skip
    books.notice([notice])
    view = View(f"view-of-{tenant}", tenant, "/app/explore", "", True, f"user:{tenant}-admin", 1)
    books.add_view(view)
    for owner in (tenant, None):
        books.create_virtual_key(
            KeyTerms(f"{tenant}'s, of {owner}", owner), secret=f"ov_{tenant}-{owner}{'s' * 40}",
            actor="test", at=1,
        )  # fmt: skip


def state(site: Site) -> tuple[Any, ...]:
    books = site.books
    views = [books.view(f"view-of-{tenant}") for tenant in ("acme", "rival")]
    return books.tenant_history("rival"), len(books.keys()), books.virtual_keys(), views


def call(site: Site, case: Case, tenant: str, key: str | None) -> Any:
    parts = {} if case.body is None else {"json": filled(case.body, tenant)}
    return site.call(case.method, filled(case.path, tenant), key, **parts)


@pytest.mark.parametrize("case", CASES, ids=[f"{c.method} {c.route}" for c in CASES])
def test_a_tenants_key_sees_nothing_of_another_tenant(site: Site, case: Case) -> None:
    site.olap.events = [stored("acme"), stored("rival")]
    site.books.change_prices(prices_of("rival"), reason="for rival", actor="test", at=1)
    for tenant in ("acme", "rival"):
        limited(site, tenant)
    own = call(site, case, "acme", site.acme)
    assert own.status_code == case.own, own.text
    before = state(site)
    other = call(site, case, "rival", site.acme)
    assert other.status_code == case.other, other.text
    # The fake store answers queries with every row; the scope in the question is what counts.
    if case.route in ("/v1/query", "/v1/requests", "/v1/actions", "/v1/forecast"):
        asked = [*site.olap.asked, *site.olap.searched]
        assert len(asked) >= 2
        assert {question.tenant for question in asked} == {"acme"}
    elif case.route == "/v1/events":
        assert [r["code"] for r in other.json()["rejected"]] == ["wrong_tenant"]
        assert {row["tenant_id"] for row in site.stored()} == {"acme"}
    elif case.route == "/v1/virtual-keys/feed":
        # A key of no tenant is for services that work for all of them.
        assert [key["name"] for key in other.json()["keys"]] == ["acme's, of acme"]
        assert own.json() == other.json()
    else:
        assert "rival" not in own.text + other.text
    assert state(site) == before


@pytest.mark.parametrize("case", CASES, ids=[f"{c.method} {c.route}" for c in CASES])
def test_no_endpoint_answers_without_a_key(site: Site, case: Case) -> None:
    parts = {} if case.body is None else {"json": filled(case.body, "acme")}
    answer = site.client.request(case.method, filled(case.path, "acme"), **parts)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthenticated"
    assert answer.headers["www-authenticate"] == "Bearer"


NOBODYS = {"POST /v1/session", "DELETE /v1/session", "POST /v1/session/password"}
"""They look at who signs in, or is signed in, whatever key is shown."""
SCOPES = {
    "portal": {
        "GET /v1/portal/me", "POST /v1/portal/usage", "GET /v1/portal/limits",
        "GET /v1/portal/credits", "GET /v1/currencies", "GET /v1/live",
    },
    "operate": {
        "POST /v1/portal/links", "GET /v1/gateway",
        "POST /v1/limits", "PUT /v1/limits/{limit_id}", "DELETE /v1/limits/{limit_id}",
        "GET /v1/limits/{limit_id}/history", "POST /v1/limits/{limit_id}/overrides",
        "DELETE /v1/limits/{limit_id}/overrides/{override_id}", "POST /v1/findings/resolve",
        "GET /v1/virtual-keys", "POST /v1/virtual-keys", "DELETE /v1/virtual-keys/{key_id}",
        "POST /v1/virtual-keys/{key_id}/rotate",
    },
    "ingest": {
        "POST /v1/events", "GET /v1/prices", "GET /v1/prices/snapshot", "GET /v1/limits/policy",
        "POST /v1/holds", "POST /v1/holds/{hold_id:path}/extend", "POST /v1/leases",
        "POST /v1/holds/{hold_id:path}/settle", "POST /v1/holds/{hold_id:path}/void",
    },
    "read": {
        "POST /v1/query", "GET /v1/query/schema", "GET /v1/requests/{request_id:path}/tree",
        "POST /v1/requests", "POST /v1/actions", "GET /v1/forecast", "GET /v1/live",
        "GET /v1/views", "POST /v1/views", "PUT /v1/views/{view_id}",
        "DELETE /v1/views/{view_id}", "GET /v1/currencies",
        "GET /v1/events/{event_id}", "GET /v1/tenants", "GET /v1/tenants/{tenant_id:path}",
        "GET /v1/prices", "GET /v1/prices/snapshot", "GET /v1/prices/show",
        "GET /v1/prices/history", "GET /v1/prices/export", "GET /v1/findings",
        "GET /v1/limits/policy", "GET /v1/holds", "GET /v1/holds/{hold_id:path}", "GET /v1/leases",
        "GET /v1/prices/unpriced", "GET /v1/limits", "GET /v1/limits/state",
        "GET /v1/limits/notices", "GET /v1/limits/{limit_id}", "GET /v1/credits",
        "POST /v1/limits/check", "GET /v1/limits/estimates",
        "GET /v1/credits/{tenant}", "GET /v1/credits/{tenant}/grants",
        "GET /v1/credits/{tenant}/history",
    },
    "gateway": {"GET /v1/virtual-keys/feed"},
    "admin": {
        "POST /v1/portal/links", "PUT /v1/currencies/{currency}", "GET /v1/settings",
        "GET /v1/gateway",
        "POST /v1/session/links", "GET /v1/users", "POST /v1/users", "PUT /v1/users/{user_id}",
        "GET /v1/tenants", "GET /v1/tenants/{tenant_id:path}", "POST /v1/tenants",
        "PUT /v1/tenants/{tenant_id:path}", "GET /v1/keys", "POST /v1/keys",
        "DELETE /v1/keys/{key_id}", "GET /v1/dead-letters", "GET /v1/audit", "GET /v1/status",
        "GET /v1/prices", "GET /v1/prices/snapshot", "GET /v1/prices/show",
        "GET /v1/prices/history", "GET /v1/prices/export", "GET /v1/findings", "POST /v1/prices",
        "POST /v1/prices/sync", "POST /v1/prices/diff", "POST /v1/findings/resolve",
        "GET /v1/prices/unpriced", "POST /v1/prices/rerate", "POST /v1/prices/spread",
        "GET /v1/limits/policy", "GET /v1/holds", "GET /v1/holds/{hold_id:path}", "GET /v1/leases",
        "GET /v1/limits", "GET /v1/limits/state",
        "GET /v1/limits/notices", "GET /v1/limits/{limit_id}", "GET /v1/credits",
        "POST /v1/limits/check", "GET /v1/limits/estimates",
        "GET /v1/credits/{tenant}", "GET /v1/credits/{tenant}/grants",
        "GET /v1/credits/{tenant}/history",
        "POST /v1/limits", "PUT /v1/limits/{limit_id}", "DELETE /v1/limits/{limit_id}",
        "GET /v1/limits/{limit_id}/history", "POST /v1/limits/{limit_id}/overrides",
        "DELETE /v1/limits/{limit_id}/overrides/{override_id}", "PUT /v1/credits/{tenant}",
        "POST /v1/credits/{tenant}/grants", "POST /v1/credits/{tenant}/adjust",
        "POST /v1/credits/{tenant}/refund", "POST /v1/credits/{tenant}/transfer",
        "GET /v1/verify", "GET /v1/virtual-keys", "POST /v1/virtual-keys",
        "DELETE /v1/virtual-keys/{key_id}", "POST /v1/virtual-keys/{key_id}/rotate",
    },
}  # fmt: skip


@pytest.mark.parametrize("scope", list(SCOPES))
def test_a_scope_opens_exactly_its_endpoints(site: Site, scope: str) -> None:
    key = site.key(scope, tenant="acme" if scope == "portal" else None)
    opened = set()
    for case in CASES:
        answer = call(site, case, "acme", key)
        if answer.status_code != 403:
            opened.add(f"{case.method} {case.route}")
        else:
            assert "scope" in answer.json()["error"]["message"]
    assert opened == SCOPES[scope] | NOBODYS


@pytest.mark.parametrize(("method", "path"), sorted(OPEN))
def test_what_is_open_says_nothing_about_tenants(site: Site, method: str, path: str) -> None:
    site.post_events([event(1, tenant_id="acme", feature="f-secret")])
    site.call("GET", "/v1/tenants/acme")
    answer = site.client.request(method, path, follow_redirects=False)
    assert answer.status_code == (302 if "/oidc/" in path else 200)
    assert not re.search(r"acme|rival|f-secret|\bok_", answer.text)
