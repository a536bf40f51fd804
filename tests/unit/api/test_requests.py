"""Requests and actions over HTTP: what is asked of the store, what it answers, what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from outlay.store.query.actions import ActionRow, ActionsAnswer, ActionsQuestion, Bin, Spread
from outlay.store.query.requests import After, RequestRow, RequestsPage, RequestsQuestion
from tests.unit.api.site import NOW, Site

HOUR_US = 3_600_000_000
ROW = RequestRow(
    request_id="r", tenant="acme", tenants=1, feature="f", agent_root="boss", workflow=None,
    user="u", initiator="user", environment="production", started_at=NOW - 5_000_000,
    ended_at=NOW - 2_000_000, cost_nanos=70, sell_nanos=90, calls=3, attempts=4, errors=1,
    unpriced=0, input_tokens=10, output_tokens=5, models=("m",), providers=("p",),
)  # fmt: skip


def page(*rows: RequestRow, after: After | None = None, complete: bool = True) -> RequestsPage:
    return RequestsPage(rows, NOW - HOUR_US, NOW, after, complete)


def asked(site: Site, body: dict[str, Any]) -> Any:
    answer = site.call("POST", "/v1/requests", json=body)
    assert answer.status_code == 200, answer.text
    return site.olap.searched[-1]


def test_a_page_has_requests_the_window_and_where_it_goes_on(site: Site) -> None:
    site.olap.page = page(ROW)
    got = site.call("POST", "/v1/requests", json={"last": "1h"}).json()
    assert got == {
        "requests": [{
            "request_id": "r", "tenant": "acme", "tenants": 1, "feature": "f",
            "agent_root": "boss", "workflow": None, "user": "u", "initiator": "user",
            "environment": "production", "started_at": NOW - 5_000_000,
            "ended_at": NOW - 2_000_000, "duration_us": 3_000_000, "cost_nanos": 70,
            "sell_nanos": 90, "calls": 3, "attempts": 4, "retries": 1, "errors": 1, "unpriced": 0,
            "input_tokens": 10, "output_tokens": 5, "models": ["m"], "providers": ["p"],
            "status": "retried",
        }],
        "next": None, "from": "2026-09-21T13:13:20Z", "to": "2026-09-21T14:13:20Z",
        "complete": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("attempts", "errors", "unpriced", "status"),
    [(3, 0, 0, "ok"), (4, 1, 0, "retried"), (4, 2, 1, "failed"), (3, 0, 2, "unpriced"),
     (3, 1, 0, "failed"), (4, 1, 1, "unpriced")],
)  # fmt: skip
def test_a_request_has_failed_if_an_error_was_not_tried_again(
    attempts: int, errors: int, unpriced: int, status: str
) -> None:
    values = {name: getattr(ROW, name) for name in ROW.__dataclass_fields__}
    row = RequestRow(**{**values, "attempts": attempts, "errors": errors, "unpriced": unpriced})
    assert row.status == status


def test_the_store_is_asked_for_what_the_body_says(site: Site) -> None:
    question = asked(
        site,
        {"from": 5, "to": 9, "filters": [{"field": "tenant", "value": "acme"}], "order": "cost",
         "cost_from_nanos": 1, "cost_to_nanos": 2, "status": "failed", "limit": 200},
    )  # fmt: skip
    assert (question.start, question.end, question.order, question.limit) == (5, 9, "cost", 200)
    assert (question.cost_from, question.cost_to, question.status) == (1, 2, "failed")
    assert (question.tenant, question.scope) == (None, "acme")


def test_the_next_page_has_the_window_of_the_first_whatever_the_time(site: Site) -> None:
    site.olap.page = page(ROW, after=After(7, "r"))
    got = site.call("POST", "/v1/requests", json={"last": "1h"}).json()
    site.now += HOUR_US
    question = asked(site, {"last": "1h", "after": got["next"]})
    assert (question.start, question.end) == (NOW - HOUR_US, NOW)
    assert (question.after, question.narrowed) == (After(7, "r"), False)


def test_pages_behind_a_narrowed_window_stay_narrowed(site: Site) -> None:
    site.olap.page = page(ROW, after=After(7, "r"), complete=False)
    body = {"last": "30d", "order": "cost"}
    got = site.call("POST", "/v1/requests", json=body).json()
    assert not got["complete"]
    question = asked(site, {**body, "after": got["next"]})
    assert (question.start, question.narrowed) == (NOW - HOUR_US, True)


def cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("body", "where", "says"),
    [
        ({"limit": 201}, "limit", "1 to 200"),
        ({"limit": 0}, "limit", "1 to 200"),
        ({"order": "price"}, "order", "not known"),
        ({"status": "faild"}, "status", "Did you mean 'failed'"),
        ({"metrics": ["cost"]}, "metrics", "not known"),
        ({"cost_from_nanos": 0.5}, "cost_from_nanos", "whole number"),
        ({"filters": [{"field": "tennant", "value": "x"}]}, "filters[0].field", "'tenant'"),
        ({"last": "1y"}, "last", "duration"),
        ({"after": 5}, "after", "not a 'next'"),
        ({"after": "x" * 2000}, "after", "not a 'next'"),
        ({"after": "%%%"}, "after", "not a 'next'"),
        ({"after": cursor("newest", False, 1, 2, 3)}, "after", "not a 'next'"),
        ({"after": cursor("newest", False, 9, 2, 3, "r")}, "after", "not a 'next'"),
        ({"after": cursor("newest", False, 0, 10**17, 3, "r")}, "after", "not a 'next'"),
        ({"after": cursor("newest", False, 1, 2, 2**64, "r")}, "after", "not a 'next'"),
        ({"after": cursor("newest", False, 1, 2, 3, "\ud800")}, "after", "not a 'next'"),
        ({"after": cursor("cost", False, 1, 2, 3, "r")}, "after", "another order"),
    ],
)
def test_a_bad_question_is_refused_with_the_place(
    site: Site, body: dict[str, Any], where: str, says: str
) -> None:
    answer = site.call("POST", "/v1/requests", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["where"]) == (400, "bad_query", where)
    assert says in error["message"]
    assert site.olap.searched == []


def test_a_tenants_key_sees_its_own_whatever_is_filtered(site: Site) -> None:
    filters = [{"field": "tenant", "value": "rival"}]
    for path, more in (("/v1/requests", {}), ("/v1/actions", {"by": "feature"})):
        site.call("POST", path, site.acme, json={"filters": filters, **more})
        assert site.olap.searched[-1].scope == "acme"


def test_a_report_has_rows_bins_and_its_sample(site: Site) -> None:
    row = ActionRow("f", 4, 8, 5, 6, 1, 1, 1, 1, 3, Spread(2, 2, 3, 3, "r", 1, 2, 2, 10, 20))
    unseen = ActionRow("g", 0, 7, 5, 6, 1, 1, 1, 0, 0, None)
    site.olap.report = ActionsAnswer(
        (row, unseen), (Bin(None, 1000, 4),), 0.25, ("requests", "loops")
    )
    got = site.call("POST", "/v1/actions", json={"by": "feature", "last": "1h", "bins": "f"}).json()
    assert got["rows"][0]["dearest_request"] == "r"
    assert got["rows"][1] == dict.fromkeys(got["rows"][0]) | {
        "key": "g", "requests": 0, "cost_nanos": 7, "calls": 5, "attempts": 6, "errors": 1,
        "error_cost_nanos": 1, "retry_cost_nanos": 1, "loops": 0, "loop_cost_nanos": 0,
    }  # fmt: skip
    assert got["scaled"] == ["requests", "loops"]
    assert got["bins"] == [{"from_nanos": None, "to_nanos": 1000, "requests": 4}]
    assert (got["sample"], got["from"]) == (0.25, "2026-09-21T13:13:20Z")
    question = site.olap.searched[-1]
    assert isinstance(question, ActionsQuestion)
    assert (question.by, question.bins, question.limit) == ("feature", "f", 50)


@pytest.mark.parametrize(
    ("body", "where"),
    [({}, "by"), ({"by": "model"}, "by"), ({"by": "user", "limit": 501}, "limit"),
     ({"by": "user", "limit": -1}, "limit"),
     ({"by": "user", "bins": 5}, "bins"), ({"by": "user", "bins": "x" * 5000}, "bins"),
     ({"by": "user", "order": "cost"}, "order")],
)  # fmt: skip
def test_a_bad_report_is_refused_with_the_place(site: Site, body: Any, where: str) -> None:
    answer = site.call("POST", "/v1/actions", json=body)
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)


def test_questions_are_of_their_kind(site: Site) -> None:
    assert isinstance(asked(site, {}), RequestsQuestion)
