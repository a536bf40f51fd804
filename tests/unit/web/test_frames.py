"""Who may frame the portal is a list of origins, and nothing that could change a policy."""

from __future__ import annotations

import pytest

from outlay.errors import ConfigError
from outlay.web.frames import MAX_ORIGINS, origins


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("https://app.example.com", ("https://app.example.com",)),
        (" HTTPS://App.Example.com ,https://app.example.com,", ("https://app.example.com",)),
        ("http://localhost:3000", ("http://localhost:3000",)),
        ("https://*.example.com", ("https://*.example.com",)),
    ],
)
def test_origins_are_read(text: str, found: tuple[str, ...]) -> None:
    assert origins(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "example.com",
        "https://",
        "https://example.com/",
        "https://example.com/path",
        "https://user@example.com",
        "https://a.example.com https://b.example.com",
        "https://example.com; script-src *",
        "https://exa*mple.com",
        "https://*",
        "data:",
        "'self'",
        "https://example.com:port",
        "https://éxample.com",
        "https://example.com\nx: y",
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no origin") as error:
        origins(text)
    assert error.value.where == "portal_frame_ancestors"


def test_there_is_a_bound_of_origins() -> None:
    listed = [f"https://a{n}.example.com" for n in range(MAX_ORIGINS + 1)]
    assert len(origins(",".join(listed[:-1]))) == MAX_ORIGINS
    with pytest.raises(ConfigError, match=str(MAX_ORIGINS)):
        origins(",".join(listed))
