"""Taps on the HTTP clients of the host application, installed in any order of imports.

A client library that is already imported is tapped at once; one that comes later is tapped when
its import ends. outlay never imports one itself.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from outlay.capture.guard import caught

TAPS: Final = {
    "aiohttp": "outlay.capture.taps.aiohttp",
    "grpc": "outlay.capture.taps.grpc",
    "httpx": "outlay.capture.taps.http",
    "httpx2": "outlay.capture.taps.http",
    "urllib3": "outlay.capture.taps.urllib3",  # requests and botocore send through it
    "websockets.asyncio.client": "outlay.capture.taps.websockets",
    "websockets.legacy.client": "outlay.capture.taps.websockets",
    "websockets.sync.client": "outlay.capture.taps.websockets",
}
"""Client library to the module that taps it, through `install(module)`."""


def install() -> None:
    """Tap every known client library, now or when it is imported; again is harmless."""
    missing = False
    for name in TAPS:
        module = sys.modules.get(name)
        if module is not None:
            _tap(name, module)
        else:
            missing = True
    if missing and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def remove() -> None:
    """Take every tap off and stop watching imports."""
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, _Finder)]
    for name, tap in TAPS.items():
        if (module := sys.modules.get(name)) is not None:
            importlib.import_module(tap).remove(module)


def _tap(name: str, module: ModuleType) -> None:
    try:
        importlib.import_module(TAPS[name]).install(module)
    except Exception as error:
        caught(f"tap.{name}", error)


class _Finder:
    """Stands first in `sys.meta_path` and lets the others find; only the end of a load is new."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's own spec, with a loader that taps the module once it is loaded."""
        if name not in TAPS:
            return None
        for finder in list(sys.meta_path):
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """Loads with the module's own loader, leaves no trace of itself, and taps the result."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the own loader create the module."""
        module: ModuleType | None = self._own.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code, then tap it."""
        spec: Any = module.__spec__
        if spec is not None and spec.loader is self:
            spec.loader = self._own
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._own
        self._own.exec_module(module)
        _tap(module.__name__, module)
