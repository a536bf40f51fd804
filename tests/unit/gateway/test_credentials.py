"""Credentials: found in variables and files, kept while fresh, and never shown."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from outlay.gateway import credentials as subject
from outlay.gateway import secret_lookup
from outlay.gateway.config import AwsKeys, Credential, Place, Secret, Upstream
from outlay.gateway.credentials import CredentialError, Credentials, placed
from tests.unit.gateway.secrets_site import (
    SECRET,
    Clock,
    Log,
    alive,
    command,
    counted,
    env,
    file,
    problem_of,
    until,
)

BEDROCK = Upstream("bedrock", "aws", "https://bedrock-runtime.eu-west-1.amazonaws.com")


@pytest.mark.parametrize(
    ("place", "header"),
    [
        ("bearer", ("authorization", f"Bearer {SECRET}")),
        ("x-api-key", ("x-api-key", SECRET)),
        ("api-key", ("api-key", SECRET)),
        ("x-goog-api-key", ("x-goog-api-key", SECRET)),
    ],
)
def test_a_credential_has_its_place(place: Place, header: tuple[str, str]) -> None:
    assert placed(place, SECRET) == header

    async def run() -> None:
        found = Credentials({"K": SECRET})
        credential = Credential(place, Secret("env", "K"))
        assert await found.headers_for(
            credential, BEDROCK, method="POST", url="https://x/y", headers=()
        ) == [header]

    asyncio.run(run())


# -- variables ---------------------------------------------------------------------------------


def test_a_variable_is_read_each_time() -> None:
    async def run() -> None:
        variables = {"K": f" {SECRET}\n"}
        found = Credentials(variables)
        assert found.ready(env("K")) == SECRET
        variables["K"] = "another"
        assert await found.find(env("K")) == "another"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "The variable K is not set."),
        ("  ", "The variable K is not set."),
        (
            "a\nb",
            "The variable K holds more than one line, or a character that no header may hold.",
        ),
        (
            "\u00e9",
            "The variable K holds more than one line, or a character that no header may hold.",
        ),
        ("a" * 16385, "The variable K holds more than 16384 bytes."),
    ],
)
def test_a_variable_that_is_of_no_use_is_named(value: str | None, said: str) -> None:
    async def run() -> None:
        found = Credentials({} if value is None else {"K": value})
        assert found.ready(env("K")) is None
        assert await problem_of(found.find(env("K"))) == said

    asyncio.run(run())


def test_the_process_environment_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTLAY_TEST_KEY", SECRET)

    async def run() -> None:
        assert Credentials().ready(env("OUTLAY_TEST_KEY")) == SECRET

    asyncio.run(run())


# -- files -------------------------------------------------------------------------------------


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    async def run() -> None:
        path, clock = tmp_path / "key", Clock()
        path.write_text(f"{SECRET}\n")
        found = Credentials({}, clock=clock)
        assert found.ready(file(path)) is None
        assert await found.find(file(path)) == SECRET
        assert found.ready(file(path)) == SECRET

        path.write_text("another")
        assert found.ready(file(path)) == SECRET  # not looked at yet
        clock.now += subject.CHECK_S
        assert found.ready(file(path)) is None
        assert await found.find(file(path)) == "another"

    asyncio.run(run())


def test_a_file_that_looks_the_same_is_read_again_after_its_time(tmp_path: Path) -> None:
    async def run() -> None:
        path, clock = tmp_path / "key", Clock()
        path.write_text("one")
        os.utime(path, ns=(10**18, 10**18))
        found = Credentials({}, clock=clock)
        assert await found.find(file(path)) == "one"
        path.write_text("two")
        os.utime(path, ns=(10**18, 10**18))
        for _ in range(10):
            clock.now += 29
            assert await found.find(file(path)) == "one"
        clock.now += 10
        assert await found.find(file(path)) == "two"

    asyncio.run(run())


def test_a_file_may_be_swapped_behind_a_link(tmp_path: Path) -> None:
    async def run() -> None:
        for name in ("one", "two"):
            (tmp_path / name).write_text(name)
        path, clock = tmp_path / "key", Clock()
        path.symlink_to(tmp_path / "one")
        found = Credentials({}, clock=clock)
        assert await found.find(file(path)) == "one"
        (tmp_path / "new").symlink_to(tmp_path / "two")
        (tmp_path / "new").replace(path)
        clock.now += subject.CHECK_S
        assert await found.find(file(path)) == "two"

    asyncio.run(run())


def test_a_file_that_is_gone_is_used_a_little_longer(tmp_path: Path) -> None:
    async def run() -> None:
        path, clock, log = tmp_path / "key", Clock(), Log()
        path.write_text(SECRET)
        found = Credentials({}, clock=clock, log=log)
        assert await found.find(file(path)) == SECRET
        path.unlink()
        clock.now += 300 + subject.MAX_STALE_S - 1
        assert await found.find(file(path)) == SECRET
        clock.now += 1
        said = await problem_of(found.find(file(path)))
        assert said == f"The file {path} cannot be read: No such file or directory."

        path.write_text("another")
        clock.now += subject.RETRY_S
        assert await found.find(file(path)) == "another"
        assert [(level, event) for level, event, _ in log.lines] == [
            ("warning", "credential not found"), ("info", "credential found again")
        ]  # fmt: skip

    asyncio.run(run())


def test_a_file_that_fails_is_not_looked_at_for_every_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def read_file(path: str, known: tuple[int, ...]) -> Any:
        looks.append(path)
        return secret_lookup.read_file(path, known)

    monkeypatch.setattr(subject, "read_file", read_file)

    async def run() -> None:
        path, clock = tmp_path / "key", Clock()
        found = Credentials({}, clock=clock)
        for _ in range(5):
            await problem_of(found.find(file(path)))
        assert len(looks) == 1
        path.write_text(SECRET)
        clock.now += subject.RETRY_S
        assert await found.find(file(path)) == SECRET

    asyncio.run(run())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds nothing"),
        (b"a\nb", "holds more than one line, or a character that no header may hold"),
        (b"\xff", "holds more than one line, or a character that no header may hold"),
        (b"a" * 16385, "holds more than 16384 bytes"),
    ],
)
def test_a_file_without_a_fit_value_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    async def run() -> None:
        path = tmp_path / "key"
        path.write_bytes(content)
        found = Credentials({})
        assert await problem_of(found.find(file(path))) == f"The file {path} {said}."

    asyncio.run(run())


def test_a_file_at_the_bound_is_taken_and_what_is_no_file_is_not(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "key"
        path.write_bytes(b"a" * secret_lookup.MAX_VALUE_BYTES)
        found = Credentials({})
        assert len(await found.find(file(path))) == secret_lookup.MAX_VALUE_BYTES
        os.mkfifo(tmp_path / "pipe")
        for name in (tmp_path, tmp_path / "pipe"):
            said = await problem_of(found.find(file(name)))
            assert said == f"The file {name} is not a regular file."

    asyncio.run(run())


# -- all ---------------------------------------------------------------------------------------


def test_what_is_in_use_no_more_is_forgotten_and_its_command_ended(tmp_path: Path) -> None:
    async def run() -> None:
        path, clock = tmp_path / "key", Clock()
        path.write_text(SECRET)
        found = Credentials({}, clock=clock)
        keys = AwsKeys(file(path).secret, Secret("env", "S"))
        await found.find(file(path))
        found.keep_only([Credential("aws", aws=keys)])
        assert found.ready(file(path)) == SECRET
        found.keep_only([env("K")])
        assert found.ready(file(path)) is None

        note = tmp_path / "pid"
        slow = command(f"import os,time; open({str(note)!r},'w').write(str(os.getpid()));"
                       "time.sleep(60)")  # fmt: skip
        waiting = asyncio.create_task(found.find(slow))
        await until(lambda: note.exists() and note.read_text() != "")
        await found.close()
        assert "was not looked up" in await problem_of(waiting)
        await until(lambda: not alive(int(note.read_text())))

    asyncio.run(run())


def test_no_value_is_shown_anywhere(tmp_path: Path) -> None:
    async def run() -> None:
        path, clock, log = tmp_path / "key", Clock(), Log()
        path.write_text(SECRET)
        script = counted(tmp_path / "runs", "print(sys.argv[1][::-1]); sys.exit(n > 1)")
        printed = command(script, SECRET[::-1])
        found = Credentials({"K": SECRET, "BAD": f"{SECRET}\n{SECRET}"}, clock=clock, log=log)
        assert await found.find(file(path)) == await found.find(printed) == SECRET
        path.write_text(f"{SECRET}\n{SECRET}")
        clock.now += 10_000
        told = [await problem_of(found.find(one)) for one in (file(path), printed, env("BAD"))]
        shown = [repr(found), repr(found._kept), repr(log.lines), *told]
        assert len(log.lines) == 2
        assert not any(SECRET in text for text in shown)

    asyncio.run(run())


def test_an_error_that_nobody_foresaw_says_only_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(subject, "read_file", broken)

    async def run() -> None:
        said = await problem_of(Credentials({}).find(file(Path("/k"))))
        assert said == "The file /k cannot be looked up: RuntimeError."

    asyncio.run(run())


def test_an_error_is_one_of_a_server_that_cannot_answer_now() -> None:
    error = CredentialError("The variable K is not set.")
    assert (error.status, error.code) == (503, "credential_missing")


def test_a_signature_is_not_one_value() -> None:
    async def run() -> None:
        credential = Credential("aws", aws=AwsKeys())
        found = Credentials({})
        assert found.ready(credential) is None
        await problem_of(found.find(credential))

    asyncio.run(run())
