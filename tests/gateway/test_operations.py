"""What a platform team does with a gateway: change it while it runs, and look at it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.gateway.house import House, chat, cost

PATH = "/openai/v1/chat/completions"


@contextmanager
def changed(house: House, **settings: Any) -> Iterator[None]:
    """Serve by another configuration for a while."""
    before = dict(house.document)
    house.document.update(settings)
    house.write()
    revision = house.gateway.config.revision
    house.until(lambda: house.gateway.config.revision != revision)
    try:
        yield
    finally:
        house.document.clear()
        house.document.update(before)
        house.write()
        house.until(lambda: house.gateway.config.revision == revision)


def test_answers_tell_their_cost_and_what_is_left_where_that_is_on(house: House) -> None:
    tenant = house.tenant()
    secret = house.key(tenant)
    house.limit(tenant, cost(1000))
    with changed(house, cost_headers=True), house.client(secret) as client:
        first = client.post(PATH, json=chat(out=8, max_tokens=9))
        second = client.post(PATH, json=chat(out=8, max_tokens=9, stream=True))
    assert first.headers["outlay-cost-nanos"] == str(cost(8))
    assert int(first.headers["outlay-estimate-nanos"]) > 0
    left = int(first.headers["outlay-left-nanos"])
    assert cost(1000) - 2 * cost(9) <= left < cost(1000)
    # What a stream costs is not known when its headers leave.
    assert "outlay-cost-nanos" not in second.headers
    assert int(second.headers["outlay-left-nanos"]) <= left - cost(8) + cost(9)
    with house.client(secret) as client:
        assert "outlay-cost-nanos" not in client.post(PATH, json=chat(max_tokens=9)).headers


def test_a_new_upstream_serves_and_an_old_one_goes_without_a_failed_call(house: House) -> None:
    secret = house.key(house.tenant())
    upstreams = dict(house.document["upstreams"])
    upstreams["newest"] = upstreams.pop("open")
    with house.client(secret) as client:
        assert client.post("/newest/v1/chat/completions", json=chat()).status_code == 404
        with changed(house, upstreams=upstreams):
            assert client.post("/newest/v1/chat/completions", json=chat()).status_code == 200
            assert client.post("/open/v1/chat/completions", json=chat()).status_code == 404


def test_a_bad_file_changes_nothing_and_is_told(house: House) -> None:
    secret = house.key(house.tenant())
    good = house.file.read_text()
    house.file.write_text("upstreams: {openai: {urll: x}}")
    house.until(lambda: house.gateway.keeper.error)
    try:
        with house.client(secret) as client:
            assert client.post(PATH, json=chat()).status_code == 200
        assert "urll" in house.gateway.keeper.error
    finally:
        house.file.write_text(good)
        house.until(lambda: not house.gateway.keeper.error)


def test_work_without_a_tenant_is_kept_as_such_where_that_is_wanted(house: House) -> None:
    secret = house.key(None)
    with house.client(secret) as client:
        assert client.post(PATH, json=chat()).headers["outlay-problem"] == "no_tenant"
        with changed(house, unknown_tenant="unattributed"):
            assert client.post(PATH, json=chat(out=2)).status_code == 200
    [event] = house.events("unattributed", 1)
    assert (event["tenant_source"], event["cost_nanos"]) == ("none", cost(2))


def test_its_numbers_name_upstreams_and_never_tenants(house: House) -> None:
    tenant = house.tenant()
    with house.client(house.key(tenant)) as client:
        client.post(PATH, json=chat())
        client.post(PATH, json=chat(), headers={"x-do": json.dumps({"status": 500})})
    shown = house.metrics()
    assert 'outlay_gateway_attempts_total{outcome="ok",upstream="openai"}' in shown
    assert 'outlay_gateway_errors_total{kind="error",upstream="openai"}' in shown
    assert tenant not in shown


def test_hang_up_instead_of_draining_ends_the_upstreams_work(house: House) -> None:
    tenant = house.tenant()
    slow = {"x-do": json.dumps({"gap": 0.05})}
    with (
        changed(house, on_disconnect="hang_up"),
        house.client(house.key(tenant)) as client,
        client.stream("POST", PATH, json=chat(out=100, stream=True), headers=slow) as answer,
    ):
        next(answer.iter_raw())
        answer.close()
        [event] = house.events(tenant, 1)
        assert (event["status"], event["usage_source"]) == ("aborted", "estimated")
        house.until(lambda: house.provider.seen[-1].gone)


def test_an_unknown_path_of_its_own_is_said_to_be_none(house: House) -> None:
    assert httpx.get(f"{house.url}/v1/none").status_code == 404
