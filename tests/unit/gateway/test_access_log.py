"""Lines of the access log: as the server's log writes them, some together."""

from __future__ import annotations

import asyncio
import io
import json

import pytest

from outlay.api.logs import make_logger
from outlay.gateway.access_log import FLUSH_BYTES, FLUSH_S, AccessLog


def test_a_line_is_as_the_servers_log_writes_it() -> None:
    ours, theirs = io.StringIO(), io.StringIO()
    AccessLog(ours, "info").info("call", status=200, tenant='a"b', ms=1.5)
    make_logger(theirs, "info").info("call", status=200, tenant='a"b', ms=1.5)
    mine, other = json.loads(ours.getvalue()), json.loads(theirs.getvalue())
    assert set(mine) == set(other)
    assert len(mine.pop("timestamp")) == len(other.pop("timestamp"))
    assert mine == other


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", ["a", "b"]), ("info", ["a", "b"]), ("warning", ["b"]), ("error", [])],
)
def test_only_what_is_severe_enough_is_written(level: str, shown: list[str]) -> None:
    written = io.StringIO()
    log = AccessLog(written, level)
    log.info("a")
    log.warning("b")
    assert [json.loads(line)["event"] for line in written.getvalue().splitlines()] == shown


def test_lines_wait_a_moment_and_leave_together() -> None:
    async def run() -> tuple[str, str]:
        written = io.StringIO()
        log = AccessLog(written, "info")
        log.info("a")
        log.info("b")
        before = written.getvalue()
        await asyncio.sleep(FLUSH_S * 2)
        return before, written.getvalue()

    before, after = asyncio.run(run())
    assert before == ""
    assert len(after.splitlines()) == 2


def test_many_lines_do_not_wait() -> None:
    async def run() -> str:
        written = io.StringIO()
        log = AccessLog(written, "info")
        log.info("a", text="x" * (FLUSH_BYTES - 10))
        return written.getvalue()

    assert len(asyncio.run(run())) >= FLUSH_BYTES
