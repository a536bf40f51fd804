"""`init`, the public surface, and the promise that nothing is raised into the host."""

from __future__ import annotations

import inspect
import logging
import sys
import typing
from pathlib import Path
from typing import Any

import httpx
import pytest

import outlay
from outlay import capture
from outlay.capture import guard, taps
from outlay.capture.runtime import active
from outlay.errors import ConfigError

PUBLIC = [
    "agent", "carried", "carry", "context", "current", "flush", "init", "on", "partial", "record",
    "shutdown", "stats",
]  # fmt: skip


def test_the_public_surface_is_this_list() -> None:
    assert outlay.__all__ == ["RunStopped", "__version__", *PUBLIC]
    assert dir(outlay) == sorted(outlay.__all__)
    assert [name for name in capture.__all__ if name[0].islower()] == PUBLIC
    for name in PUBLIC:
        assert getattr(outlay, name) is getattr(capture, name)
    with pytest.raises(AttributeError, match="nothing_such"):
        outlay.nothing_such  # noqa: B018


def test_every_public_function_is_documented_and_typed() -> None:
    for name in PUBLIC:
        function = getattr(outlay, name)
        assert inspect.getdoc(function)
        assert "return" in typing.get_type_hints(inspect.unwrap(function))


def test_init_taps_and_is_idempotent(tmp_path: Path) -> None:
    outlay.init(spool_dir=str(tmp_path))
    first, send = active(), httpx.Client.send
    outlay.init(spool_dir=str(tmp_path))
    assert active() is first
    assert httpx.Client.send is send


def test_init_with_other_settings_takes_them_over_and_loses_nothing(tmp_path: Path) -> None:
    outlay.init(spool_dir=str(tmp_path))
    outlay.record("tool", name="one")
    outlay.init(spool_dir=str(tmp_path), tenant="acme")
    outlay.record("tool", name="two")
    assert outlay.stats()["pending"] == 2


def test_settings_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTLAY_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OUTLAY_SPOOL_DIR", str(tmp_path))
    outlay.init()
    runtime = active()
    assert runtime is not None
    assert runtime.ships
    assert runtime.settings.endpoint == "http://127.0.0.1:9"


def test_a_bad_setting_is_said_with_its_fix_and_nothing_is_shipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "outlay"):
        outlay.init("http://127.0.0.1:9", tennant="acme")
    assert "Did you mean `tenant`?" in caplog.text
    assert outlay.stats()["shipping"].startswith("off")
    outlay.record("tool", name="x")
    assert outlay.stats()["pending"] == 1


def test_strict_raises_on_a_bad_setting() -> None:
    with pytest.raises(ConfigError):
        outlay.init(strict=True, spool_max_bytes=1)
    assert active() is None


def test_disabled_does_nothing(tmp_path: Path) -> None:
    outlay.init(enabled=False, spool_dir=str(tmp_path))
    assert active() is None
    assert outlay.record("tool", name="x") == ""
    with outlay.context(tenant="a"), outlay.agent("b"):
        assert outlay.current().context.agent_path == "b"
    assert list(tmp_path.iterdir()) == []


def test_without_init_everything_is_harmless() -> None:
    assert outlay.flush() is True
    assert outlay.shutdown() is True
    assert outlay.stats()["shipping"].startswith("off")
    assert outlay.current().process.calls == 0


def test_shutdown_may_be_repeated_and_init_starts_anew(tmp_path: Path) -> None:
    outlay.init(spool_dir=str(tmp_path))
    outlay.shutdown(0.1)
    assert outlay.shutdown(0.1) is True
    outlay.init(spool_dir=str(tmp_path))
    outlay.record("tool", name="x")
    assert outlay.stats()["captured"] == 1


def test_an_error_while_starting_never_reaches_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any, **_more: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("outlay.capture.api.Runtime", broken)
    outlay.init()
    assert guard.counts() == {"init": 1}


def test_a_library_that_cannot_be_tapped_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", type(sys)("httpx2"))
    taps.install()
    assert guard.counts() == {"tap.httpx2": 1}
    monkeypatch.undo()


def test_an_internal_error_is_logged_once_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(5):
        with guard.guarded("place"):
            raise ValueError("sk-secret and the prompt")
    assert guard.counts() == {"place": 5}
    assert caplog.text.count("internal error in place: ValueError") == 1
    assert "guest/test_init.py:" in caplog.text
    assert "sk-secret" not in caplog.text


def test_the_guard_lets_an_interrupt_pass() -> None:
    with pytest.raises(KeyboardInterrupt), guard.guarded("place"):
        raise KeyboardInterrupt


def test_the_guard_bounds_what_it_remembers() -> None:
    for number in range(guard.MAX_SITES + 10):
        guard.caught(f"site{number}", ValueError())
    assert len(guard.counts()) == guard.MAX_SITES + 1
    assert guard.counts()["other"] == 10
