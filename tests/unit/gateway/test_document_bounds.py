"""Every number of a gateway's document has bounds, and is taken at them."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.gateway import document
from outlay.gateway.config import BreakerRule
from tests.unit.gateway.documents import read, refused, refused_upstream, upstream

MIB = 1024 * 1024


# -- bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("retries", 0, 5),
        ("max_concurrency", 1, 100_000),
        ("requests_per_minute", 0, 10_000_000),
        ("max_waiting", 0, 100_000),
    ],
)
def test_whole_numbers_of_an_upstream_are_bounded(name: str, low: int, high: int) -> None:
    for good in (low, high):
        assert getattr(upstream(**{name: good}), name) == good
    for bad in (low - 1, high + 1, "1", True, "1.5", None):
        refused_upstream(name, **{name: bad})


def test_a_tenant_has_no_more_waiting_than_all() -> None:
    assert upstream(max_waiting=100).max_waiting_per_tenant == 100
    assert upstream(max_waiting=5000).max_waiting_per_tenant == 250
    assert upstream(max_waiting=10, max_waiting_per_tenant=10).max_waiting_per_tenant == 10
    refused_upstream("max_waiting_per_tenant", max_waiting=10, max_waiting_per_tenant=11)
    refused_upstream("max_waiting_per_tenant", max_waiting_per_tenant=1001)


@pytest.mark.parametrize("name", ["connect_s", "first_byte_s", "idle_s"])
def test_timeouts_are_bounded(name: str) -> None:
    for good in ("0.05", 3600):
        assert getattr(upstream(timeouts={name: good}).timeouts, name) == float(good)
    for bad in (0, "0.04", 3601, "inf", "nan", "-1", "1e3", True, None):
        refused_upstream(f"timeouts.{name}", timeouts={name: bad})


def test_the_rest_of_an_upstream_is_bounded() -> None:
    rule = upstream(breaker={"failures": 1000, "window_s": "0.05", "open_s": 3600}).breaker
    assert rule == BreakerRule(1000, 0.05, 3600)
    for name, bads in (
        ("failures", (0, 1001, "1.5")),
        ("window_s", (0, 3601)),
        ("open_s", (0, 3601)),
    ):
        for bad in bads:
            refused_upstream(f"breaker.{name}", breaker={name: bad})
    assert upstream(max_wait_s=0).max_wait_s == 0
    assert upstream(max_wait_s=600).max_wait_s == 600
    refused_upstream("max_wait_s", max_wait_s="600.1")
    refused_upstream("client_credentials", client_credentials="yes")
    refused_upstream("ca_file", ca_file="")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("drain_bytes", 0, 1024 * MIB),
        ("max_body_bytes", 64 * 1024, 4096 * MIB),
        ("buffer_bytes", 64 * 1024, 256 * MIB),
    ],
)
def test_sizes_are_bounded(name: str, low: int, high: int) -> None:
    for good in (low, high):
        assert getattr(read({name: good}), name) == good
    for bad in (low - 1, high + 1, "1.5", "16MB", "x", True, None):
        assert refused({name: bad}).where == f"gateway.yaml: {name}"


def test_a_size_is_written_with_its_unit_if_one_likes() -> None:
    for said, size in (("64KiB", 65536), ("1 MiB", MIB), ("1GiB", 1024 * MIB)):
        assert read({"drain_bytes": said}).drain_bytes == size


def test_no_more_is_held_than_a_body_may_have() -> None:
    assert read({"max_body_bytes": "1MiB"}).buffer_bytes == MIB
    where = refused({"max_body_bytes": "1MiB", "buffer_bytes": MIB + 1}).where
    assert where == "gateway.yaml: buffer_bytes"
    assert read({"max_body_bytes": "2GiB", "buffer_bytes": "1GiB"}).buffer_bytes == 1024 * MIB
    refused({"max_body_bytes": "2GiB", "buffer_bytes": 1024 * MIB + 1})


def test_the_rest_is_what_it_is_said_to_be() -> None:
    config = read(
        {"unknown_tenant": "unattributed", "cost_headers": True, "on_disconnect": "hang_up",
         "drain_s": "0.5"}
    )  # fmt: skip
    assert (config.unknown_tenant, config.cost_headers) == ("unattributed", True)
    assert (config.on_disconnect, config.drain_s) == ("hang_up", 0.5)
    for name, bad in (("cost_headers", "yes"), ("drain_s", 3601), ("drain_s", "x")):
        assert refused({name: bad}).where == f"gateway.yaml: {name}"


def test_the_number_of_upstreams_aliases_targets_and_tenants_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(document, "MAX_UPSTREAMS", 2)
    monkeypatch.setattr(document, "MAX_ALIASES", 2)
    monkeypatch.setattr(document, "MAX_TENANTS", 2)
    targets = [{"upstream": "openai", "model": f"m{n}"} for n in range(document.MAX_TARGETS)]
    for name, one in (
        ("upstreams", {"vendor": "openai"}), ("aliases", {"targets": targets}), ("tenants", {}),
    ):  # fmt: skip
        two = {"a": one, "b": one}
        assert len(getattr(read({name: two}), name)) == 2
        assert refused({name: two | {"c": one}}).where == f"gateway.yaml: {name}"
        nothing: tuple[Any, ...] = ({}, [], None, "x")
        for empty in nothing:
            assert refused({name: empty}).where == f"gateway.yaml: {name}"
    more = [*targets, {"upstream": "openai", "model": "m"}]
    assert refused({"aliases": {"a": {"targets": more}}}).where == "gateway.yaml: aliases.a.targets"
