"""Holds a second on a real PostgreSQL, on one hot tenant, against a naive update of each row.

    python -m bench.authority [--seconds N] [--clients N] [--scopes N] [--sqlite] [--json]

Each client reserves a call in every scope, waits for the answer, settles it, and begins again. The
naive way has as many clients, each with a connection of its own: one conditional update per scope
and one commit, to reserve and again to settle. Writes are durable in both. `calm` is the latency
with a few clients only, at a steady rate that the naive way could carry too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import threading
import time
from concurrent.futures import Future
from typing import Any, Final

import psycopg

from outlay.act.authority import Authority
from outlay.core.limits.holds import CounterKey, Need, Op, Outcome, Reserve, Settle
from outlay.store.books.sql import SqlBooks
from tests import postgres

CAP: Final = 10**15
HELD, USED = 1000, 900
CALM_CLIENTS: Final = 8
WARM_S: Final = 0.5


def scopes_of(number: int) -> list[CounterKey]:
    """Name the counters of one tenant."""
    scope = '[["tenant","acme"]]'
    start, end = 1_759_276_800_000_000, 1_761_955_200_000_000
    series = [f"acme-limit-{n}|0123456789abcdef" for n in range(number)]
    return [
        CounterKey(f"{one}|{start}", one, one.partition("|")[0], scope, start, end)
        for one in series
    ]


class Client:
    """Reserves and settles, one after the other; goes on in the callback of each answer."""

    def __init__(
        self, authority: Authority, name: str, scopes: list[CounterKey], until: float
    ) -> None:
        self._authority, self._name, self._until = authority, name, until
        self._needs = tuple(Need(key, "cost", HELD, CAP) for key in scopes)
        self._calls = 0
        self._asked = 0.0
        self._settling = False
        self.answers: list[tuple[float, float]] = []
        """When each answer came, and the seconds it took."""
        self.ended = threading.Event()

    def go(self) -> None:
        """Send the next operation."""
        at = time.time_ns() // 1000
        hold_id = f"{self._name}-{self._calls:08d}"
        op: Op = Settle(hold_id, {"cost": USED}, at)
        if not self._settling:
            op = Reserve(hold_id, self._name, self._needs, at, at + 60_000_000, HELD, "0" * 32)
        self._asked = time.perf_counter()
        self._authority.submit([op]).add_done_callback(self._answered)

    def _answered(self, answer: Future[list[Outcome]]) -> None:
        now = time.perf_counter()
        assert [outcome.status for outcome in answer.result()] == ["ok"]
        self.answers.append((now, now - self._asked))
        self._calls += self._settling
        self._settling = not self._settling
        if now >= self._until and not self._settling:
            self.ended.set()
        else:
            self.go()


def ours(url: str, clients: int, scopes: list[CounterKey], seconds: float) -> dict[str, float]:
    """Measure the authority."""
    books = SqlBooks(url)
    authority = Authority(books, queue=10 * clients)
    authority.start()
    begin = time.perf_counter() + WARM_S
    running = [Client(authority, f"c{n:04d}", scopes, begin + seconds) for n in range(clients)]
    for client in running:
        client.go()
    for client in running:
        client.ended.wait(seconds + 60)
    state = authority.state()
    authority.stop()
    wrong = books.check_holds()
    assert wrong == [], wrong
    books.close()
    answers = [answer for client in running for answer in client.answers]
    found = figures(answers, begin, seconds)
    return {**found, "ops_per_batch": round(state.ops / state.batches, 1)}


def figures(answers: list[tuple[float, float]], begin: float, seconds: float) -> dict[str, float]:
    """Return pairs a second and latencies of the answers between two moments."""
    spans = sorted(took for at, took in answers if begin <= at < begin + seconds)
    return {
        "pairs_per_s": round(len(spans) / 2 / seconds),
        "p50_ms": round(spans[len(spans) // 2] * 1000, 2),
        "p99_ms": round(spans[len(spans) * 99 // 100] * 1000, 2),
    }


async def naive(url: str, clients: int, scopes: int, seconds: float) -> dict[str, float]:
    """Measure a conditional update of each scope's row for each call, and another to settle."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE naive (id int PRIMARY KEY, used bigint NOT NULL, cap bigint NOT NULL)"
            " WITH (fillfactor = 50)"
        )
        connection.execute(
            "INSERT INTO naive SELECT n, 0, %s FROM generate_series(1, %s) n", (CAP, scopes)
        )
    take = "UPDATE naive SET used = used + %s WHERE id = %s AND used + %s <= cap"
    begin = time.perf_counter() + WARM_S
    answers: list[tuple[float, float]] = []

    async def client() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            while time.perf_counter() < begin + seconds:
                for amount in (HELD, USED - HELD):
                    asked = time.perf_counter()
                    async with connection.cursor() as cursor:
                        for scope in range(1, scopes + 1):
                            await cursor.execute(take, (amount, scope, amount))
                    await connection.commit()
                    now = time.perf_counter()
                    answers.append((now, now - asked))

    await asyncio.gather(*(client() for _ in range(clients)))
    return figures(answers, begin, seconds)


def measure(clients: int, scopes: int, seconds: float) -> dict[str, Any]:
    """Measure both on one server, one after the other."""
    keys = scopes_of(scopes)
    with postgres.server(durable=True) as server:
        busy = ours(server.new_books(), clients, keys, seconds)
        calm = ours(server.new_books(), CALM_CLIENTS, keys, seconds)
        plain = asyncio.run(naive(server.new_database(), clients, scopes, seconds))
    found: dict[str, Any] = {"clients": clients, "scopes": scopes, **busy}
    found |= {f"calm_{name}": value for name, value in calm.items()}
    found |= {f"naive_{name}": value for name, value in plain.items()}
    found["ratio_to_naive"] = round(busy["pairs_per_s"] / max(1, plain["pairs_per_s"]), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=256)
    parser.add_argument("--scopes", type=int, default=6)
    parser.add_argument("--sqlite", action="store_true", help="measure SQLite, without the naive")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.sqlite:
        with tempfile.TemporaryDirectory(prefix="outlay-bench-") as folder:
            keys = scopes_of(options.scopes)
            url = f"sqlite:///{folder}/books.db"
            found: dict[str, Any] = {**ours(url, options.clients, keys, options.seconds)}
    else:
        found = measure(options.clients, options.scopes, options.seconds)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<24}{value}")


if __name__ == "__main__":
    main()
