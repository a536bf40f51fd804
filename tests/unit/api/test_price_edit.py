"""Changing prices over HTTP: files and rows, dry runs, refusals, and the catalogue again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from outlay.api import price_edit
from outlay.core.prices import PriceBook, RateRow
from tests.unit.api.site import NOW, Site

DAY = 86_400_000_000
YAML = """
rates:
  - {provider: openai, model: gpt, unit: input, price: 1.5, source: order 12}
  - {provider: openai, model: gpt, unit: input, price: 1.2, layer: contract, tenant: acme}
  - {provider: openai, model: gpt, unit: input, price: 1.1, layer: contract, tenant: rival}
aliases:
  - {provider: openai, name: house-model, model: gpt}
sell:
  - {unit: cost, markup: 1.3}
  - {unit: cost, markup: 1.2, tenant: rival}
"""
CATALOGUE = PriceBook(rates=(RateRow.make("openai", "gpt", "input", 2_000_000_000),))


@pytest.fixture(autouse=True)
def _priced(site: Site) -> None:
    site.books.save_catalogue(CATALOGUE, source="s", actor="test", at=1)


def send(site: Site, text: str, media: str = "application/yaml", **asked: Any) -> Any:
    params = {"reason": "order 12", **asked}
    headers = {"Content-Type": media}
    return site.call("POST", "/v1/prices", content=text.encode(), params=params, headers=headers)


def rows(site: Site, **values: Any) -> Any:
    return site.call("POST", "/v1/prices", json={"reason": "because", **values})


def show(site: Site, key: str | None = None, **asked: Any) -> Any:
    params = {"provider": "openai", "model": "gpt", **asked}
    return site.call("GET", "/v1/prices/show", key, params=params).json()


RATE = {"provider": "openai", "model": "gpt", "unit": "input", "price": "3"}


class TestChanging:
    def test_a_file_is_taken_whole_with_who_and_why(self, site: Site) -> None:
        answer = send(site, YAML).json()
        assert (answer["dry_run"], answer["added"], answer["superseded"]) == (False, 6, 0)
        book = site.books.load_prices()
        assert {r.recorded_at for r in book.rates if r.layer != "catalogue"} == {NOW}
        entry = site.books.audit(limit=1)[0]
        assert (entry.action, entry.details["reason"]) == ("prices.change", "order 12")
        assert entry.actor.startswith("key_")

    def test_csv_and_rows_as_json_say_the_same(self, site: Site) -> None:
        csv = "provider,model,unit,price\nopenai,gpt,input,3\n"
        assert send(site, csv, "text/csv").json()["added"] == 1
        assert rows(site, rates=[RATE]).json() == {
            "dry_run": False, "added": 0, "superseded": 0, "rates": [], "replaced": [],
            "aliases": [], "sells": [], "replaced_sells": [],
        }  # fmt: skip

    def test_a_json_number_is_read_as_it_is_written(self, site: Site) -> None:
        body = json.dumps({"reason": "r", "rates": [RATE]}).replace('"3"', "0.29")
        headers = {"Content-Type": "application/json"}
        answer = site.call("POST", "/v1/prices", content=body.encode(), headers=headers).json()
        assert [r["nanos_per_million"] for r in answer["rates"]] == [290_000_000]

    def test_a_dry_run_shows_all_and_writes_nothing(self, site: Site) -> None:
        rows(site, rates=[RATE])
        before = (site.books.revision("prices"), len(site.books.audit()))
        change = {**RATE, "price": "4", "valid_from": "2026-10-01"}
        answer = rows(site, rates=[change], dry_run=True).json()
        assert (answer["dry_run"], answer["added"], answer["superseded"]) == (True, 2, 1)
        assert [r["nanos_per_million"] for r in answer["replaced"]] == [3_000_000_000]
        assert send(site, YAML, dry_run=True).json()["dry_run"] is True
        assert (site.books.revision("prices"), len(site.books.audit())) == before
        assert rows(site, rates=[change]).json()["added"] == 2

    def test_a_row_is_withdrawn_by_its_id(self, site: Site) -> None:
        made = rows(site, rates=[RATE]).json()["rates"][0]
        assert rows(site, withdraw=[made["rate_id"]]).json()["superseded"] == 1
        assert [r["layer"] for r in show(site)["rates"]] == ["catalogue"]
        again = rows(site, withdraw=[made["rate_id"]])
        assert (again.status_code, again.json()["error"]["code"]) == (404, "not_found")

    def test_a_price_far_off_needs_force(self, site: Site) -> None:
        slip = {**RATE, "per": 1}
        refused = rows(site, rates=[slip])
        assert refused.status_code == 400
        assert refused.json()["error"]["problems"][0]["item"] == "rates[0]"
        assert rows(site, rates=[slip], force=True).status_code == 200


class TestRefusing:
    def test_every_problem_comes_with_its_line_and_nothing_is_taken(self, site: Site) -> None:
        bad = YAML.replace("unit: input, price: 1.5", "unit: inptu, price: -1")
        answer = send(site, bad)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["where"]) == (400, "bad_prices", "line 3")
        assert [(p["line"], p["field"]) for p in error["problems"]] == [(3, "unit"), (3, "price")]
        assert {r.layer for r in site.books.load_prices().rates} == {"catalogue"}

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_a_change_needs_a_reason(self, site: Site, reason: str) -> None:
        for answer in (send(site, YAML, reason=reason), rows(site, rates=[RATE], reason=reason)):
            assert (answer.status_code, answer.json()["error"]["where"]) == (400, "reason")

    @pytest.mark.parametrize(
        ("body", "media", "status"),
        [
            (b"{", "application/json", 400),
            (b"\xff", "application/json", 400),
            (b'{"rates": 5}', "application/json", 400),
            (b'{"reson": "x"}', "application/json", 400),
            (b"rates: []", "text/plain", 415),
            (b"rates: []", "", 415),
            (b"a\xff", "text/csv", 400),
        ],
    )
    def test_what_is_no_change_is_refused(
        self, site: Site, body: bytes, media: str, status: int
    ) -> None:
        headers = {"Content-Type": media}
        answer = site.call("POST", "/v1/prices?reason=r", content=body, headers=headers)
        assert answer.status_code == status

    def test_bodies_are_bounded(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(price_edit, "MAX_FILE_BYTES", len(YAML.encode()))
        assert send(site, YAML, dry_run=True).status_code == 200
        assert send(site, YAML + " ", dry_run=True).status_code == 413
        body = {"reason": "r", "rates": [RATE], "dry_run": True}
        monkeypatch.setattr(price_edit, "MAX_DOCUMENT_BYTES", 10)
        assert site.call("POST", "/v1/prices", json=body).status_code == 400


class TestSync:
    def test_the_installed_catalogue_takes_the_place_of_what_was_there(self, site: Site) -> None:
        rows(site, rates=[{**RATE, "layer": "correction"}, RATE])
        dry = site.call("POST", "/v1/prices/sync?dry_run=true").json()
        assert (dry["rows_changed"], dry["dry_run"]) == (0, True)
        assert dry["prices_changed"] > 1000
        done = site.call("POST", "/v1/prices/sync").json()
        assert done["rows_changed"] > 1000
        assert done["source"].startswith("genai-prices ")
        own = [r.layer for r in site.books.load_prices().rates if r.model == "gpt"]
        assert sorted(own) == ["correction", "override"]
        again = site.call("POST", "/v1/prices/sync").json()
        assert (again["rows_changed"], again["prices_changed"]) == (0, 1)

    def test_a_file_of_the_packages_export_is_taken(self, site: Site) -> None:
        export = [{
            "id": "openai", "name": "OpenAI", "api_pattern": "x",
            "models": [{"id": "gpt", "match": {"equals": "gpt"}, "prices": {"input_mtok": 7}}],
        }]  # fmt: skip
        done = site.call("POST", "/v1/prices/sync", json=export).json()
        assert done["source"].endswith(" file 2026-09-21")
        (change,) = done["changes"]
        assert [r["nanos_per_million"] for r in change["before"]] == [2_000_000_000]
        assert [r["nanos_per_million"] for r in change["after"]] == [7_000_000_000]

    def test_a_file_that_is_none_is_refused(self, site: Site) -> None:
        assert site.call("POST", "/v1/prices/sync", json={"a": 1}).status_code == 400
        both = site.call("POST", "/v1/prices/sync?update=true", json=[])
        assert both.status_code == 400


class TestReading:
    @pytest.fixture(autouse=True)
    def _changed(self, site: Site) -> None:
        site.now = NOW
        assert send(site, YAML).status_code == 200

    def test_show_tells_the_rule_and_which_rate_wins(self, site: Site) -> None:
        found = show(site, model="house-model")
        said = found["resolution"]
        assert (said["model"], said["estimated"]) == ("gpt", False)
        assert "alias" in said["rule"] or "match" in said["rule"]
        assert [(r["layer"], r["wins"]) for r in found["rates"]] == [
            ("override", True), ("catalogue", False),
        ]  # fmt: skip
        assert [s["per_million"] for s in found["sells"]] == [1_300_000, 1_200_000]

    def test_show_for_a_tenant_has_its_contract(self, site: Site) -> None:
        found = show(site, tenant="acme")["rates"]
        assert [(r["layer"], r["tenant"], r["wins"]) for r in found] == [
            ("contract", "acme", True), ("override", "", False), ("catalogue", "", False),
        ]  # fmt: skip

    def test_show_as_known_before_the_change(self, site: Site) -> None:
        found = show(site, known_at=NOW - 1)
        assert [(r["layer"], r["wins"]) for r in found["rates"]] == [("catalogue", True)]
        listed = site.call("GET", f"/v1/prices?known_at={NOW - 1}").json()
        assert (len(listed["rates"]), listed["known_at"]) == (1, NOW - 1)

    def test_an_unknown_name_is_said_to_be_unpriced(self, site: Site) -> None:
        assert show(site, model="nothing")["resolution"] is None

    def test_history_goes_by_any_name_that_resolves(self, site: Site) -> None:
        for name in ("gpt", "GPT", "house-model"):
            params = {"provider": "openai", "model": name}
            found = site.call("GET", "/v1/prices/history", params=params).json()
            assert [r["layer"] for r in found["rates"]][-1] == "catalogue"
            assert len(found["rates"]) == 4
            assert found["models"][0]["id"]

    @pytest.mark.parametrize("form", ["yaml", "csv"])
    def test_an_export_is_a_file_that_changes_nothing(self, site: Site, form: str) -> None:
        answer = site.call("GET", f"/v1/prices/export?format={form}")
        media = {"yaml": "application/yaml", "csv": "text/csv"}[form]
        assert answer.headers["content-type"].partition(";")[0] == media
        again = send(site, answer.text, media).json()
        assert (again["added"], again["superseded"]) == (0, 0)

    def test_one_layer_is_exported(self, site: Site) -> None:
        text = site.call("GET", "/v1/prices/export?format=csv&layer=catalogue").text
        assert text.splitlines() == [
            "kind,provider,model,unit,price,per,layer", "rate,openai,gpt,input,2,1000000,catalogue",
        ]  # fmt: skip
        assert site.call("GET", "/v1/prices/export?layer=own").status_code == 400
        assert site.call("GET", "/v1/prices/export?format=xml").status_code == 400


class TestIsolation:
    """A key of one tenant: its own contract, the operator's rates, and nothing of anybody else."""

    @pytest.fixture(autouse=True)
    def _changed(self, site: Site) -> None:
        assert send(site, YAML).status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/prices", "/v1/prices?known_at=2026-12-01T00:00:00Z",
            "/v1/prices/show?provider=openai&model=gpt",
            "/v1/prices/show?provider=openai&model=gpt&tenant=rival",
            "/v1/prices/history?provider=openai&model=gpt",
            "/v1/prices/export", "/v1/prices/export?format=csv", "/v1/prices/export?layer=contract",
            "/v1/prices/snapshot",
        ],
    )  # fmt: skip
    def test_only_its_own_rows_are_shown(self, site: Site, path: str) -> None:
        answer = site.call("GET", path, site.acme)
        assert answer.status_code == 200
        assert "acme" in answer.text
        assert "rival" not in answer.text
        assert "markup" not in answer.text
        assert '"per_million"' not in answer.text
        everything = site.call("GET", path)
        assert "rival" in everything.text or "tenant=" in path

    def test_snapshots_differ_by_tenant_and_keep_their_etags(self, site: Site) -> None:
        whole = site.call("GET", "/v1/prices/snapshot").headers["etag"]
        own = site.call("GET", "/v1/prices/snapshot", site.acme).headers["etag"]
        assert whole != own
        known = {"If-None-Match": own}
        again = site.call("GET", "/v1/prices/snapshot", site.acme, headers=known)
        assert again.status_code == 304
        assert site.call("GET", "/v1/prices/snapshot", headers=known).status_code == 200

    def test_a_key_that_only_sends_events_sees_nothing_of_selling(self, site: Site) -> None:
        found = site.call("GET", "/v1/prices", site.key("ingest")).json()
        assert found["sells"] == []
        assert len(site.call("GET", "/v1/prices").json()["sells"]) == 2


def test_aliases_of_one_model_that_are_added_at_the_same_time_all_stay(site: Site) -> None:
    def add(number: int) -> int:
        alias = {"provider": "openai", "name": f"name-{number}", "model": "gpt"}
        status: int = rows(site, aliases=[alias]).status_code
        return status

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(add, range(16))) == {200}
    book = site.books.load_prices()
    assert len({row.match for row in book.models}) == 16


def test_what_a_catalogue_corrects_is_not_exported_as_written_by_hand(site: Site) -> None:
    theirs = RateRow.make("openai", "gpt", "output", 8_000_000_000, layer="correction")
    site.books.save_catalogue(
        PriceBook(rates=(*CATALOGUE.rates, theirs)), source="s", actor="test", at=2
    )
    rows(site, rates=[{**RATE, "layer": "correction"}])
    text = site.call("GET", "/v1/prices/export?format=csv").text
    assert ("input" in text, "output" in text) == (True, False)
    both = site.call("GET", "/v1/prices/export?format=csv&layer=correction").text
    assert "output" in both
