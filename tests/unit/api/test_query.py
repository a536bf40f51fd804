"""Questions over HTTP: parsed, answered, and refused with words that help."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core.prices import PriceBook, RateRow
from outlay.errors import StorageBusyError
from tests.unit.api.site import NOW, Site

QUESTION = {"metrics": ["cost"], "by": ["tenant"], "last": "15m"}


def stored(number: int, **values: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "request_id": "r", "tenant_id": "acme", "cost_nanos": 7,
        "started_at": NOW, "ended_at": NOW, "agent_path": "boss", "lines": [], **values,
    }  # fmt: skip


def test_an_answer_has_columns_rows_source_and_window(site: Site) -> None:
    site.olap.events = [stored(1)]
    answer = site.call("POST", "/v1/query", json=QUESTION)
    assert answer.status_code == 200
    assert answer.json() == {
        "columns": [
            {"name": "tenant", "kind": "dimension", "unit": ""},
            {"name": "cost", "kind": "metric", "unit": "nanos"},
        ],
        "rows": [["acme", 7]],
        "source": "events",
        "from": "2026-09-21T13:58:20Z",
        "to": "2026-09-21T14:13:20Z",
    }


@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "says"),
    [
        (b'{"metrics": ["costs"]}', {}, 400, "bad_query", "Did you mean 'cost'"),
        (b"{}", {}, 400, "bad_query", "metric"),
        (b"[]", {}, 400, "bad_request", "object"),
        (b"{", {}, 400, "bad_request", "not valid JSON"),
        (b"", {}, 400, "bad_request", "not valid JSON"),
        (b"\xff", {}, 400, "bad_request", "not valid JSON"),
        (b" " * (1024 * 1024 + 1), {}, 413, "too_large", "larger"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported", "application/json"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "unsupported", "not be encoded"),
    ],
)
def test_a_bad_question_is_refused_with_the_reason(
    site: Site, body: bytes, headers: dict[str, str], status: int, code: str, says: str
) -> None:
    said = {"Content-Type": "application/json", **headers}
    answer = site.call("POST", "/v1/query", content=body, headers=said)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert says in error["message"]
    assert site.olap.asked == []


def test_a_store_that_cannot_answer_is_told(site: Site) -> None:
    site.olap.fails = StorageBusyError()
    answer = site.call("POST", "/v1/query", json=QUESTION)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_tree_is_built_from_the_requests_events(site: Site) -> None:
    site.olap.events = [stored(1), stored(2), stored(3, request_id="other")]
    got = site.call("GET", "/v1/requests/r/tree").json()
    assert (got["cost_nanos"], got["attempts"], got["tenant"]) == (14, 2, "acme")
    assert got["root"]["children"][0]["name"] == "boss"


@pytest.mark.parametrize("path", ["/v1/requests/none/tree", "/v1/events/none"])
def test_what_is_not_there_is_404(site: Site, path: str) -> None:
    answer = site.call("GET", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert site.call("GET", path.replace("none", "x" * 257)).status_code == 404


def test_another_tenants_event_reads_the_same_as_no_event(site: Site) -> None:
    site.olap.events = [stored(1, tenant_id="rival")]
    other = site.call("GET", "/v1/events/e1", site.acme)
    none = site.call("GET", "/v1/events/e2", site.acme)
    assert (other.status_code, other.content) == (none.status_code, none.content)


def test_an_event_is_explained_with_the_rate_as_it_was(site: Site) -> None:
    rate = RateRow.make("openai", "gpt", "input", 1_000_000)
    line = {
        "unit": "input",
        "quantity": 7,
        "rate_id": rate.rate_id,
        "nanos": 7,
        "basis": "catalogue",
    }
    site.olap.events = [stored(1, lines=[line])]
    site.books.save_catalogue(PriceBook(rates=(rate,)), source="s", actor="test", at=1)
    site.books.save_catalogue(PriceBook(), source="s", actor="test", at=2)
    got = site.call("GET", "/v1/events/e1").json()
    assert got["event"]["cost_nanos"] == 7
    assert got["lines"][0]["rate"]["superseded_at"] == 2
    assert got["derivation"]["adds_up"]


def test_the_schema_lists_what_can_be_asked(site: Site) -> None:
    got = site.call("GET", "/v1/query/schema").json()
    assert set(got) == {"metrics", "dimensions", "filters", "grains"}
    assert {"name", "unit", "meaning"} == set(got["metrics"][0])


def test_a_request_id_may_hold_any_character(site: Site) -> None:
    site.olap.events = [stored(1, request_id="shop/order?42/tree")]
    answer = site.call("GET", "/v1/requests/shop%2Forder%3F42%2Ftree/tree")
    assert (answer.status_code, answer.json()["attempts"]) == (200, 1)
