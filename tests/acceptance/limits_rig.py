"""Real processes under limits: a server, applications that call a provider, and what they owe.

A `Site` is one server on one set of books with a provider beside it; `Crew` are applications of
one case, with a tenant and a limit of their own. All money is nano-dollars.
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx

from tests.acceptance.killing import Rig
from tests.acceptance.limit_app import KINDS
from tests.acceptance.limit_provider import RATES, Provider

ROOT: Final = Path(__file__).resolve().parents[2]
ANSWER_S: Final = 60.0
SETTLE_S: Final = 20.0
LEASE_TTL_S: Final = 5
"""The least that the server takes, so that what the dead held comes back soon."""
SETTINGS: Final = {
    "OUTLAY_LEASE_TTL_S": str(LEASE_TTL_S),
    "OUTLAY_SEED_PRICES": "false",
    "OUTLAY_DUCKDB_MEMORY_MB": "256",
}
_numbers = count(1)


class Worker:
    """An application in a process of its own."""

    def __init__(self, site: Site, kind: str, folder: Path, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.oracle = folder / "oracle"
        env = site.rig.env | {
            "OUTLAY_ENDPOINT": site.rig.url,
            "OUTLAY_KEY": site.rig.key,
            "OUTLAY_SPOOL_DIR": str(folder / "spool"),
            "OUTLAY_SHIP_INTERVAL_S": "0.05",
            "OUTLAY_HOSTS": site.provider.hosts,
            **settings,
        }
        command = [sys.executable, "-m", "tests.acceptance.limit_app", kind]
        with (folder / "errors.log").open("ab") as log:
            self.child = subprocess.Popen(
                [*command, site.provider.url, str(self.oracle)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=env, cwd=ROOT,
            )  # fmt: skip

    def tell(self, do: str, **values: Any) -> None:
        """Give a command; `hear` its answer."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps({"do": do, **values}) + "\n")
        self.child.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Return the answer to the oldest command."""
        assert self.child.stdout is not None
        readable, _, _ = select.select([self.child.stdout], [], [], ANSWER_S)
        line = self.child.stdout.readline() if readable else ""
        assert line, (self.folder / "errors.log").read_text()
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """Give a command and return its answer."""
        self.tell(do, **values)
        return self.hear()

    def kill9(self) -> None:
        """Kill it, wherever it is."""
        self.child.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> None:
        """Reap it; one that lives is told to go."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        with suppress(OSError):
            self.child.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(15)
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(15)
        self.child.stdout.close()

    def noted(self) -> int:
        """Return how many calls had come back."""
        return self.oracle.read_bytes().count(b"\n") if self.oracle.exists() else 0


