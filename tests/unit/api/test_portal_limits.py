"""Limits in the portal: how they stand for the tenant, and of money the share only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from outlay.config import Settings
from outlay.core.limits.holds import Settle
from outlay.core.limits.limit import Limit, Match
from tests.unit.api.portal_site import SECRET, put_limits, spend, token
from tests.unit.api.site import NOW, Site

OWN: Final = (Match("tenant", ("acme",)),)
PRICE: Final = 1_000_000_007


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, Settings(portal_secret=SECRET))
    yield made
    made.close()


def test_of_money_the_share_shows_of_other_things_the_amounts(site: Site) -> None:
    money = Limit("money", "cost", "month", PRICE * 8, scope=OWN, name="Budget")
    tokens = Limit("tokens", "tokens", "day", 1_000, scope=OWN)
    put_limits(site, money, tokens)
    spend(site, money, "[]", PRICE * 2)
    site.books.apply([Settle("h-money-[]", {"cost": PRICE * 2}, NOW)])
    spend(site, tokens, "[]", 1_000)
    site.books.apply([Settle("h-tokens-[]", {"tokens": 1_000}, NOW)])
    first, second = site.call("GET", "/v1/portal/limits", token()).json()["limits"]
    resets = first.pop("resets_at"), second.pop("resets_at")
    assert all(at > NOW for at in resets)
    assert first == {
        "name": "tokens", "metric": "tokens", "window": "day", "scope": {}, "share": 1.0,
        "used": 1_000, "amount": 1_000, "reached": ["block"], "mode": "enforce",
    }  # fmt: skip
    assert second == {
        "name": "Budget", "metric": "cost", "window": "month", "scope": {}, "share": 0.25,
        "used": None, "amount": None, "reached": [], "mode": "enforce",
    }  # fmt: skip


def test_a_limit_shows_before_anything_counts_in_it(site: Site) -> None:
    put_limits(
        site,
        Limit("own", "calls", "day", 5, scope=OWN),
        Limit("each", "calls", "hour", 6, scope=(Match("tenant", each=True),)),
        Limit(
            "pro",
            "calls",
            "week",
            7,
            scope=(Match("tenant", each=True), Match("plan", ("pro",))),
        ),
        Limit(
            "free",
            "calls",
            "month",
            8,
            scope=(Match("tenant", each=True), Match("plan", ("free",))),
        ),
    )
    rows = site.call("GET", "/v1/portal/limits", token()).json()["limits"]
    assert [(row["name"], row["used"], row["amount"]) for row in rows] == [
        ("each", 0, 6), ("own", 0, 5), ("pro", 0, 7),
    ]  # fmt: skip


def test_what_is_only_watched_off_or_of_all_is_left_out(site: Site) -> None:
    put_limits(
        site,
        Limit("shadow", "calls", "day", 5, scope=OWN, mode="shadow"),
        Limit("off", "calls", "week", 5, scope=OWN, mode="off"),
        Limit("request", "calls", "request", 5, scope=OWN),
        Limit("all", "calls", "day", 5),
        Limit("both", "calls", "day", 5, scope=(Match("tenant", ("acme", "rival")),)),
    )
    assert site.call("GET", "/v1/portal/limits", token()).json() == {"limits": []}


def test_scopes_of_users_say_whose_they_are(site: Site) -> None:
    limit = Limit(
        "u", "calls", "day", 4,
        scope=(*OWN, Match("user", each=True), Match("provider", each=True)),
    )  # fmt: skip
    put_limits(site, limit)
    for user, used in (("ada", 1), ("bob", 3)):
        scope = json.dumps([["user", user], ["provider", "openai"]], separators=(",", ":"))
        spend(site, limit, scope, used)
        site.books.apply([Settle(f"h-u-{scope}", {"calls": used}, NOW)])
    rows = site.call("GET", "/v1/portal/limits", token()).json()["limits"]
    assert [(row["scope"], row["used"]) for row in rows] == [
        ({"user": "bob"}, 3), ({"user": "ada"}, 1),
    ]  # fmt: skip
