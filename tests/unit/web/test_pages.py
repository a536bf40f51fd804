"""The dashboard and the portal as browsers get them: pages, files, policies, and what is kept."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from outlay.api.app import create_app
from outlay.api.logs import make_logger
from outlay.config import Settings
from outlay.errors import ConfigError
from outlay.web.files import read_dist
from outlay.web.pages import routes
from tests.unit.api.site import Site

SCRIPT = b"console.log('outlay');" * 20
NAME = "assets/app-Bx31.js"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(b"<title>dashboard</title>")
    (folder / "portal.html").write_bytes(b"<title>portal</title>")
    (folder / "icon.svg").write_bytes(b"<svg/>")
    (folder / NAME).write_bytes(SCRIPT)
    (folder / f"{NAME}.gz").write_bytes(gzip.compress(SCRIPT))
    (folder / f"{NAME}.br").write_bytes(b"as brotli has it")
    (folder / "fonts.woff2").write_bytes(b"font")
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "data").mkdir()
    made = Site(tmp_path / "data", Settings())
    yield made
    made.close()


def browser(site: Site, folder: Path, ancestors: str = "") -> TestClient:
    pages = routes(Settings(portal_frame_ancestors=ancestors), files=read_dist(folder))
    app = create_app(site.services, log=make_logger(site.log_text, "debug"), pages=pages)
    return TestClient(app, follow_redirects=False)


@pytest.mark.parametrize(
    ("path", "to"), [("/", "/app/"), ("/app", "/app/"), ("/portal", "/portal/")]
)
def test_short_addresses_lead_to_the_pages(site: Site, dist: Path, path: str, to: str) -> None:
    answer = browser(site, dist).get(path)
    assert (answer.status_code, answer.headers["location"]) == (307, to)


@pytest.mark.parametrize("path", ["/app/", "/app/limits", "/app/limits/acme.day/edit"])
def test_a_path_of_no_file_gives_the_dashboard(site: Site, dist: Path, path: str) -> None:
    answer = browser(site, dist).get(path)
    assert (answer.status_code, answer.text) == (200, "<title>dashboard</title>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/portal/", "/portal/usage"])
def test_the_portal_is_a_page_of_its_own(site: Site, dist: Path, path: str) -> None:
    assert browser(site, dist).get(path).text == "<title>portal</title>"


def test_files_with_a_hash_in_their_name_are_kept_for_ever(site: Site, dist: Path) -> None:
    answer = browser(site, dist).get(f"/app/{NAME}", headers={"accept-encoding": "identity"})
    assert answer.content == SCRIPT
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("name", "media"), [("icon.svg", "image/svg+xml"), ("fonts.woff2", "font/woff2")]
)
def test_other_files_are_asked_for_again(site: Site, dist: Path, name: str, media: str) -> None:
    answer = browser(site, dist).get(f"/app/{name}")
    assert answer.headers["content-type"] == media
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/app/assets/none.js",
        "/app/index.html",  # a page has one address
        "/app/portal.html",
        f"/app/{NAME}.gz",
        f"/portal/{NAME}",
        "/app/../../pyproject.toml",
        "/app/%2e%2e/%2e%2e/secret.txt",
        "/app/..%2f..%2fsecret.txt",
        "/app/assets/%2e%2e/%2e%2e/data/books.db",
        "/app//etc/passwd.txt",
    ],
)
def test_what_is_no_built_file_is_not_there(site: Site, dist: Path, path: str) -> None:
    (dist.parent / "secret.txt").write_text("secret")
    answer = browser(site, dist).get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_link_out_of_the_folder_is_not_followed(site: Site, dist: Path) -> None:
    (dist.parent / "secret.txt").write_text("secret")
    (dist / "link.txt").symlink_to(dist.parent / "secret.txt")
    assert browser(site, dist).get("/app/link.txt").status_code == 404


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("br;q=0.0,gzip;q=0", ""),
        ("*", "br"),
        ("*, br;q=0", "gzip"),
        ("identity", ""),
        ("", ""),
    ],
)
def test_the_best_form_that_is_taken_is_sent(
    site: Site, dist: Path, accepted: str, encoding: str
) -> None:
    with browser(site, dist).stream(
        "GET", f"/app/{NAME}", headers={"accept-encoding": accepted}
    ) as answer:
        sent = b"".join(answer.iter_raw())
    forms = {"br": b"as brotli has it", "gzip": gzip.compress(SCRIPT), "": SCRIPT}
    assert answer.headers.get("content-encoding", "") == encoding
    assert sent == forms[encoding] or gzip.decompress(sent) == SCRIPT
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.headers["content-length"] == str(len(sent))


def test_each_form_has_a_tag_of_its_own_and_is_not_sent_twice(site: Site, dist: Path) -> None:
    client = browser(site, dist)
    tags = set()
    for accepted in ("br", "gzip", "identity"):
        headers = {"accept-encoding": accepted}
        tag = client.head(f"/app/{NAME}", headers=headers).headers["etag"]
        tags.add(tag)
        again = client.get(f"/app/{NAME}", headers={**headers, "if-none-match": f'"x", W/{tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert len(tags) == 3


def test_a_page_is_asked_for_again_and_not_sent_twice(site: Site, dist: Path) -> None:
    client = browser(site, dist)
    first = client.get("/app/")
    again = client.get("/app/limits", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    (dist / "index.html").write_bytes(b"<title>another</title>")
    new = browser(site, dist).get("/app/", headers={"if-none-match": first.headers["etag"]})
    assert (new.status_code, new.text) == (200, "<title>another</title>")


def test_head_tells_the_length_and_sends_nothing(site: Site, dist: Path) -> None:
    answer = browser(site, dist).head("/app/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(b"<title>dashboard</title>"))


def test_other_methods_are_refused(site: Site, dist: Path) -> None:
    answer = browser(site, dist).post("/app/")
    assert answer.status_code == 405
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD"]


def policy(header: str) -> dict[str, str]:
    return dict(part.strip().split(" ", 1) for part in header.split(";"))


def test_a_page_runs_its_own_scripts_only_and_nobody_frames_it(site: Site, dist: Path) -> None:
    headers = browser(site, dist).get("/app/").headers
    said = policy(headers["content-security-policy"])
    assert said["default-src"] == said["script-src"] == said["connect-src"] == "'self'"
    assert said["style-src"] == "'self' 'unsafe-inline'"
    assert said["img-src"] == "'self' data: blob:"
    assert said["frame-ancestors"] == "'none'"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_portal_is_framed_by_nobody_unless_somebody_is_named(site: Site, dist: Path) -> None:
    headers = browser(site, dist).get("/portal/").headers
    assert policy(headers["content-security-policy"])["frame-ancestors"] == "'none'"
    assert headers["x-frame-options"] == "DENY"


def test_who_is_named_may_frame_the_portal_and_nothing_else(site: Site, dist: Path) -> None:
    client = browser(site, dist, "https://app.example.com, https://*.example.org:8443")
    portal = client.get("/portal/").headers
    wanted = "https://app.example.com https://*.example.org:8443"
    assert policy(portal["content-security-policy"])["frame-ancestors"] == wanted
    assert "x-frame-options" not in portal
    for other in ("/app/", "/healthz"):
        headers = client.get(other).headers
        assert policy(headers["content-security-policy"])["frame-ancestors"] == "'none'"
        assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/app/", "/portal/"])
def test_pages_that_are_not_built_say_how_to_build_them(
    site: Site, tmp_path: Path, path: str
) -> None:
    answer = browser(site, tmp_path / "none").get(path)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "make web" in answer.text


def test_a_wrong_origin_is_refused_before_the_server_starts() -> None:
    with pytest.raises(ConfigError):
        routes(Settings(portal_frame_ancestors="example.com"), files={})


def test_logs_and_counts_name_the_route_and_not_the_path(site: Site, dist: Path) -> None:
    client = browser(site, dist)
    client.get("/app/limits/of-acme")
    client.get("/")
    assert "of-acme" not in site.log_text.getvalue()
    text = client.get("/metrics").text
    assert 'route="/app/{path:path}",status="200"' in text
    assert 'route="/",status="307"' in text


def test_the_api_stays_where_it_was(site: Site, dist: Path) -> None:
    client = browser(site, dist)
    assert client.get("/v1/query/schema").status_code == 401
    assert client.get("/v1/none").status_code == 404
    assert client.get("/apples").status_code == 404
