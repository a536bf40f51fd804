"""Brings a gateway's virtual keys from the server, and follows what changes.

One daemon thread with a connection of its own asks again and again; the server answers when
something has changed. At first all keys are read anew, then what changed since. While the server is
away the gateway goes by what it knows, for as long as its owner says. The thread must not wait for
anything that its owner cannot end.
"""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from outlay.capture import forks
from outlay.capture.guard import caught, guarded
from outlay.capture.transport import Reply, Transport, prepare
from outlay.core.virtual_keys import VirtualKey, read_key
from outlay.errors import ConfigError
from outlay.gateway.kept_keys import KeptKeys
from outlay.gateway.keys import KeyTable

if TYPE_CHECKING:
    from pathlib import Path

STALE_S: Final = 3600.0
WAIT_S: Final = 25.0
"""How long the server may wait for a change before it answers."""
ANSWER_S: Final = 10.0
"""How long its answer may take on top of that."""
ROUND_S: Final = 0.05
"""Shortest round that brings nothing, whatever answers there: it must not be asked in a loop."""
BACKOFF_S: Final = (0.2, 15.0)
"""First and longest wait after a failure; it doubles, less up to a half by chance."""
STOP_S: Final = 2.0
PATH: Final = "/v1/virtual-keys/feed"

_REFUSED: Final = {
    401: "the gateway's key is unknown, revoked or expired: set OUTLAY_KEY to a good one",
    403: "the gateway's key lacks the scope `gateway`: make one with "
    "`outlay keys create NAME --scope ingest --scope gateway`",
    404: "the server knows no virtual keys: is it of an older version, or `endpoint` wrong?",
}
"""What a person must do, by status."""


