"""Exchange rates over HTTP: exact, audited, and the same for customers."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.api.currencies import parts_per_billion
from outlay.errors import BadRequestError
from tests.unit.api.site import NOW, Site


def put(site: Site, currency: str = "EUR", **said: Any) -> Any:
    body = {"per_usd": "0.9142", "reason": "monthly", **said}
    return site.call("PUT", f"/v1/currencies/{currency}", json=body)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0.9142", 914_200_000), ("1", 10**9), ("0.000000001", 1), ("0.1", 100_000_000),
        ("999999999.999999999", 10**18 - 1), ("16250.5", 16_250_500_000_000), ("0", 0),
        ("007.10", 7_100_000_000),
    ],
)  # fmt: skip
def test_text_is_read_exactly(text: str, parts: int) -> None:
    assert parts_per_billion(text) == parts


@pytest.mark.parametrize(
    "text",
    ["", ".5", "1.", "-1", "+1", "1e3", "1,5", "1_000", " 1", "1\n", "٣", "NaN", "0.0000000001",
     "1000000000"],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parts_per_billion(text)
    assert caught.value.where == "per_usd"


def test_rates_are_listed_the_last_to_begin_first_for_readers_and_portals(site: Site) -> None:
    first = put(site, source="ECB", valid_from="2026-01-01T00:00:00Z").json()["rate"]
    assert first == {
        "currency": "EUR", "per_usd_ppb": 914_200_000, "valid_from": 1_767_225_600_000_000,
        "source": "ECB",
    }  # fmt: skip
    second = put(site, per_usd="0.92").json()["rate"]
    assert second["valid_from"] == NOW
    for key in (site.key("read"), site.acme, site.key("portal", tenant="acme")):
        answer = site.call("GET", "/v1/currencies", key).json()
        assert answer == {"base": "USD", "rates": [second, first]}


def test_a_rate_is_audited(site: Site) -> None:
    put(site)
    entry = site.books.audit()[0]
    assert (entry.action, entry.subject, entry.details["reason"]) == (
        "currency.put", "EUR", "monthly",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("currency", "said", "where"),
    [
        ("eur", {}, "currency"),
        ("USD", {}, "currency"),
        ("EURO", {}, "currency"),
        ("EUR", {"per_usd": "0"}, "per_usd"),
        ("EUR", {"per_usd": 0.9142}, "body"),
        ("EUR", {"reason": ""}, "reason"),
        ("EUR", {"valid_from": "soon"}, "valid_from"),
        ("EUR", {"valid_from": -1}, "valid_from"),
        ("EUR", {"source": "a\nb"}, "source"),
    ],
)
def test_what_is_wrong_is_named(
    site: Site, currency: str, said: dict[str, Any], where: str
) -> None:
    answer = put(site, currency, **said)
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)
    assert site.call("GET", "/v1/currencies").json()["rates"] == []
