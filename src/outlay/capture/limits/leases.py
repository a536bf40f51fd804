"""The lease thread: tells the authority what was used and brings what may be used.

One daemon thread with a connection of its own. While something is on its way or held it syncs
every `limits_sync_s`, at once when a call waits, and again and again, some milliseconds apart,
while calls wait for what others hold. Reports are totals, so that an answer lost or a request sent
twice changes nothing. A lease counts as lost some time before the authority lets it go, by the
clock that only grows.
"""

from __future__ import annotations

import _thread
import json
import math
import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from outlay.capture import forks
from outlay.capture.guard import caught, guarded, warn_once
from outlay.capture.ids import new_id
from outlay.capture.limits.bell import Bell
from outlay.capture.limits.exchange import drafted, took
from outlay.capture.limits.wants import Want, matched
from outlay.capture.transport import Transport, prepare

if TYPE_CHECKING:
    from outlay.capture.limits.lines import Line
    from outlay.capture.limits.plans import Table
    from outlay.capture.limits.policy import PolicyKeeper

AGAIN_S: Final = (0.010, 0.050)
"""How soon the authority is asked again while calls wait for what others hold."""
GIVE_BACK_S: Final = 0.020
"""How soon a line near its limit gives back what a call did not use."""
BACKOFF_S: Final = (0.1, 5.0)
"""First and longest wait after a failure; it doubles."""
IDLE_S: Final = 30.0
"""How often an idle thread looks around."""


