"""Credentials that a command prints: run without a shell, bounded, before they are due."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
import uvloop

from outlay.gateway import credentials as subject
from outlay.gateway import secret_lookup
from outlay.gateway.config import Credential, Secret
from outlay.gateway.credentials import Credentials
from tests.unit.gateway.secrets_site import (
    SECRET,
    Clock,
    Log,
    alive,
    command,
    counted,
    problem_of,
    until,
)


@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_command_prints_the_value_and_no_shell_reads_it(loop: Any) -> None:
    async def run() -> None:
        found = Credentials({})
        said = command("import sys; print(sys.argv[1])", "$HOME;`id`")
        assert await found.find(said) == "$HOME;`id`"
        assert found.ready(said) == "$HOME;`id`"

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


def test_a_command_runs_once_for_all_that_wait(tmp_path: Path) -> None:
    async def run() -> None:
        said = command(counted(tmp_path / "runs"))
        found = Credentials({})
        gone = asyncio.create_task(found.find(said))
        await asyncio.sleep(0)
        gone.cancel()  # takes it from nobody else
        assert set(await asyncio.gather(*(found.find(said) for _ in range(20)))) == {"token-1"}

    asyncio.run(run())


def test_a_command_runs_again_in_the_background_before_its_time(tmp_path: Path) -> None:
    async def run() -> None:
        said, clock = command(counted(tmp_path / "runs"), refresh_s=100), Clock()
        found = Credentials({}, clock=clock)
        assert await found.find(said) == "token-1"
        clock.now += 100 * subject.EARLY - 1
        assert found.ready(said) == "token-1"
        await asyncio.sleep(0.1)
        assert found.ready(said) == "token-1"
        clock.now += 1
        assert found.ready(said) == "token-1"
        await until(lambda: found.ready(said) == "token-2")

        # After its time, it is waited for.
        clock.now += 100
        assert found.ready(said) is None
        assert await found.find(said) == "token-3"

    asyncio.run(run())


def test_while_a_command_fails_its_last_value_is_used_up_to_a_bound(tmp_path: Path) -> None:
    async def run() -> None:
        script = counted(tmp_path / "runs", "print('token') if n == 1 else sys.exit(3)")
        said, clock, log = command(script, refresh_s=100), Clock(), Log()
        found = Credentials({}, clock=clock, log=log)
        assert await found.find(said) == "token"
        clock.now += 100
        assert await found.find(said) == "token"
        clock.now += subject.MAX_STALE_S - 1
        assert await found.find(said) == "token"
        assert said.secret is not None
        assert found._kept[said.secret].task is not None  # nobody waited for the command
        clock.now += 1
        name = Path(sys.executable).name
        assert await problem_of(found.find(said)) == f"The command {name} ended with status 3."
        await found.close()
        assert [event for _, event, _ in log.lines] == ["credential not found"]

    asyncio.run(run())


def test_a_command_that_fails_is_not_run_for_every_call(tmp_path: Path) -> None:
    async def run() -> None:
        runs, clock = tmp_path / "runs", Clock()
        said = command(counted(runs, "sys.exit(1)"))
        found = Credentials({}, clock=clock)
        for _ in range(5):
            await problem_of(found.find(said))
        assert runs.read_text() == "x"
        clock.now += subject.RETRY_S
        await problem_of(found.find(said))
        assert runs.read_text() == "xx"

    asyncio.run(run())


def test_a_command_that_takes_too_long_ends_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_lookup, "COMMAND_TIMEOUT_S", 0.5)

    async def run() -> None:
        note = tmp_path / "pid"
        script = (
            "import subprocess,time; p=subprocess.Popen(['sleep','60']);"
            f"open({str(note)!r},'w').write(str(p.pid)); time.sleep(60)"
        )
        said = await problem_of(Credentials({}).find(command(script)))
        assert said.endswith(" took longer than 0.5 s.")
        await until(lambda: not alive(int(note.read_text())))

    asyncio.run(run())


def test_a_command_that_leaves_a_child_with_its_output_open_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_lookup, "COMMAND_TIMEOUT_S", 0.5)

    async def run() -> None:
        note = tmp_path / "pid"
        script = (
            "import subprocess; p=subprocess.Popen(['sleep','60']);"
            f"open({str(note)!r},'w').write(str(p.pid)); print('token')"
        )
        said = await problem_of(Credentials({}).find(command(script)))
        assert said.endswith(" took longer than 0.5 s.")
        await until(lambda: not alive(int(note.read_text())))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("print('a'*16385)", "prints more than 16384 bytes"),
        ("while True: print('a'*1000)", "prints more than 16384 bytes"),
        ("pass", "holds nothing"),
        ("print('a\\nb')", "holds more than one line, or a character that no header may hold"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
    ],
)
def test_a_command_without_a_fit_value_is_named(script: str, said: str) -> None:
    async def run() -> None:
        name = Path(sys.executable).name
        assert await problem_of(Credentials({}).find(command(script))) == (
            f"The command {name} {said}."
        )

    asyncio.run(run())


def test_a_command_may_print_up_to_the_bound_and_complain_aside() -> None:
    async def run() -> None:
        script = "import sys; sys.stderr.write('e'*10**6); print('a'*16383)"
        assert await Credentials({}).find(command(script)) == "a" * 16383

    asyncio.run(run())


def test_a_command_that_is_not_there_is_named_without_its_arguments() -> None:
    async def run() -> None:
        secret = Secret("command", "", ("/nowhere/getkey", f"--password={SECRET}"))
        said = await problem_of(Credentials({}).find(Credential("bearer", secret)))
        assert said == "The command getkey cannot be run: No such file or directory."

    asyncio.run(run())


def test_few_commands_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    async def run_command(argv: tuple[str, ...]) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return argv[-1]

    monkeypatch.setattr(subject, "run_command", run_command)

    async def run() -> None:
        found = Credentials({})
        many = [command("", str(n)) for n in range(3 * subject.MAX_COMMANDS)]
        assert await asyncio.gather(*map(found.find, many)) == [str(n) for n in range(len(many))]

    asyncio.run(run())
    assert most == subject.MAX_COMMANDS
