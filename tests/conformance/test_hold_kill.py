"""Nothing that was answered is lost when a database or one of its clients is killed."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from outlay.errors import UnavailableError
from outlay.store.base import Tenant
from outlay.store.books.sql import SqlBooks
from tests import postgres as real
from tests.conformance.limit_writer import BATCH, SCOPES, batch

pytestmark = pytest.mark.heavy

ROUNDS = 4
WRITERS = 4


@pytest.fixture(scope="module")
def durable() -> Iterator[real.Postgres]:
    if real.find() is None:
        pytest.skip("PostgreSQL")
    with real.server(durable=True) as running:
        yield running


@contextmanager
def writer(url: str, name: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.limit_writer", url, name],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def answered(process: subprocess.Popen[str]) -> int:
    """Kill a writer; return the number of its last answered batch."""
    process.kill()
    assert process.stdout is not None
    return int(process.stdout.read().split()[-1])


def check(books: SqlBooks, last: dict[str, int]) -> None:
    """Check that every answered operation is there, and that the counters equal the lines."""
    assert books.check_holds() == []
    for name, number in last.items():
        found = books.holds(state="", owner=name, limit=10_000)
        states = {hold.hold_id: hold.state for hold in found}
        for before in range(max(0, number - 20), number + 1):
            for n in range(BATCH):
                settled = n % 2 == 0 and before < number
                allowed = ("settled",) if settled else ("open", "settled")
                assert states[f"{name}-{before}-{n}"] in allowed
        lease = books.hold(f"lease-{name}")
        assert lease is not None
        assert lease.lines[SCOPES[0].counter_id].reported >= number


def test_killed_sqlite_writers_leave_whole_batches(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    SqlBooks(url).close()
    chance = random.Random(4)
    last = {}
    for number in range(ROUNDS):
        name = f"w{number}"
        with writer(url, name) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "0\n"
            time.sleep(chance.uniform(0.05, 0.4))
            last[name] = answered(process)
        books = SqlBooks(url)
        check(books, last)
        books.close()


def test_killed_clients_of_postgresql_leave_whole_batches(durable: real.Postgres) -> None:
    url = durable.new_books()
    chance = random.Random(5)
    last = {}
    for number in range(ROUNDS):
        with writer(url, f"a{number}") as one, writer(url, f"b{number}") as two:
            for process in (one, two):
                assert process.stdout is not None
                assert process.stdout.readline() == "0\n"
            time.sleep(chance.uniform(0.05, 0.4))
            last[f"a{number}"] = answered(one)
            last[f"b{number}"] = answered(two)
        books = SqlBooks(url)
        check(books, {name: at for name, at in last.items() if name.endswith(str(number))})
        books.close()


def test_a_killed_postgresql_loses_nothing_and_the_books_heal(durable: real.Postgres) -> None:
    books = SqlBooks(durable.new_books())
    chance = random.Random(6)
    for round_ in range(ROUNDS):
        last: dict[str, int] = {}
        failures: list[Exception] = []

        def work(name: str, last: dict[str, int], failures: list[Exception]) -> None:
            for number in range(10_000):
                try:
                    books.apply(batch(name, number))
                except Exception as error:
                    failures.append(error)
                    return
                last[name] = number

        threads = [
            threading.Thread(target=work, args=(f"k{round_}{n}", last, failures))
            for n in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.3, 0.8))
        durable.kill9()
        for thread in threads:
            thread.join()
        assert len(last) == len(failures) == WRITERS
        assert {type(failure) for failure in failures} == {UnavailableError}
        with pytest.raises(UnavailableError):
            books.apply(batch("down", 0))
        durable.restart()
        started = time.monotonic()
        while time.monotonic() < started + 10:
            with suppress(UnavailableError):
                books.put_tenant(Tenant("acme"), actor="me", at=1)
                break
        # Whoever waits for an answer asks again, and is told the same.
        for name, number in last.items():
            again = {answer.status for answer in books.apply(batch(name, number + 1))}
            assert again <= {"ok", "already"}
            last[name] = number + 1
        check(books, last)
    books.close()