class LeaseClient:
    """Holds this process's lease. What it changes of the lines, it does under the gate's lock."""

    def __init__(
        self,
        transport: Transport,
        keeper: PolicyKeeper,
        table: Table,
        lock: threading.RLock,
        *,
        sync_s: float,
        timeout_s: float,
    ) -> None:
        self.owner = new_id()
        self.valid_until = 0.0
        """Until when what is held may be used."""
        self.offset_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000
        """The server's clock less ours that only grows."""
        self.wants: dict[Want, None] = {}
        self.bell = Bell()
        self.give_back = False
        self.failures = 0
        """Failed requests since the last good one."""
        self.retry_at = 0.0
        self.sending = False
        self.syncs = self.sync_failures = 0
        self.idle = False
        """The thread has nothing to do: ring it when there is."""
        self.running = False
        self.idle_s = IDLE_S
        """How often the thread looks around while it is idle."""
        self._transport = transport
        self._keeper = keeper
        self._table = table
        self._lock = lock
        self._sync_s = sync_s
        self._timeout_s = timeout_s
        self._delay = BACKOFF_S[0]
        self._synced_at = 0.0
        self._seq = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._latch = _thread.allocate_lock()
        self._latch.acquire()

    # what calls do, under the lock

    def start(self) -> None:
        """Start the thread, once."""
        with self._lock:
            if self._thread is not None or self._stopping:
                return
            thread = threading.Thread(target=self._run, name="outlay-limits", daemon=True)
            self._thread = thread
            self.running = True
        try:
            thread.start()
        except BaseException:
            self._thread, self.running = None, False
            raise

    def watch(self, every_s: float) -> None:
        """Start the thread now, and have it ask so often for limits that nobody has told it of."""
        self.idle_s = self._keeper.refresh_s = every_s
        self._keeper.due = True
        self.start()
        self.ring()

    def ring(self) -> None:
        """Tell the thread that there is something to do."""
        if self._latch.locked():
            try:
                self._latch.release()
            except RuntimeError:
                return  # somebody else rang in between

    def want(self, needs: list[tuple[Line, int]], now: float) -> Want:
        """Ask for what a call needs; it is asked for until `drop`, or nobody comes back for it."""
        made = Want(needs, now)
        self.wants[made] = None
        self.ring()
        return made

    def drop(self, want: Want | None) -> None:
        """Ask no longer."""
        if want is not None:
            self.wants.pop(want, None)

    def wake_all(self) -> None:
        """Let every call that waits look again."""
        rung, self.bell = self.bell, Bell()
        rung.ring()

    def away(self, since: float, now: float) -> bool:
        """Tell whether the authority gives no answer to who has waited since some time."""
        if self.failures and (now < self.retry_at or self.sending):
            return True
        return now - since >= self._timeout_s

    def fall_back(self) -> bool:
        """Go by what the last process was told, if nothing newer is; tell if that is anything.

        Only once the server cannot be asked: limits that were set since would not hold.
        """
        kept = self._keeper.current
        with self._lock:
            if self._table.policy is None and kept is not None:
                self._table.take(kept, self.now_us())
            return self._table.policy is not None

    def now_us(self) -> int:
        """Return the time by the server's clock, microseconds UTC."""
        return time.monotonic_ns() // 1000 + self.offset_us

    def stop(self, timeout_s: float) -> None:
        """End the thread, giving everything back if that can be done in time."""
        self._stopping = True
        self.ring()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    # the thread

    def _run(self) -> None:
        with guarded("limits.prepare"), forks.gate:
            prepare()
        with guarded("limits.kept"):
            self._keeper.read_kept()
        while not self._stopping:
            try:
                self._once()
            except Exception as error:
                caught("limits.sync", error)
                self._failed()
            self._rest()
        with guarded("limits.close"), suppress(OSError):
            if self._synced_at:
                self._sync(closing=True)
        self._transport.close()

    def _once(self) -> None:
        now = time.monotonic()
        if now < self.retry_at:
            return
        if self._keeper.wants(now):
            self._ask(self._fetch)
        if self._due_in(time.monotonic()) <= 0:
            self._ask(self._sync)

    def _ask(self, request: Any) -> None:
        self.sending = True
        try:
            request()
        except OSError:
            self.fall_back()
            self._failed()
        else:
            self.failures = 0
            self.retry_at = 0.0
            self._delay = BACKOFF_S[0]
        finally:
            self.sending = False
            self.wake_all()

    def _failed(self) -> None:
        self.failures += 1
        self.sync_failures += 1
        self.retry_at = time.monotonic() + self._delay
        self._delay = min(self._delay * 2, BACKOFF_S[1])

    def _fetch(self) -> None:
        if self._keeper.fetch(self._transport) or self._table.policy is None:
            self._took_policy()
        elif self._table.gone:
            warn_once(
                "limits:gone",
                "outlay: the server does not count all limits that it tells of for these calls: "
                "is the key that of another tenant?",
            )

    def _took_policy(self) -> None:
        policy = self._keeper.current
        if policy is not None:
            with self._lock:
                self._table.take(policy, self.now_us())
            self.wake_all()

    def _rest(self) -> None:
        if self._stopping:
            return
        now = time.monotonic()
        if now < self.retry_at:
            self._latch.acquire(timeout=self.retry_at - now)
            return
        # Said before looking, so that no call slips in between without ringing.
        self.idle = True
        due = self._due_in(now)
        wait = max(0.0, min(due, 0.0 if self._keeper.due else self.idle_s))
        self.idle = due == math.inf and wait > 0
        self._latch.acquire(timeout=wait)
        self.idle = False

    def _due_in(self, now: float) -> float:
        """Return in how many seconds the next sync is due; infinite: there is nothing to tell."""
        with self._lock:
            waiting = [want.answers for want in list(self.wants)]
            active = bool(self._table.active or self._table.ended)
        if 0 in waiting:
            return 0.0
        due = math.inf
        if waiting:
            due = self._synced_at + random.uniform(*AGAIN_S) - now  # noqa: S311 - spreads load
        elif self.give_back:
            due = self._synced_at + GIVE_BACK_S - now
        elif active:
            due = self._synced_at + self._sync_s - now
        return due

    def _sync(self, *, closing: bool = False) -> None:
        sent_at = time.monotonic()
        with self._lock:
            wants, drafts = drafted(self, self._table, sent_at, closing=closing)
        self._synced_at = sent_at
        if not drafts and not closing:
            return
        self._seq += 1
        body = json.dumps(
            {
                "owner": self.owner,
                # One that comes twice, or late after another, takes nothing from its successor.
                "seq": self._seq,
                "at": time.time_ns() // 1000,
                "closing": closing,
                "lines": [one.fields() for one in drafts],
            },
            separators=(",", ":"),
        ).encode()
        headers = {"Content-Type": "application/json"}
        reply = self._transport.request("POST", "/v1/leases", body=body, headers=headers)
        if reply.status != 200:
            if reply.status < 500 and reply.status != 429:
                warn_once(
                    f"limits:sync:{reply.status}",
                    "outlay: the server refuses a lease (HTTP %d): check endpoint and key",
                    reply.status,
                )
            raise ConnectionError(f"HTTP {reply.status}")
        try:
            answer = json.loads(reply.body)
            answers = matched(drafts, answer["lines"])
            now_us, ttl_s = int(answer["now"]), float(answer["ttl_s"])
            self._keeper.heard(str(answer["policy"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            caught("limits.answer", error)
            raise ConnectionError("unreadable") from error
        self.syncs += 1
        with self._lock:
            self.offset_us = now_us - int((sent_at + time.monotonic()) / 2 * 1e6)
            self.valid_until = sent_at + ttl_s - min(1.0, ttl_s / 10)
            if took(self, self._table, drafts, answers, sent_at, closing=closing):
                self._keeper.due = True
            for want in wants:
                want.answers += 1
                want.answered_at = sent_at
