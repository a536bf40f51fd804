"""Backends by URL: scheme to class, other people's entry points, and a suggestion on a typo."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from outlay.errors import ConfigError

ENTRY_POINTS: Final = "outlay.backends"
"""Group of other people's backends. A name is `kind.scheme`, such as `olap.clickhouse`; what it
loads is called with the URL and the settings."""

BACKENDS: Final[dict[str, dict[str, str]]] = {
    "stream": {"sqlite": "outlay.stream.sqlite:SqliteLog"},
    "olap": {"duckdb": "outlay.store.olap.duckdb:DuckDbStore"},
    "warehouse": {"parquet": "outlay.store.warehouse.parquet:ParquetWarehouse"},
    "books": {
        "sqlite": "outlay.store.books.sql:SqlBooks",
        "postgresql": "outlay.store.books.sql:SqlBooks",
    },
}
"""Kind, then URL scheme, to `"module:Class"`."""

SERVERS: Final = ("postgresql",)
"""Schemes whose URL names a server and a database instead of a path."""

EMBEDDED: Final = {
    "stream": ("sqlite", "log"),
    "olap": ("duckdb", "olap.duckdb"),
    "warehouse": ("parquet", "warehouse"),
    "books": ("sqlite", "books.db"),
}
"""Scheme and place under the data folder where no URL is set."""


class Target(NamedTuple):
    """A backend's address, and the class that opens it."""

    scheme: str
    url: str
    opener: Any
    ours: bool

    @property
    def path(self) -> Path:
        """The file or folder that a URL such as `duckdb:////var/lib/x` names."""
        return Path(self.url.partition(":///")[2])


def target(kind: str, url: str, data: Path) -> Target:
    """Find the backend of a URL; an empty one is the embedded default under the data folder.

    Raises:
        ConfigError: the scheme is unknown (with the nearest known one), or names no path.
    """
    setting = f"{kind}_url"
    if not url:
        embedded, place = EMBEDDED[kind]
        url = f"{embedded}:///{data.resolve() / place}"
    scheme, found, rest = url.partition(":")
    ours = BACKENDS[kind]
    if not found or not rest.startswith("//"):
        raise ConfigError(
            f"`{setting}` must be a URL such as {EMBEDDED[kind][0]}:////path.", where=setting
        )
    if scheme in ours:
        if scheme in SERVERS:
            if not urlsplit(url).path.strip("/"):
                raise ConfigError(
                    f"`{setting}` names no database, as in {scheme}://user@host/name.",
                    where=setting,
                )
        elif not url.partition(":///")[2]:
            raise ConfigError(f"`{setting}` names no path.", where=setting)
        module, _, name = ours[scheme].partition(":")
        return Target(scheme, url, getattr(importlib.import_module(module), name), ours=True)
    prefix = f"{kind}."
    others = {e.name.removeprefix(prefix): e for e in entry_points(group=ENTRY_POINTS)
              if e.name.startswith(prefix)}  # fmt: skip
    if scheme in others:
        return Target(scheme, url, others[scheme].load(), ours=False)
    known = sorted({*ours, *others})
    close = get_close_matches(scheme, known, n=1, cutoff=0.5)
    guess = f" Did you mean `{close[0]}`?" if close else ""
    raise ConfigError(
        f"There is no {kind} backend `{scheme}`.{guess} Known: {', '.join(known)}.", where=setting
    )


def open_books(url: str) -> Any:
    """Open the books at a URL on their own, without a server.

    Raises:
        ConfigError: the URL cannot be used.
        UnavailableError: the database is unreachable or damaged.
    """
    found = target("books", url, Path())
    return found.opener(found.url)
