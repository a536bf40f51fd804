"""Leases over HTTP: slices, reports, the roll of a period, and each tenant its own."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.api.leases import MAX_LINES, Owners
from outlay.core.limits.limit import MAX_AMOUNT, Match, Threshold
from outlay.errors import UnavailableError
from tests.unit.api.limits_there import ACME, RIVAL, compact, grant, hold, limit, policy, put, sync
from tests.unit.api.site import NOW, Site

DAY = 86_400_000_000


def used(site: Site) -> list[tuple[int, int]]:
    found = sorted(site.books.counters(), key=lambda c: c.key.starts_at)
    return [(c.used, c.held) for c in found]


def line(site: Site, owner: str, **values: Any) -> dict[str, Any]:
    """Sync one line and return its answer."""
    answer = sync(site, owner, values)
    assert answer.status_code == 200, answer.text
    (told,) = answer.json()["lines"]
    return dict(told)


def test_a_process_gets_a_slice_and_is_told_how_long(site: Site) -> None:
    put(site, limit(amount=10_000))
    answer = sync(site, "p1", {"need": 100, "ahead": 9_000})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["now"], told["ttl_s"]) == (NOW, 30)
    assert told["policy"] == policy(site).headers["etag"].strip('"')
    (one,) = told["lines"]
    assert one["granted"] == 100 + (10_000 - 100) // 4
    assert (one["limit"], one["scope"], one["verdict"], one["exact"]) == (
        "budget", ACME, "ok", False,
    )  # fmt: skip
    assert (one["used"], one["held"]) == (0, one["granted"])
    assert (one["amount"], one["cap"]) == (10_000, 10_000)
    assert one["starts_at"] < NOW < one["ends_at"]
    assert one["counter"].endswith(f"|{one['starts_at']}")
    lease = site.books.hold("p1")
    assert lease is not None
    assert lease.expires_at == NOW + 30 * 1_000_000


def test_reports_are_totals_and_the_slice_follows_them(site: Site) -> None:
    put(site, limit(amount=10_000))
    first = line(site, "p1", need=100)
    for _ in range(2):  # the second time it was sent again
        told = line(site, "p1", counter=first["counter"], reported=60, calls=1, flying=30)
        assert (told["used"], told["held"], told["granted"]) == (60, 30, 30)
    sync(site, "p1", {"counter": first["counter"], "reported": 90, "calls": 2}, closing=True)
    assert used(site) == [(90, 0)]


def test_what_does_not_fit_is_over_and_what_others_hold_is_busy(site: Site) -> None:
    put(site, limit())
    assert line(site, "p1", need=600)["verdict"] == "ok"
    busy = line(site, "p2", need=600)
    assert (busy["verdict"], busy["granted"]) == ("busy", 0)
    sync(site, "p1", {"reported": 600, "calls": 1}, closing=True)
    over = line(site, "p2", need=600)
    assert (over["verdict"], over["used"]) == ("over", 600)


def test_near_the_cap_nothing_is_given_ahead(site: Site) -> None:
    put(site, limit())
    line(site, "p1", reported=985, calls=9)
    told = line(site, "p2", need=5, ahead=10)
    assert (told["exact"], told["granted"]) == (True, 5)


def test_a_limit_that_is_gone_or_has_other_scopes_is_dropped(site: Site) -> None:
    put(site, limit(), limit("off", mode="off"), limit("users", scope=(Match("user", each=True),)))
    answers = sync(
        site,
        "p1",
        {"limit": "gone", "need": 1},
        {"limit": "off", "need": 1},
        {"limit": "users", "need": 1},
        {"limit": "budget", "scope": "[]", "need": 1},
        {"limit": "credits", "need": 1},
        {"need": 1},
    ).json()["lines"]
    assert [one["verdict"] for one in answers] == ["gone"] * 5 + ["ok"]
    assert [one["granted"] for one in answers] == [0] * 5 + [1]


def test_a_listed_value_is_needed_where_values_are_listed(site: Site) -> None:
    parts = (Match("tenant", ("ac*",), each=True), Match("agent", ("research",), each=True))
    put(site, limit(scope=parts))

    def verdict(tenant: str, agent: str) -> Any:
        scope = compact(("tenant", tenant), ("agent", agent))
        return line(site, "p1", scope=scope, need=1)["verdict"]

    assert verdict("acme", "research/web") == "ok"
    assert verdict("rival", "research") == "gone"
    assert verdict("acme", "writer") == "gone"
    assert verdict("", "research") == "gone"


def test_requests_and_runs_are_named_in_the_scope(site: Site) -> None:
    put(site, limit(window="run"))
    told = line(site, "p1", scope=compact(("tenant", "acme"), ("run", "r1")), need=5)
    assert (told["verdict"], told["starts_at"], told["ends_at"]) == ("ok", 0, 0)
    assert line(site, "p1", need=5)["verdict"] == "gone"


def test_a_balance_is_leased_too(site: Site) -> None:
    grant(site, "acme", 1_000)
    told = line(site, "p1", limit="credits", need=300)
    assert (told["verdict"], told["granted"], told["cap"]) == ("ok", 300, 0)
    assert (told["used"], told["held"]) == (-1_000, 300)
    assert line(site, "p2", limit="credits", need=701)["verdict"] == "busy"


def test_a_shadow_is_never_refused(site: Site) -> None:
    put(site, limit(mode="shadow"))
    told = line(site, "p1", reported=5_000, need=900, ahead=800)
    assert (told["verdict"], told["granted"], told["cap"]) == ("ok", 1_700, None)
    assert told["amount"] == 1_000


# the roll of a period


def test_a_period_that_is_over_takes_the_report_and_the_answer_is_of_the_next(site: Site) -> None:
    put(site, limit(window="day"))
    old = line(site, "p1", need=900)
    site.now = old["ends_at"]
    told = line(
        site, "p1", counter=old["counter"], reported=800, calls=3, flying=50, need=300, ahead=10
    )
    assert told["counter"] != old["counter"]
    assert (told["starts_at"], told["used"]) == (old["ends_at"], 0)
    assert told["granted"] == 310
    # Calls on their way stay held where they began.
    assert used(site) == [(800, 50), (0, 310)]
    again = line(site, "p1", counter=told["counter"], reported=40, calls=1)
    assert (again["used"], again["counter"]) == (40, told["counter"])


def test_the_rest_of_a_period_is_reported_beside_the_next(site: Site) -> None:
    put(site, limit(window="day", amount=10_000))
    old = line(site, "p1", need=900)
    site.now = old["ends_at"]
    for lines in (
        [{"counter": old["counter"], "reported": 800, "calls": 2, "flying": 50}, {"need": 300}],
        [{"need": 300}, {"counter": old["counter"], "reported": 800, "calls": 2, "flying": 50}],
    ):
        told = sync(site, "p1", *lines).json()["lines"]
        by_need = {one["need"]: answer for one, answer in zip(
            [{"need": 0, **one} for one in lines], told, strict=True)}  # fmt: skip
        assert by_need[300]["granted"] == 300
        assert by_need[0]["granted"] == 0
        assert by_need[0]["counter"] == by_need[300]["counter"] != old["counter"]
        assert used(site) == [(800, 50), (0, 300)]


def test_a_clock_that_is_ahead_opens_the_next_period_too_early(site: Site) -> None:
    """Two lines are about one counter then: they are added, and each has its part."""
    put(site, limit(window="day", amount=10_000))
    old = line(site, "p1", need=100)
    told = sync(
        site,
        "p1",
        {"counter": old["counter"], "reported": 60, "calls": 1, "flying": 40},
        {"reported": 5, "calls": 1, "need": 300, "ahead": 20},
    ).json()["lines"]
    assert [one["counter"] for one in told] == [old["counter"]] * 2
    assert [one["granted"] for one in told] == [40, 320]
    assert used(site) == [(65, 360)]


def test_a_counter_of_a_window_that_the_limit_has_no_more_is_left_to_events(site: Site) -> None:
    put(site, limit(window="day"))
    old = line(site, "p1", need=100)
    put(site, limit(window="month"))
    told = line(site, "p1", counter=old["counter"], reported=70, calls=1, need=10)
    assert (told["used"], told["granted"]) == (0, 10)


@pytest.mark.parametrize(
    "counter",
    ["x", "budget|0", "budget|0123456789abcdef|0", "other|0|0", "{series}|-1", "{series}|01",
     "{series}|", "{series}|²", "{series}|99999999999999999999"],
)  # fmt: skip
def test_a_counter_of_something_else_is_refused(site: Site, counter: str) -> None:
    put(site, limit(window="day"))
    series = line(site, "p1", need=1)["counter"].rpartition("|")[0]
    answer = sync(site, "p1", {"counter": counter.replace("{series}", series)})
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, "counter")


# bounds and bad input


@pytest.mark.parametrize(
    "scope",
    ["", "x", "{}", "[1]", '[["tenant"]]', '[["tenant", "acme"]]', '[["tenant","acme"],]',
     '[["tenant","acme"],["tenant","acme"]]', '[["tenant","\\u0061cme"]]', "[" * 500],
)  # fmt: skip
def test_a_scope_is_written_exactly_as_keys_are(site: Site, scope: str) -> None:
    put(site, limit())
    answer = sync(site, "p1", {"scope": scope})
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, "scope")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"owner": ""}, "owner"),
        ({"owner": "x" * 129}, "owner"),
        ({"owner": "tenant:acme"}, "owner"),
        ({"lines": [{"limit": "budget", "reported": -1}]}, "body"),
        ({"lines": [{"limit": "budget", "reported": MAX_AMOUNT + 1}]}, "body"),
        ({"lines": [{"limit": "budget", "colour": 1}]}, "body"),
        ({"lines": [{"limit": "x" * 65}]}, "body"),
        ({"lines": [{"limit": "x"}] * (MAX_LINES + 1)}, "body"),
    ],
)
def test_bad_syncs_are_refused_with_the_place(site: Site, change: Any, where: str) -> None:
    answer = site.call("POST", "/v1/leases", json={"owner": "p1", "lines": [], **change})
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, where), answer.text


def test_as_many_lines_as_may_be_are_taken(site: Site) -> None:
    put(site, limit(window="run"))
    lines = [
        {"scope": compact(("tenant", "acme"), ("run", f"r{n}")), "need": 1}
        for n in range(MAX_LINES)
    ]
    site.services.settings = type(site.services.settings)()
    site.app.state.memory.free = 10**9
    answer = sync(site, "p1", *lines)
    assert answer.status_code == 200, answer.text
    assert sum(one["granted"] for one in answer.json()["lines"]) == MAX_LINES


def test_an_owner_is_no_hold(site: Site) -> None:
    put(site, limit())
    hold(site, "h1", 5)
    assert sync(site, "h1", {"need": 1}).status_code == 409
    sync(site, "p1", {"need": 1})
    assert hold(site, "p1", 5).status_code == 409


def test_without_the_books_it_is_told_to_try_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> Any:
        raise UnavailableError

    put(site, limit())
    monkeypatch.setattr(site.books, "apply", down)
    answer = sync(site, "p1", {"need": 1})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    monkeypatch.setattr(site.books, "limits", down)
    put_again = site.services.policy
    put_again.expire()
    put_again._revisions.clear()
    assert sync(site, "p1", {"need": 1}).status_code == 503


# looking, and tenants


def test_leases_are_listed_with_their_lines(site: Site) -> None:
    put(site, limit())
    sync(site, "p1", {"need": 5})
    site.now += 1
    sync(site, "p2", {"need": 7})
    listed = site.call("GET", "/v1/leases").json()["leases"]
    assert [(one["owner"], one["lines"][0]["held"]) for one in listed] == [("p2", 7), ("p1", 5)]
    assert listed[0]["more_lines"] == 0
    sync(site, "p1", {"reported": 5, "calls": 1}, closing=True)
    closed = site.call("GET", "/v1/leases?state=closed").json()["leases"]
    assert [(one["owner"], one["lines"][0]["used"]) for one in closed] == [("p1", 5)]
    assert site.call("GET", "/v1/leases?state=odd").status_code == 400


def test_a_tenants_key_gets_nothing_of_another_tenant(site: Site) -> None:
    put(site, limit())
    grant(site, "rival", 500)
    answer = sync(
        site, "p1", {"scope": RIVAL, "need": 5}, {"limit": "credits", "scope": RIVAL, "need": 5},
        {"need": 5}, key=site.acme,
    )  # fmt: skip
    assert [one["verdict"] for one in answer.json()["lines"]] == ["gone", "gone", "ok"]
    assert used(site) == [(0, 5)]


def test_a_tenants_key_cannot_touch_anothers_lease(site: Site) -> None:
    put(site, limit())
    rival = site.key("ingest", "read", tenant="rival")
    sync(site, "p-rival", {"scope": RIVAL, "need": 5}, key=rival)
    sync(site, "p-both", {"scope": RIVAL, "need": 5}, {"need": 5})
    for owner in ("p-rival", "p-both"):
        answer = sync(site, owner, closing=True, key=site.acme)
        assert answer.status_code == 409
        assert "rival" not in answer.text
    sync(site, "p-acme", {"need": 5}, key=site.acme)
    listed = site.call("GET", "/v1/leases", site.acme)
    assert [one["owner"] for one in listed.json()["leases"]] == ["p-acme"]
    assert "rival" not in listed.text
    assert all(lease.state == "open" for lease in site.books.holds(leases=True))


def test_an_owner_stays_its_tenants_without_any_line(site: Site) -> None:
    sync(site, "p1", key=site.acme)
    rival = site.key("ingest", tenant="rival")
    assert sync(site, "p1", key=rival).status_code == 409
    assert sync(site, "p1", key=site.acme).status_code == 200


def test_remembered_owners_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.api.leases.MAX_OWNERS", 2)
    owners = Owners()
    assert not owners.bind("p", "acme", {"rival"})
    assert not owners.bind("p", "acme", {"rival", "acme"})
    for number in range(3):
        assert owners.bind(f"p{number}", "acme", {"acme"})
    assert not owners.knows("p0", "acme")
    assert owners.knows("p2", "acme")
    assert not owners.bind("p2", "rival", set())


def test_a_tenants_key_gets_nothing_of_a_limit_that_is_anothers(site: Site) -> None:
    put(site, limit("rivals", scope=(Match("tenant", ("rival", "r2")),)))
    answer = sync(site, "p1", {"limit": "rivals", "scope": "[]", "need": 5}, key=site.acme)
    assert [one["verdict"] for one in answer.json()["lines"]] == ["gone"]
    assert line(site, "p2", limit="rivals", scope="[]", need=5)["verdict"] == "ok"


def test_of_a_shared_limit_a_tenants_key_learns_only_the_rung(site: Site) -> None:
    ladder = (Threshold(500_000, "warn"), Threshold(1_000_000, "block"))
    put(site, limit("shared", scope=(), thresholds=ladder))
    sync(
        site,
        "p-rival",
        {"limit": "shared", "scope": "[]", "reported": 777, "calls": 3, "flying": 9},
    )
    answer = sync(site, "p1", {"limit": "shared", "scope": "[]", "need": 100}, key=site.acme)
    (told,) = answer.json()["lines"]
    assert (told["used"], told["held"], told["granted"], told["verdict"]) == (500, 0, 100, "ok")
    over = sync(site, "p1", {"limit": "shared", "scope": "[]", "need": 300}, key=site.acme)
    assert over.json()["lines"][0]["verdict"] == "over"
