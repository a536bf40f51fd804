"""Several openers apply whatever comes, while old rows are forgotten: it adds up in the end."""

from __future__ import annotations

import random
import threading
import time

import psycopg
import pytest

from outlay.store.books.sql import SqlBooks
from tests.conformance.test_hold_agreement import of_example, operation

pytestmark = pytest.mark.heavy

OPENERS = 4
SECONDS = 5.0


def test_counters_equal_their_lines_and_nobody_waits_in_a_circle(books_url: str) -> None:
    openers = [SqlBooks(books_url) for _ in range(OPENERS)]
    end = time.monotonic() + SECONDS
    failures: list[Exception] = []
    applied = []

    def work(books: SqlBooks, seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < end:
            ops = [
                of_example(
                    operation([chance.randrange(60) for _ in range(24)]), f"e{chance.randrange(3)}."
                )
                for _ in range(chance.randrange(1, 12))
            ]
            try:
                applied.extend(books.apply(ops))
            except Exception as error:
                failures.append(error)

    def sweep(books: SqlBooks) -> None:
        chance = random.Random(1)
        while time.monotonic() < end:
            try:
                books.forget_holds(before=chance.randrange(400) * 1_000_000, limit=5)
            except Exception as error:
                failures.append(error)
            time.sleep(0.01)

    threads = [
        threading.Thread(target=work, args=(books, seed)) for seed, books in enumerate(openers)
    ]
    threads.append(threading.Thread(target=sweep, args=(openers[0],)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {outcome.status for outcome in applied} >= {"ok", "already", "over", "ended"}
    assert openers[0].check_holds() == []
    for books in openers:
        books.close()
    if books_url.startswith("postgresql"):
        with psycopg.connect(books_url) as connection:
            found = connection.execute(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        assert found == (0,)
