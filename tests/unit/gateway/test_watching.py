"""A gateway's configuration is followed while it changes, and taken whole or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from outlay.errors import ConfigError
from outlay.gateway import watching
from outlay.gateway.config import GatewayConfig
from outlay.gateway.document import default_config, read_config
from outlay.gateway.watching import ConfigKeeper
from outlay.store.limitfile import MAX_FILE_BYTES

CHECK_S = 0.02
GOOD = "upstreams: {openai: {retries: 1}}\n"
BETTER = "upstreams: {openai: {retries: 2}}\n"
BAD = "upstreams: {openai: {retreis: 2}}\n"


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **more: Any) -> None:
        self.lines.append((event, more))

    error = info


def retries(config: GatewayConfig) -> int:
    return config.upstreams["openai"].retries


def kept(path: Path | None, log: Log | None = None) -> ConfigKeeper:
    return ConfigKeeper(path, {}, log or Log(), check_s=CHECK_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(GOOD)
    return file


@asynccontextmanager
async def watched(
    keeper: ConfigKeeper, on_change: Callable[[GatewayConfig], None]
) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.watch(on_change))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def write(path: Path, text: str | None) -> None:
    """Write a file, or take it away."""
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


def unexpected(config: GatewayConfig) -> None:
    raise AssertionError(config.revision)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what happens tells nobody
            await asyncio.sleep(0.005)


# -- the first time ----------------------------------------------------------------------------


def test_without_a_file_the_known_providers_are_served() -> None:
    keeper = kept(None)
    assert keeper.current == default_config({})
    assert keeper.reload()
    assert (keeper.changes, keeper.failures, keeper.error) == (0, 0, "")

    async def run() -> None:
        async with watched(keeper, unexpected):
            await asyncio.sleep(3 * CHECK_S)
        assert (keeper.changes, keeper.failures) == (0, 0)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (BAD.encode(), ": upstreams.openai.retreis"),
        (b"", ": upstreams"),
        (b"\xff", ""),
        (b"a" * (MAX_FILE_BYTES + 1), ": file"),
    ],
)
def test_a_gateway_does_not_start_with_a_bad_file(path: Path, content: bytes, where: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        kept(path)
    assert caught.value.where == f"{path}{where}"


def test_a_gateway_does_not_start_without_its_file(tmp_path: Path) -> None:
    for name in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            kept(name)
        assert caught.value.where == str(name)


def test_a_file_may_begin_with_a_mark_of_its_encoding(path: Path) -> None:
    path.write_text(GOOD, encoding="utf-8-sig")
    assert retries(kept(path).current) == 1


# -- reload ------------------------------------------------------------------------------------


def test_reload_takes_a_good_file_at_once(path: Path) -> None:
    log = Log()
    keeper = kept(path, log)
    before = keeper.current
    assert keeper.reload()
    assert keeper.current is before
    path.write_text(BETTER)
    assert keeper.reload()
    assert retries(keeper.current) == 2
    assert keeper.changes == 1
    assert log.lines == [
        ("gateway configuration changed", {"revision": keeper.current.revision})
    ]  # fmt: skip


def test_reload_leaves_what_was_in_force_when_the_file_is_bad(path: Path) -> None:
    log = Log()
    keeper = kept(path, log)
    before = keeper.current
    path.write_text(BAD)
    assert not keeper.reload()
    assert keeper.current is before
    assert keeper.failures == 1
    assert keeper.error.startswith(f"{path}: upstreams.openai.retreis: ")
    assert "Did you mean `retries`?" in keeper.error
    assert log.lines[0][0] == "gateway configuration refused"
    assert log.lines[0][1]["revision"] == before.revision

    path.unlink()
    assert not keeper.reload()
    assert "cannot be read" in keeper.error

    path.write_text(GOOD)
    assert keeper.reload()
    assert (keeper.error, keeper.current, keeper.changes) == ("", before, 0)


def test_a_defect_of_reading_is_a_bad_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = kept(path)

    def broken(*_: Any, **__: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(watching, "read_config", broken)
    assert not keeper.reload()
    assert keeper.error == f"{path}: It cannot be read: RecursionError."


# -- watch -------------------------------------------------------------------------------------


def test_a_change_is_told_once_and_then_in_force(path: Path) -> None:
    async def run() -> None:
        keeper, told = kept(path), []

        def on_change(config: GatewayConfig) -> None:
            assert config is not keeper.current  # the owner is told first
            told.append(config)

        async with watched(keeper, on_change):
            await asyncio.sleep(3 * CHECK_S)
            assert told == []
            write(path, BETTER)
            await until(lambda: retries(keeper.current) == 2)
            assert told == [keeper.current]
            write(path, GOOD)
            assert keeper.reload()
            assert [retries(config) for config in told] == [2, 1]
            await asyncio.sleep(3 * CHECK_S)
            assert len(told) == 2
        write(path, BETTER)
        assert keeper.reload()
        assert len(told) == 2  # nobody watches any more

    asyncio.run(run())


def test_a_file_that_is_swapped_is_seen(path: Path) -> None:
    about = path.stat()

    async def run() -> None:
        keeper = kept(path)
        new = path.with_name("new")
        write(new, BETTER)
        os.utime(new, ns=(about.st_atime_ns, about.st_mtime_ns))
        assert len(GOOD) == len(BETTER) == about.st_size
        async with watched(keeper, lambda _: None):
            new.replace(path)
            await until(lambda: retries(keeper.current) == 2)

    asyncio.run(run())


def test_a_bad_file_is_told_once_and_the_next_good_one_is_taken(path: Path) -> None:
    async def run() -> None:
        log = Log()
        told: list[GatewayConfig] = []
        keeper = kept(path, log)
        before = keeper.current
        async with watched(keeper, told.append):
            write(path, BAD)
            await until(lambda: keeper.error != "")
            await asyncio.sleep(5 * CHECK_S)
            assert (keeper.failures, len(log.lines), keeper.current) == (1, 1, before)
            write(path, None)
            await until(lambda: "cannot be read" in keeper.error)
            await asyncio.sleep(5 * CHECK_S)
            assert (keeper.failures, keeper.current) == (2, before)
            write(path, GOOD)
            await until(lambda: keeper.error == "")
            write(path, BETTER)
            await until(lambda: keeper.current is not before)
            assert told == [keeper.current]

    asyncio.run(run())


def test_a_file_that_is_being_written_is_not_read(path: Path) -> None:
    """What stands there meanwhile is a document as well, of fewer upstreams."""

    async def run() -> None:
        keeper = ConfigKeeper(path, {}, Log(), check_s=0.1)
        seen: list[list[str]] = []
        names = ["openai", "anthropic", "groq", "mistral", "cohere", "xai", "deepseek", "jina"]
        async with watched(keeper, lambda config: seen.append(list(config.upstreams))):
            for count in range(1, len(names) + 1):
                write(path, "upstreams:\n" + "".join(f"  {name}: {{}}\n" for name in names[:count]))
                await asyncio.sleep(0.04)
            await until(lambda: bool(seen))
        assert seen == [names]

    asyncio.run(run())


def test_what_the_owner_cannot_put_in_force_is_not_in_force(path: Path) -> None:
    async def run() -> None:
        keeper, refuses = kept(path), True

        def on_change(_: GatewayConfig) -> None:
            if refuses:
                raise ConfigError("The certificate cannot be read.", where="ca_file")

        async with watched(keeper, on_change):
            write(path, BETTER)
            await until(lambda: keeper.error != "")
            assert keeper.error == "It cannot be put in force: The certificate cannot be read."
            assert (retries(keeper.current), keeper.changes, keeper.failures) == (1, 0, 1)
            refuses = False
            assert keeper.reload()
            assert (retries(keeper.current), keeper.error) == (2, "")

    asyncio.run(run())


def test_an_older_reading_does_not_replace_a_newer_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        keeper = kept(path)
        loop = asyncio.get_running_loop()
        reloaded = asyncio.Event()

        def read(text: str, **more: Any) -> GatewayConfig:
            """While the watch has read the file, it changes, and is reloaded."""
            found = read_config(text, **more)
            if text == BETTER:
                write(path, "upstreams: {openai: {retries: 3}}\n")

                async def reload() -> None:
                    keeper.reload()
                    reloaded.set()

                asyncio.run_coroutine_threadsafe(reload(), loop).result(10)
            return found

        monkeypatch.setattr(watching, "read_config", read)
        told: list[int] = []
        async with watched(keeper, lambda config: told.append(retries(config))):
            write(path, BETTER)
            await asyncio.wait_for(reloaded.wait(), 10)
            await asyncio.sleep(5 * CHECK_S)
        assert told == [3]
        assert retries(keeper.current) == 3

    asyncio.run(run())
