"""Comparing prices over HTTP: differences become findings, until a person settles them."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.api import price_check
from outlay.core.prices import PriceBook, RateRow
from outlay.store.base import Answer, Column
from outlay.store.query.model import Query
from tests.unit.api.site import NOW, Site

BOOK = PriceBook(rates=(RateRow.make("openai", "gpt", "input", 2_000_000_000),))
LITELLM = {
    "gpt": {"litellm_provider": "openai", "input_cost_per_token": 3e-06},
    "other": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
}


@pytest.fixture(autouse=True)
def _priced(site: Site) -> None:
    site.books.save_catalogue(BOOK, source="s", actor="test", at=1)


def diff(site: Site, **asked: Any) -> Any:
    return site.call("POST", "/v1/prices/diff", params=asked, json=LITELLM)


def open_findings(site: Site, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.call("GET", f"/v1/findings{query}").json()["findings"]
    return found


def test_p42_a_difference_is_told_and_kept_as_a_finding(site: Site) -> None:
    answer = diff(site).json()
    assert answer["compared"] == 1
    (found,) = answer["differences"]
    assert (found["ours"], found["theirs"], found["percent"]) == (2 * 10**9, 3 * 10**9, 50.0)
    assert answer["models_only_theirs"] == ["openai/other"]
    (finding,) = open_findings(site)
    assert (finding["kind"], finding["subject"]) == ("catalogue_drift", "openai/gpt input")
    diff(site)
    assert open_findings(site)[0]["times"] == 2


def test_a_wide_tolerance_finds_nothing(site: Site) -> None:
    assert diff(site, tolerance=50).json()["differences"] == []
    assert open_findings(site) == []


def test_the_comparison_is_made_at_a_time(site: Site) -> None:
    later = PriceBook(
        rates=(
            RateRow.make("openai", "gpt", "input", 2_000_000_000, valid_to=NOW),
            RateRow.make("openai", "gpt", "input", 3_000_000_000, valid_from=NOW),
        )
    )
    site.books.save_catalogue(later, source="s", actor="test", at=2)
    assert len(diff(site, at=NOW - 1).json()["differences"]) == 1
    assert diff(site).json()["differences"] == []


def test_a_finding_is_resolved_with_a_reason(site: Site) -> None:
    diff(site)
    body = {"kind": "catalogue_drift", "subject": "openai/gpt input", "reason": "their file is old"}
    closed = site.call("POST", "/v1/findings/resolve", json=body).json()["finding"]
    assert closed["resolved_at"] == NOW
    assert open_findings(site) == []
    assert len(open_findings(site, "?all=true")) == 1
    no_reason = site.call("POST", "/v1/findings/resolve", json={**body, "reason": " "})
    unknown = site.call("POST", "/v1/findings/resolve", json={**body, "subject": "x"})
    assert (no_reason.status_code, unknown.status_code) == (400, 404)


@pytest.mark.parametrize("content", [b"", b"{}", b"nonsense"])
def test_a_second_catalogue_that_is_none_is_refused(site: Site, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = site.call("POST", "/v1/prices/diff", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, "body")


def stated(monkeypatch: pytest.MonkeyPatch, site: Site) -> list[Query]:
    """Let the store answer what providers stated: 100 dollars, 10 of them drifted."""
    asked: list[Query] = []

    def query(question: Query, *, now: int) -> Answer:
        asked.append(question)
        drifted = len(question.filters) == 2
        columns = tuple(Column(name, "metric") for name in question.columns())
        row = (
            ("xai", "grok", 10 * 10**9, 1 * 10**9, 5)
            if drifted
            else ("xai", "grok", 100 * 10**9, 50)
        )
        assert len(row) == len(columns)
        return Answer(columns, [row], "events", *question.window(now))

    monkeypatch.setattr(site.olap, "query", query)
    return asked


def test_p31_what_a_provider_stated_is_compared_with_list_price(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = stated(monkeypatch, site)
    params = {"against": "stated", "last": "7d"}
    answer = site.call("POST", "/v1/prices/diff", params=params).json()
    (found,) = answer["differences"]
    assert (found["percent"], found["drifted_attempts"], found["attempts"]) == (-9.0, 5, 50)
    assert {q.last_us for q in asked} == {7 * 86_400_000_000}
    (finding,) = open_findings(site)
    assert (finding["kind"], finding["subject"]) == ("stated_drift", "xai/grok")


def test_a_stated_drift_within_the_tolerance_is_none(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated(monkeypatch, site)
    params = {"against": "stated", "tolerance": 9}
    assert site.call("POST", "/v1/prices/diff", params=params).json()["differences"] == []
    assert open_findings(site) == []


@pytest.mark.parametrize("params", [{"last": "1y"}, {"against": "them"}, {"tolerance": "-1"}])
def test_a_bad_parameter_is_refused(site: Site, params: dict[str, str]) -> None:
    answer = site.call("POST", "/v1/prices/diff", params={"against": "stated", **params})
    assert answer.status_code == 400


def test_another_tenants_key_sees_no_findings(site: Site) -> None:
    diff(site)
    answer = site.call("GET", "/v1/findings", site.acme)
    assert answer.status_code == 403
    assert "gpt" not in answer.text
    assert len(open_findings(site)) == 1


def test_a_provider_that_states_nothing_drifts_without_a_percentage(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def query(question: Query, *, now: int) -> Answer:
        columns = tuple(Column(name, "metric") for name in question.columns())
        drifted = len(question.filters) == 2
        row = ("openrouter", "free", 0, 10**9, 5) if drifted else ("openrouter", "free", 0, 50)
        return Answer(columns, [row], "events", *question.window(now))

    monkeypatch.setattr(site.olap, "query", query)
    answer = site.call("POST", "/v1/prices/diff", params={"against": "stated"})
    assert answer.json()["differences"][0]["percent"] is None
    assert [finding["details"]["percent"] for finding in open_findings(site)] == [None]


def test_only_the_widest_differences_become_findings(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_check, "MAX_LISTED", 0)
    assert diff(site).json()["counts"]["differences"] == 1
    assert open_findings(site) == []
