"""Keeps a gateway's configuration: reads its file, and reads it again when it changes.

A configuration is taken whole or not at all: while a file is bad, or is being written, the one
before stays. What a change means for connections and queues is its owner's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from outlay.errors import ConfigError
from outlay.gateway.config import GatewayConfig
from outlay.gateway.document import default_config, read_config
from outlay.store.limitfile import MAX_FILE_BYTES

CHECK_S: Final = 1.0
"""Between two looks at the file. It is read when it has stayed the same for one of them, so that
a file that is still being written is not taken for a whole one."""

_Stamp = tuple[int, ...] | None


class ConfigKeeper:
    """Holds the configuration that is in force. Belongs to one event loop.

    Args:
        path: the YAML file; `None` serves the well-known providers.
        env: environment variables.
        log: a structlog logger; told of every change, and once of every file that is bad.
        check_s: seconds between two looks at the file.

    Raises:
        ConfigError: the file cannot be read, or is bad: nothing can be served without one.
    """

    def __init__(
        self, path: Path | None, env: Mapping[str, str], log: Any, *, check_s: float = CHECK_S
    ) -> None:
        self._path = path
        self._env = env
        self._log = log
        self._check_s = check_s
        self._on_change: Callable[[GatewayConfig], None] | None = None
        self._stamp = self._look()
        self.current: GatewayConfig = self._read()
        self.error = ""
        """What is wrong with the file as it is now; empty if it is in force."""
        self.changes = 0
        """Configurations that came into force after the first."""
        self.failures = 0
        """Files that were refused."""

    def reload(self) -> bool:
        """Read the file now, and tell whether what it says is in force, changed or not."""
        stamp = self._look()
        try:
            found = self._read()
        except ConfigError as error:
            return self._refused(stamp, error)
        return self._take(stamp, found)

    async def watch(self, on_change: Callable[[GatewayConfig], None]) -> None:
        """Look at the file until cancelled.

        Args:
            on_change: called with each new configuration, also that of `reload`, before it becomes
                `current`. If it raises, the configuration before stays; it must then have changed
                nothing.
        """
        self._on_change = on_change
        seen = self._stamp
        try:
            while True:
                await asyncio.sleep(self._check_s)
                stamp = await asyncio.to_thread(self._look)
                settled, seen = stamp == seen, stamp
                if settled and stamp != self._stamp:
                    await self._read_again(stamp)
        finally:
            self._on_change = None

    async def _read_again(self, stamp: _Stamp) -> None:
        before = self._stamp
        try:
            found = await asyncio.to_thread(self._read)
        except ConfigError as error:
            if self._stamp == before:
                self._refused(stamp, error)
            return
        # `reload` may have read a newer file meanwhile.
        if self._stamp == before:
            self._take(stamp, found)

    def _take(self, stamp: _Stamp, found: GatewayConfig) -> bool:
        changed = found.revision != self.current.revision
        if changed and self._on_change is not None:
            try:
                self._on_change(found)
            except Exception as error:
                said = error.message if isinstance(error, ConfigError) else type(error).__name__
                return self._refused(stamp, ConfigError(f"It cannot be put in force: {said}"))
        self._stamp, self.error = stamp, ""
        if changed:
            self.current = found
            self.changes += 1
            self._log.info("gateway configuration changed", revision=found.revision)
        return True

    def _refused(self, stamp: _Stamp, error: ConfigError) -> bool:
        self._stamp = stamp
        self.error = f"{error.where}: {error.message}" if error.where else error.message
        self.failures += 1
        self._log.error(
            "gateway configuration refused",
            problem=self.error, hint=error.hint, revision=self.current.revision,
        )  # fmt: skip
        return False

    def _look(self) -> _Stamp:
        """Return what tells the file from a changed one; `None` if there is none."""
        if self._path is None:
            return None
        try:
            about = self._path.stat()
        except OSError:
            return None
        return (about.st_mtime_ns, about.st_size, about.st_ino, about.st_dev)

    def _read(self) -> GatewayConfig:
        if self._path is None:
            return default_config(self._env)
        return read_file(self._path, self._env)


def read_file(path: str | Path, env: Mapping[str, str]) -> GatewayConfig:
    """Read a configuration's file.

    Raises:
        ConfigError: the file cannot be read, or is bad; `where` names it.
    """
    where = str(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"It cannot be read: {error.strerror}.", where=where) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeError:
        raise ConfigError("It is not UTF-8.", where=where) from None
    try:
        return read_config(text, where=where, env=env)
    except ConfigError:
        raise
    except Exception as error:  # a defect of ours must not end the watch
        raise ConfigError(f"It cannot be read: {type(error).__name__}.", where=where) from error