class Site:
    """A server process on some books, its admin's client, and a provider."""

    def __init__(self, folder: Path, books_url: str, provider: Provider) -> None:
        self.folder = folder
        self.books_url = books_url
        self.provider = provider
        self.rig = Rig(folder / "server")
        self.rig.env |= {**SETTINGS, "OUTLAY_BOOKS_URL": books_url}
        self.rig.start_server()
        self.http = httpx.Client(
            base_url=self.rig.url,
            headers={"Authorization": f"Bearer {self.rig.key}"},
            timeout=30,
        )
        self._idle: dict[str, list[Worker]] = {}
        self.post("/v1/prices", {"reason": "test", "rates": RATES, "force": True})

    def close(self) -> None:
        """End the applications and the server."""
        for workers in self._idle.values():
            for worker in workers:
                worker.end()
        self.http.close()
        self.rig.stop_server()

    def kill9(self) -> None:
        """Kill the server, wherever it is."""
        self.rig.kill(self.rig.server)

    def restart(self) -> float:
        """Start the server again, on the same data and port; return how many seconds it took."""
        began = time.monotonic()
        self.rig.start_server()
        return time.monotonic() - began

    def post(self, path: str, body: dict[str, Any], method: str = "POST") -> dict[str, Any]:
        """Change something as an admin."""
        answer = self.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Look at something as an admin."""
        answer = self.http.get(path, params=query)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    # -- limits ----------------------------------------------------------------------------------

    def name(self, stem: str = "case") -> str:
        """Return a new name for a tenant and its limit."""
        return f"{stem}-{next(_numbers)}"

    def limit(self, name: str, amount: int, **more: Any) -> None:
        """Set the monthly limit of a tenant, both called by one name."""
        dollars = f"{amount // 10**9}.{amount % 10**9:09d}"
        one = {"id": name, "scope": {"tenant": name}, "window": "month", "amount": dollars, **more}
        self.post("/v1/limits?reason=test", {"limits": [one]})

    def stand(self, name: str) -> tuple[int, int]:
        """Return what is used and held of a limit."""
        rows = self.get("/v1/limits/state", limit=name)["counters"]
        return sum(row["used"] for row in rows), sum(row["held"] for row in rows)

    def open_holds(self) -> list[Any]:
        """Return leases and holds that are open."""
        found: list[Any] = self.get("/v1/leases")["leases"] + self.get("/v1/holds")["holds"]
        return found

    def verify(self) -> None:
        """Have the server prove its books."""
        found = self.get("/v1/verify")
        assert found["ok"], found

    def cost(self, tenant: str) -> int:
        """Return what the live store says that a tenant cost."""
        question = {"metrics": ["cost"], "by": ["tenant"], "last": "1h", "limit": 10_000}
        rows = self.post("/v1/query", question)["rows"]
        return dict(rows).get(tenant) or 0

    # -- applications ----------------------------------------------------------------------------

    @contextmanager
    def crew(self, processes: int, **settings: Any) -> Iterator[Crew]:
        """Give applications of different kinds that know the limits; they are used again."""
        workers = []
        for place in range(processes):
            idle = self._idle.setdefault(KINDS[place], [])
            workers.append(idle.pop() if idle else self.worker(KINDS[place]))
        crew = Crew(workers)
        crew.all("open", policy=self.get("/v1/limits/policy")["revision"], **settings)
        yield crew
        crew.close()
        for place, worker in enumerate(workers):
            self._idle[KINDS[place]].append(worker)

    def worker(self, kind: str, folder: Path | None = None, **settings: str) -> Worker:
        """Start an application."""
        folder = folder or self.folder / self.name("app")
        return Worker(self, kind, folder, **settings)


class Crew:
    """Applications that do the same at the same time."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = list(workers)
        self.results: list[dict[str, Any]] = []
        self.refusals_counted = 0
        self._open = True

    def burst(self, calls: int, **call: Any) -> Counter[str]:
        """Make calls at once, in all; return how many ended how."""
        return self.later(calls, **call)()

    def later(self, calls: int, **call: Any) -> Callable[[], Counter[str]]:
        """Begin a burst; what is returned waits for its end."""
        count = len(self.workers)
        at = time.time() + 0.1
        shares = [calls // count + (place < calls % count) for place in range(count)]
        for worker, share in zip(self.workers, shares, strict=True):
            worker.tell("burst", calls=share, at=at, **call)

        def wait() -> Counter[str]:
            found = [result for worker in self.workers for result in worker.hear()["results"]]
            self.results += found
            return Counter(result["state"] for result in found)

        return wait

    def all(self, do: str, **values: Any) -> list[dict[str, Any]]:
        """Have all do something; return their answers."""
        for worker in self.workers:
            worker.tell(do, **values)
        return [worker.hear() for worker in self.workers]

    def close(self) -> None:
        """Let all send what they have and give back what they hold; a second call does nothing."""
        if not self._open:
            return
        self._open = False
        answers = self.all("close")
        assert all(answer["flushed"] for answer in answers), answers
        self.refusals_counted = sum(answer["stats"].get("refused", 0) for answer in answers)


@contextmanager
def site(folder: Path, books_url: str, **provider: float) -> Iterator[Site]:
    """Run a server and a provider, and end both."""
    folder.mkdir(parents=True, exist_ok=True)
    with Provider(**provider) as bills:
        here = Site(folder, books_url, bills)
        try:
            yield here
        finally:
            here.close()


def until(true: Callable[[], bool], what: str, seconds: float = SETTLE_S) -> float:
    """Wait until something holds; return how many seconds that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began
