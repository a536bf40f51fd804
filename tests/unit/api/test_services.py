"""Worker threads: a bounded number at work, a bounded number waiting, the rest refused at once."""

from __future__ import annotations

import asyncio
import threading

import pytest

from outlay.api.services import Workers
from outlay.errors import UnavailableError


def test_work_beyond_the_bound_is_refused_and_places_come_back() -> None:
    workers = Workers("test", threads=1, waiting=1)
    go = threading.Event()

    async def main() -> list[object]:
        jobs = [asyncio.ensure_future(workers.run(go.wait, 5)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert isinstance(jobs[2].exception(), UnavailableError)
        go.set()
        done: list[object] = list(await asyncio.gather(*jobs[:2]))
        return [*done, await workers.run(lambda: "again")]

    assert asyncio.run(main()) == [True, True, "again"]
    workers.close()


def test_a_caller_that_stops_waiting_does_not_free_the_thread() -> None:
    workers = Workers("test", threads=1, waiting=0)
    go = threading.Event()

    async def main() -> None:
        job = asyncio.ensure_future(workers.run(go.wait, 5))
        await asyncio.sleep(0.05)
        job.cancel()
        with pytest.raises(UnavailableError):
            await workers.run(lambda: None)
        go.set()

    asyncio.run(main())
    workers.close()


def test_errors_of_a_job_reach_its_caller() -> None:
    workers = Workers("test", threads=1, waiting=0)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(workers.run(lambda: 1 // 0))
    workers.close()


def test_closed_workers_refuse() -> None:
    workers = Workers("test", threads=1, waiting=0)
    workers.close()
    with pytest.raises(UnavailableError, match="shutting down"):
        asyncio.run(workers.run(lambda: None))
