"""A server's parts: opened in order, closed in reverse, and kept tidy in between."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

from fastapi import FastAPI

from outlay.act.enforcer import Enforcer
from outlay.act.estimates import EstimateWatch
from outlay.act.late import ARRIVED_REASON, LatePrices
from outlay.act.rerate import Rerater
from outlay.act.seeding import Seeder
from outlay.act.settle import Settler
from outlay.api.app import create_app
from outlay.api.auth import new_secret
from outlay.api.logs import forwarded, make_logger
from outlay.api.services import PartState, Services
from outlay.config import Settings
from outlay.core.rollup import DAY_US
from outlay.enrich.flags import FlagRules
from outlay.enrich.hop import HopLog
from outlay.enrich.price import price_table
from outlay.enrich.pump import SinkPump, trim_logs
from outlay.enrich.worker import Enricher
from outlay.errors import OutlayError
from outlay.store.base import Books, OlapStore, Sink
from outlay.stream.base import Log
from outlay.web import pages
from outlay.wiring.backends import BACKENDS, EMBEDDED, SERVERS, Target, target
from outlay.wiring.first_start import has_admin, make_first_key, make_first_link, seed_prices
from outlay.wiring.folder import DataFolder
from outlay.wiring.parts import CountingPrice, of_enforcer, of_enricher, of_pump, of_settler

MAINTENANCE_S: Final = 60.0
WAREHOUSE_EVENTS: Final = 40_000
WAREHOUSE_INTERVAL_S: Final = 0.5
"""Batch and pause of the warehouse near the head: finance can wait, and large batches become
Parquet at once instead of passing its journal."""
LATE_S: Final = 2.0
"""How soon events without a price are priced after a rate arrived."""
SETTLE_POLL_S: Final = 0.02
COMPACT_STEPS: Final = 50
"""Steps of upkeep for one store in one round."""
DRAIN_S: Final = 5.0
"""How long the end waits for the logs to reach the stores; the rest waits in the logs."""
JOIN_S: Final = 30.0

Clock = Callable[[], int]


def now_us() -> int:
    """Return the system clock in microseconds UTC."""
    return time.time_ns() // 1000


class Server:
    """Every part of a server, open and running until `close`.

    `first_key` is the admin key made when the books hold no usable one, and `first_link` the token
    of a sign-in link made with it; only their hashes are kept.

    Raises:
        ConfigError: a setting or URL is wrong.
        StorageBusyError: another server or process holds a file.
        StorageFullError: the disk is full.
    """

    def __init__(
        self, settings: Settings, *, clock: Clock = now_us, log_to: TextIO | None = None
    ) -> None:
        self.settings = settings
        self.log_to = log_to or sys.stderr
        self.log = make_logger(self.log_to, settings.log_level)
        self.first_key: str | None = None
        self.first_link: str | None = None
        self.more_parts: list[Callable[[], Iterable[PartState]]] = []
        """What else runs in this process tells how it is."""
        self._clock = clock
        self._closing = contextlib.ExitStack()
        self._stopping = threading.Event()
        self._upkeep_errors: dict[str, str] = {}
        try:
            self._open()
        except BaseException:
            self._closing.close()
            raise

    def _open(self) -> None:
        settings, close = self.settings, self._closing.callback
        self._closing.enter_context(forwarded(self.log))
        folder = DataFolder(Path(settings.data))
        close(folder.close)
        targets = {
            kind: target(kind, getattr(settings, f"{kind}_url"), folder.path) for kind in BACKENDS
        }
        self.books: Books = self._store(targets["books"])
        close(self.books.close)
        self.captured, self.enriched = self._logs(targets["stream"])
        close(self.enriched.close)
        close(self.captured.close)
        self.olap: OlapStore = self._store(targets["olap"])
        close(self.olap.close)
        self.warehouse: Sink = self._store(targets["warehouse"])
        close(self.warehouse.close)
        if settings.seed_prices:
            seed_prices(self.books, at=self._clock(), log=self.log)
        self._start_parts()
        self._rerater = Rerater(
            self.olap,
            self.captured,
            self.books,
            price=price_table,
            settled=self._settled,
            clock=self._clock,
        )
        self._late = LatePrices(
            self.olap,
            self.books,
            self._rerater,
            settled=self._settled,
            clock=self._clock,
            past_us=settings.max_past_days * DAY_US,
            future_us=settings.max_future_s * 1_000_000,
        )
        self._enforcer = Enforcer(
            self.books,
            clock=self._clock,
            queue=settings.authority_queue,
            keep_us=settings.max_past_days * DAY_US,
            webhook_secret=settings.webhook_secret,
            webhook_private_hosts=settings.webhook_private_hosts,
        )
        close(self._enforcer.stop)
        self._enforcer.start()
        self._start_counting()
        self.services = Services(
            settings=settings,
            own_key=new_secret(),
            books=self.books,
            captured=self.captured,
            enriched=self.enriched,
            olap=self.olap,
            clock=self._clock,
            parts=self.parts,
            data=folder.path,
            rerater=self._rerater,
            authority=self._enforcer.authority,
            policy=self._enforcer.policy,
            limit_notices=self._enforcer.notices,
            backends={kind: found.scheme for kind, found in targets.items()},
        )
        close(self.services.close_workers)
        self.app: FastAPI = create_app(self.services, log=self.log, pages=pages.routes(settings))
        self._maintenance = threading.Thread(target=self._maintain, name="outlay-maintain")
        self._maintenance.start()
        close(self._stop_maintenance)
        close(self._rerater.stop)
        if not has_admin(self.books, at=self._clock()):
            self.first_key = make_first_key(self.books, at=self._clock())
            self.first_link = make_first_link(self.books, at=self._clock())

    def _store(self, found: Target) -> Any:
        settings = self.settings
        if not found.ours:
            return found.opener(found.url, settings)
        if found.scheme in SERVERS:
            return found.opener(found.url)
        found.path.parent.mkdir(parents=True, exist_ok=True)
        match found.scheme:
            case "duckdb":
                memory, threads = settings.duckdb_memory_mb, settings.duckdb_threads
                return found.opener(found.path, memory_mb=memory, threads=threads)
            case "parquet":
                return found.opener(found.path)
            case _:
                return found.opener(found.url)

    def _logs(self, found: Target) -> tuple[Log, HopLog]:
        """Open both logs; only the captured one may live elsewhere than in files."""
        days = self.settings.max_past_days
        if not found.ours:
            place = Path(self.settings.data) / EMBEDDED["stream"][1]
            return found.opener(found.url, self.settings), HopLog(
                place / "enriched.db", max_past_days=days
            )
        captured: Log = found.opener(found.path / "captured.db")
        try:
            return captured, HopLog(found.path / "enriched.db", max_past_days=days)
        except BaseException:
            captured.close()
            raise

    def _start_parts(self) -> None:
        settings, clock = self.settings, self._clock
        self._price = CountingPrice()
        self._enricher = Enricher(
            self.captured,
            self.enriched,
            self.books,
            price=self._price,
            clock=clock,
            rules=FlagRules(
                late_after_s=settings.late_after_s,
                large_prompt_factor=settings.large_prompt_factor,
            ),
        )
        shared: dict[str, Any] = {"books": self.books, "clock": clock}
        self._pumps = {
            "olap": SinkPump(self.enriched, self.olap, **shared),
            "warehouse": SinkPump(
                self.enriched,
                self.warehouse,
                min_events=WAREHOUSE_EVENTS,
                min_interval_s=WAREHOUSE_INTERVAL_S,
                **shared,
            ),
        }
        self._seeder = Seeder(self.enriched, self.books, self.olap, clock=clock)
        self._settler = Settler(
            self.enriched,
            self.books,
            self.olap,
            clock=clock,
            moved=self._counters_moved,
            changed=self._seeder.wake,
        )
        self._estimates = EstimateWatch(self.olap, self.books, clock=clock)
        self._closing.callback(self._stop_parts)
        self._enricher.start()
        for pump in self._pumps.values():
            pump.start()

    def _counters_moved(self, series: Iterable[str]) -> None:
        """Let what watches limits look at the counters that events have moved."""
        self._enforcer.notices.look(series)

    def _start_counting(self) -> None:
        """Start what counts events for limits, and what looks up their past."""
        self._seeder.start()
        self._settler.start()

    def _stop_parts(self) -> None:
        """End the threads, upstream first, and let what is in the logs reach the stores."""
        until = time.monotonic() + DRAIN_S
        self._seeder.stop()
        workers: list[Enricher | SinkPump | Settler] = [
            self._enricher, *self._pumps.values(), self._settler,
        ]  # fmt: skip
        for part in workers:
            if not part.stop():
                self.log.error("part_did_not_stop")
                continue
            try:
                while time.monotonic() < until and part.run_once():
                    pass
                if isinstance(part, Settler):
                    part.write_offset()
            except Exception as error:
                # The logs keep what is left; the next start goes on from there.
                self.log.warning("not_drained", error=type(error).__name__)

    def _maintain(self) -> None:
        due = time.monotonic() + MAINTENANCE_S
        while not self._stopping.wait(LATE_S):
            self._try("late_prices", self._price_late)
            if time.monotonic() >= due:
                due = time.monotonic() + MAINTENANCE_S
                self._try("maintenance", self.maintain)
                self._try("estimates", self._watch_estimates)

    def _try(self, name: str, step: Callable[[], None]) -> None:
        """Do one part of the upkeep; the others go on when it fails, and its error shows."""
        try:
            step()
            self._upkeep_errors.pop(name, None)
        except Exception as error:
            said = type(error).__name__
            if self._upkeep_errors.get(name) != said:  # once, not every two seconds
                self.log.warning("maintenance_failed", part=name, error=said)
            self._upkeep_errors[name] = said

    def _stop_maintenance(self) -> None:
        self._stopping.set()
        self._maintenance.join(JOIN_S)
        self._note_key_use()

    def maintain(self) -> None:
        """Forget old log records, tidy the stores, note when keys were last used."""
        sinks = (self.olap, self.warehouse)
        trim_logs(
            self.captured,
            self.enriched,
            (*sinks, self._settler),
            retention_days=self.settings.retention_days,
            now=self._clock(),
        )
        for sink in sinks:
            self._compact(sink)
        self._note_key_use()

    def _settled(self, timeout_s: float) -> bool:
        """Wait until the live store answers with all that is captured by now; tell whether so."""
        captured, until = self.captured.head(), time.monotonic() + timeout_s
        while self._enricher.state().offset < captured:
            if time.monotonic() >= until or self._stopping.wait(SETTLE_POLL_S):
                return False
        enriched = self.enriched.head()
        while self.olap.offset() < enriched:
            if time.monotonic() >= until or self._stopping.wait(SETTLE_POLL_S):
                return False
        return True

    def _price_late(self) -> None:
        """Price what had no price, when the book has changed since the last look."""
        written = self._late.run()
        if written:
            self.log.info("rerated", events=written, reason=ARRIVED_REASON)

    def _watch_estimates(self) -> None:
        """Raise findings where what calls are held at drifts from what they cost."""
        found = self._estimates.run()
        if found:
            self.log.warning("estimates_drift", models=found)

    def _compact(self, sink: Sink) -> None:
        """Let a store that has upkeep do some; each step tells whether there may be more."""
        step: Callable[[], object] = getattr(sink, "compact", lambda: False)
        for _ in range(COMPACT_STEPS):
            if self._stopping.is_set() or not step():
                return

    def _note_key_use(self) -> None:
        try:
            self.books.keys_used(self.app.state.auth.take_used())
        except OutlayError as error:
            self.log.warning("key_use_not_noted", code=error.code)

    def parts(self) -> Sequence[PartState]:
        """Return how the running parts are."""
        alive = self._maintenance.is_alive()
        error = next(iter(self._upkeep_errors.copy().values()), None)
        return [
            of_enricher(self._enricher, self._price),
            *(of_pump(name, pump) for name, pump in self._pumps.items()),
            of_settler(self._settler, self._seeder),
            *of_enforcer(self._enforcer),
            *(part for more in self.more_parts for part in more()),
            PartState("maintenance", alive, error=error),
        ]

    def close(self) -> None:
        """End every part in order, and wait for each; a second call does nothing."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
