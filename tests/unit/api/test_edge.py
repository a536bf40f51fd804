"""Every answer: its headers, its error form, its log line."""

from __future__ import annotations

import json

import pytest

from tests.unit.api.site import Site, event


@pytest.mark.parametrize("path", ["/healthz", "/v1/tenants", "/nothing", "/v1/events"])
def test_every_answer_carries_the_security_headers(site: Site, path: str) -> None:
    headers = site.call("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/v1/../etc/passwd", 404),
        ("GET", "/v1/query", 405),
        ("DELETE", "/v1/events", 405),
        ("PUT", "/v1/keys", 405),
    ],
)
def test_what_is_not_served_has_the_usual_error_form(
    site: Site, method: str, path: str, status: int
) -> None:
    answer = site.call(method, path)
    assert answer.status_code == status
    assert {"code", "message", "hint"} <= set(answer.json()["error"])
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("path", ["/v1/limits/a%00b", "/v1/limits/state?limit=a%00b"])
def test_an_address_with_a_nul_reaches_no_database(site: Site, path: str) -> None:
    answer = site.call("GET", path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_a_defect_is_one_log_line_and_an_answer_that_tells_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        secret = "not to be shown"
        raise RuntimeError(len(secret))

    monkeypatch.setattr(site.books, "keys", broken)
    answer = site.call("GET", "/v1/keys")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    text = site.log_text.getvalue()
    assert "not to be shown" not in text
    [defect] = [line for line in map(json.loads, text.splitlines()) if line["event"] == "defect"]
    assert defect["route"] == "/v1/keys"
    assert defect["exception"][0]["exc_type"] == "RuntimeError"


def test_log_lines_hold_the_route_and_no_content(site: Site) -> None:
    site.call("GET", "/v1/tenants/acme?secret=1")
    site.post_events([event(1, feature="private-feature")])
    lines = [json.loads(line) for line in site.log_text.getvalue().splitlines()]
    assert [(line["route"], line["status"], line["level"]) for line in lines] == [
        ("/v1/tenants/{tenant_id:path}", 200, "info"),
        ("/v1/events", 200, "debug"),
    ]
    text = site.log_text.getvalue()
    assert "private-feature" not in text
    assert "secret" not in text
    assert "acme" not in text