class KeyFeed:
    """Keeps a table of keys up to date from `start` to `stop`.

    Args:
        endpoint: the server's address.
        key: an API key with the scope `gateway`; one of a tenant is told that tenant's keys only.
        table: what it brings the keys to.
        kept: a file that holds the table for the next start; its folder is made.
        stale_s: after how long without a word from the server the keys are not `fresh`.
        log: a structlog logger.

    Raises:
        ConfigError: the endpoint is no address.
    """

    def __init__(
        self,
        endpoint: str,
        key: str,
        table: KeyTable,
        kept: Path | None = None,
        stale_s: float = STALE_S,
        *,
        log: Any = None,
    ) -> None:
        try:
            self._transport = Transport(endpoint, key, WAIT_S + ANSWER_S)
        except ValueError as error:
            raise ConfigError(f"{error}.".capitalize(), where="endpoint") from error
        self._table = table
        self._kept = KeptKeys(kept, endpoint)
        self._stale_s = stale_s
        self._log = log
        self._revision = 0
        self._listing: KeyTable | None = None
        """All keys while they are read anew, until they are complete."""
        self._following = False
        self._delay_s = BACKOFF_S[0]
        self._problem = ""
        self._left_out = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.tried = threading.Event()
        """Set once the server was heard, or could not be, for the first time."""

    @property
    def fresh(self) -> bool:
        """Whether the server was heard lately enough for the keys to be gone by."""
        return self._table.age_s <= self._stale_s

    @property
    def detail(self) -> str:
        """How long ago the server was heard, and what is wrong if something is."""
        age_s = self._table.age_s
        heard = "never heard" if age_s == float("inf") else f"heard {age_s:.0f} s ago"
        return f"{heard}: {self._problem}" if self._problem else heard

    def start(self) -> None:
        """Take what is kept from before, then begin to follow the server; a second call is none."""
        if self._thread is not None:
            return
        self._take_kept()
        self._thread = threading.Thread(target=self._run, name="outlay-keys", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """End the thread, and what it waits for; a second call does nothing."""
        self._stopping.set()
        until = time.monotonic() + timeout_s
        while self._thread is not None and self._thread.is_alive() and time.monotonic() < until:
            self._transport.abort()
            self._thread.join(0.02)

    # the thread

    def _run(self) -> None:
        with guarded("keys.prepare"), forks.gate:
            prepare()
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                moved = self._once()
            except Exception as error:
                pause_s = self._failed(error)
            else:
                self._heard()
                pause_s = 0.0 if moved else ROUND_S - (time.monotonic() - began)
            self._keep()
            if self._following or self._problem:
                self.tried.set()
            if pause_s > 0:
                self._stopping.wait(pause_s)
        with guarded("keys.kept"):
            if self._kept.due:
                self._kept.write(self._table.keys())
        self._transport.close()

    def _once(self) -> bool:
        """Ask once; tell whether there was something new.

        Raises:
            OSError: the server cannot be reached, or refuses.
            ValueError: what answers is no such server.
        """
        wait_s = WAIT_S if self._following else 0.0
        if self._kept.due:
            wait_s = min(wait_s, self._kept.wait_s(time.monotonic()))
        path = f"{PATH}?after={self._revision}&wait_s={wait_s:.3f}"
        headers = {"Accept": "application/json", "User-Agent": "outlay-gateway"}
        reply = self._transport.request("GET", path, headers=headers)
        if reply.status != 200:
            raise _RefusedError(reply.status)
        return self._take(reply)

    def _take(self, reply: Reply) -> bool:
        document = json.loads(reply.body)
        try:
            after, revision = int(document["after"]), int(document["revision"])
            rows, told_at = list(document["keys"]), int(document["now"])
            complete = bool(document["complete"])
        except (KeyError, TypeError) as error:
            raise ValueError("not a feed of keys") from error
        if not complete and revision <= after:
            raise ValueError("a feed of keys without an end")
        if after == 0:
            self._listing = KeyTable()
        table = self._table if self._listing is None else self._listing
        here = time.time_ns() // 1000
        table.apply(_read(table, rows, told_at=told_at, here=here), at=here)
        changed = bool(rows)
        if complete and self._listing is not None:
            changed = changed or len(self._table) != len(self._listing)
            self._table.replace(self._listing)
            self._listing = None
        self._kept.due = self._kept.due or changed
        moved = bool(rows) or revision != self._revision or not complete
        self._revision = revision
        self._following = complete
        return moved

    def _heard(self) -> None:
        self._delay_s = BACKOFF_S[0]
        if self._following:
            self._table.heard()
        if self._problem:
            self._problem = ""
            self._say("info", "virtual_keys_heard_again")
        if self._table.left_out > self._left_out:
            self._left_out = self._table.left_out
            self._say(
                "warning", "virtual_keys_left_out", keys=self._left_out, known=len(self._table)
            )

    def _failed(self, error: Exception) -> float:
        """Note what failed, once while it stays the same; return how long to wait."""
        if self._stopping.is_set():
            return 0.0
        known = isinstance(error, (OSError, ValueError))
        if not known:
            caught("keys.feed", error)
        status = error.status if isinstance(error, _RefusedError) else 0
        problem = _REFUSED.get(status) or (
            str(error) if isinstance(error, OSError) else "unreadable"
        )
        if problem != self._problem:
            self._problem = problem
            self._say("error" if status in _REFUSED else "warning", "virtual_keys_not_heard",
                      problem=problem, known=len(self._table))  # fmt: skip
        self._following = False
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, BACKOFF_S[1])
        return delay_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret hangs on it

    def _say(self, level: str, event: str, **facts: Any) -> None:
        if self._log is not None:
            getattr(self._log, level)(event, **facts)

    # what is kept

    def _take_kept(self) -> None:
        try:
            found = self._kept.read()
        except (OSError, ValueError, RecursionError) as error:
            self._say("warning", "virtual_keys_not_read", error=type(error).__name__)
            return
        if found is not None:
            keys, ago_s = found
            self._table.apply(keys, at=time.time_ns() // 1000)
            self._table.heard(ago_s)

    def _keep(self) -> None:
        if self._listing is not None or not self._following:
            return
        try:
            self._kept.touch()
            if self._kept.due and not self._kept.wait_s(time.monotonic()):
                self._kept.write(self._table.keys())
        except OSError as error:
            caught("keys.kept", error)


class _RefusedError(ConnectionError):
    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


def _read(table: KeyTable, rows: list[Any], *, told_at: int, here: int) -> list[VirtualKey]:
    """Read keys; one that cannot be read is known no longer, as it may have been revoked."""
    keys: list[VirtualKey] = []
    for row in rows:
        try:
            keys.append(_ended(read_key(row), told_at=told_at, here=here))
        except (ValueError, TypeError, AttributeError) as error:
            caught("keys.row", error)
            if isinstance(row, dict):
                table.forget(str(row.get("secret_hash")))
    return keys


def _ended(key: VirtualKey, *, told_at: int, here: int) -> VirtualKey:
    """Return a key so that one revoked by the server's clock is revoked by ours, too."""
    ended = key.revoked_at
    if ended is None or not here < ended <= told_at:
        return key
    return replace(key, revoked_at=here)
