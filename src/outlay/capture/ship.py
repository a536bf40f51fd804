"""The shipper: one daemon thread that moves events from the spool to the server.

Rows leave the spool only after the server acknowledged them, so a batch may be sent twice and is
never lost; event ids make that harmless. It owns batching, backing off and what to do with each
kind of answer. It must not run on a caller's thread.
"""

from __future__ import annotations

import _thread
import gzip
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from outlay.capture import forks
from outlay.capture.counts import REFUSED, TOO_LARGE_TO_SHIP, Stats
from outlay.capture.guard import guarded, logger, warn_once
from outlay.capture.spool import Row, Spool, adopt
from outlay.capture.transport import Reply, Transport, prepare

MAX_BATCH_BYTES: Final = 1024 * 1024
"""Most bytes of event text in one request."""
BACKOFF_S: Final = (0.5, 30.0)
"""First and longest wait after a failure; it doubles, and a random part is taken off."""
MAX_RETRY_AFTER_S: Final = 300.0
"""Longest `retry-after` that is honoured."""
REFUSED_S: Final = 60.0
"""Wait after an answer that only a person can change: a wrong key or a wrong address."""
ADOPT_EVERY_S: Final = 10.0
IDLE_S: Final = 2.0
"""How often an idle shipper looks around."""


