"""What all wires share: routing, bounds, encodings, delays and the bill's own endpoint."""

from __future__ import annotations

import time

import httpx2
import pytest

from outlay.demo.children import Child
from tests.unit.demo.conftest import Site


def test_a_search_costs_half_a_cent(site: Site) -> None:
    reply = httpx2.post(
        f"{site.url}/serp/search", json={"q": "prices"}, headers={"x-demo-tenant": site.tenant}
    )
    assert len(reply.json()["results"]) == 5
    assert site.bill()["nanos"] == 5_000_000


def test_whole_answers_are_compressed_for_callers_who_can_read_it(site: Site) -> None:
    url = f"{site.url}/openai/v1/embeddings"
    body = {"model": "text-embedding-3-small", "input": ["a", "b", "c"], "encoding_format": "float"}
    packed = httpx2.post(url, json=body)
    plain = httpx2.post(url, json=body, headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


def test_unknown_routes_bad_bodies_and_bad_faults_are_refused_and_not_billed(site: Site) -> None:
    headers = {"x-demo-tenant": site.tenant}
    missing = httpx2.post(f"{site.url}/openai/v1/images", json={}, headers=headers)
    broken = httpx2.post(f"{site.url}/openai/v1/responses", content=b"{", headers=headers)
    wrong = httpx2.post(
        f"{site.url}/openai/v1/responses",
        json={"model": "gpt-5-mini", "input": "x"},
        headers={**headers, "x-demo-fault": "burn"},
    )
    assert [missing.status_code, broken.status_code, wrong.status_code] == [404, 400, 400]
    assert "x-demo-fault" in wrong.json()["error"]["message"]
    assert site.bill()["attempts"] == 0


def test_a_body_over_the_bound_is_refused(site: Site) -> None:
    reply = httpx2.post(f"{site.url}/openai/v1/responses", content=b" " * (4 * 1024 * 1024 + 1))
    assert reply.status_code == 413


def test_a_slow_first_byte_is_slow_and_costs_the_same(site: Site) -> None:
    began = time.monotonic()
    reply = httpx2.post(
        f"{site.url}/openai/v1/embeddings",
        json={"model": "text-embedding-3-small", "input": "abcd"},
        headers={"x-demo-tenant": site.tenant, "x-demo-fault": "slow;ms=200"},
    )
    assert reply.status_code == 200
    assert time.monotonic() - began >= 0.2
    assert site.bill()["nanos"] == 20


def test_nothing_is_in_flight_once_all_have_been_answered(site: Site) -> None:
    assert site.whole_bill()["in_flight"] == 0


def test_a_child_ends_when_its_parent_lets_go() -> None:
    child = Child("simulator", "outlay.demo.simulator", [])
    assert child.first_line()["url"].startswith("http://127.0.0.1:")
    child.ask_to_stop()
    assert child.wait(10)
    child.stop()


def test_a_child_that_dies_says_why() -> None:
    child = Child("simulator", "outlay.demo.simulator", ["--port", "none"])
    with pytest.raises(Exception, match="invalid int value"):
        child.first_line()
    child.stop()
