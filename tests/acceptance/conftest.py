"""Fixtures that several acceptance tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.acceptance.gateway_rig")

from tests.acceptance.gateway_rig import Pair, Site  # noqa: E402 - its asserts tell what differs


@pytest.fixture(scope="session")
def gateway_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A provider with a gateway in front of it, started at their first use."""
    site = Site(tmp_path_factory.mktemp("gateway"))
    yield site
    site.close()


@pytest.fixture
def pair(gateway_site: Site) -> Iterator[Pair]:
    """Both ways to the provider; afterwards what was recorded is compared with the bill."""
    found = gateway_site.pair()
    yield found
    found.check()
