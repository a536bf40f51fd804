from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.house import House


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server with its gateway and a provider; tests share it, each with its own tenant."""
    folder: Path = tmp_path_factory.mktemp("house")
    with House(folder) as made:
        yield made