class Shipper:
    """Moves a spool's events, and those of dead processes, to the server."""

    def __init__(
        self,
        spool: Spool,
        stats: Stats,
        *,
        transport: Transport | None,
        folder: Path,
        interval_s: float,
        batch_events: int,
        tick: Callable[[Transport | None], None],
    ) -> None:
        """Prepare; no thread runs before `start`.

        Args:
            spool: where events come from.
            stats: where they are counted.
            transport: the server; `None` only keeps the spool tidy.
            folder: where spools of dead processes are looked for.
            interval_s: how long events gather before they are sent.
            batch_events: most events in one request.
            tick: other slow work of the guest, done on this thread now and then.
        """
        self._spool = spool
        self._stats = stats
        self._transport = transport
        self._folder = folder
        self._interval_s = interval_s
        self._batch_events = batch_events
        self._limit = batch_events
        self._tick = tick
        self._adopted: list[Spool] = []
        self._adopt_at = 0.0
        self._failures = 0
        self._delay = BACKOFF_S[0]
        self._wait_until = 0.0
        self._urgent = False
        self._stopping = False
        self.idle = False
        """The thread waits for an event: ring, or it looks only in `IDLE_S`."""
        self.running = False
        """Whether the thread was started."""
        self._thread: threading.Thread | None = None
        # A bare lock as a bell: it can be rung from a garbage collection on top of anything.
        self._bell = _thread.allocate_lock()
        self._bell.acquire()

    # -- the caller's side ---------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, once."""
        if self._thread is None and not self._stopping:
            thread = threading.Thread(target=self._run, name="outlay-shipper", daemon=True)
            self._thread = thread
            self.running = True
            thread.start()

    def ring(self) -> None:
        """Tell the thread that there is something to do."""
        if self._bell.locked():
            try:
                self._bell.release()
            except RuntimeError:
                return  # somebody else rang in between

    def flush(self, timeout_s: float) -> bool:
        """Send what waits now; tell whether all of it was acknowledged in time.

        Gives up early when the server fails, since it would not get better within the time.
        """
        if self._transport is None:
            return self._spool.pending == 0
        self.start()
        failures = self._failures
        deadline = time.monotonic() + timeout_s
        self._urgent = True
        self.ring()
        while self._spool.pending:
            if self._failures != failures or time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    def stop(self, timeout_s: float) -> None:
        """End the thread; what was not sent stays in the spool."""
        self._stopping = True
        self.ring()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        with guarded("ship.prepare"), forks.gate:
            prepare()
        while not self._stopping:
            with guarded("ship.tick"):
                self._tick(self._transport)
            with guarded("ship.spool"):
                self._spool.tend()
            urgent, self._urgent = self._urgent, False
            if self._transport is not None and (urgent or time.monotonic() >= self._wait_until):
                with guarded("ship.send"):
                    self._send_all()
                with guarded("ship.adopt"):
                    self._send_orphans()
            self._rest()
        for spool in self._adopted:
            spool.close()
        if self._transport is not None:
            self._transport.close()

    def _rest(self) -> None:
        """Wait for an event and then for company, or for a failing server."""
        if self._hurried():
            return
        wait = self._wait_until - time.monotonic()
        if wait > 0:
            self._bell.acquire(timeout=min(wait, IDLE_S))
            return
        # Said before looking, so that no event slips in between without ringing.
        self.idle = True
        waiting = self._transport is not None and self._spool.pending
        rung = waiting or self._bell.acquire(timeout=IDLE_S)
        self.idle = False
        if rung and not self._hurried():
            self._bell.acquire(timeout=self._interval_s)

    def _hurried(self) -> bool:
        return self._stopping or self._urgent

    def _send_all(self) -> None:
        while not self._stopping and self._send_some(self._spool):
            pass

    def _send_orphans(self) -> None:
        now = time.monotonic()
        if not self._adopted and now >= self._adopt_at and now >= self._wait_until:
            self._adopt_at = now + ADOPT_EVERY_S
            self._adopted = adopt(self._folder, self._spool.max_bytes)
        while self._adopted and not self._stopping:
            spool = self._adopted[-1]
            if not self._send_some(spool):
                if time.monotonic() < self._wait_until:
                    return
                spool.close()
                self._adopted.pop()

    def _send_some(self, spool: Spool) -> bool:
        """Send one batch; tell whether it is worth going on."""
        rows = spool.batch(self._limit, MAX_BATCH_BYTES)
        if not rows:
            return False
        if not self._deliver(spool, rows):
            return False
        self._limit = min(self._batch_events, self._limit + self._limit // 8 + 1)
        self._delay = BACKOFF_S[0]
        self._wait_until = 0.0
        return True

    def _deliver(self, spool: Spool, rows: Sequence[Row]) -> bool:
        """Get rows off the spool, in parts if need be; `False`: try again later."""
        reply = self._post(rows)
        if reply is None:
            return False
        status = reply.status
        if status == 200:
            return self._acknowledged(spool, rows, reply)
        if status in (400, 413, 422):
            if len(rows) == 1:
                self._stats.drop(TOO_LARGE_TO_SHIP if status == 413 else REFUSED)
                warn_once(
                    f"refused:{status}", "outlay: the server refuses an event with HTTP %d", status
                )
                return spool.done(rows)
            # Halved until the batch fits, or until the one bad event is alone.
            half = len(rows) // 2
            if status == 413:
                self._limit = half
            return self._deliver(spool, rows[:half]) and self._deliver(spool, rows[half:])
        if status in (429, 503):
            self._back_off(_retry_after(reply))
        elif 300 <= status < 500:
            warn_once(
                f"refused:{status}",
                "outlay: the server answers HTTP %d: check the endpoint and the key; "
                "events are kept and tried again every %d s",
                status, int(REFUSED_S),
            )  # fmt: skip
            self._back_off(REFUSED_S)
        else:
            self._back_off(None)
        return False

    def _post(self, rows: Sequence[Row]) -> Reply | None:
        assert self._transport is not None
        body = gzip.compress("\n".join([row.body for row in rows]).encode(), compresslevel=1)
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        try:
            return self._transport.request("POST", "/v1/events", body=body, headers=headers)
        except OSError as error:
            if self._failures == 0:
                logger.info("outlay: the server cannot be reached: %s", error)
            self._back_off(None)
            return None

    def _acknowledged(self, spool: Spool, rows: Sequence[Row], reply: Reply) -> bool:
        result = _result(reply.body)
        if result is None:
            warn_once(
                "answer",
                "outlay: the endpoint does not answer as an outlay server; events are kept",
            )
            self._back_off(REFUSED_S)
            return False
        if not spool.done(rows):
            self._back_off(None)
            return False
        rejected = result.get("rejected") or []
        for item in rejected:
            code = str(item.get("code", "unknown"))[:64]
            self._stats.reject(code)
            warn_once(f"rejected:{code}", "outlay: the server rejects events: %s", code)
        self._stats.shipped += len(rows)
        self._stats.acknowledged += max(0, len(rows) - len(rejected))
        return True

    def _back_off(self, wait_s: float | None) -> None:
        self._failures += 1
        if wait_s is None:
            wait_s = self._delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load only
            self._delay = min(self._delay * 2, BACKOFF_S[1])
        self._wait_until = time.monotonic() + wait_s


def _result(body: bytes) -> dict[str, Any] | None:
    try:
        result = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return result if isinstance(result, dict) and "accepted" in result else None


def _retry_after(reply: Reply) -> float | None:
    try:
        seconds = float(reply.headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
